"""The service over HTTP: a router a file, one application around an open store.

`create_app` makes the application, `serve` runs it on this machine.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import threading
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

import geo_service
from geo_service.api import (
    catchments,
    desk,
    drafts,
    drawing,
    errors,
    faults,
    guard,
    health,
    locate,
    ogc,
    page,
    sites,
    uploads,
    work,
)
from geo_service.api.state import State
from geo_service.errors import InputError

__all__ = ["create_app", "serve"]

log = logging.getLogger("geo_service.api")


def create_app(
    store_path: str | os.PathLike[str],
    *,
    streets: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
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
    for room in (
        page, *ogc.ROOMS, locate, catchments, sites, drafts, drawing, faults, health, errors
    ):  # fmt: skip
        app.include_router(room.router)
    app.router.routes.insert(0, locate.DIRECT)
    page.mount_files(app)
    app.add_middleware(guard.Guard, metrics=app.state.metrics)
    return app


def serve(
    store_path: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    streets: str | os.PathLike[str] | None = None,
) -> None:
    """Serve a store on this machine until interrupted.

    Parameters
    ----------
    store_path : str or path-like
        The store.
    host : str
        A loopback address: there are no keys yet, so nobody else may reach it.
    port : int
        The port; 0 takes a free one.
    streets : str or path-like, optional
        The walk network's file, instead of the one the store keeps.

    Raises
    ------
    InputError
        ``not_loopback``; others of `create_app`.
    """
    import uvicorn

    refuse_beyond_loopback(host)
    app = create_app(store_path, streets=streets)
    # No access log: a query may hold an address or a phone number. /metrics counts instead.
    config = uvicorn.Config(app, host=host, port=port, access_log=False, log_level="info")
    logging.getLogger("uvicorn.error").info("地图 · The map: http://%s:%d/map", host, port)
    uvicorn.Server(config).run()


def refuse_beyond_loopback(host: str) -> None:
    """Refuse to listen where others could reach the service.

    Raises
    ------
    InputError
        ``not_loopback``.
    """
    if host == "localhost":
        return
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InputError("not_loopback", host=host)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state: State = app.state.geo_service
    # Requests are answered meanwhile; /readyz tells when everything is loaded.
    threading.Thread(target=_warm, args=(state,), name="warm", daemon=True).start()
    closing = threading.Event()
    following = threading.Thread(target=state.follow, args=(closing,), name="follow", daemon=True)
    following.start()
    app.state.desk.open()
    yield
    closing.set()
    following.join()
    app.state.desk.close()
    state.close()


def _warm(state: State) -> None:
    uploads.prepare()
    try:
        state.warm()
    except Exception:
        log.exception("loading ahead failed; each request loads what it needs")
