"""What other people's programs read from the service, each in a process of its own.

A client in the server's process would hold the interpreter's lock while it waits for an answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd

SECONDS = 90


def gdal(url: str, folder: Path, layer: str = "grids", **options: Any) -> gpd.GeoDataFrame:
    """Read a collection through GDAL's OAPIF driver.

    ``bbox`` (x first) and ``where`` are handed to GDAL's own filters, ``datetime`` and the like
    stand in the address; the rest are open options of the driver.
    """
    copy = folder / "read.parquet"
    asked = json.dumps({"url": f"OAPIF:{url}", "layer": layer, **options})
    command = [sys.executable, __file__, "gdal", asked, str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return gpd.read_parquet(copy)


def owslib(url: str, calls: list[list[Any]]) -> list[Any]:
    """Give what calls of OWSLib's OGC API client answer: ``[class, method, args, kwargs]``."""
    command = [sys.executable, __file__, "owslib", url]
    done = subprocess.run(
        command, input=json.dumps(calls), capture_output=True, text=True, timeout=SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def _gdal(asked: dict[str, Any], to: str) -> None:
    import pyogrio

    box = {"bbox": tuple(asked.pop("bbox"))} if "bbox" in asked else {}
    pyogrio.read_dataframe(asked.pop("url"), **box, **asked).to_parquet(to)


def _owslib(url: str, calls: list[list[Any]]) -> None:
    from owslib.ogcapi import features, processes

    answers = []
    for name, method, args, kwargs in calls:
        client = {"Features": features.Features, "Processes": processes.Processes}[name](url)
        answers.append(getattr(client, method)(*args, **kwargs))
    print(json.dumps(answers))


if __name__ == "__main__":
    if sys.argv[1] == "gdal":
        _gdal(json.loads(sys.argv[2]), sys.argv[3])
    else:
        _owslib(sys.argv[2], json.load(sys.stdin))
