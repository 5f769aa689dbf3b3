"""``draw``, ``split``, ``merge``: grids drawn anew and edited."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.check import CodeField, Crs, Datum
from geo_service.cli.walking import read_points
from geo_service.errors import InputError, MissingError

if TYPE_CHECKING:
    import geopandas as gpd

    from geo_service.drawing import Edited

File = Annotated[
    Path | None, typer.Argument(help="网格文件；不给则用库中的网格 · A grid file, else the store's")
]


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("draw")(draw)
    app.command("split")(split)
    app.command("merge")(merge)


def draw(
    within: Annotated[
        str, typer.Option(help="范围：文件或区划编码 · A file, or a code of the store")
    ],
    streets: Annotated[Path, typer.Option(help="街道 · An .osm.pbf extract")],
    households: Annotated[
        Path | None, typer.Option(help="户数点 · Points with a households column (CSV, GPKG)")
    ] = None,
    target: Annotated[str, typer.Option(help="每格户数 · Households a grid")] = "300-500",
    seed: Annotated[int, typer.Option(help="随机种子 · Seed of the search")] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="写到文件 · Write to this file")
    ] = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """划网格 · Draw a community into grids along its streets, to a household target."""
    from geo_service import boundary_files, drawing

    low, high = _range(target)
    area, code = _area(within, store)
    lines = drawing.street_lines(streets, area.geometry.union_all(), crs=area.crs)
    homes = _households(households, area, store)
    with terminal.progress("划分", "drawing", quiet=as_json):
        drawn = drawing.draw(
            area.geometry.union_all(),
            streets=lines,
            households=homes,
            target=(low, high),
            parent_code=code,
            seed=seed,
        )
    if output is not None:
        boundary_files.write(drawn.grids, output)
    in_range = int(drawn.grids["households"].between(low, high).sum())
    if as_json:
        terminal.print_json(
            {
                "grids": len(drawn.grids),
                "in_range": in_range,
                "target": [low, high],
                "misses": [asdict(miss) for miss in drawn.misses],
                "written": str(output or ""),
            }
        )
    else:
        say, console = terminal.say, terminal.out()
        zh = f"划出 {len(drawn.grids)} 个网格，{in_range} 个在 {low}-{high} 户之间"
        en = f"{len(drawn.grids)} grids drawn, {in_range} of them hold {low}-{high} households"
        console.print(say(zh, en), style="bold")
        for miss in drawn.misses:
            console.print(f"· {miss.code} {say(miss.zh, miss.en)}", markup=False)
    return terminal.FOUND_FAULTS if drawn.misses else 0


def split(
    code: Annotated[str, typer.Option(help="要拆分的网格 · The grid to split")],
    line: Annotated[
        str, typer.Option(help="分割线：WKT 或文件 · WKT in the layer's CRS, or a file")
    ],
    file: File = None,
    output: terminal.Output = None,
    code_field: CodeField = None,
    crs: Crs = None,
    datum: Datum = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """拆分网格 · Split a grid by a line; nothing else moves."""
    from geo_service import drawing

    grids = _grids(file, output, store, code_field=code_field, crs=crs, datum=datum)
    edited = drawing.split(grids, code, _line(line, grids))
    _deliver(edited, file, output, store, as_json, what=f"split {code}")


def merge(
    codes: Annotated[str, typer.Option(help="要合并的网格，逗号分隔 · Grids to merge, by comma")],
    file: File = None,
    output: terminal.Output = None,
    code_field: CodeField = None,
    crs: Crs = None,
    datum: Datum = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """合并网格 · Merge neighbouring grids; nothing else moves."""
    from geo_service import drawing

    grids = _grids(file, output, store, code_field=code_field, crs=crs, datum=datum)
    wanted = [code.strip() for code in codes.replace("，", ",").split(",") if code.strip()]
    edited = drawing.merge(grids, wanted)
    _deliver(edited, file, output, store, as_json, what=f"merge {codes}")


def _range(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d+)\s*[-–~]\s*(\d+)\s*", text)
    if not found or int(found[1]) > int(found[2]):
        reason = "write it as LOW-HIGH, e.g. 300-500"
        raise InputError("parameter_invalid", name="--target", value=text, reason=reason)
    return int(found[1]), int(found[2])


def _area(within: str, store: str | None) -> tuple[gpd.GeoDataFrame, str | None]:
    """The polygon to draw inside: a file, or whatever the store holds under a code."""
    from geo_service import boundary_files, codes
    from geo_service.layers import LAYERS
    from geo_service.store import open_store

    if Path(within).exists():
        frame = boundary_files.read(within)
        column = frame.fields.get("code")
        code = str(frame.frame[column].iloc[0]) if column and len(frame.frame) == 1 else None
        return frame.frame, code
    level = codes.level_of(within)
    layer = next((x.name for x in LAYERS.values() if x.level == level), None)
    if layer is None:
        raise MissingError("file_missing", file=within)
    with open_store(terminal.store_path(store)) as opened:
        frame = opened.frame(layer)
    found = frame[frame["code"] == within]
    if not len(found):
        raise MissingError("code_unknown", code=within, what=layer)
    return found, within


def _households(path: Path | None, area: gpd.GeoDataFrame, store: str | None) -> gpd.GeoDataFrame:
    """Points with households: a table, a point layer, or the published grids' own counts."""
    import geopandas as gpd

    from geo_service import boundary_files, crs

    if path is not None and path.suffix.lower() not in {".csv", ".xlsx"}:
        read = boundary_files.read(path, shapes="point")
        points = read.layer_frame() if "code" in read.fields else read.frame
        ours = {theirs: name for name, theirs in read.fields.items()}
        return points.rename(columns=ours).to_crs(area.crs)
    from geo_service.store import open_store

    if path is not None:
        table: Any = read_points(path)
    else:
        with open_store(terminal.store_path(store)) as opened:
            table = opened.table("buildings") if "buildings" in opened.tables() else None
        if table is None:
            reason = "name a file of points with a households column"
            raise InputError("parameter_invalid", name="--households", value="", reason=reason)
    if "households" not in table:
        raise InputError(
            "field_missing", file=str(path), field="户数 / households", found=", ".join(table)
        )
    table["households"] = table["households"].astype(float).astype(int)
    x, y = crs.Plane.of(area.crs).forward(table["lon"], table["lat"], datum="wgs84")
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(x, y), crs=area.crs)


def _grids(
    file: Path | None,
    output: Path | None,
    store: str | None,
    *,
    code_field: str | None,
    crs: str | None,
    datum: str | None,
) -> gpd.GeoDataFrame:
    from geo_service import boundary_files
    from geo_service.store import open_store

    if file is None:
        with open_store(terminal.store_path(store)) as opened:
            return opened.frame("grids")
    if output is None:
        reason = "say where to write (-o FILE)"
        raise InputError("parameter_invalid", name="--output", value="", reason=reason)
    fields = {"code": code_field} if code_field else None
    return boundary_files.read(file, crs=crs, datum=datum, fields=fields).layer_frame()


def _line(text: str, grids: gpd.GeoDataFrame) -> Any:
    import shapely

    from geo_service import boundary_files

    if Path(text).exists():
        frame = boundary_files.read(text, shapes="line").frame
        return frame.to_crs(grids.crs).geometry.iloc[0]
    try:
        line = shapely.from_wkt(text)
    except shapely.errors.GEOSException as error:
        reason = "neither a file nor WKT such as LINESTRING (x y, x y)"
        raise InputError("parameter_invalid", name="--line", value=text, reason=reason) from error
    if line.geom_type != "LineString":
        raise InputError("parameter_invalid", name="--line", value=text, reason="not a LINESTRING")
    return line


def _deliver(
    edited: Edited,
    file: Path | None,
    output: Path | None,
    store: str | None,
    as_json: bool,
    *,
    what: str,
) -> None:
    """Write the edited layer to a file, or put it into the store as a draft."""
    from geo_service import boundary_files
    from geo_service.store import open_store

    draft: int | None = None
    if file is None:
        with open_store(terminal.store_path(store)) as opened:
            draft = opened.create_draft("grids", edited.grids, source=what).id
    if output is not None:
        boundary_files.write(edited.grids, output)
    told = {
        "created": list(edited.created),
        "retired": list(edited.retired),
        "changed": dict(edited.changed),
        "draft": draft,
        "written": str(output or ""),
    }
    if as_json:
        terminal.print_json(told)
        return
    console, say = terminal.out(), terminal.say
    zh = f"新网格 {'、'.join(edited.created)}；停用 {'、'.join(edited.retired)}"
    en = f"created {', '.join(edited.created)}; retired {', '.join(edited.retired)}"
    console.print(say(zh, en), markup=False)
    if draft is not None:
        said = say(f"草稿 {draft}，发布：geo-service publish {draft}",
                   f"Draft {draft}; publish it: geo-service publish {draft}")  # fmt: skip
        console.print(said, markup=False)
