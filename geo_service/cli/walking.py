"""``streets``, ``catchment``, ``route``: the walk network and what can be reached on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.errors import ConflictError, InputError, MissingError, Phrase

if TYPE_CHECKING:
    import pandas as pd

    from geo_service.store import Store
    from geo_service.streets import WalkNetwork

Streets = Annotated[
    str, typer.Option(help="街道：.osm.pbf 文件，或 store（库中的）· FILE.osm.pbf or “store”")
]
PointDatum = Annotated[
    str, typer.Option("--datum", help="wgs84 cgcs2000 gcj02 bd09 · Datum of the coordinates")
]
WalkProfile = Annotated[
    str | None,
    typer.Option("--profile", help="adult senior courier resident，或自己的 FILE.toml · Who walks"),
]
Speed = Annotated[float | None, typer.Option(help="步速 km/h · Walking speed")]


SnapReport = Annotated[
    Path | None,
    typer.Option(
        "-o", "--output", help="设施接入变化表 .xlsx · Table of what changes for facilities"
    ),
]

_AREAS_SHOWN = 60
_NOTES_SHOWN = 10
_STATES = {
    "unchanged": ("不变", "unchanged"),
    "moved": ("移动", "moved"),
    "lost": ("失去", "lost"),
    "gained": ("新接入", "gained"),
    "none": ("附近无街道", "no street near"),
}
_TOLD = (
    "ways_closed", "ways_restricted", "ways_clipped", "nodes_missing", "nodes_twice", "ways_twice",
    "ids_negative", "ways_without_length", "segments_without_length", "barriers", "plaza_chords",
)  # fmt: skip


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    streets = app.group("streets", "街道 · The walk network")
    streets("import")(import_streets)
    streets("download")(download_streets)
    app.command("catchment")(catchment)
    app.command("route")(route)


def import_streets(
    file: Annotated[
        Path, typer.Argument(help="OSM 数据 · An extract: .osm.pbf .osm .osm.gz .osm.bz2 .o5m")
    ],
    profile: WalkProfile = None,
    output: SnapReport = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """导入街道 · Read an OSM extract into the store's walk network."""
    from geo_service.streets import WalkNetwork

    with terminal.progress("读取街道", "reading streets", quiet=as_json) as advance:
        network = WalkNetwork.from_pbf(file, profile=profile or "adult", on_progress=advance)
    _keep(network, str(file), store, output, as_json)


def download_streets(
    place: Annotated[str | None, typer.Option(help="地名 · A place, by its name")] = None,
    bbox: Annotated[
        str | None, typer.Option(help="范围 西,南,东,北（WGS84）· West,south,east,north")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="库中图层的范围 · The outline of a layer of the store")
    ] = None,
    overpass: Annotated[
        str | None, typer.Option(help="Overpass 地址 · Its address [$GEO_SERVICE_OVERPASS]")
    ] = None,
    nominatim: Annotated[
        str | None, typer.Option(help="Nominatim 地址 · Its address [$GEO_SERVICE_NOMINATIM]")
    ] = None,
    profile: WalkProfile = None,
    output: SnapReport = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """下载街道 · Fetch the streets of an area from OpenStreetMap into the store."""
    from geo_service.streets import WalkNetwork, downloads

    asked = [value for value in (place, bbox, layer) if value is not None]
    if len(asked) != 1:
        raise InputError(
            "parameter_invalid", name="--place/--bbox/--layer", value=", ".join(asked),
            reason=Phrase("请给出其中一个", "give one of them"),
        )  # fmt: skip
    area = (
        downloads.outline(place, nominatim=nominatim) if place is not None
        else _box(bbox) if bbox is not None
        else _layer_outline(str(layer), store)
    )  # fmt: skip
    with terminal.progress("下载街道", "fetching streets", quiet=as_json) as advance:
        found, report = downloads.read(area, overpass=overpass, on_progress=advance)
    network = WalkNetwork(found, profile=profile or "adult", source=report)
    _keep(network, asked[0], store, output, as_json)


def _box(text: str) -> Any:
    import shapely

    corners = terminal.numbers(text, name="--bbox")
    if len(corners) != 4 or corners[0] >= corners[2] or corners[1] >= corners[3]:
        reason = Phrase("请按 西,南,东,北 的顺序写经纬度", "west,south,east,north in degrees")
        raise InputError("parameter_invalid", name="--bbox", value=text, reason=reason)
    west, south, east, north = corners
    return shapely.box(west, south, east, north)


def _layer_outline(layer: str, store: str | None) -> Any:
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        return opened.frame(layer).to_crs(4326).geometry.union_all()


def _keep(
    network: WalkNetwork, source: str, store: str | None, output: Path | None, as_json: bool
) -> None:
    """Put a network into the store, and tell what that changes for the facilities there."""
    from geo_service import reports
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        changes = _changes(opened, network)
        opened.keep_streets(network)
    if output is not None and changes is not None:
        reports.write_tables({"snaps": changes}, output)
    _tell(network, source, changes, as_json)


def _changes(opened: Store, network: WalkNetwork) -> pd.DataFrame | None:
    """Compare where facilities met the old streets and meet the new; ``None`` without either."""
    from geo_service.streets import WalkNetwork, updates

    if opened.streets_stamp() is None or "facilities" not in opened.tables():
        return None
    places = opened.table("facilities")
    old = WalkNetwork.load(opened.streets_path, profile=network.profile)
    lon, lat = (places[column].to_numpy(float) for column in ("lon", "lat"))
    found = updates.compare_snaps(old, network, lon, lat)
    known = [name for name in ("id", "name", "kind", "lon", "lat") if name in places]
    return places[known].reset_index(drop=True).join(found)


def catchment(
    lon: Annotated[float | None, typer.Option(help="经度 · Longitude")] = None,
    lat: Annotated[float | None, typer.Option(help="纬度 · Latitude")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="多个起点：lon,lat 列 · Many origins, columns lon and lat")
    ] = None,
    minutes: Annotated[str, typer.Option(help="分钟 · Minutes, e.g. 5,10,15")] = "15",
    streets: Streets = "store",
    datum: PointDatum = "wgs84",
    profile: WalkProfile = None,
    speed_kmh: Speed = None,
    reach: Annotated[
        str, typer.Option(help="nearest：最近街道；any：100 米内任一街道 · nearest or any street")
    ] = "nearest",
    smooth: Annotated[bool, typer.Option(help="平滑边界 · Without the steps of cells")] = False,
    edges: Annotated[
        Path | None,
        typer.Option(help="另写可达街道及分钟数 · Also write the streets reached, with minutes"),
    ] = None,
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """步行圈 · What can be reached on foot within some minutes."""
    from geo_service import boundary_files, reports

    lons, lats, theirs = _origins(lon, lat, csv)
    wanted = terminal.numbers(minutes, name="--minutes")
    network = network_of(streets, store, profile=profile, quiet=as_json)
    with terminal.progress("计算步行圈", "walking", quiet=as_json) as advance:
        areas = network.catchment(
            lons, lats, minutes=wanted, datum=datum, speed_kmh=speed_kmh, profile=profile,
            reach=reach, smooth=smooth, on_progress=advance,
        )  # fmt: skip
    for column in theirs:
        name = f"origin_{column}" if column in areas else column
        areas[name] = theirs[column].to_numpy()[areas["origin"]]
    if output is not None:
        reports.write_result(areas, output)
    if edges is not None:
        _write_edges(network, lons, lats, max(wanted), datum, speed_kmh, edges)
    if as_json:
        terminal.print_json(boundary_files.to_wgs84(areas).to_geo_dict())
        return
    _show_areas(areas)
    _show_notes(areas)
    if output is not None:
        said = terminal.say(f"已写入 {output}", f"Written to {output}")
        terminal.out().print(said, markup=False)


def _write_edges(
    network: WalkNetwork, lons: Any, lats: Any, minutes: float, datum: str,
    speed_kmh: float | None, path: Path,
) -> None:  # fmt: skip
    """Write the streets reached from every origin that has a street near."""
    import pandas as pd

    from geo_service import catchments, reports

    found = [
        catchments.reached_edges(
            network, float(lon), float(lat), minutes=minutes, datum=datum, speed_kmh=speed_kmh
        ).assign(origin=origin)
        for origin, (lon, lat) in enumerate(zip(_list(lons), _list(lats), strict=True))
        if network.snap_all(lon, lat, datum=datum).found[0]
    ]
    if found:
        reports.write_result(pd.concat(found, ignore_index=True), path)


def _list(values: Any) -> list[float]:
    return [float(values)] if isinstance(values, int | float) else list(values)


def route(
    from_: Annotated[str, typer.Option("--from", help="起点 · Start: lon,lat")],
    to: Annotated[str, typer.Option("--to", help="终点 · End: lon,lat")],
    streets: Streets = "store",
    datum: PointDatum = "wgs84",
    profile: WalkProfile = None,
    speed_kmh: Speed = None,
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """步行路线 · The walk between two points, with its minutes."""
    import geopandas as gpd

    from geo_service import reports

    start, end = terminal.lonlat(from_, name="--from"), terminal.lonlat(to, name="--to")
    network = network_of(streets, store, profile=profile, quiet=as_json)
    walk = network.route(start, end, datum=datum, speed_kmh=speed_kmh, profile=profile)
    if output is not None:
        said = "\n".join(terminal.say(step.zh, step.en) for step in walk.steps)
        columns = {"length_m": [walk.length_m], "minutes": [walk.minutes], "steps": [said]}
        reports.write_result(gpd.GeoDataFrame(columns, geometry=[walk.geometry], crs=4326), output)
    if as_json:
        feature = walk.feature()
        terminal.print_json({**feature, **feature["properties"]})
        return
    zh = f"步行 {walk.length_m:.0f} 米，{walk.minutes:.1f} 分钟"
    en = f"{walk.length_m:.0f} m on foot, {walk.minutes:.1f} minutes"
    terminal.out().print(terminal.say(zh, en), style="bold")
    for number, step in enumerate(walk.steps, start=1):
        line = terminal.say(step.zh, step.en)
        terminal.out().print(f"{number:3} {line}", markup=False, highlight=False)


def network_of(
    streets: str, store: str | None, *, profile: str | None = None, quiet: bool = False
) -> WalkNetwork:
    """Give the walk network of a .osm.pbf file, or the one the store keeps.

    Raises
    ------
    ConflictError
        ``streets_missing`` where the store has none.
    """
    from geo_service.store import open_store
    from geo_service.streets import WalkNetwork

    if streets != "store":
        with terminal.progress("读取街道", "reading streets", quiet=quiet) as advance:
            return WalkNetwork.from_pbf(streets, profile=profile or "adult", on_progress=advance)
    with open_store(terminal.store_path(store)) as opened:
        path = opened.streets_path
    if not path.exists():
        raise ConflictError("streets_missing")
    return WalkNetwork.load(path, profile=profile)


def _origins(
    lon: float | None, lat: float | None, csv: Path | None
) -> tuple[Any, Any, pd.DataFrame]:
    """Give longitudes, latitudes and whatever else a table says of the origins."""
    import pandas as pd

    if csv is not None:
        frame = read_points(csv)
        theirs = frame.drop(columns=["lon", "lat"])
        return frame["lon"].to_numpy(), frame["lat"].to_numpy(), theirs
    if lon is None or lat is None:
        reason = Phrase("请给出 --lon 和 --lat，或 --csv", "give --lon and --lat, or --csv")
        raise InputError("parameter_invalid", name="--lon/--lat", value="", reason=reason)
    return lon, lat, pd.DataFrame()


def _show_notes(areas: Any) -> None:
    """Show what is to be said of the origins, each remark once and not thousands of them."""
    from geo_service.streets.snapping import SNAP_LIMIT_M

    told = areas.drop_duplicates("origin")
    without = int((told["snap_distance_m"] > SNAP_LIMIT_M).sum()) if len(told) > 1 else 0
    if without:
        said = terminal.say(
            f"{len(told):,} 个起点中，{without:,} 个在 {SNAP_LIMIT_M:g} 米内没有街道，没有步行圈。",
            f"{without:,} of {len(told):,} origins have no street within {SNAP_LIMIT_M:g} m, "
            "and no area.",
        )
        terminal.out().print(said, style="yellow", markup=False)
    notes = [
        note for note in dict.fromkeys(
            terminal.say(*n) for n in zip(told.note_zh, told.note_en, strict=True)
        ) if note
    ]  # fmt: skip
    for note in notes[:_NOTES_SHOWN]:
        terminal.out().print(note, style="yellow", markup=False)
    if len(notes) > _NOTES_SHOWN:
        more = len(notes) - _NOTES_SHOWN
        said = terminal.say(
            f"……另有 {more:,} 条说明，见结果的 note_zh、note_en 列。",
            f"... and {more:,} more notes, in the columns note_zh and note_en of the result.",
        )
        terminal.out().print(said, style="yellow", markup=False)


def _show_areas(areas: Any) -> None:
    console, say = terminal.out(), terminal.say
    rows = [
        (
            f"{area.lon:.6f},{area.lat:.6f}",
            f"{area.minutes:g}",
            f"{area.area_m2 / 1e6:.4f}",
            f"{area.reached_m / 1e3:.2f}",
            f"{area.snap_distance_m:.0f}",
        )
        for area in areas.head(_AREAS_SHOWN).itertuples()
    ]
    columns = ("lon,lat", say("分钟", "minutes"), say("面积 km²", "area, km²"),
               say("街道 km", "streets, km"), say("离街道（米）", "to the street, m"))  # fmt: skip
    speed = f"{areas['speed_kmh'].iloc[0]:.2f} km/h" if len(areas) else ""
    console.print(terminal.table(say(f"步行圈，{speed}", f"catchments at {speed}"), columns, rows))


def read_points(path: Path) -> pd.DataFrame:
    """Read a CSV or spreadsheet of places; texts stay texts, ``lon`` and ``lat`` are numbers.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``, ``field_missing``, ``value_invalid``.
    """
    import pandas as pd

    from geo_service import _sheets, encodings, layers

    if not path.exists():
        raise MissingError("file_missing", file=str(path))
    try:
        if path.suffix.lower() == ".xlsx":
            frame = _sheets.first_sheet(path, dtype=str)
        else:
            encoding = encodings.detect_encoding(path.read_bytes(), file=path.name)
            frame = pd.read_csv(path, dtype=str, encoding=encoding)
    except (ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("file_unreadable", file=path.name, reason=error) from error
    matched = layers.match_fields(frame.columns)
    frame = frame.rename(columns={theirs: ours for ours, theirs in matched.items()})
    for column in ("lon", "lat"):
        if column not in frame:
            raise InputError(
                "field_missing", file=path.name, field=column, found=", ".join(frame.columns)
            )
        numbers = pd.to_numeric(frame[column], errors="coerce")
        if numbers.isna().any():
            row = int(numbers.isna().to_numpy().argmax())
            raise InputError(
                "value_invalid", file=path.name, row=row + 2, field=column,
                value=frame[column].iloc[row], reason=Phrase("不是数字", "not a number"),
            )  # fmt: skip
        frame[column] = numbers
    return frame


def _tell(network: WalkNetwork, source: str, changes: pd.DataFrame | None, as_json: bool) -> None:
    facts = network_facts(network)
    listed = (
        changes[changes["state"].isin(["moved", "lost", "gained"])] if changes is not None else None
    )
    if as_json:
        told: dict[str, Any] | None = None
        if changes is not None and listed is not None:
            states = changes["state"].value_counts().to_dict()
            rows = listed.astype(object).where(listed.notna(), None).to_dict("records")
            told = {state: int(states.get(state, 0)) for state in _STATES} | {"places": rows}
        terminal.print_json({"source": source, **facts, "report": network.source, "updates": told})
        return
    console, say = terminal.out(), terminal.say
    lines = [(name, _shown(value)) for name, value in facts.items()]
    lines += [(name, f"{network.source[name]:,}") for name in _TOLD if network.source.get(name)]
    console.print(terminal.table(say("街道已导入", "streets imported"), ("", ""), lines))
    if changes is None or listed is None:
        return
    counts = changes["state"].value_counts()
    title = say("设施接入街道的变化", "what the new streets change for facilities")
    sums = [(say(*_STATES[state]), int(counts.get(state, 0))) for state in _STATES]
    console.print(terminal.table(title, ("", ""), sums))
    if len(listed):
        label = "name" if "name" in listed else listed.columns[0]
        shown = [
            (
                str(row[label]),
                say(*_STATES[row["state"]]),
                f"{row['moved_m']:.0f}" if row["state"] == "moved" else "",
            )
            for row in listed.head(_AREAS_SHOWN).to_dict("records")
        ]
        console.print(terminal.table("", ("", "", say("米", "m")), shown))


def network_facts(network: WalkNetwork) -> dict[str, float | int | str]:
    """What a person wants to know of a walk network."""
    pieces_m = network.components
    serves = network.pieces()["serves"].to_numpy()
    return {
        "nodes": network.node_count,
        "chains": network.edge_count,
        "length_m": round(network.length_m, 1),
        "pieces": len(pieces_m),
        "pieces_too_short": int((~serves).sum()),
        "pieces_too_short_m": round(float(pieces_m[~serves].sum()), 1),
        "shut_barriers": len(network.barriers()),
        "largest_piece_percent": round(100 * float(pieces_m.max()) / network.length_m, 2),
        "profile": network.profile,
        "plane": network.plane,
    }


def _shown(value: object) -> object:
    return f"{value:,.1f}" if isinstance(value, float) else value
