"""What is told beside a result: something found, assumed, done or left out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """A remark in the reader's two languages.

    Parameters
    ----------
    code : str
        Stable name of the remark.
    zh, en : str
        The sentence.
    """

    code: str
    zh: str
    en: str
