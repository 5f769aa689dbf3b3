"""``facilities``, ``candidates``, ``demand``: what is there, what could be, who is to be served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _tables
from geo_service.cli import _terminal as terminal
from geo_service.errors import InputError, Phrase

if TYPE_CHECKING:
    import pandas as pd

PointTable = Annotated[
    Path, typer.Argument(help="CSV、XLSX、GeoJSON 或 .osm.pbf · or GeoPackage, OSM extract")
]
PointsDatum = Annotated[
    str, typer.Option(help="坐标基准 · Datum of lon and lat: wgs84 cgcs2000 gcj02 bd09")
]
Standard = Annotated[
    Path | None, typer.Option(help="标准表 · Table of categories and thresholds (CSV, XLSX)")
]
_SHOWN = 12


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    facilities = app.group("facilities", "设施 · Facilities, existing and planned")
    facilities("import")(import_facilities)
    facilities("kinds")(show_kinds)
    facilities("check")(check_facilities)
    app.group("candidates", "候选点 · Premises a facility could go into")("import")(
        import_candidates
    )
    app.group("demand", "需求 · People, riders or orders to be served")("import")(import_demand)


def import_facilities(
    file: PointTable,
    datum: PointsDatum = "wgs84",
    standard: Standard = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """导入设施 · Bring in the list of facilities; doubles and non-conforming stations are told."""
    from geo_service import facilities, life_circles

    table = facilities.read(file, datum=datum, known=life_circles.kinds_of(standard))
    _tables.keep("facilities", table, store)
    _tell_facilities(table, datum, None, as_json)


def check_facilities(
    at: Annotated[
        str | None, typer.Option(help="此刻开放的 · Open at: 02:00, or “Sa 02:00”")
    ] = None,
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """查设施表 · Doubles, stations short of the five points, who is open when."""
    from geo_service import facilities

    table = _tables.kept("facilities", store)
    if at is not None:
        table = facilities.open_at(table, at)
    _tell_facilities(table, "wgs84", output, as_json)


def show_kinds(output: terminal.Output = None, as_json: terminal.AsJson = False) -> None:
    """类别标准 · Categories, thresholds, sources; -o to edit and give as --standard."""
    import pandas as pd

    from geo_service import facilities, reports

    rows = [
        {name: getattr(kind, name) for name in facilities.Kind.__dataclass_fields__}
        | {"aliases": " ".join(kind.aliases)}
        for kind in facilities.kinds().values()
    ]
    if output is not None:
        reports.write_tables({"标准": pd.DataFrame(rows)}, output)
    if as_json:
        terminal.print_json(rows)
        return
    say = terminal.say
    words = (("类别", "kind"), ("分钟", "minutes"), ("米", "m"), ("判定", "counts"),
             ("人群", "walker"), ("是否核对", "verified"))  # fmt: skip
    columns = ("code", *(say(*word) for word in words))
    shown = [
        (r["code"], r[say("zh", "en")], f"{r['tier_minutes']:g}", r["threshold_m"] or "",
         r["counts"], r["walker"], r["verified"])
        for r in rows
    ]  # fmt: skip
    terminal.out().print(terminal.table(say("设施类别", "kinds of facilities"), columns, shown))


def import_candidates(
    file: PointTable,
    datum: PointsDatum = "wgs84",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """导入候选点 · Bring in premises a facility could go into."""
    from geo_service import demand, places

    table, notes = demand.read(places.read_file(file), _areas(store), datum=datum, name=file.name)
    places.require_distinct(places.read(table, name=file.name), name=file.name)
    _tables.keep("candidates", table, store)
    _tell("candidates", table, notes, datum, as_json)


def import_demand(
    file: PointTable,
    datum: PointsDatum = "wgs84",
    proxy: Annotated[
        str | None,
        typer.Option(help="代用指标（仅 .osm.pbf）· Stand-in: restaurants, shops, streets"),
    ] = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """导入需求 · Points with weights, or figures by grid or community code."""
    from geo_service import demand, places

    is_extract = file.name.lower().endswith(".pbf")
    if is_extract != (proxy is not None):
        reason = Phrase(
            "OSM 数据里没有需求量，请用 --proxy 说明以什么代替",
            "an OSM extract holds no demand; --proxy says which stand-in is made of it",
        )
        raise InputError("parameter_invalid", name="--proxy", value=proxy or "", reason=reason)
    if proxy is not None:
        table = demand.proxy(file, proxy)
        notes = [PROXY_NOTE | {"proxy": proxy}]
    else:
        table, notes = demand.read(
            places.read_file(file), _areas(store), datum=datum, name=file.name
        )
    _tables.keep("demand", table, store)
    _tell("demand", table, notes, datum, as_json)


PROXY_NOTE = {
    "zh": "这是由 OpenStreetMap 推算的代用指标，不是需求数据；没有数据不等于没有需求。",
    "en": "This is a stand-in made of OpenStreetMap, not demand; no data is not no demand.",
}


def _areas(store: str | None) -> dict[str, Any]:
    from geo_service.store import store_exists

    return _tables.areas(store) if store_exists(terminal.store_path(store)) else {}


def _tell(
    name: str, table: pd.DataFrame, notes: list[dict[str, str]], datum: str, as_json: bool
) -> None:
    if as_json:
        terminal.print_json({name: len(table), "datum": datum, "notes": notes})
        return
    said = terminal.say(
        f"已导入 {len(table)} 行（{name}，{datum}）", f"{len(table)} {name} imported ({datum})"
    )
    terminal.out().print(said)
    _tables.tell_notes(notes)


def _tell_facilities(table: pd.DataFrame, datum: str, output: Path | None, as_json: bool) -> None:
    from geo_service import facilities, reports

    twice = facilities.duplicates(table)
    stations = facilities.five_points(table)
    short = stations[~stations["conforms"].to_numpy(bool)]
    unread = table.attrs.get("unread", [])
    if output is not None:
        sheets = {"设施": table, "疑似重复": twice, "五项不达标驿站": short}
        reports.write_tables(sheets, output)
    if as_json:
        terminal.print_json(
            {
                "facilities": len(table),
                "datum": datum,
                "by_kind": table["kind"].value_counts().sort_index().to_dict(),
                "by_status": table["status"].value_counts().sort_index().to_dict(),
                "duplicates": twice.to_dict("records"),
                "stations": len(stations),
                "non_conforming": short[["id", "name", "missing"]].to_dict("records"),
                "hours_unread": unread,
            }
        )
        return
    console, say = terminal.out(), terminal.say
    console.print(say(f"设施 {len(table)} 处（{datum}）", f"{len(table)} facilities ({datum})"))
    counts = _by_kind(table)
    console.print(terminal.table(say("按类别", "by kind"), (say("类别", "kind"), "n"), counts))
    if len(twice):
        title = say(f"疑似重复 {len(twice)} 对", f"{len(twice)} pairs may be one facility")
        heads = ("kind", "id", "id", say("米", "m"), say("依据", "why"))
        pairs = twice[["kind", "id", "other_id", "metres", "why"]].head(_SHOWN)
        rows = pairs.to_numpy(object).tolist()
        console.print(terminal.table(title, heads, rows))
    if len(short):
        title = say(
            f"不达五项的驿站 {len(short)} / {len(stations)}",
            f"{len(short)} of {len(stations)} stations lack one of the five points",
        )
        rows = short[["id", "name", "missing"]].head(_SHOWN).to_numpy(object).tolist()
        columns = ("id", say("名称", "name"), say("缺", "lacks"))
        console.print(terminal.table(title, columns, rows))
    if unread:
        console.print(say(f"{len(unread)} 处开放时间读不懂", f"{len(unread)} opening hours unread"))


def _by_kind(table: pd.DataFrame) -> list[tuple[str, int]]:
    """How many facilities of each kind."""
    counts = table["kind"].value_counts().sort_index()
    return [(str(kind), int(count)) for kind, count in counts.items()]
