"""Which characters are typed alike: a slip of an input method can so be told from another name."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources


@lru_cache(maxsize=1)
def syllables() -> dict[str, str]:
    """Character -> syllable, of GB 2312's first level, which is laid out in order of sound."""
    file = resources.files("geo_service") / "defaults" / "syllables.csv"
    rows = [row.split(",") for row in file.read_text(encoding="utf-8").splitlines()[1:]]
    starts = sorted((int(code, 16), syllable) for syllable, code in rows)
    sounds: dict[str, str] = {}
    at = -1
    for lead in range(0xB0, 0xD8):
        for trail in range(0xA1, 0xFF):
            code = lead << 8 | trail
            while at + 1 < len(starts) and starts[at + 1][0] <= code:
                at += 1
            try:
                character = bytes((lead, trail)).decode("gb2312")
            except UnicodeDecodeError:
                continue
            sounds[character] = starts[at][1]
    return sounds


_ALIKE = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("ang", "an"), ("eng", "en"), ("ing", "in"),
          ("l", "n"), ("f", "h"))  # fmt: skip


def sounds_alike(one: str, other: str) -> bool:
    """Tell whether two characters are typed alike: same syllable, or one that dialects merge.

    Examples
    --------
    >>> sounds_alike("设", "社"), sounds_alike("锦", "景"), sounds_alike("谐", "平")
    (True, True, False)
    """
    table = syllables()
    left, right = table.get(one), table.get(other)
    return left is not None and right is not None and _merged(left) == _merged(right)


def _merged(syllable: str) -> str:
    for full, short in _ALIKE:
        if syllable.startswith(full):
            syllable = short + syllable[len(full) :]
        elif full[0] in "aei" and syllable.endswith(full):
            syllable = syllable[: -len(full)] + short
    return syllable
