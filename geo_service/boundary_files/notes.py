"""What is told about a file beside its features."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """Something found or assumed while reading, in the reader's two languages."""

    code: str
    zh: str
    en: str
