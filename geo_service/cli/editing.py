"""``split``, ``merge``, ``move`` ...: grids of a file or of a draft edited; ``undo``, ``redo``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.check import CodeField, Crs, Datum
from geo_service.errors import GeoServiceError, InputError

if TYPE_CHECKING:
    import geopandas as gpd

File = Annotated[
    Path | None, typer.Argument(help="网格文件；不给则用库中的网格 · A grid file, else the store's")
]
DraftId = Annotated[
    int | None,
    typer.Option("--draft", help="在此草稿上画；不给则新建 · The draft to draw on, else a new one"),
]
Line = Annotated[str, typer.Option(help="线：WKT 或文件 · WKT in the layer's CRS, or a file")]
Code = Annotated[str, typer.Option(help="网格编码 · The grid")]
At = Annotated[str, typer.Option(help="界点 x,y · A border point, in the layer's CRS")]
To = Annotated[str, typer.Option(help="移到 x,y · Where it goes")]
Within = Annotated[float, typer.Option("--within-m", help="界点在几米内找 · How near it must be")]


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("split")(split)
    app.command("merge")(merge)
    app.command("move")(move)
    app.command("straighten")(straighten)
    app.command("cut-out")(cut_out)
    app.command("edit")(edit)
    app.command("undo")(undo)
    app.command("redo")(redo)


def split(
    code: Code,
    line: Line,
    file: File = None,
    draft: DraftId = None,
    output: terminal.Output = None,
    code_field: CodeField = None,
    crs: Crs = None,
    datum: Datum = None,
    author: terminal.Author = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """拆分网格 · Split a grid by a line; nothing else moves."""
    place = _Place(file, draft, output, code_field, crs, datum, author, store)
    operation = {"op": "split", "code": code, "line": _points(line, place, "--line")}
    _tell(_do(operation, place), as_json)


def merge(
    codes: Annotated[str, typer.Option(help="要合并的网格，逗号分隔 · Grids to merge, by comma")],
    file: File = None,
    draft: DraftId = None,
    output: terminal.Output = None,
    code_field: CodeField = None,
    crs: Crs = None,
    datum: Datum = None,
    author: terminal.Author = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """合并网格 · Merge neighbouring grids; nothing else moves."""
    wanted = [code.strip() for code in codes.replace("，", ",").split(",") if code.strip()]
    place = _Place(file, draft, output, code_field, crs, datum, author, store)
    _tell(_do({"op": "merge", "codes": wanted}, place), as_json)


def move(
    at: At,
    to: To,
    edge: Annotated[
        bool, typer.Option("--edge", help="移动一段边界 · A piece of border, not a corner")
    ] = False,
    within_m: Within = 1.0,
    file: File = None,
    draft: DraftId = None,
    output: terminal.Output = None,
    code_field: CodeField = None,
    crs: Crs = None,
    datum: Datum = None,
    author: terminal.Author = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """移动界点 · Move a corner or a piece of border; every grid that meets there follows."""
    place = _Place(file, draft, output, code_field, crs, datum, author, store)
    operation = {
        "op": "move_edge" if edge else "move_node",
        "at": _point(at, "--at"),
        "to": _point(to, "--to"),
        "within_m": within_m,
    }
    _tell(_do(operation, place), as_json)


def straighten(
    start: Annotated[str, typer.Option("--from", help="起点 x,y · From this border point")],
    stop: Annotated[str, typer.Option("--to", help="终点 x,y · To this one")],
    along: Annotated[
        str | None, typer.Option(help="改沿此线 · Lead it along this line: WKT or a file")
    ] = None,
    within_m: Within = 1.0,
    file: File = None,
    draft: DraftId = None,
    output: terminal.Output = None,
    code_field: CodeField = None,
    crs: Crs = None,
    datum: Datum = None,
    author: terminal.Author = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """边界取直或改沿街道 · Make a border straight between two points, or lead it along a street."""
    place = _Place(file, draft, output, code_field, crs, datum, author, store)
    operation: dict[str, Any] = {
        "op": "straighten",
        "from": _point(start, "--from"),
        "to": _point(stop, "--to"),
        "within_m": within_m,
    }
    if along is not None:
        operation |= {"op": "follow", "line": _points(along, place, "--along")}
    _tell(_do(operation, place), as_json)


def cut_out(
    code: Code,
    premises: Annotated[
        str, typer.Option(help="范围：WKT 或文件 · The premises: a POLYGON in WKT, or a file")
    ],
    name: Annotated[str | None, typer.Option(help="名称 · Its name")] = None,
    file: File = None,
    draft: DraftId = None,
    output: terminal.Output = None,
    code_field: CodeField = None,
    crs: Crs = None,
    datum: Datum = None,
    author: terminal.Author = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """划出专属网格 · Cut a dedicated grid (market, school, tower) out of its host."""
    place = _Place(file, draft, output, code_field, crs, datum, author, store)
    ring = _points(premises, place, "--premises", shapes="polygon")
    _tell(_do({"op": "cut_out", "code": code, "premises": ring, "name": name}, place), as_json)


def edit(
    operation: Annotated[
        str, typer.Option(help='操作：JSON 或文件 · As JSON, or a file: {"op": "snap", …}')
    ],
    file: File = None,
    draft: DraftId = None,
    output: terminal.Output = None,
    code_field: CodeField = None,
    crs: Crs = None,
    datum: Datum = None,
    author: terminal.Author = "",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """任一操作 · Any operation in its plain form, as the interface over HTTP takes it."""
    text = Path(operation).read_text("utf-8") if _is_file(operation) else operation
    try:
        asked = json.loads(text)
    except ValueError as error:
        raise InputError(
            "parameter_invalid", name="--operation", value=operation[:60], reason=error
        ) from error
    place = _Place(file, draft, output, code_field, crs, datum, author, store)
    _tell(_do(asked, place), as_json)


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
    told = {"created": done.retired, "retired": done.created, "changed": done.changed}
    _tell({**told, "draft": draft, "written": ""}, as_json)


def redo(
    draft: Annotated[int, typer.Argument(help="草稿 · The draft")],
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """重做 · Do the operation again that was taken back last."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        done = opened.redo(draft)
    told = {"created": done.created, "retired": done.retired, "changed": done.changed}
    _tell({**told, "draft": draft, "written": ""}, as_json)


class _Place:
    """Where the grids are that an operation is for: a file, or a draft of a store."""

    def __init__(
        self,
        file: Path | None,
        draft: int | None,
        output: Path | None,
        code_field: str | None,
        crs: str | None,
        datum: str | None,
        author: str,
        store: str | None,
    ) -> None:
        if file is not None and output is None:
            reason = "say where to write (-o FILE)"
            raise InputError("parameter_invalid", name="--output", value="", reason=reason)
        self.file, self.draft, self.output = file, draft, output
        self.author, self.store = author, store
        self._crs, self._datum = crs, datum
        self._fields = {"code": code_field} if code_field else None

    def grids(self) -> gpd.GeoDataFrame:
        """Read the file."""
        from geo_service import boundary_files

        assert self.file is not None
        read = boundary_files.read(self.file, crs=self._crs, datum=self._datum, fields=self._fields)
        return read.layer_frame()

    def plane(self) -> Any:
        """The coordinate system operations are given in."""
        from geo_service.store import open_store

        if self.file is not None:
            return self.grids().crs
        with open_store(terminal.store_path(self.store)) as opened:
            return opened.plane


def _do(operation: Mapping[str, Any], place: _Place) -> dict[str, Any]:
    from geo_service import boundary_files, drawing
    from geo_service.store import open_store

    if place.file is not None and place.output is not None:
        edited = drawing.edit(place.grids(), operation)
        boundary_files.write(edited.grids, place.output)
        told = {"created": edited.created, "retired": edited.retired, "changed": edited.changed}
        return {**told, "draft": None, "written": str(place.output)}
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
    told = {"created": done.created, "retired": done.retired, "changed": done.changed}
    return {**told, "draft": draft, "written": str(place.output or "")}


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except OSError:  # longer than a name may be
        return False


def _point(text: str, name: str) -> list[float]:
    numbers = terminal.numbers(text, name=name)
    if len(numbers) != 2:
        raise InputError("parameter_invalid", name=name, value=text, reason="write it as x,y")
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
            reason = "neither a file nor WKT such as LINESTRING (x y, x y)"
            raise InputError("parameter_invalid", name=name, value=text, reason=reason) from error
    wanted = "LineString" if shapes == "line" else "Polygon"
    if shape.geom_type != wanted:
        reason = f"not a {wanted.upper()}"
        raise InputError("parameter_invalid", name=name, value=text, reason=reason)
    ring = shape if shapes == "line" else shape.exterior
    points: list[Any] = shapely.get_coordinates(ring).tolist()
    return points


def _tell(told: Mapping[str, Any], as_json: bool) -> None:
    plain = {
        **told, "created": list(told["created"]), "retired": list(told["retired"]),
        "changed": dict(told["changed"]),
    }  # fmt: skip
    if as_json:
        terminal.print_json(plain)
        return
    console, say = terminal.out(), terminal.say
    parts = (("新网格", "created", plain["created"]), ("停用", "retired", plain["retired"]),
             ("改动", "changed", list(plain["changed"])))  # fmt: skip
    zh = "；".join(f"{word} {'、'.join(codes)}" for word, _, codes in parts if codes)
    en = "; ".join(f"{word} {', '.join(codes)}" for _, word, codes in parts if codes)
    console.print(say(zh, en), markup=False)
    draft = plain["draft"]
    if draft is not None:
        zh = f"草稿 {draft}；发布：geo-service publish {draft}；撤销：geo-service undo {draft}"
        en = f"Draft {draft}; geo-service publish {draft} publishes it, undo {draft} takes it back"
        said = say(zh, en)
        console.print(said, markup=False)
