"""Draw an area anew: blocks along its streets, grouped to grids of a wanted size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import codes as grid_codes
from geo_service import topology
from geo_service.codes import grid_name
from geo_service.drawing import _atoms, _blocks, _objective, _partition
from geo_service.drawing._lines import kinds_of
from geo_service.errors import InputError, Phrase
from geo_service.notes import Note

BORDER_COST = {"major": -1.0, "rail": -0.36, "water": -0.36, "line": -1.0, "street": -0.34,
               "minor": 0.27, "none": 0.63}  # fmt: skip
"""What a border costs by the line it runs on, per length of a mean grid's outline.

Below nothing: wanted. ``none`` is a straight cut on open ground.
"""

_ATOM_SHARE = 0.1
"""How big an atom may be, of the upper bound. With atoms twice as big the grids of three real
extracts came out less compact, by 0.02-0.04 at the median."""

_ON_LINE_M = 1.0
_TREE_BIAS = 0.6

Shapes = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Miss:
    """A grid that is not of the wanted size, and why."""

    code: str
    households: int
    zh: str
    en: str

    def __str__(self) -> str:
        return f"{self.code}: {self.zh} · {self.en}"


@dataclass(frozen=True)
class Drawn:
    """Grids drawn anew.

    Parameters
    ----------
    grids : geopandas.GeoDataFrame
        ``code``, ``name``, ``parent_code``, ``households``, geometry; numbered west to east and
        north to south. They tile the area and share every vertex.
    misses : tuple of Miss
        Grids outside the wanted range, each with the reason.
    notes : tuple of Note
        What was done and found.
    rim_nodes : ndarray, shape (n, 2)
        Points put into the outline where a border meets it; its own vertices are all kept.
    """

    grids: gpd.GeoDataFrame
    misses: tuple[Miss, ...]
    notes: tuple[Note, ...]
    rim_nodes: npt.NDArray[np.float64]


def draw(
    area: Any,
    *,
    streets: gpd.GeoDataFrame,
    households: gpd.GeoDataFrame,
    target: tuple[int, int] = (300, 500),
    lines: gpd.GeoDataFrame | None = None,
    buildings: gpd.GeoDataFrame | None = None,
    parent_code: str | None = None,
    seed: int = 0,
    crs: Any = None,
) -> Drawn:
    """Draw the grids of an area along its streets, to a number of households.

    The area is cut into blocks by streets, rivers and railways; blocks that hold too many homes are
    cut by minor ways, then straight between homes; the pieces are grouped to connected grids within
    the range, compact, with borders on main streets rather than across open ground.

    Parameters
    ----------
    area : shapely Polygon or MultiPolygon
        What to draw, in the plane of ``crs``. Its outline stays as it is; where a border meets it,
        a node is added, told in `Drawn.rim_nodes`.
    streets : geopandas.GeoDataFrame
        LineStrings as `street_lines` gives them: a column ``kind`` (or OSM's ``highway``) tells
        main streets from minor ways.
    households : geopandas.GeoDataFrame
        Points; a column ``households`` (or ``population``) counts, else each point is one.
    target : tuple of int, default (300, 500)
        Fewest and most households of a grid.
    lines : geopandas.GeoDataFrame, optional
        Further lines to draw along, such as borders of today.
    buildings : geopandas.GeoDataFrame, optional
        Footprints that straight cuts keep clear of.
    parent_code : str, optional
        The community's code, to number the grids under.
    seed : int, default 0
        Same input and seed, same bytes.
    crs : Any, optional
        A metric plane; default that of ``streets``. The other layers are brought into it.

    Returns
    -------
    Drawn

    Raises
    ------
    InputError
        ``parameter_invalid`` or ``drawing_impossible``.

    Notes
    -----
    A range can be impossible: too few homes in all, an island of few, a tower of many at one
    place. Such grids are drawn as near as can be and named in `Drawn.misses`.
    """
    target = require_range(target)
    plane = require_plane(crs if crs is not None else streets.crs)
    given = Given(
        lines_in(plane, streets, lines),
        homes_of(households.to_crs(plane)),
        footprints(plane, buildings),
    )
    return drawn_in(area, given, target=target, parent_code=parent_code, seed=seed, crs=plane)


@dataclass(frozen=True)
class Given:
    """What an area is drawn from, checked and in its plane.

    Parameters
    ----------
    lines : geopandas.GeoDataFrame
        Single LineStrings with their ``kind``, as `lines_in` gives them.
    homes : Homes
        They may lie outside the area.
    walls : ndarray of shapely polygons
        Footprints of buildings.
    """

    lines: gpd.GeoDataFrame
    homes: _atoms.Homes
    walls: Shapes


def drawn_in(
    area: Any,
    given: Given,
    *,
    target: tuple[int, int],
    parent_code: str | None,
    seed: int,
    crs: Any,
    moves_per_atom: int | None = None,
) -> Drawn:
    """Draw an area from what is prepared already; parameters as of `draw`."""
    low, high = target
    _require_area(area)
    homes, lost = _inside(area, given.homes)
    atoms, label = drawn_from(
        area, Given(given.lines, homes, given.walls), target, seed,
        most=max(int(high * _ATOM_SHARE), 1), moves_per_atom=moves_per_atom,
    )  # fmt: skip
    shapes = _atoms.dissolve(atoms, label)
    grids = numbered(shapes, homes.weigh(shapes), parent_code, crs)
    misses = tuple(_misses(grids, homes, low, high))
    nodes = _blocks.rim_nodes(area, shapes)
    return Drawn(grids, misses, _notes(grids, misses, nodes, lost, low, high), nodes)


def drawn_from(
    area: Any,
    given: Given,
    target: tuple[int, int],
    seed: int,
    *,
    most: int,
    moves_per_atom: int | None = None,
) -> tuple[Shapes, npt.NDArray[np.int64]]:
    """Cut an area into atoms of at most so many households and group them to grids.

    Where grids miss the range, their atoms and those of their neighbours are cut in two, as often
    as it helps.

    Returns
    -------
    ndarray of shapely Polygon
        The atoms.
    ndarray of int
        The grid of each.
    """
    homes = given.homes
    atoms = _cut(area, given.lines, homes, most, given.walls)
    best: tuple[float, Shapes, npt.NDArray[np.int64]] | None = None
    while True:
        weight = homes.weigh(atoms)
        label = group(atoms, weight, given.lines, target, seed, moves_per_atom=moves_per_atom)
        off = _off(np.bincount(label, weight).astype(float), target)
        if best is not None and off.sum() >= best[0]:
            return best[1:]
        best = float(off.sum()), atoms, label
        if best[0] == 0.0 or most < 2:
            return atoms, label
        most //= 2
        limit = np.where(_beside(atoms, label, off > 0.0)[label], most, homes.count.sum())
        atoms = _atoms.cut_big(atoms, homes, limit, given.walls)


def _off(total: npt.NDArray[np.float64], target: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Give the households by which each grid misses the range."""
    low, high = target
    return np.maximum(np.maximum(low - total, total - high), 0.0)


def _beside(
    atoms: Shapes, label: npt.NDArray[np.int64], chosen: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Choose the grids next to chosen ones as well."""
    a, b = (label[each] for each in topology.build(atoms).neighbours()[:2])
    wider = chosen.copy()
    wider[a[chosen[b]]] = True
    wider[b[chosen[a]]] = True
    return wider


def require_range(target: tuple[int, int]) -> tuple[int, int]:
    """Give the fewest and most households, refusing what is no range."""
    low, high = target
    if not 0 < low <= high:
        reason = Phrase(
            "请给出最少和最多户数", "give fewest and most households, such as 300 and 500"
        )
        raise InputError("parameter_invalid", name="target", value=f"{low}-{high}", reason=reason)
    return int(low), int(high)


def require_plane(crs: Any) -> Any:
    """Give a coordinate system, refusing one that is not in metres."""
    plane = gpd.GeoSeries([], crs=crs).crs
    if plane is None or plane.is_geographic:
        reason = Phrase("需要投影坐标系", "a metric plane is needed, such as EPSG:4547")
        raise InputError("parameter_invalid", name="crs", value=plane, reason=reason)
    return plane


def _require_area(area: Any) -> None:
    if not isinstance(area, shapely.Polygon | shapely.MultiPolygon) or area.is_empty:
        found = "empty" if shapely.is_empty(area) else area.geom_type
        raise InputError("not_polygons", file="area", row=1, found=found)
    if not area.is_valid:
        reason = Phrase(
            f"外边界无效：{shapely.is_valid_reason(area)}",
            f"the outline is not valid: {shapely.is_valid_reason(area)}",
        )
        raise InputError("drawing_impossible", reason=reason)


def lines_in(
    crs: Any, streets: gpd.GeoDataFrame, lines: gpd.GeoDataFrame | None
) -> gpd.GeoDataFrame:
    """Give all lines with their kind, single, in the plane."""
    given = [gpd.GeoDataFrame({"kind": kinds_of(streets)}, geometry=streets.geometry.values)]
    given[0] = given[0].set_crs(streets.crs).to_crs(crs)
    if lines is not None:
        further = lines.geometry.to_crs(crs)
        kind = ["line"] * len(further)
        given.append(gpd.GeoDataFrame({"kind": kind}, geometry=further.values, crs=crs))
    together = pd.concat(given, ignore_index=True).explode(ignore_index=True)
    kept = together.geometry.notna() & (together.geom_type == "LineString")
    unknown = sorted(set(together["kind"]) - set(BORDER_COST))
    if unknown:
        reason = f"known: {', '.join(BORDER_COST)}"
        raise InputError("parameter_invalid", name="kind", value=unknown[0], reason=reason)
    return together[kept].reset_index(drop=True)


def homes_in(area: Any, places: gpd.GeoDataFrame) -> tuple[_atoms.Homes, int]:
    """Give the homes in the area, ordered by place, and how many households lie outside."""
    return _inside(area, homes_of(places))


def homes_of(places: gpd.GeoDataFrame) -> _atoms.Homes:
    """Give the homes that places stand for, ordered by place."""
    column = next((c for c in ("households", "population") if c in places), None)
    count = np.ones(len(places)) if column is None else places[column].fillna(0).to_numpy(float)
    if (count < 0).any():
        row = int(np.argmax(count < 0)) + 1
        raise InputError(
            "value_invalid", file="households", row=row, field=column, value=count[row - 1],
            reason=Phrase("户数不能为负", "a count can't be negative"),
        )  # fmt: skip
    points = places.geometry.values
    if len(places) and not (shapely.get_type_id(points) == shapely.GeometryType.POINT).all():
        points = shapely.point_on_surface(points)
    xy = np.column_stack((shapely.get_x(points), shapely.get_y(points)))  # nan: no place known
    whole = np.rint(count).astype(np.int64)
    order = np.lexsort((whole, xy[:, 1], xy[:, 0]))
    return _atoms.Homes(xy[order], whole[order])


def _inside(area: Any, homes: _atoms.Homes) -> tuple[_atoms.Homes, int]:
    shapely.prepare(area)
    inside = shapely.intersects_xy(area, homes.xy)
    lost = int(homes.count[~inside].sum())
    return _atoms.Homes(homes.xy[inside], homes.count[inside]), lost


def footprints(crs: Any, buildings: gpd.GeoDataFrame | None) -> Shapes:
    """Give the buildings' shapes in the plane."""
    if buildings is None:
        return np.empty(0, object)
    return np.asarray(buildings.geometry.to_crs(crs).values, object)


def _cut(
    area: Any, given: gpd.GeoDataFrame, homes: _atoms.Homes, most: int, buildings: Shapes
) -> Shapes:
    shapes = np.asarray(given.geometry.values, object)
    minor = (given["kind"] == "minor").to_numpy()
    return _atoms.cut(
        area, lines=shapes[~minor], minor=shapes[minor], homes=homes, most=most, buildings=buildings
    )


def group(
    atoms: Shapes,
    weight: npt.NDArray[np.int64],
    given: gpd.GeoDataFrame,
    target: tuple[int, int],
    seed: int,
    *,
    moves_per_atom: int | None = None,
) -> npt.NDArray[np.int64]:
    """Partition the graph of the atoms; give the grid of each."""
    graph = topology.build(atoms)
    length = graph.arc_lengths()
    cost = _arc_costs(graph, given) * length
    low, high = np.minimum(graph.left, graph.right), np.maximum(graph.left, graph.right)
    inner = low >= 0
    pairs, pair = np.unique(low[inner] * len(atoms) + high[inner], return_inverse=True)
    a, b = np.divmod(pairs, len(atoms))
    shared = np.bincount(pair, length[inner], minlength=len(pairs))
    paid = np.bincount(pair, cost[inner], minlength=len(pairs))

    source, sink = np.append(a, b), np.append(b, a)
    order = np.lexsort((sink, source))
    bounds = np.searchsorted(source[order], np.arange(len(atoms) + 1))
    outline_m = 4 * np.sqrt(shapely.area(atoms).sum() / max(weight.sum() / np.mean(target), 1.0))
    each = np.append(np.arange(len(a)), np.arange(len(a)))[order]
    borders = np.zeros(len(each), _partition.BORDER)
    borders["other"] = sink[order]
    borders["length"] = shared[each]
    borders["cost"] = 2 * paid[each] / outline_m
    borders["apart"] = -_TREE_BIAS * (paid / shared)[each]
    table = np.zeros(len(atoms), _partition.ATOM)
    table["weight"] = weight
    table["area"] = shapely.area(atoms)
    table["rim"] = np.bincount(high[~inner], length[~inner], minlength=len(atoms))
    table["x"], table["y"] = shapely.get_coordinates(shapely.centroid(atoms)).T
    table["begin"], table["end"] = bounds[:-1], bounds[1:]
    rules = _objective.Rules(float(target[0]), float(target[1]))
    if moves_per_atom is not None:
        rules = rules._replace(moves_per_atom=moves_per_atom)
    return _partition.partition(table, borders, rules, seed=seed)


def _arc_costs(graph: topology.Topology, given: gpd.GeoDataFrame) -> npt.NDArray[np.float64]:
    """Give the border cost of each arc, the mean over its segments by the best line on each."""
    points = graph.xy[graph.arc_vertices]
    arc = np.repeat(np.arange(graph.arcs), np.diff(graph.arc_offsets))
    inner = arc[1:] == arc[:-1]
    middle = shapely.points(((points[1:] + points[:-1]) / 2)[inner])
    long = np.hypot(*(points[1:] - points[:-1]).T)[inner]
    tree = shapely.STRtree(given.geometry.values)
    segment, line = tree.query(middle, predicate="dwithin", distance=_ON_LINE_M)
    price = given["kind"].map(BORDER_COST).to_numpy(float)
    best = np.full(len(middle), BORDER_COST["none"])
    np.minimum.at(best, segment, price[line])
    arc = arc[:-1][inner]
    total = np.bincount(arc, long, minlength=graph.arcs)
    return np.bincount(arc, best * long, minlength=graph.arcs) / np.maximum(total, 1e-9)


def numbered(
    shapes: Shapes, weight: npt.NDArray[np.int64], parent_code: str | None, crs: Any
) -> gpd.GeoDataFrame:
    """Give shapes as a layer, numbered west to east and north to south."""
    centre = shapely.centroid(shapes)
    order = grid_codes.order_west_east(shapely.get_x(centre), shapely.get_y(centre))
    count = len(shapes)
    if parent_code is None:
        width = max(len(str(count)), 3)
        codes = [f"{number:0{width}d}" for number in range(1, count + 1)]
    else:
        try:
            codes = grid_codes.next_free(parent_code, (), count)
        except ValueError as error:
            raise InputError("drawing_impossible", reason=error) from error
    return gpd.GeoDataFrame(
        {
            "code": codes,
            "name": [grid_name(number) for number in range(1, count + 1)],
            "parent_code": parent_code or "",
            "households": weight[order],
        },
        geometry=shapes[order],
        crs=crs,
    )


def _misses(grids: gpd.GeoDataFrame, homes: _atoms.Homes, low: int, high: int) -> list[Miss]:
    shapes = np.asarray(grids.geometry.values, object)
    within = homes.within(shapes)
    alone = np.bincount(np.concatenate(topology.build(shapes).neighbours()[:2]),
                        minlength=len(shapes)) == 0  # fmt: skip
    total = int(homes.count.sum())
    found = []
    for row, (code, count) in enumerate(zip(grids["code"], grids["households"], strict=True)):
        if low <= count <= high:
            continue
        most = int(homes.count[within == row].max(initial=0))
        if total < low:
            zh, en = f"全区只有 {total} 户", f"the whole area has only {total} households"
        elif most > high:
            zh, en = f"一处就有 {most} 户", f"one place alone has {most} households"
        elif alone[row] and count < low:
            zh, en = (
                f"与其他部分不相连，只有 {count} 户",
                f"a part of its own with {count} households",
            )
        elif count < low:
            zh, en = (
                f"{count} 户，与任一邻格合并都会失衡",
                f"{count} households; joining a neighbour would be too many",
            )
        else:
            zh, en = (
                f"{count} 户，未能切到范围内",
                f"{count} households; no cut brought it into the range",
            )
        found.append(Miss(code, int(count), zh, en))
    return found


def _notes(
    grids: gpd.GeoDataFrame,
    misses: tuple[Miss, ...],
    nodes: npt.NDArray[np.float64],
    lost: int,
    low: int,
    high: int,
) -> tuple[Note, ...]:
    count, right = len(grids), len(grids) - len(misses)
    notes = [
        Note(
            "drawn",
            f"划出 {count} 个网格，{right} 个在 {low}–{high} 户之间。",
            f"{count} grids were drawn, {right} of them with {low}-{high} households.",
        )
    ]
    if len(nodes):
        notes.append(
            Note(
                "rim_nodes",
                f"外边界上增加了 {len(nodes)} 个交点，原有顶点未动。",
                f"{len(nodes)} nodes were added on the outline; its own vertices are unchanged.",
            )
        )
    if lost:
        notes.append(outside_note(lost))
    return tuple(notes)


def outside_note(lost: int) -> Note:
    """Tell of households that lie in no area."""
    return Note(
        "households_outside",
        f"{lost} 户在范围之外，未计入。",
        f"{lost} households lie outside the area and were not counted.",
    )
