"""``crosswalk``: several grid systems into one (多格合一)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.walking import read_points
from geo_service.errors import InputError, Phrase

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

    from geo_service.crosswalk import Combined

_ROWS_SHOWN = 20
_WRITTEN = ".xlsx .gpkg .csv"


def register(app: terminal.App) -> None:
    """Put this file's command on the app."""
    app.command("crosswalk")(crosswalk)


def crosswalk(
    layers: Annotated[
        list[str],
        typer.Argument(
            help="图层，最可靠的在前：文件、名称=文件或库中图层 · Layers, the strongest first: "
            "files, NAME=FILE, or layers of the store"
        ),
    ],
    sliver_m: Annotated[
        float,
        typer.Option(help="窄于此宽度（米）的碎片并入最可靠图层 · Snap pieces narrower than this"),
    ] = 5.0,
    weights: Annotated[
        Path | None,
        typer.Option(help="户数或人口点 · Points with households or population (CSV, GPKG)"),
    ] = None,
    output: terminal.Output = None,
    crs: Annotated[str | None, typer.Option(help="文件的坐标系 · The files' system")] = None,
    at: Annotated[str | None, typer.Option(help="库中图层的修订或日期 · Of the store")] = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """多格合一 · Shares between grid systems, what they cut, and one base layer of all."""
    from geo_service import crosswalk as walk

    if output is not None and output.suffix.lower() not in _WRITTEN.split():
        reason = Phrase(
            f"不认识扩展名 {output.suffix or '—'}", f"unknown ending {output.suffix or '—'}"
        )
        raise InputError("output_unwritable", file=output.name, reason=reason, known=_WRITTEN)
    given = _read(layers, crs, store, at)
    if len(given) == 1:
        reason = Phrase("请至少写两个图层", "name at least two layers")
        raise InputError("parameter_invalid", name="layers", value=layers[0], reason=reason)
    points = None if weights is None else _points(weights, next(iter(given.values())))
    with terminal.progress("叠合", "overlaying", quiet=as_json):
        found = walk.combine(given, sliver_width_m=sliver_m, weights=points)
    tables: dict[str, pd.DataFrame] = {
        "shares": found.shares,
        "conflicts": found.conflicts,
        "base": found.base,
        "moved": found.moved,
        "systems": found.systems,
    }
    if len(given) == 2:
        tables = {"crosswalk": walk.crosswalk(*given.values()), **tables}
    if output is not None:
        _write(tables, output)
    if as_json:
        terminal.print_json(_told(tables, found, sliver_m, output))
    else:
        _show(found, output)


def _read(
    named: list[str], crs: str | None, store: str | None, at: str | None
) -> dict[str, gpd.GeoDataFrame]:
    from geo_service import boundary_files
    from geo_service.layers import LAYERS
    from geo_service.store import open_store

    given: dict[str, gpd.GeoDataFrame] = {}
    for text in named:
        name, sign, file = text.partition("=")
        if not sign and text in LAYERS and not Path(text).exists():
            with open_store(terminal.store_path(store)) as opened:
                frame = opened.frame(text, at=at)
        else:
            path = Path(file if sign else text)
            name = name if sign else path.stem
            frame = boundary_files.read(path, crs=crs).layer_frame()
        if name in given:
            reason = Phrase(
                "有两个图层同名，请写成 名称=文件", "two layers have this name; write NAME=FILE"
            )
            raise InputError("parameter_invalid", name="layers", value=name, reason=reason)
        given[name] = frame
    return given


def _points(path: Path, first: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Read points with counts, in the plane of the first layer."""
    import geopandas as gpd

    from geo_service import boundary_files
    from geo_service.crosswalk.systems import COUNTS

    if path.suffix.lower() in {".csv", ".xlsx"}:
        table: Any = read_points(path)
        spots = gpd.points_from_xy(table["lon"], table["lat"], crs="EPSG:4326")
        points = gpd.GeoDataFrame(table, geometry=spots)
    else:
        read = boundary_files.read(path, shapes="point")
        points = read.frame.rename(columns={theirs: our for our, theirs in read.fields.items()})
    known = [count for count in COUNTS if count in points]
    if not known:
        raise InputError(
            "field_missing",
            file=path.name,
            field="户数 households / 人口 population",
            found=", ".join(map(str, points.columns)),
        )
    points[known] = points[known].astype(float)
    return points.to_crs(first.crs)


def _write(tables: dict[str, pd.DataFrame], output: Path) -> None:
    import pandas as pd
    import pyogrio

    from geo_service import reports

    plain = {
        name: pd.DataFrame(table.drop(columns="geometry", errors="ignore"))
        for name, table in tables.items()
    }
    if output.suffix.lower() != ".gpkg":
        reports.write_tables(plain, output)
        return
    made = output.with_name(f".{output.stem}.part.gpkg")
    try:
        pyogrio.write_dataframe(tables["base"], made, layer="base")
        for name, table in plain.items():
            if name != "base":
                texts = {
                    c: table[c].map(_joined) for c in ("codes", "shares") if c in table.columns
                }
                pyogrio.write_dataframe(table.assign(**texts), made, layer=name, append=True)
        made.replace(output)
    except (OSError, pyogrio.errors.DataSourceError) as error:
        raise InputError(
            "output_unwritable", file=output.name, reason=error, known=_WRITTEN
        ) from error
    finally:
        made.unlink(missing_ok=True)


def _joined(values: list[Any]) -> str:
    return ", ".join(f"{v:.4f}" if isinstance(v, float) else v or "—" for v in values)


def _told(
    tables: dict[str, pd.DataFrame], found: Combined, sliver_m: float, output: Path | None
) -> dict[str, Any]:
    pairs = tables.get("crosswalk")
    return {
        **({} if pairs is None else {"rows": pairs.to_dict("records")}),
        "sliver_m": sliver_m,
        "cells": len(found.base),
        "union_in_m2": found.union_in_m2,
        "union_out_m2": found.union_out_m2,
        "systems": found.systems.to_dict("records"),
        "conflicts": found.conflicts.to_dict("records"),
        "moved": found.moved.to_dict("records"),
        "shares": found.shares.to_dict("records"),
        "written": str(output or ""),
    }


def _show(found: Combined, output: Path | None) -> None:
    console, say = terminal.out(), terminal.say
    zh = f"{len(found.base)} 个基础单元，{len(found.conflicts)} 处切割冲突"
    en = f"{len(found.base)} base cells, {len(found.conflicts)} conflicts"
    console.print(say(zh, en), style="bold")
    columns = (
        say("体系", "system"),
        say("网格", "grids"),
        say("覆盖 %", "covers %"),
        say("移动面积 m²", "moved, m²"),
    )
    rows: list[tuple[Any, ...]] = [
        (s["system"], s["grids"], f"{100 * s['covered']:.2f}", f"{s['moved_m2']:,.1f}")
        for s in found.systems.to_dict("records")
    ]
    console.print(terminal.table("", columns, rows))
    columns = (
        say("体系", "system"),
        say("网格", "grid"),
        say("被切割于", "cut by"),
        say("占比", "shares"),
    )
    rows = [
        (c["system"], c["code"], c["cut_by"], _parts(c["codes"], c["shares"]))
        for c in found.conflicts.head(_ROWS_SHOWN).to_dict("records")
    ]
    if rows:
        console.print(terminal.table("", columns, rows))
    if more := len(found.conflicts) - len(rows):
        console.print(say(f"……另有 {more} 处，用 -o 写出全部。", f"… {more} more; -o writes all."))
    if output is not None:
        console.print(say(f"已写入 {output}", f"Written to {output}"), markup=False)


def _parts(codes: list[str], shares: list[float]) -> str:
    return "，".join(f"{c or '—'} {100 * s:.1f} %" for c, s in zip(codes, shares, strict=True))
