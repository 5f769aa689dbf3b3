"""The service's log: what happened, by request, without anything that is nobody's business.

As JSON a line each: ``time``, ``level``, ``logger``, ``message`` and, of a request, ``request``
(its number, which the answer's ``X-Request-Id`` repeats), ``method``, ``route``, ``status``,
``ms``, ``who`` and ``from``. The route is the pattern, never the path or the query: these may hold
an address, a name or a phone number. Keys, tokens, passwords and phone numbers are struck out of
whatever else is said.
"""

from __future__ import annotations

import datetime as dt
import logging
import re
import sys
from typing import Any

import orjson

from geo_service import masking

REQUESTS = logging.getLogger("geo_service.requests")
_FIELDS = "geo_service"
_SECRETS = (
    (re.compile(r"(gsk_[0-9a-f]{8}_)[\w-]+"), r"\1***"),
    (re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*"), "***"),
    (re.compile(r"(://[^\s:/@]*:)[^\s@]+(@)"), r"\1***\2"),
    (re.compile(r"(password=)[^\s&'\"]+", re.IGNORECASE), r"\1***"),
)


def struck(text: str) -> str:
    """Strike secrets and phone numbers out of a text.

    Examples
    --------
    >>> struck("postgresql://gis:s3cret@db/city: gsk_0123abcd_XyZ-1 of 13812340000")
    'postgresql://gis:***@db/city: gsk_0123abcd_*** of 138****0000'
    """
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    return masking.mask_text(text)


class Text(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        return struck(super().format(record))


class Json(logging.Formatter):
    """A line for machines."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line."""
        told: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(
                "T", "milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": struck(record.getMessage()),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            told["trace"] = struck(self.formatException(record.exc_info))
        return orjson.dumps(told, default=str).decode()


def request(fields: dict[str, Any]) -> None:
    """Tell of one request that was answered."""
    if REQUESTS.isEnabledFor(logging.INFO):
        REQUESTS.info("request", extra={_FIELDS: fields})


def configuration(form: str) -> dict[str, Any]:
    """Give the configuration of `logging` for a form: ``json``, ``text``, or by the terminal."""
    chosen = form or ("text" if sys.stderr.isatty() else "json")
    formatters = {
        "json": {"()": "geo_service.api.logs.Json"},
        "text": {"()": "geo_service.api.logs.Text", "format": "%(levelname)s  %(message)s"},
    }
    handler = {"class": "logging.StreamHandler", "formatter": chosen, "stream": "ext://sys.stderr"}
    ours = {"handlers": ["told"], "level": "INFO", "propagate": False}
    # Text is for whoever watches a terminal: a line per request would bury what matters.
    requests = {"level": "INFO" if chosen == "json" else "WARNING"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": formatters,
        "handlers": {"told": handler},
        "loggers": {"geo_service": ours, "geo_service.requests": requests, "uvicorn": ours},
    }
