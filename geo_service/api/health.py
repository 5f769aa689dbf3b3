"""Is the service up, is it ready, how much has it done."""

from __future__ import annotations

import platform
import shutil
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import PlainTextResponse, Response

import geo_service
from geo_service.api import state as states
from geo_service.api.state import State
from geo_service.errors import GeoServiceError

router = APIRouter(tags=["service"])

StateOf = Annotated[State, Depends(states.of)]
_PACKAGES = ("fastapi", "geopandas", "numba", "shapely", "maplibre")


class Metrics:
    """Counts of requests and the seconds they took, by method, route and status."""

    def __init__(self) -> None:
        self.count: Counter[tuple[str, str, int]] = Counter()
        self.seconds: Counter[tuple[str, str, int]] = Counter()

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method, route, status)
        self.count[key] += 1
        self.seconds[key] += seconds  # type: ignore[assignment] # a Counter adds floats as well

    def text(self) -> str:
        """In the Prometheus text format."""
        lines = ["# TYPE geo_service_requests_total counter"]
        lines += [
            f"geo_service_requests_total{_labels(key)} {n}" for key, n in sorted(self.count.items())
        ]
        lines.append("# TYPE geo_service_request_seconds_total counter")
        lines += [
            f"geo_service_request_seconds_total{_labels(key)} {seconds:.6f}"
            for key, seconds in sorted(self.seconds.items())
        ]
        return "\n".join(lines) + "\n"


@router.get("/healthz", summary="The process answers")
async def healthz() -> dict[str, str]:
    """Answer, whatever the state of the store."""
    return {"status": "ok"}


@router.get("/readyz", summary="The store answers and everything is loaded")
def readyz(state: StateOf) -> Response:
    """Tell versions, layers and free disk; 503 until the first lookup can be answered at once."""
    try:
        layers: dict[str, int] = state.revisions()
        problem = None
    except GeoServiceError as error:
        layers, problem = {}, error.code
    ready = state.ready and problem is None
    body: dict[str, Any] = {
        "status": "ready" if ready else "not ready",
        "problem": problem,
        "version": geo_service.__version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "layers": layers,
        "streets": state.streets_stamp() is not None,
        "disk_free_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "up_seconds": round(time.time() - state.started_at, 1),
    }
    return Response(orjson.dumps(body), 200 if ready else 503, media_type="application/json")


@router.get("/metrics", summary="Counters in the Prometheus text format")
async def metrics(request: Request) -> PlainTextResponse:
    """Give the number of requests and their seconds, by method, route and status."""
    counted: Metrics = request.app.state.metrics
    return PlainTextResponse(counted.text(), media_type="text/plain; version=0.0.4")


def _labels(key: tuple[str, str, int]) -> str:
    method, route, status = key
    return f'{{method="{method}",route="{route}",status="{status}"}}'
