"""A pool of processes in which one can be ended without the others."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import Any

_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class ProcessSeats(Executor):
    """Some seats, each a process of its own that is kept warm between jobs.

    A ``ProcessPoolExecutor`` loses all its work when one process dies; here a seat is a pool of
    one, and a dead one is replaced.

    Parameters
    ----------
    count : int
        How many seats.
    """

    def __init__(self, count: int = 2) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="seat")
        self._pools: set[ProcessPoolExecutor] = set()
        self._own = threading.local()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a function in the next free seat."""
        return self._threads.submit(self._sit, fn, args, kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the seats go; those at work finish first if `wait`, and are ended if not."""
        if not wait:
            for pool in list(self._pools):
                for process in list((getattr(pool, "_processes", None) or {}).values()):
                    process.terminate()
        self._threads.shutdown(wait=True, cancel_futures=cancel_futures)
        for pool in list(self._pools):
            pool.shutdown(wait=True)

    def _sit(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        pool: ProcessPoolExecutor | None = getattr(self._own, "pool", None)
        if pool is None:
            context: Any = multiprocessing.get_context(_METHOD)
            pool = ProcessPoolExecutor(1, mp_context=context, initializer=_end_with_parent)
            self._own.pool = pool
            self._pools.add(pool)
        try:
            return pool.submit(fn, *args, **kwargs).result()
        except BrokenProcessPool:
            self._own.pool = None
            self._pools.discard(pool)
            pool.shutdown(wait=False)
            raise


def _end_with_parent() -> None:
    """End this process when the one that asked for it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
