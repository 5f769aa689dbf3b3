"""How often one key may ask, counted over all processes of the service together.

The generic cell rate algorithm (ITU-T I.371): one number a key, the time at which its next request
would come if they came evenly. The numbers lie in a file mapped into every process; a lock on the
eight bytes of a key keeps two processes apart.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

try:
    import fcntl as _fcntl
except ImportError:  # Windows: one process counts for itself
    fcntl: Any = None
else:
    fcntl = _fcntl

SEATS = 1 << 16
_SHARED = "GEO_SERVICE_RATES_FILE"
_BYTES = 8
_BURST_SHARE = 10
"""A tenth of a minute's requests may come at once: a map page asks for its tiles together."""


class Rates:
    """The rates of all keys.

    Parameters
    ----------
    per_minute : int
        Requests of one key.
    """

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._between = 60.0 / per_minute
        self._slack = max(1, per_minute // _BURST_SHARE) * self._between
        named = os.environ.get(_SHARED)
        self._file = os.open(named, os.O_RDWR) if named else _nameless()
        self._times = mmap.mmap(self._file, SEATS * _BYTES)

    def wait_seconds(self, seat: int) -> float:
        """Count a request; give how long it would have to wait, 0 where it may come now."""
        at = (seat % SEATS) * _BYTES
        now = time.time()
        with self._alone(at):
            [due] = struct.unpack_from("d", self._times, at)
            due = max(due, now) + self._between
            early = due - now - self._slack
            if early > 0:
                return float(early)
            struct.pack_into("d", self._times, at, due)
        return 0.0

    def close(self) -> None:
        """Let the file go."""
        self._times.close()
        os.close(self._file)

    @contextmanager
    def _alone(self, at: int) -> Iterator[None]:
        if fcntl is None or _SHARED not in os.environ:
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX, _BYTES, at)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, _BYTES, at)


def _nameless() -> int:
    with tempfile.TemporaryFile() as file:
        file.truncate(SEATS * _BYTES)
        return os.dup(file.fileno())


@contextmanager
def shared() -> Iterator[None]:
    """Let all processes started inside count together."""
    with tempfile.NamedTemporaryFile(prefix="geo-service-rates-") as file:
        file.truncate(SEATS * _BYTES)
        os.environ[_SHARED] = file.name
        try:
            yield
        finally:
            with contextlib.suppress(KeyError):
                del os.environ[_SHARED]
