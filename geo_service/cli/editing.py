"""``split``, ``merge``, ``move`` ...: grids of a file or of a draft edited; ``undo``, ``redo``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.check import CodeField, Crs, Datum
from geo_service.cli.drawing import households_at
from geo_service.errors import GeoServiceError, InputError, Phrase

if TYPE_CHECKING:
    import geopandas as gpd

    from geo_service.drawing import Edited
    from geo_service.store.records import DraftEdit

File = Annotated[
    Path | None, typer.Argument(help="网格文件；不给则用库中的网格 · A grid file, else the store's")
]
DraftId = Annotated[
    int | None,
    typer.Option("--draft", help="在此草稿上画；不给则新建 · The draft to draw on, else a new one"),
]
Households = Annotated[
    Path | None,
    typer.Option(help="户数点，按它分户 · Points with a households column, to divide counts by"),
]
Line = Annotated[str, typer.Option(help="线：WKT 或文件 · WKT in the layer's CRS, or a file")]
Code = Annotated[str, typer.Option(help="网格编码 · The grid")]
At = Annotated[str, typer.Option(help="界点 x,y · A border point, in the layer's CRS")]
To = Annotated[str, typer.Option(help="移到 x,y · Where it goes")]
Within = Annotated[float, typer.Option("--within-m", help="界点在几米内找 · How near it must be")]


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    for name, operation in (
        ("split", split),
        ("merge", merge),
        ("move", move),
        ("straighten", straighten),
        ("cut-out", cut_out),
        ("edit", edit),
    ):
        app.command(name)(_on_grids(operation))
    app.command("undo")(undo)
    app.command("redo")(redo)


@dataclass(frozen=True)
class _Place:
    """Where the grids are that an operation is for: a file, or a draft of a store.

    Its fields are options of every command here.
    """

    file: File = None
    draft: DraftId = None
    output: terminal.Output = None
    code_field: CodeField = None
    crs: Crs = None
    datum: Datum = None
    households: Households = None
    author: terminal.Author = ""
    store: terminal.StorePath = None

    def __post_init__(self) -> None:
        if self.file is not None and self.output is None:
            reason = Phrase("请用 -o 给出写到哪里", "say where to write (-o FILE)")
            raise InputError("parameter_invalid", name="--output", value="", reason=reason)
        if self.file is None and self.households is not None:
            reason = Phrase(
                "库中的草稿按库里的 buildings 表分户，不用另给文件",
                "a draft of the store takes them from the store's table buildings",
            )
            value = self.households.name
            raise InputError("parameter_invalid", name="--households", value=value, reason=reason)

    def grids(self) -> gpd.GeoDataFrame:
        """Read the file."""
        from geo_service import boundary_files

        assert self.file is not None
        fields = {"code": self.code_field} if self.code_field else None
        read = boundary_files.read(self.file, crs=self.crs, datum=self.datum, fields=fields)
        return read.layer_frame()

    def homes(self, grids: gpd.GeoDataFrame) -> gpd.GeoDataFrame | None:
        """Read where people live, if a file of that was given."""
        return None if self.households is None else households_at(self.households, grids, None)

    def plane(self) -> Any:
        """The coordinate system operations are given in."""
        from geo_service.store import open_store

        if self.file is not None:
            return self.grids().crs
        with open_store(terminal.store_path(self.store)) as opened:
            return opened.plane


def _on_grids(operation: Callable[..., Mapping[str, Any]]) -> Callable[..., None]:
    """Make a command of what gives an operation: with the options of a `_Place`, done and told."""
    own = [p for p in signature(operation, eval_str=True).parameters.values() if p.name != "place"]
    where = list(signature(_Place, eval_str=True).parameters.values())
    as_json = Parameter(
        "as_json", Parameter.KEYWORD_ONLY, default=False, annotation=terminal.AsJson
    )

    @wraps(operation)
    def command(*, as_json: bool, **given: Any) -> None:
        place = _Place(**{p.name: given.pop(p.name) for p in where})
        _tell(_do(operation(place=place, **given), place), as_json)

    options = [p.replace(kind=Parameter.KEYWORD_ONLY) for p in [*own, *where]]
    command.__signature__ = Signature([*options, as_json])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in [*options, as_json]}
    return command


def split(code: Code, line: Line, *, place: _Place) -> dict[str, Any]:
    """拆分网格 · Split a grid by a line; nothing else moves."""
    return {"op": "split", "code": code, "line": _points(line, place, "--line")}


def merge(
    codes: Annotated[str, typer.Option(help="要合并的网格，逗号分隔 · Grids to merge, by comma")],
    *,
    place: _Place,
) -> dict[str, Any]:
    """合并网格 · Merge neighbouring grids; nothing else moves."""
    return {"op": "merge", "codes": terminal.codes(codes)}


def move(
    at: At,
    to: To,
    edge: Annotated[
        bool, typer.Option("--edge", help="移动一段边界 · A piece of border, not a corner")
    ] = False,
    within_m: Within = 1.0,
    *,
    place: _Place,
) -> dict[str, Any]:
    """移动界点 · Move a corner or a piece of border; every grid that meets there follows."""
    return {
        "op": "move_edge" if edge else "move_node",
        "at": _point(at, "--at"),
        "to": _point(to, "--to"),
        "within_m": within_m,
    }


def straighten(
    start: Annotated[str, typer.Option("--from", help="起点 x,y · From this border point")],
    stop: Annotated[str, typer.Option("--to", help="终点 x,y · To this one")],
    along: Annotated[
        str | None, typer.Option(help="改沿此线 · Lead it along this line: WKT or a file")
    ] = None,
    within_m: Within = 1.0,
    *,
    place: _Place,
) -> dict[str, Any]:
    """边界取直或改沿街道 · Make a border straight between two points, or lead it along a street."""
    operation: dict[str, Any] = {
        "op": "straighten",
        "from": _point(start, "--from"),
        "to": _point(stop, "--to"),
        "within_m": within_m,
    }
    if along is not None:
        operation |= {"op": "follow", "line": _points(along, place, "--along")}
    return operation


def cut_out(
    code: Code,
    premises: Annotated[
        str, typer.Option(help="范围：WKT 或文件 · The premises: a POLYGON in WKT, or a file")
    ],
    name: Annotated[str | None, typer.Option(help="名称 · Its name")] = None,
    *,
    place: _Place,
) -> dict[str, Any]:
    """划出专属网格 · Cut a dedicated grid (market, school, tower) out of its host."""
    ring = _points(premises, place, "--premises", shapes="polygon")
    return {"op": "cut_out", "code": code, "premises": ring, "name": name}


def edit(
    operation: Annotated[
        str, typer.Option(help='操作：JSON 或文件 · As JSON, or a file: {"op": "snap", …}')
    ],
    *,
    place: _Place,
) -> dict[str, Any]:
    """任一操作 · Any operation in its plain form, as the interface over HTTP takes it."""
    text = Path(operation).read_text("utf-8") if _is_file(operation) else operation
    try:
        asked: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise InputError(
            "parameter_invalid", name="--operation", value=operation[:60], reason=error
        ) from error
    return asked


def undo(
    draft: Annotated[int, typer.Argument(help="草稿 · The draft")],
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """撤销草稿上的最后一步 · Take the last operation on a draft back."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        done = opened.undo(draft)
    # What was undone ends what it had begun.
    told = {**_told(done), "created": list(done.retired), "retired": list(done.created)}
    _tell({**told, "notes": [], "draft": draft, "written": ""}, as_json)


def redo(
    draft: Annotated[int, typer.Argument(help="草稿 · The draft")],
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """重做 · Do the operation again that was taken back last."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        done = opened.redo(draft)
    _tell({**_told(done), "draft": draft, "written": ""}, as_json)


def _do(operation: Mapping[str, Any], place: _Place) -> dict[str, Any]:
    from geo_service import boundary_files, drawing
    from geo_service.store import open_store

    if place.file is not None and place.output is not None:
        grids = place.grids()
        edited = drawing.edit(grids, operation, homes=place.homes(grids))
        boundary_files.write(edited.grids, place.output)
        return {**_told(edited), "draft": None, "written": str(place.output)}
    with open_store(terminal.store_path(place.store)) as opened:
        draft = place.draft
        if draft is None:
            draft = opened.open_draft("grids", author=place.author).id
        try:
            done = opened.draw_on(draft, operation, author=place.author)
        except GeoServiceError:
            if place.draft is None:
                opened.discard(draft)  # it was made for this alone
            raise
        if place.output is not None:
            boundary_files.write(opened.draft_frame(draft), place.output)
    return {**_told(done), "draft": draft, "written": str(place.output or "")}


def _told(done: Edited | DraftEdit) -> dict[str, Any]:
    notes = [n if isinstance(n, Mapping) else asdict(n) for n in done.notes]
    return {
        "created": list(done.created), "retired": list(done.retired),
        "changed": dict(done.changed), "notes": notes,
    }  # fmt: skip


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than a name may be
        return False


def _point(text: str, name: str) -> list[float]:
    numbers = terminal.numbers(text, name=name)
    if len(numbers) != 2:
        reason = Phrase("应写作 x,y", "write it as x,y")
        raise InputError("parameter_invalid", name=name, value=text, reason=reason)
    return numbers


def _points(
    text: str, place: _Place, name: str, *, shapes: Literal["line", "polygon"] = "line"
) -> list[Any]:
    """The points of a line, or of the outer ring of a polygon: from WKT, or from a file."""
    import shapely

    from geo_service import boundary_files

    if _is_file(text):
        frame = boundary_files.read(Path(text), shapes=shapes).frame.to_crs(place.plane())
        shape = frame.geometry.iloc[0]
    else:
        try:
            shape = shapely.from_wkt(text)
        except shapely.errors.GEOSException as error:
            reason = Phrase(
                "既不是文件，也不是 LINESTRING (x y, x y) 这样的 WKT",
                "neither a file nor WKT such as LINESTRING (x y, x y)",
            )
            raise InputError("parameter_invalid", name=name, value=text, reason=reason) from error
    wanted = "LineString" if shapes == "line" else "Polygon"
    if shape.geom_type != wanted:
        reason = Phrase(f"不是 {wanted.upper()}", f"not a {wanted.upper()}")
        raise InputError("parameter_invalid", name=name, value=text, reason=reason)
    ring = shape if shapes == "line" else shape.exterior
    points: list[Any] = shapely.get_coordinates(ring).tolist()
    return points


def _tell(told: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        terminal.print_json(told)
        return
    console, say = terminal.out(), terminal.say
    parts = (("新网格", "created", told["created"]), ("停用", "retired", told["retired"]),
             ("改动", "changed", list(told["changed"])))  # fmt: skip
    zh = "；".join(f"{word} {'、'.join(codes)}" for word, _, codes in parts if codes)
    en = "; ".join(f"{word} {', '.join(codes)}" for _, word, codes in parts if codes)
    console.print(say(zh, en), markup=False)
    for note in told["notes"][1:]:  # the first says the same again
        console.print(say(note["zh"], note["en"]), markup=False)
    draft = told["draft"]
    if draft is not None:
        zh = f"草稿 {draft}；发布：geo-service publish {draft}；撤销：geo-service undo {draft}"
        en = f"Draft {draft}; geo-service publish {draft} publishes it, undo {draft} takes it back"
        said = say(zh, en)
        console.print(said, markup=False)
