"""Make the sample uploads in ``boundaries/`` and write down what the service says of each.

Run it from the root of the checkout: ``python scripts/make_boundaries.py``. The files are synthetic
and hold the same every time; ``boundaries/README.md`` quotes real runs of the commands below.
"""

from __future__ import annotations

import contextlib
import io
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import arrivals
import geopandas as gpd
import numpy as np
import pyogrio
import shapely
from arrivals import ARRIVALS, REGISTERS, Arrival

from geo_service import boundary_files, crs, demo_city, reports
from geo_service.demo_city import DemoCity, dirty

ARRIVED = "arrivals"
FOLDER = Path(__file__).parents[1] / "boundaries"
COUNTY = "411002"
PLANNER_NAMES = {"code": "网格编码", "name": "网格名称", "households": "户数", "population": "人口"}
SHOWN = ["code", "name", "kind", "parent_code", "households", "population"]


@dataclass(frozen=True)
class Sample:
    """A command on a sample, and what it shows."""

    title: str
    command: str


SAMPLES = (
    Sample(
        "`grids.gpkg`: 120 grids that tile the city exactly.",
        "geo-service check grids.gpkg --within outline.geojson --expect 120",
    ),
    Sample(
        "`grids_dirty.gpkg`: the same grids with known faults; `truth.csv` lists them.",
        "geo-service check grids_dirty.gpkg --within outline.geojson --expect 120",
    ),
    Sample(
        "`grids_gbk.zip`: one county as planners send it: a shapefile in GBK without a .cpg, under "
        "Chinese field names.",
        "geo-service check grids_gbk.zip --within county.geojson",
    ),
    Sample(
        "`grids_gcj02.geojson`: the county drawn on an AMap background. Taken as it says it is, it "
        "lies half a kilometre off.",
        "geo-service check grids_gcj02.geojson --within county_wgs84.geojson",
    ),
    Sample(
        "The same file, its datum said: half a kilometre shrinks to a third of a millimetre. "
        "Undoing a shift gives back the place, not the last digit, so the two lines still differ.",
        "geo-service check grids_gcj02.geojson --within county_wgs84.geojson --datum gcj02",
    ),
    Sample(
        "`grids_no_crs.zip`: a shapefile whose .prj was lost. Refused, with a proposal.",
        "geo-service check grids_no_crs.zip --within county.geojson",
    ),
    Sample(
        "The same file, its system said.",
        "geo-service check grids_no_crs.zip --within county.geojson --crs EPSG:4547",
    ),
    Sample(
        "`points.geojson`: the grids' middles. Points are no boundaries.",
        "geo-service check points.geojson",
    ),
    Sample(
        "`register.xlsx`: the city's register (台账) of the grids, with one that nobody has drawn "
        "and without one that is.",
        "geo-service check grids.gpkg --within outline.geojson --register register.xlsx",
    ),
)

_HEAD = f"""# Sample boundary files: {demo_city.LABEL}

Every border, house and person in these files is invented; names and codes of divisions are real.
`python scripts/make_boundaries.py` makes the files, runs the commands below in this folder and
writes this page. Exit code 0: fine; 1: faults found; 2: bad input.

- `outline.geojson`, `county.geojson`: the areas to be filled, the city and 魏都区, in EPSG:4547 as
  the grids are; `county_wgs84.geojson`: 魏都区 in longitude and latitude.
- `arrivals/`: one small file for each thing that goes wrong on the way; see the table at the end.
- `truth.csv`: what was spoiled in `grids_dirty.gpkg`: kind, codes, area in m², a point at the fault
  in EPSG:4547. `real` is False where only a note is due.
"""


_TABLE_HEAD = """## What arrives, what we say

Each file lies in `arrivals/` and holds 魏都区 unless something is wrong with it. It is checked with
`geo-service check FILE` and the options shown; what is quoted are the notes on reading it and the
verdict, or the refusal. The registers are checked beside `grids_gbk.zip`.

| what arrives | file, options | exit | what we say |
|---|---|---|---|
"""


def main() -> None:
    """Make the files and the page."""
    FOLDER.mkdir(exist_ok=True)
    make(FOLDER)
    sections = [_HEAD]
    for sample in SAMPLES:
        code, said = run(sample.command)
        text = "\n".join(line.rstrip() for line in said.splitlines()).strip("\n")
        block = f"```console\n$ {sample.command}\n{text}\n```"
        sections.append(f"{sample.title}\n\n{block}\nExit code {code}.\n")
    sections.append(table())
    (FOLDER / "README.md").write_text("\n".join(sections), encoding="utf-8")


def table() -> str:
    """Run every arrival and put what is said into a table."""
    rows = [_row(a, f"{ARRIVED}/{a.name} {a.options}") for a in ARRIVALS]
    rows += [_row(a, f"grids_gbk.zip {a.options} --register {ARRIVED}/{a.name}") for a in REGISTERS]
    return _TABLE_HEAD + "\n".join(rows) + "\n"


def _row(arrival: Arrival, arguments: str) -> str:
    code, said = run(f"geo-service check {arguments}")
    shown = f"`{arrival.name}`" + (f"<br>`{arrival.options}`" if arrival.options else "")
    told = "<br>".join(line.replace("|", "\\|") for line in _gist(said))
    return f"| {arrival.what} | {shown} | {code} | {told} |"


def _gist(said: str) -> list[str]:
    """The notes on reading, and the verdict in bold; or the refusal."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    gist = []
    for line in lines:
        if line.startswith("·"):
            gist.append(line)
            continue
        gist.append(f"**{line}**")
        break
    return gist


def make(folder: Path) -> None:
    """Write the sample files of a small city."""
    city = demo_city.make(grids=demo_city.FEWEST_GRIDS)
    county = city.grids[city.grids["code"].str.startswith(COUNTY)].reset_index(drop=True)
    area = city.counties[city.counties["code"] == COUNTY]
    spoiled, truth = dirty.inject(city.grids, city.outline, seed=5, each=1)

    _write_geojson(city.outline, folder / "outline.geojson")
    _write_geojson(area, folder / "county.geojson")
    _write_geojson(boundary_files.to_wgs84(area), folder / "county_wgs84.geojson")
    _write_gpkg(city.grids[[*SHOWN, "geometry"]], folder / "grids.gpkg")
    _write_gpkg(spoiled[[*SHOWN, "area", "geometry"]], folder / "grids_dirty.gpkg")
    flat = truth.assign(codes=truth["codes"].map(" ".join)).round({"area_m2": 6, "x": 3, "y": 3})
    flat.to_csv(folder / "truth.csv", index=False, encoding="utf-8-sig")

    named = county[[*PLANNER_NAMES, "geometry"]].rename(columns=PLANNER_NAMES)
    without_cpg = arrivals.shapefile(named, endings=("shp", "shx", "dbf", "prj"))
    (folder / "grids_gbk.zip").write_bytes(arrivals.zipped(without_cpg))
    plain = county[[*SHOWN, "geometry"]]
    without_prj = arrivals.shapefile(plain, endings=("shp", "shx", "dbf", "cpg"))
    (folder / "grids_no_crs.zip").write_bytes(arrivals.zipped(without_prj))
    _write_geojson(_shifted(county[["code", "name", "geometry"]]), folder / "grids_gcj02.geojson")
    middles = county.set_geometry(county.geometry.representative_point())
    middles = boundary_files.to_wgs84(middles[["code", "name", "geometry"]])
    _write_geojson(middles, folder / "points.geojson")
    _write_register(city, folder / "register.xlsx")
    (folder / ARRIVED).mkdir(exist_ok=True)
    for arrival in (*ARRIVALS, *REGISTERS):
        (folder / ARRIVED / arrival.name).write_bytes(arrival.make(county))


def run(command: str) -> tuple[int, str]:
    """Run a command line in the samples' folder: its exit code and all it wrote."""
    from geo_service import cli

    program, *arguments = command.split()
    assert program == "geo-service"
    said = io.StringIO()
    with _inside(FOLDER), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            cli.main(arguments)
        except SystemExit as leaving:
            return int(leaving.code or 0), said.getvalue()
    raise AssertionError("the command line leaves with an exit code")


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in a folder, speak English, and keep tables to a page's width."""
    before = {name: os.environ.get(name) for name in ("GEO_SERVICE_LANG", "COLUMNS")}
    os.environ |= {"GEO_SERVICE_LANG": "en", "COLUMNS": "100"}
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _write_gpkg(frame: gpd.GeoDataFrame, path: Path) -> None:
    path.unlink(missing_ok=True)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": "2026-01-01T00:00:00.000Z"})
    pyogrio.write_dataframe(frame, path, layer=path.stem, driver="GPKG", SPATIAL_INDEX="NO")
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA page_size = 1024")  # wastes least on rows of 2 kB
        database.execute("VACUUM")


def _write_geojson(frame: gpd.GeoDataFrame, path: Path) -> None:
    """Write to the millimetre in the frame's own system, which the file names (as QGIS does)."""
    path.unlink(missing_ok=True)
    digits = 8 if crs.is_lonlat(frame.crs) else 3
    pyogrio.write_dataframe(frame, path, driver="GeoJSON", COORDINATE_PRECISION=digits)


def _shifted(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """What one gets by drawing the layer on an AMap background."""
    lonlat = boundary_files.to_wgs84(frame)

    def shift(xy: np.ndarray) -> np.ndarray:
        return np.column_stack(crs.from_wgs84(xy[:, 0], xy[:, 1], datum="gcj02"))

    moved = shapely.transform(lonlat.geometry.to_numpy(), shift)
    return lonlat.set_geometry(gpd.GeoSeries(moved, lonlat.index, crs=lonlat.crs))


def _write_register(city: DemoCity, path: Path) -> None:
    """The register, in which the last grid is unknown and another one stands that is nowhere."""
    register = city.register.copy()
    last = register.index[-1]
    register.loc[last, "网格编码"] = register.loc[last, "网格编码"][:12] + "099"
    reports.write_tables({"台账": register}, path)


if __name__ == "__main__":
    main()
