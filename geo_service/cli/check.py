"""``check``: prove a tiling, or locate, measure and name every fault."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _opinions, _seams
from geo_service.cli import _terminal as terminal
from geo_service.cli.columns import Map, Sender, mapping, remembered
from geo_service.errors import InputError, Phrase

if TYPE_CHECKING:
    import geopandas as gpd

    from geo_service import boundary_files
    from geo_service.georeference import Box
    from geo_service.notes import Note

Within = Annotated[
    Path | None,
    typer.Option("--within", help="应铺满的范围 · The area the layer is to fill"),
]
CodeField = Annotated[str | None, typer.Option("--code-field", help="编码列 · Column of the code")]
Crs = Annotated[str | None, typer.Option("--crs", help="坐标系，如 EPSG:4547 · Coordinate system")]
Datum = Annotated[
    str | None, typer.Option("--datum", help="gcj02 或 bd09 · Undo this shift of lon/lat")
]
SwapAxes = Annotated[
    bool, typer.Option("--swap-axes", help="x、y 写反，对调 · x and y are exchanged: turn them")
]
Encoding = Annotated[str | None, typer.Option("--encoding", help="文字编码 · Text encoding")]
LayerInFile = Annotated[
    str | None, typer.Option("--file-layer", help="文件中的图层 · Which layer of the file")
]


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("check")(check)


def check(
    file: Annotated[Path | None, typer.Argument(help="边界文件 · A boundary file")] = None,
    within: Within = None,
    layer: Annotated[str | None, typer.Option(help="库中的图层 · A layer of the store")] = None,
    draft: Annotated[int | None, typer.Option(help="草稿编号 · A draft of that layer")] = None,
    at: Annotated[str | None, typer.Option(help="修订号或日期 · As of a revision or date")] = None,
    expect: Annotated[
        int | None, typer.Option(help="应有网格数 · How many there should be")
    ] = None,
    register_file: Annotated[
        Path | None, typer.Option("--register", help="登记表 · Register to reconcile with")
    ] = None,
    roster: Annotated[
        Path | None, typer.Option(help="网格员花名册 · Roster of staff, one row a person")
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="事件表 · Events, with a grid's code or lon and lat")
    ] = None,
    events_datum: Annotated[
        str | None, typer.Option(help="事件经纬度的基准 · Datum of the events: wgs84, gcj02, …")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="上次的报告（草稿：previous 或草稿号）· An earlier report of check; for a "
            "draft also: previous, or another draft's number"
        ),
    ] = None,
    code_field: CodeField = None,
    map_: Map = None,
    author: Sender = "",
    crs: Crs = None,
    datum: Datum = None,
    swap_axes: SwapAxes = False,
    encoding: Encoding = None,
    file_layer: LayerInFile = None,
    profile: Annotated[str, typer.Option(help="规则方案 · Rule profile, or a .toml")] = "default",
    unmasked: Annotated[
        str | None,
        typer.Option(
            help=f"显示完整姓名和电话，须写 {_opinions.UNMASK_WORD} · "
            f"Names and phones in full; the word is {_opinions.UNMASK_WORD}"
        ),
    ] = None,
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """检查覆盖 · Check a boundary file, or a layer the store holds."""
    from geo_service import reports

    beside = _opinions.Beside(
        register=register_file, roster=roster, events=events, events_datum=events_datum,
        unmasked=_opinions.unmask(unmasked),
    )  # fmt: skip
    with terminal.progress("检查", "checking", quiet=as_json) as advance:
        if layer is not None or draft is not None:
            opinion = _opinions.of_store(
                store, layer, draft, at, profile=profile, beside=beside, since=since,
                author=author, on_progress=advance,
            )  # fmt: skip
        elif file is not None:
            grids, area, notes, read = read_layer(
                file, within, crs=crs, datum=datum, swap_axes=swap_axes, encoding=encoding,
                layer=file_layer, code_field=code_field, fields=mapping(map_), profile=profile,
                known=remembered(terminal.store_path(store), author),
            )  # fmt: skip
            opinion = _opinions.of_file(
                grids, area, profile=profile, expect=expect, source=read.source, read=notes,
                code_field=_code_field(grids, code_field), files={"layer": file, "outline": within},
                beside=beside, since=since, on_progress=advance,
            )  # fmt: skip
        else:
            reason = Phrase(
                "请给出文件，或用 --layer 指明图层（可加 --draft 或 --at）",
                "give a FILE, or --layer (with --draft or --at)",
            )
            raise InputError("parameter_invalid", name="FILE", value="", reason=reason)
    seam = None if draft is None else _seams.of_draft(store, draft, opinion.report)
    if output is not None:
        reports.write_check(opinion, output)
    if as_json:
        across = {} if seam is None else {"seam": seam.to_dict("records")}
        terminal.print_json({**opinion.to_dict(), **across})
    else:
        _opinions.show(opinion, output)
        if seam is not None:
            _seams.show(seam)
    return terminal.FOUND_FAULTS if opinion.report.verdict != "clean" else 0


def read_layer(
    file: Path,
    within: Path | None,
    *,
    code_field: str | None,
    crs: str | None,
    datum: str | None,
    swap_axes: bool,
    encoding: str | None,
    layer: str | None,
    fields: Mapping[str, str] | None = None,
    known: Mapping[str, str] | None = None,
    profile: str = "default",
) -> tuple[gpd.GeoDataFrame, gpd.GeoDataFrame | None, Sequence[Note], boundary_files.BoundaryFile]:
    """Read a layer and the area it is to fill; the layer under our field names if it has codes."""
    from geo_service import boundary_files, placement

    given = {**(fields or {}), **({"code": code_field} if code_field else {})}
    read = read_near(
        file, lambda: _box_of(within, profile), crs=crs, datum=datum, swap_axes=swap_axes,
        encoding=encoding, layer=layer, fields=given, remembered=known,
    )  # fmt: skip
    grids = read.layer_frame() if "code" in read.fields else read.frame
    if within is None:
        return grids, None, read.notes, read
    area = boundary_files.read_area(within, like=grids)
    placed = placement.require_place(grids, area, source=read.source)
    return grids, area, (*placed, *read.notes), read


def read_near(
    file: Path, place: Callable[[], Box | None], **options: Any
) -> boundary_files.BoundaryFile:
    """Read a boundary file; where its system can't be told, propose one for the place it is for."""
    from geo_service import boundary_files

    try:
        return boundary_files.read(file, **options)
    except InputError as error:
        near = place() if error.code in {"crs_missing", "crs_digits_disagree"} else None
        if near is None:
            raise
    return boundary_files.read(file, **options, near=near)


def _box_of(within: Path | None, profile: str) -> Box | None:
    """Where a file should lie: in the area it is to fill, else in the profile's city."""
    from geo_service import boundary_files, georeference, profiles

    if within is None:
        return profiles.load(profile).city_box
    area = boundary_files.read_area(within)
    x0, y0, x1, y1 = map(float, area.total_bounds)
    return georeference.lonlat_box((x0, y0, x1, y1), area.crs)


def _code_field(grids: gpd.GeoDataFrame, given: str | None) -> str | None:
    # The column was renamed when the file was read.
    return "code" if "code" in grids.columns else given
