"""The names others call: commands with their options, addresses of the service, Python names.

They are promised (README); a change that drops one breaks somebody's script.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import httpx
import pytest
import typer.main

import geo_service as gs
from geo_service import cli
from geo_service.api import create_app
from geo_service.store import create_store

COMMANDS = {
    "demo": "--grids --seed --no-serve",
    "check": "--within --expect --code-field --crs --datum --profile --register --output --layer "
    "--draft --at",
    "repair": "--within --output --code-field --max-gap-m --snap-m --dry-run",
    "import": "--layer --level --replace-within --crs --datum --encoding --map",
    "drafts": "",
    "publish": "--message",
    "discard": "",
    "history": "",
    "diff": "",
    "rollback": "",
    "export": "--output --at",
    "locate": "--lon --lat --datum --address --csv --output --accuracy-m --at",
    "streets import": "",
    "streets download": "--place",
    "catchment": "--streets --lon --lat --datum --minutes --profile --speed-kmh --reach --output "
    "--csv",
    "route": "--from --to",
    "facilities import": "",
    "life-circles": "--standard --output",
    "site": "--kind --count --cover --candidates --existing --demand --minutes --capacity --must "
    "--never --seconds --output",
    "draw": "--within --streets --households --target --output",
    "redraw": "--within --streets --households --target --fixed --output",
    "split": "",
    "merge": "",
    "crosswalk": "--output",
    "key add": "",
    "key list": "",
    "key revoke": "",
    "doctor": "",
    "backup": "",
    "restore": "",
}
SHORT = {"--output": "-o"}

ADDRESSES = [
    "/",
    "/conformance",
    "/collections",
    "/collections/{}",
    "/collections/{}/items",
    "/collections/{}/items/{}",
    "/collections/{}/tiles/{}/{}/{}",
    "/processes",
    "/processes/{}/execution",
    "/jobs/{}",
    "/locate",
    "/catchments",
    "/routes",
    "/sites",
    "/life-circles",
    "/drafts",
    "/history/{}",
    "/map",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
]

PYTHON = {
    "check_coverage": ["grids", "within"],
    "repair": ["grids", "within"],
    "Locator": ["grids"],
    "Locator.locate": ["lon", "lat"],
    "WalkNetwork.from_pbf": ["path"],
    "WalkNetwork.from_osmnx": ["graph"],
    "WalkNetwork.to_osmnx": [],
    "WalkNetwork.catchment": ["lon", "lat", "minutes"],
    "WalkNetwork.route": [],
    "propose_sites": ["streets", "demand", "candidates", "count", "minutes"],
    "open_store": [],
    "coverage.certificate": [],
    "walking.reach": ["network", "origins", "limit_m"],
    "siting.maximal_cover": ["coverage", "weights", "count", "existing", "seconds"],
    "siting.set_cover": ["coverage", "seconds"],
    "siting.p_median": ["cost", "weights", "count", "seconds"],
}


def test_the_table_of_endpoints_names_every_one(tmp_path: Path) -> None:
    create_store(tmp_path / "city.gpkg").close()
    app = create_app(tmp_path / "city.gpkg")
    page = (Path(__file__).parents[1] / "docs" / "http.md").read_text("utf-8")
    table = page.partition("谁读过")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    told = {plain(one) for row in rows for one in re.findall(r"`(/[^`]*)`", row)}
    assert {plain(path) for path in app.openapi()["paths"]} - told == set()


def plain(address: str) -> str:
    """An address without the names of its parts."""
    return re.sub(r"{[^}]*}", "{}", address)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_takes_its_options(command: str) -> None:
    found = typer.main.get_command(cli.build().typer)
    for word in command.split():
        found = found.commands[word]  # type: ignore[attr-defined]  # a group, since it has members
    taken = {name for option in found.params for name in (*option.opts, *option.secondary_opts)}
    promised = {*COMMANDS[command].split(), "--json"}
    assert {SHORT.get(name, name) for name in promised} <= taken


def test_the_service_has_its_addresses(served: ModuleType, tmp_path: Path) -> None:
    place = tmp_path / "city.gpkg"
    create_store(place).close()
    with served.serving(place) as base, httpx.Client(base_url=base, timeout=60) as client:
        paths = client.get("/openapi.json").json()["paths"]
        told = {re.sub(r"{\w+(:\w+)?}", "{}", path) for path in paths}
        others = set(ADDRESSES) - told  # pages, which the document leaves out
        assert [path for path in others if client.get(path).status_code != 200] == []


@pytest.mark.parametrize("name", PYTHON)
def test_a_python_name_takes_its_arguments(name: str) -> None:
    found: object = gs
    for part in name.split("."):
        found = getattr(found, part)
    assert callable(found)
    assert set(PYTHON[name]) <= set(inspect.signature(found).parameters)
