"""Long work: a limited queue, progress in percent and words, cancelling, results that stay.

Work runs on any ``concurrent.futures.Executor``: `ProcessSeats` on this machine, a thread pool in a
test, ``dask.distributed.Client().get_executor()`` on a cluster that shares the folder of records.
"""

from __future__ import annotations

from geo_service.jobs.queue import Queue
from geo_service.jobs.records import FINISHED, Job, Records
from geo_service.jobs.running import Context, Dismissed, Result, run
from geo_service.jobs.seats import ProcessSeats

__all__ = [
    "FINISHED",
    "Context",
    "Dismissed",
    "Job",
    "ProcessSeats",
    "Queue",
    "Records",
    "Result",
    "run",
]
