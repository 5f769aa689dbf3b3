"""Running the service: one process or several, its listening address, its end.

Several processes share nothing but the store, the file that rates are counted in and the folder of
the metrics; the one that started them puts a new one in the place of any that dies.
"""

from __future__ import annotations

import ctypes
import dataclasses
import logging.config
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from fastapi import FastAPI

from geo_service import settings as all_settings
from geo_service.api import connections, logs, rates
from geo_service.errors import InputError
from geo_service.settings import Settings

LONGEST_HEADERS_BYTES = 64 * 1024
MOST_CONNECTIONS = 1000
"""Of one process; whoever comes after that is told 503 instead of waiting unseen."""
MOST_ARENAS = 2
"""Pools of memory of one process."""

_M_ARENA_MAX = -8  # glibc's malloc.h


def application() -> FastAPI:
    """Give the application of the settings: what each process of several loads."""
    from geo_service.api import create_app

    _share_arenas()
    settings = all_settings.read()
    return create_app(settings.store, streets=settings.streets or None, settings=settings)


def serve(settings: Settings) -> None:
    """Serve until told to stop.

    Parameters
    ----------
    settings : Settings
        What, where and how.

    Raises
    ------
    InputError
        ``not_loopback`` where others could reach a service without keys; others of `create_app`.
    """
    import uvicorn

    _refuse_open_doors(settings)
    logging.config.dictConfig(logs.configuration(settings.log))
    scheme = "https" if settings.tls_certificate else "http"
    where = f"{scheme}://{settings.host}:{settings.port}/map"
    logging.getLogger("geo_service.api").info("地图 · The map: %s", where)
    with _environment(settings), _several(settings.workers):
        config = uvicorn.Config(
            "geo_service.api.serving:application",
            factory=True,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            # No access log: a query may hold an address or a phone number. `logs` tells instead.
            access_log=False,
            log_config=logs.configuration(settings.log),
            server_header=False,
            http=connections.Connection,
            ws="none",
            forwarded_allow_ips=settings.proxies,
            ssl_certfile=settings.tls_certificate or None,
            ssl_keyfile=settings.tls_key or None,
            timeout_graceful_shutdown=settings.stop_seconds,
            limit_concurrency=MOST_CONNECTIONS,
            h11_max_incomplete_event_size=LONGEST_HEADERS_BYTES,
            timeout_worker_healthcheck=30,  # a busy process is not a dead one
        )
        if settings.workers == 1:
            config.app = application()  # refused here, not in a log
            config.factory = False
            uvicorn.Server(config).run()
            return
        from uvicorn.supervisors import Multiprocess

        Multiprocess(config, sockets=[config.bind_socket()]).run()


def _share_arenas() -> None:
    """Let all threads allocate from two pools.

    By default glibc gives each thread one of its own, eight for each core: what a publication
    frees in one is of no use to the next, and a process grows for hours. Other C libraries know
    no such setting.
    """
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, MOST_ARENAS)


def _refuse_open_doors(settings: Settings) -> None:
    from geo_service.store import open_store

    with open_store(settings.store) as store:
        locked = any(key.state == "valid" for key in store.api_keys())
    if not (locked or settings.oidc_issuer or all_settings.is_loopback(settings.host)):
        raise InputError("not_loopback", host=settings.host)


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """Let processes that are started find the settings; options went before variables."""
    before = dict(os.environ)
    for one in dataclasses.fields(settings):
        value: Any = getattr(settings, one.name)
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        os.environ[all_settings.variable(one.name)] = text
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _several(workers: int) -> Iterator[None]:
    """Let processes count requests and rates together."""
    if workers == 1:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="geo-service-metrics-") as folder, rates.shared():
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield
