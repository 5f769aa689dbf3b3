"""What each operation does to the ground: to the sheet, to codes and to columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
import shapely.ops

from geo_service.drawing import counts
from geo_service.drawing._ground import Ground, nothing_near
from geo_service.drawing.changes import (
    BORDER_MOVED,
    LAND_GIVEN,
    LAND_TAKEN,
    MERGED,
    NODE_MOVED,
    Row,
)
from geo_service.drawing.kinds import DEDICATED
from geo_service.drawing.operations import Operation
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

_ON_LINE_M = 1e-9
_LEAST_PIECE_M2 = 1e-4  # what cutting along a border leaves by rounding


@dataclass(frozen=True)
class Outcome:
    """What an operation did to the sheet, in codes."""

    operation: Operation
    faces: dict[str, int]
    rows: Mapping[str, Row] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    how: str = ""
    hows: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()


def do(on: Ground, asked: dict[str, Any]) -> Outcome:
    """Do an operation, as `operations.read` gives it, on the sheet; codes are not carried yet."""
    return _DOES[asked["op"]](on, asked)


def _split(on: Ground, asked: dict[str, Any]) -> Outcome:
    code = asked["code"]
    parts = on.sheet.split(on.face_of(code), shapely.LineString(asked["line"]))
    parts = on.west_east(parts)
    given = on.new_codes(code, len(parts), asked.get("codes"))
    rows, told = on.rows_of_parts(code, parts)
    if "name" in on.row[code]:
        names = counts.part_names(str(on.row[code]["name"]), given)
        rows = [{**row, "name": name} for row, name in zip(rows, names, strict=True)]
    return Outcome(
        {**asked, "codes": given},
        faces=dict(zip(given, parts, strict=True)),
        rows=dict(zip(given, rows, strict=True)),
        gone=(code,),
        notes=(Note("split", f"{code} 切分为 {_listed(given)}，原编码停用。",
                      f"{code} was cut into {_listed(given, ', ')}; its code is retired."),
               *told),
    )  # fmt: skip


def _merge(on: Ground, asked: dict[str, Any]) -> Outcome:
    wanted = list(dict.fromkeys(asked["codes"]))
    faces = [on.face_of(code) for code in wanted]
    on.require_one_community(wanted)
    kept = asked.get("code") or wanted[0]
    if kept not in wanted:
        on.require_free([kept])
    face = on.sheet.merge(faces)
    row = counts.summed([on.row[code] for code in wanted])
    if "name" in asked and "name" in row:
        row["name"] = asked["name"]
    zh = f"{_listed(wanted)} 合并为 {kept}，其余网格未动。"
    en = f"{_listed(wanted, ', ')} became {kept}; no other grid was touched."
    return Outcome(
        {**asked, "codes": wanted, "code": kept}, faces={kept: face}, rows={kept: row},
        gone=tuple(code for code in wanted if code != kept), how=MERGED,
        notes=(Note("merged", zh, en),),
    )  # fmt: skip


def _move_node(on: Ground, asked: dict[str, Any]) -> Outcome:
    vertex = on.vertex(asked["at"], asked)
    return _moved(on, {vertex: asked["to"]}, asked)


def _move_edge(on: Ground, asked: dict[str, Any]) -> Outcome:
    (x, y), to = asked["at"], asked["to"]
    reach = on.reach(asked)
    edge = on.sheet.nearest_edge((x, y), reach)
    if edge is None:
        raise nothing_near((x, y), reach / on.metre)
    ends = {vertex: on.sheet.place(vertex) for vertex in edge}
    return _moved(on, {v: (px + to[0] - x, py + to[1] - y) for v, (px, py) in ends.items()}, asked)


def _straighten(on: Ground, asked: dict[str, Any]) -> Outcome:
    return _rerouted(on, asked, [])


def _follow(on: Ground, asked: dict[str, Any]) -> Outcome:
    street = shapely.LineString(asked["line"])
    start, stop = (
        shapely.line_locate_point(street, shapely.Point(asked[end])) for end in ("from", "to")
    )
    if start == stop:
        reason = Phrase("街道不经过这两点之间", "the street does not run between the two points")
        raise InputError("drawing_impossible", reason=reason)
    return _rerouted(on, asked, shapely.get_coordinates(_part_of(street, start, stop)))


def _reassign(on: Ground, asked: dict[str, Any]) -> Outcome:
    code, to = asked["code"], asked["to"]
    on.require_one_community([code, to])
    giving, taking = on.face_of(code), on.face_of(to)
    if code == to:
        reason = Phrase(f"地块本来就在 {code} 内", f"{code} has the block already")
        raise InputError("drawing_impossible", reason=reason)
    rest, block = _cut(on, giving, asked["block"], asked)
    on.require_touching(block, taking, to)
    (kept, given), told = on.rows_of_parts(code, [rest, block])
    face = on.sheet.merge([taking, block])
    rows = {code: kept, to: counts.summed([on.row[to], given])}
    return Outcome(
        asked, faces={code: rest, to: face}, rows=rows, hows={code: LAND_GIVEN, to: LAND_TAKEN},
        notes=(Note("reassigned", f"{code} 的一块地划归 {to}。",
                      f"A block of {code} went over to {to}."),
               *told),
    )  # fmt: skip


def _cut_out(on: Ground, asked: dict[str, Any]) -> Outcome:
    code = asked["code"]
    rest, premises = _cut(on, on.face_of(code), asked["premises"], asked)
    wanted = asked.get("new_code")
    (new,) = on.new_codes(code, 1, None if wanted is None else [wanted])
    (kept, row), told = on.rows_of_parts(code, [rest, premises])
    if "name" in row:
        row["name"] = asked.get("name") or counts.part_names(str(row["name"]), [new])[0]
    if "kind" in row:
        row["kind"] = asked.get("kind", DEDICATED)
    return Outcome(
        {**asked, "new_code": new}, faces={code: rest, new: premises},
        rows={code: kept, new: row}, how=LAND_GIVEN,
        notes=(Note("cut_out", f"从 {code} 中划出专属网格 {new}。",
                      f"The dedicated grid {new} was cut out of {code}."),
               *told),
    )  # fmt: skip


def _snap(on: Ground, asked: dict[str, Any]) -> Outcome:
    line, reach = shapely.LineString(asked["line"]), on.reach(asked)
    moves = {}
    for vertex in on.sheet.vertices(on.face_of(asked["code"])):
        place = on.sheet.place(vertex)
        away = line.distance(shapely.Point(place))
        if _ON_LINE_M * on.metre < away <= reach and on.is_free(vertex):
            nearest = line.interpolate(line.project(shapely.Point(place)))
            moves[vertex] = (nearest.x, nearest.y)
    if not moves:
        reason = Phrase(
            f"线的 {reach / on.metre:g} 米内没有可移动的界点",
            f"no border point that may move lies within {reach / on.metre:g} m of the line",
        )
        raise InputError("drawing_impossible", reason=reason)
    return _moved(on, moves, asked)


def _moved(on: Ground, moves: dict[int, tuple[float, float]], asked: dict[str, Any]) -> Outcome:
    for vertex in moves:
        on.require_inner(on.sheet.around(vertex))
    faces = sorted(on.sheet.move(moves))
    names = [on.code[face] for face in faces]
    zh, en = f"{_listed(names)} 的公共界点已移动", f"{_listed(names, ', ')} was moved"
    note = Note("node_moved", f"{zh}（{len(moves)} 个）。", f"A border of {en}.")
    return Outcome(asked, faces=dict(zip(names, faces, strict=True)), how=NODE_MOVED,
                    notes=(note,))  # fmt: skip


def _rerouted(on: Ground, asked: dict[str, Any], path: Any) -> Outcome:
    start, stop = on.vertex(asked["from"], asked), on.vertex(asked["to"], asked)
    between = asked.get("between")
    faces = None if between is None else [on.face_of(code) for code in between]
    ends = [on.sheet.place(v) for v in (start, stop)]
    turns = [
        (x, y)
        for x, y in np.asarray(path, float).reshape(-1, 2).tolist()
        if all(np.hypot(x - ex, y - ey) > on.sheet.snap for ex, ey in ends)
    ]
    found = sorted(on.sheet.reroute(start, stop, turns, between=faces))
    on.require_inner(set(found))
    names = [on.code[face] for face in found]
    zh = f"{_listed(names)} 之间的边界已改线。"
    en = f"The border between {_listed(names, ' and ')} runs another way."
    return Outcome(
        asked, faces=dict(zip(names, found, strict=True)), how=BORDER_MOVED,
        notes=(Note("border_moved", zh, en),),
    )  # fmt: skip


def _cut(
    on: Ground, face: int, ring: list[tuple[float, float]], asked: Mapping[str, Any]
) -> tuple[int, int]:
    """Cut what lies within a ring off a face; give the rest and the piece."""
    code, wanted = asked["code"], shapely.Polygon(ring)
    host = on.sheet.geometry(face)
    if not wanted.is_valid:
        reason = Phrase(
            f"轮廓自相交：{shapely.is_valid_reason(wanted)}",
            f"the outline crosses itself: {shapely.is_valid_reason(wanted)}",
        )
        raise InputError("drawing_impossible", reason=reason)
    least = _LEAST_PIECE_M2 * on.metre**2
    beyond = wanted.area - shapely.intersection(wanted, host).area
    if not asked.get("trim") and beyond > max(least, 1e-6 * wanted.area):
        reason = Phrase(f"轮廓超出 {code} 的范围", f"the outline reaches beyond {code}")
        raise InputError("drawing_impossible", reason=reason)
    parts = on.sheet.split(face, wanted.exterior)
    shapes = [on.sheet.geometry(part) for part in parts]
    shapely.prepare(wanted)
    within = [wanted.contains(shape.point_on_surface()) for shape in shapes]
    inner = [part for part, inside in zip(parts, within, strict=True) if inside]
    outer = [part for part, inside in zip(parts, within, strict=True) if not inside]
    if len(inner) != 1 or len(outer) != 1:
        reason = Phrase(
            f"{code} 会分成 {len(outer)} 块，轮廓内有 {len(inner)} 块",
            f"it would leave {code} in {len(outer)} pieces, {len(inner)} within the outline",
        )
        raise InputError("drawing_impossible", reason=reason)
    return outer[0], inner[0]


def _part_of(street: Any, start: float, stop: float) -> Any:
    part = shapely.ops.substring(street, min(start, stop), max(start, stop))
    return part if start < stop else shapely.reverse(part)


def _listed(codes: Sequence[str], comma: str = "、") -> str:
    return comma.join(codes)


_DOES: Mapping[str, Callable[[Ground, dict[str, Any]], Outcome]] = {
    "split": _split,
    "merge": _merge,
    "move_node": _move_node,
    "move_edge": _move_edge,
    "straighten": _straighten,
    "follow": _follow,
    "reassign": _reassign,
    "cut_out": _cut_out,
    "snap": _snap,
}
