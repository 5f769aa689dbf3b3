"""One connection, and how long its client may take over what it sends and reads.

The server library bounds how large a request's head may be, not how long it may take: some hundred
clients that send a byte now and then would hold every connection there is. A body that comes too
slowly is the guard's to refuse, where it can be answered in words.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from geo_service.api import errors
from geo_service.errors import InputError

HEAD_SECONDS = 20.0
"""From the first byte of a request, or from the connection's beginning, to the end of its head."""
LINGER_SECONDS = 1.0
"""After the last word, so that a client that is still sending reads it before the link is cut."""
UNREAD_SECONDS = 60.0
"""How long a client may leave an answer unread; streams of events wait in between, unhurt."""


class Connection(H11Protocol):
    """HTTP/1.1 over one connection, each of its pauses bounded."""

    _head_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None
    _heard = False
    _over = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._end(self._head_timer, self._unread_timer)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; what is not yet a whole head is waited for."""
        if self._over:
            return
        self._heard = True
        super().data_received(data)
        # Also where a request was answered before its body came: what still comes is bounded too.
        if self.cycle is None or self.cycle.response_complete:
            self._wait_for_head()
        else:
            self._end(self._head_timer)
            self._head_timer = None

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._end(self._unread_timer)
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting for it."""
        self._end(self._unread_timer)
        super().resume_writing()

    def _wait_for_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        """Tell a client that it was too slow, if it said anything at all, and hang up."""
        if self.transport.is_closing():
            return
        if self._heard and self.conn.our_state is h11.IDLE:
            self._tell(InputError("head_too_slow", seconds=f"{HEAD_SECONDS:g}"))
        self._over = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._head_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _tell(self, error: InputError) -> None:
        scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}
        answer = errors.problem(Request(scope), error)
        status = answer.status_code
        headers = [*answer.raw_headers, (b"connection", b"close")]
        told: list[h11.Event] = [
            h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status]),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ]
        self.transport.write(b"".join(self.conn.send(event) or b"" for event in told))

    @staticmethod
    def _end(*timers: asyncio.TimerHandle | None) -> None:
        for timer in timers:
            if timer is not None:
                timer.cancel()
