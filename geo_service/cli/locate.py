"""``locate`` and ``addresses``: which grid holds this point, this address."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geo_service.cli import _terminal as terminal
from geo_service.cli.walking import read_points
from geo_service.errors import ConflictError, InputError, Phrase

if TYPE_CHECKING:
    from geo_service.addresses import AddressBook
    from geo_service.addresses.online import WithOnline
    from geo_service.store import Store

NOT_FOUND = 1
_CANDIDATES_SHOWN = 5
_ADDRESS = {
    "found": ("匹配到", "found"),
    "ambiguous": ("地址不唯一，请写得更完整", "ambiguous: several places have this address"),
    "not_found": ("地址表中没有这个地址", "not found: the address table does not hold it"),
    "unreadable": ("地址文字残缺或乱码，无法辨认", "unreadable: the text is empty or garbled"),
}


def register(app: terminal.App) -> None:
    """Put this file's commands on the app."""
    app.command("locate")(locate)
    addresses = app.group("addresses", "地址表 · The city's address table")
    addresses("import")(import_addresses)


def locate(
    lon: Annotated[float | None, typer.Option(help="经度 · Longitude")] = None,
    lat: Annotated[float | None, typer.Option(help="纬度 · Latitude")] = None,
    datum: Annotated[
        str | None,
        typer.Option(help="必填：wgs84 cgcs2000 gcj02 bd09 EPSG:n · Required with coordinates"),
    ] = None,
    address: Annotated[str | None, typer.Option(help="地址 · An address")] = None,
    csv: Annotated[
        Path | None, typer.Option(help="批量 · A table (CSV, XLSX) with lon and lat, or address")
    ] = None,
    accuracy_m: Annotated[
        float | None, typer.Option(help="定位误差（米）· List every grid within this, m")
    ] = None,
    at: Annotated[str | None, typer.Option(help="修订号或日期 · As of a revision or date")] = None,
    layer: Annotated[str, typer.Option(help="图层 · Layer")] = "grids",
    systems: Annotated[
        str, typer.Option(help="其他网格体系 · Other grid systems too: layers, by comma")
    ] = "",
    output: terminal.Output = None,
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> int:
    """查归属 · Find the grid of a point, an address, or every row of a table."""
    from geo_service.store import open_store

    with open_store(terminal.store_path(store)) as opened:
        if csv is not None:
            return _locate_table(opened, csv, datum, layer, at, output, as_json)
        if address is not None:
            answer = _locate_address(opened, address, layer, at, accuracy_m)
        elif lon is not None and lat is not None:
            answer = _gazetteer(opened, layer, at).answer(
                lon,
                lat,
                datum=_given(datum),
                accuracy_m=accuracy_m,
                systems=[name for name in systems.split(",") if name],
            )
        else:
            reason = Phrase(
                "请给出 --lon 和 --lat，或 --address，或 --csv",
                "give --lon and --lat, --address, or --csv",
            )
            raise InputError("parameter_invalid", name="--lon/--lat", value="", reason=reason)
    if as_json:
        terminal.print_json(answer)
    else:
        _show(answer)
    return 0 if answer["found"] else NOT_FOUND


def import_addresses(
    file: Annotated[
        Path, typer.Argument(help="地址表 · CSV or XLSX: address, lon, lat …; or an .osm.pbf")
    ],
    datum: Annotated[str, typer.Option(help="坐标基准 · Datum of lon and lat")] = "wgs84",
    store: terminal.StorePath = None,
    as_json: terminal.AsJson = False,
) -> None:
    """导入地址表 · Bring in the city's address table."""
    from geo_service import crs
    from geo_service.addresses.openstreetmap import read_addresses
    from geo_service.store import open_store

    if ".osm" in file.suffixes:
        table = read_addresses(file)
    else:
        table = read_points(file)
        table["lon"], table["lat"] = crs.to_wgs84(table["lon"], table["lat"], datum=datum)
    if "address" not in table:
        found = ", ".join(map(str, table.columns))
        raise InputError("field_missing", file=file.name, field="地址 / address", found=found)
    with open_store(terminal.store_path(store)) as opened:
        opened.put_table("addresses", table)
    if as_json:
        terminal.print_json({"addresses": len(table), "datum": datum})
    else:
        said = terminal.say(f"已导入 {len(table)} 条地址", f"{len(table)} addresses imported")
        terminal.out().print(said)


def _given(datum: str | None) -> str:
    """The datum, which nobody may guess: an unsaid one costs 600 m in Xuchang."""
    from geo_service import crs

    if datum is None:
        raise InputError("datum_missing", known=", ".join((*crs.DATUMS, "EPSG:…")))
    return crs.parse_datum(datum)


def _gazetteer(opened: Store, layer: str, at: str | None) -> Any:
    from geo_service.locate import Gazetteer

    return Gazetteer.of(opened, layer=layer, at=at)


def _address_book(opened: Store) -> AddressBook | WithOnline:
    from geo_service.addresses import AddressBook
    from geo_service.addresses.online import with_online

    if "addresses" not in opened.tables():
        raise ConflictError("addresses_missing")
    return with_online(AddressBook(opened.table("addresses")))


def _locate_address(
    opened: Store, text: str, layer: str, at: str | None, accuracy_m: float | None
) -> dict[str, Any]:
    found = _address_book(opened).find(text)
    return _gazetteer(opened, layer, at).answer_address(found, accuracy_m=accuracy_m)


def _locate_table(
    opened: Store,
    table: Path,
    datum: str | None,
    layer: str,
    at: str | None,
    output: Path | None,
    as_json: bool,
) -> int:
    from geo_service import reports
    from geo_service.locate import batch

    gazetteer = _gazetteer(opened, layer, at)
    book = _address_book(opened) if "addresses" in opened.tables() else None
    find = book.find if book else None
    rows: list[Any] = []
    if output is not None and {output.suffix.lower(), table.suffix.lower()} == {".csv"}:
        with terminal.progress("查归属", "locating", quiet=as_json) as on_progress:
            told = batch.answer_csv(
                table, output, gazetteer, datum=datum, find_address=find, on_progress=on_progress
            )
    else:
        answered = batch.answer_rows(
            batch.read_rows(table), gazetteer, datum=datum, find_address=find
        )
        told = {"rows": len(answered), **Counter(answered["reason"].tolist())}
        if output is not None:
            reports.write_tables({"locate": answered}, output)
        else:
            rows = answered.astype(object).where(answered.notna(), None).to_dict("records")
    found = told.get("inside", 0)
    if as_json:
        reasons = {reason: told[reason] for reason in batch.REASONS if reason in told}
        terminal.print_json(
            {"rows": told["rows"], "found": found, "reasons": reasons,
             "resumed_rows": told.get("resumed_rows", 0), "written": str(output or ""),
             "results": rows}
        )  # fmt: skip
        return 0
    zh, en = f"{told['rows']} 行，{found} 行有归属", f"{told['rows']} rows, {found} in a grid"
    terminal.out().print(terminal.say(zh, en))
    for reason, zh in batch.REASONS.items():
        if reason != "inside" and told.get(reason):
            said = terminal.say(zh, reason.replace("_", " "))
            terminal.out().print(f"  {told[reason]:>9,}  {said}", markup=False)
    return 0


def _show(answer: dict[str, Any]) -> None:
    console, say = terminal.out(), terminal.say
    why = answer.get("why")
    if answer["found"]:
        names = " › ".join(step["name"] or step["code"] for step in answer["chain"])
        console.print(f"{answer['grid']['code']}  {answer['grid']['name']}", style="bold")
        console.print(names, markup=False)
    else:
        console.print(say("没有归属", "no grid"), style="bold")
        if nearest := answer.get("nearest"):
            text = f"{nearest['code']}, {nearest['distance_m']:.1f} m"
            console.print(say("最近：", "nearest: ") + text, markup=False)
    if why:
        console.print(why[say("zh", "en")] if isinstance(why, dict) else why, markup=False)
    for name, held in answer.get("systems", {}).items():
        said = f"{held['code']}  {held['name']}" if held else say("不在其中", "in none")
        console.print(f"{name}: {said}", markup=False)
    others = answer.get("alternatives", []) if answer["found"] else []
    for other in others:
        console.print(f"  {other['code']}  {other['distance_m']:.1f} m", markup=False)
    for grid in answer.get("grids", []):
        said = say(f"{grid['doors']} 个门牌", f"{grid['doors']} doors")
        console.print(f"  {grid['code']}  {grid['name'] or ''}  {said}", markup=False)
    if asked := answer.get("address"):
        found = f"：{asked['matched']}" if asked.get("matched") else ""
        zh, en = _ADDRESS[asked["status"]]
        console.print(say(zh + found, en + found.replace("：", ": ")), markup=False)
        for candidate in asked.get("candidates", [])[:_CANDIDATES_SHOWN]:
            console.print(f"  {candidate['address']}", markup=False)
