"""The service over HTTP: a router a file, one application around an open store.

`create_app` makes the application, `serve` runs it on this machine.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

import geo_service
from geo_service import settings as settings_room
from geo_service.api import (
    audit,
    catchments,
    desk,
    doors,
    drafts,
    drawing,
    errors,
    faults,
    guard,
    health,
    life_circles,
    locate,
    login,
    ogc,
    page,
    rates,
    serving,
    sites,
    uploads,
    work,
)
from geo_service.api.state import State
from geo_service.errors import GeoServiceError
from geo_service.settings import Settings

__all__ = ["create_app", "serve"]

ROOMS = (
    page, *ogc.ROOMS, locate, catchments, life_circles, sites, drafts, drawing, faults, login,
    audit, health, errors,
)  # fmt: skip
"""What has routes; each of them says whom it is open to."""

log = logging.getLogger("geo_service.api")


def create_app(
    store_path: str | os.PathLike[str],
    *,
    streets: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    settings: Settings | None = None,
) -> FastAPI:
    """Make the application of a store.

    Parameters
    ----------
    store_path : str or path-like
        The store; it is opened here and closed with the application.
    streets : str or path-like, optional
        The walk network's file, instead of the one the store keeps.
    executor : concurrent.futures.Executor, optional
        Where jobs run, instead of processes of this machine: a cluster's, such as
        ``dask.distributed.Client(address).get_executor()``.
    settings : Settings, optional
        How doors stand open; by default as the environment says.

    Returns
    -------
    fastapi.FastAPI

    Raises
    ------
    MissingError
        ``store_missing``.
    InputError
        ``store_foreign`` and others of `geo_service.store.open_store`.
    """
    from geo_service.store import open_store

    settings = settings or settings_room.read()
    state = State(open_store(store_path), streets=Path(streets) if streets else None)
    app = FastAPI(
        title="Geo Service",
        summary="Governance grids: published layers, lookup, walks, sites.",
        description=(
            "网格服务。Every answer names the revision it was computed from; coordinates carry "
            "their datum; errors are RFC 9457 problem details with a stable `code`."
        ),
        version=geo_service.__version__,
        lifespan=_lifespan,
        docs_url=None,  # its page loads scripts from elsewhere; the document itself stays
        redoc_url=None,
    )
    app.state.geo_service = state
    app.state.metrics = health.Metrics()
    setting = {"store": str(store_path), "streets": str(streets) if streets else ""}
    app.state.desk = desk.Desk(state.store.jobs_path, work.WORK, setting, executor=executor)
    errors.install(app)
    app.state.doors = doors.Doors(state.store, settings)
    app.state.rates = rates.Rates(settings.rate_per_minute)
    doors.refuse_undeclared(*(room.router for room in ROOMS))
    for room in ROOMS:
        app.include_router(room.router)
    app.router.routes.insert(0, locate.DIRECT)
    page.mount_files(app)
    app.add_middleware(
        guard.Guard,
        keys=app.state.doors,
        metrics=app.state.metrics,
        rates=app.state.rates,
        settings=settings,
    )
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "If-None-Match"],
            expose_headers=["ETag", "Location", "Link", "Content-Crs", "X-Request-Id"],
        )
    return app


def serve(
    store_path: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    streets: str | os.PathLike[str] | None = None,
) -> None:
    """Serve a store until interrupted; what is not said here stands in the environment.

    Parameters
    ----------
    store_path : str or path-like
        The store.
    host : str
        Where to listen; beyond this machine only where the store has keys.
    port : int
        The port; 0 takes a free one.
    workers : int
        Processes that answer.
    streets : str or path-like, optional
        The walk network's file, instead of the one the store keeps.

    Raises
    ------
    InputError
        ``not_loopback``, ``setting_invalid``; others of `create_app`.
    """
    given = settings_room.read()
    serving.serve(
        dataclasses.replace(
            given, store=os.fspath(store_path), host=host, port=port, workers=workers,
            streets=os.fspath(streets) if streets else given.streets,
        )
    )  # fmt: skip


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: State = app.state.geo_service
    # Requests are answered meanwhile; /readyz tells when everything is loaded.
    threading.Thread(target=_warm, args=(state,), name="warm", daemon=True).start()
    closing = threading.Event()
    following = threading.Thread(target=state.follow, args=(closing,), name="follow", daemon=True)
    following.start()
    keys: doors.Doors = app.state.doors
    reading = threading.Thread(target=keys.follow, args=(closing,), name="keys", daemon=True)
    reading.start()
    app.state.desk.open()
    yield
    closing.set()
    following.join()
    reading.join()
    app.state.desk.close()
    app.state.rates.close()
    state.close()


def _warm(state: State) -> None:
    uploads.prepare()
    try:
        state.warm()
    except GeoServiceError as error:
        state.problem = error
        log.warning("loading ahead failed: %s", error)
    except Exception:
        log.exception("loading ahead failed; each request loads what it needs")
