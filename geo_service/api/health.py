"""Is the service up, is it ready, how much has it done."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Request
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.responses import Response

import geo_service
from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.state import State
from geo_service.errors import GeoServiceError

router = APIRouter(tags=["service"])

StateOf = Annotated[State, Depends(states.of)]
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_BUCKETS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
_PACKAGES = ("fastapi", "geopandas", "numba", "shapely", "maplibre")


class Metrics:
    """How many requests came, and how long they took, by method, route and status.

    Where several processes serve, each writes to files in ``$PROMETHEUS_MULTIPROC_DIR``, and any of
    them tells the sum.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._seconds = Histogram(
            "geo_service_request_seconds",
            "Seconds a request took",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._requests = Counter(
            "geo_service_requests",
            "Requests answered",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def add(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        key = (method if method in _METHODS else "other", route, status)
        if key not in self._known:
            labels = (key[0], route, str(status))
            self._known[key] = (self._requests.labels(*labels), self._seconds.labels(*labels))
        requests, took = self._known[key]
        requests.inc()
        took.observe(seconds)

    def text(self, state: State) -> bytes:
        """In the Prometheus text format, with how the service stands."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # it has no types
        now = CollectorRegistry()
        now.register(_Standing(state))
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            ProcessCollector(registry=now)
        return generate_latest(registry) + generate_latest(now)


class _Standing(Collector):
    """How the service stands at the moment it is asked."""

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Give the gauges."""
        ready = GaugeMetricFamily("geo_service_ready", "Whether everything is loaded")
        ready.add_metric([], float(self._state.ready))
        yield ready
        disk = GaugeMetricFamily("geo_service_disk_free_bytes", "Free where the service stands")
        disk.add_metric([], shutil.disk_usage(Path.cwd()).free)
        yield disk
        with contextlib.suppress(GeoServiceError):
            found = self._state.revisions()
            layers = GaugeMetricFamily(
                "geo_service_layer_revision", "Current revision", labels=["layer"]
            )
            for name, number in found.items():
                layers.add_metric([name], number)
            yield layers


@router.get("/healthz", summary="The process answers", dependencies=[doors.requires(None)])
async def healthz() -> dict[str, str]:
    """Answer, whatever the state of the store."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="The store answers and everything is loaded",
    dependencies=[doors.requires(None)],
    responses={503: {"description": "Not yet, or the store is away; the body tells"}},
)
def readyz(state: StateOf) -> Response:
    """Tell versions, layers and free disk; 503 until the first lookup can be answered at once."""
    problem = state.problem
    try:
        layers: dict[str, int] = state.revisions()
    except GeoServiceError as error:
        layers, problem = {}, error
    ready = state.ready and problem is None
    body: dict[str, Any] = {
        "status": "ready" if ready else "not ready",
        "problem": problem and problem.code,
        "problem_zh": problem and problem.message("zh"),
        "problem_en": problem and problem.message("en"),
        "notes": [asdict(note) for note in state.notes()],
        "version": geo_service.__version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "layers": layers,
        "streets": state.streets_stamp() is not None,
        "disk_free_gb": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "up_seconds": round(time.time() - state.started_at, 1),
    }
    return Response(orjson.dumps(body), 200 if ready else 503, media_type="application/json")


@router.get(
    "/metrics",
    summary="Counters and histograms in the Prometheus text format",
    dependencies=[doors.requires("viewer")],
)
def metrics(request: Request, state: StateOf) -> Response:
    """Give the number of requests and their seconds, by method, route and status."""
    counted: Metrics = request.app.state.metrics
    return Response(counted.text(state), media_type=CONTENT_TYPE_LATEST)
