"""The names a table knows, and finding them in a text: longest first, or with one slip.

Finding is exact by a dictionary over all names, longest match from the left. A name with one slip
(a character wrong, missing, added, or two exchanged) is found by its *deletes* (Garbe's SymSpell):
two texts within one slip share a form with at most one character removed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from rapidfuzz.distance import OSA

from geo_service.addresses.sounds import sounds_alike

AREAS = ("county", "township", "community")
PLACES = ("road", "compound")
ABOVE = "above"
"""Province and city: said of every row, so they narrow nothing."""

# Two names that differ in one of these are two places: 建设路, 建设东路, 新建设路, 建设二路.
TELLING = ("东西南北中上下前后左右内外", "新老旧大小", "一二三四五六七八九十支0123456789")
_TELLING = frozenset("".join(TELLING))
_TAILS = {
    "county": ("区", "县", "市"),
    "township": ("街道", "镇", "乡"),
    "community": ("社区", "村"),
    "compound": ("住宅小区", "小区", "家属院"),
    ABOVE: ("省", "市"),
}
_SHORTEST = 2


@dataclass(frozen=True, slots=True)
class Named:
    """A known name found in a text.

    Parameters
    ----------
    kind : str
        A member of `AREAS` or `PLACES`, or `ABOVE`.
    name : int
        Its number among the names of the kind.
    start, end : int
        Where it stands.
    short : bool
        Said without its tail (魏都 for 魏都区): a hint, never a contradiction.
    slip : str
        How it differs from the name: ``""`` exactly so, ``"sound"`` typed alike, ``"order"`` two
        characters exchanged, ``"length"`` one missing or added, ``"other"`` one wrong.
    """

    kind: str
    name: int
    start: int
    end: int
    short: bool = False
    slip: str = ""


class Names:
    """All names of a table, of every kind.

    Parameters
    ----------
    known : dict
        Kind -> names in canonical spelling; a name's number is its place.
    """

    def __init__(self, known: dict[str, list[str]]) -> None:
        self._known = known
        self._full: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self._short: dict[str, list[tuple[str, int]]] = defaultdict(list)
        self._deletes: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for kind, names in known.items():
            for number, name in enumerate(names):
                if len(name) < _SHORTEST:
                    continue
                self._full[name].append((kind, number))
                for tail in _TAILS.get(kind, ()):
                    stem = name.removesuffix(tail)
                    if stem != name and len(stem) >= _SHORTEST:
                        # a compound's stem is its name; an area's is a hint
                        where = self._full if kind == "compound" else self._short
                        where[stem].append((kind, number))
                        break
                if kind in PLACES and len(name) > _SHORTEST:
                    for form in _forms(name):
                        self._deletes[form].append((kind, number))
        self._longest = max(map(len, [*self._full, *self._short]), default=0)
        self._lengths = sorted({len(name) for names in known.values() for name in names})

    def of(self, kind: str, number: int) -> str:
        """The name itself."""
        return self._known[kind][number]

    def all(self, kind: str) -> list[str]:
        """All names of a kind; a name's number is its place."""
        return self._known[kind]

    def knows(self, kind: str) -> bool:
        """Whether the table names anything of a kind."""
        return bool(self._known.get(kind))

    def find(self, text: str) -> list[Named]:
        """Find known names, longest first at each place, left to right; all owners of a name."""
        found: list[Named] = []
        at = 0
        while at < len(text):
            end = self._match(text, at, found)
            at = end if end > at else at + 1
        return found

    def _match(self, text: str, at: int, found: list[Named]) -> int:
        if not _starts_word(text, at):
            return at
        for end in range(min(len(text), at + self._longest), at + _SHORTEST - 1, -1):
            if not _ends_word(text, end):
                continue
            piece = text[at:end]
            if piece in self._full:
                found += [Named(kind, n, at, end) for kind, n in self._full[piece]]
                return end
            if piece in self._short:
                found += [Named(kind, n, at, end, short=True) for kind, n in self._short[piece]]
                return end
        return at

    def find_slipped(self, text: str) -> list[Named]:
        """Find names of places with one slip in a text, the nearest only.

        Names that differ from the text in a telling character (建设东路 for 建设路) are other
        places, not slips.
        """
        found: dict[tuple[str, int], Named] = {}
        for length in self._lengths:
            for size in {length - 1, length, length + 1}:
                if size < _SHORTEST:
                    continue
                for start in range(len(text) - size + 1):
                    self._try(text, start, start + size, found)
        order = {"order": 0, "sound": 0, "length": 1, "other": 2}
        ranked = sorted(found.values(), key=lambda n: (order[n.slip], -(n.end - n.start), n.start))
        return [named for named in ranked if order[named.slip] == order[ranked[0].slip]]

    def _try(self, text: str, start: int, end: int, found: dict[tuple[str, int], Named]) -> None:
        piece = text[start:end]
        if "\0" in piece or not (_starts_word(text, start) and _ends_word(text, end)):
            return
        for form in _forms(piece):
            for key in self._deletes.get(form, ()):
                if key in found and found[key].slip in {"sound", "order"}:
                    continue
                differs = _slip(piece, self._known[key[0]][key[1]])
                if differs:
                    found[key] = Named(key[0], key[1], start, end, slip=differs)


def _forms(name: str) -> Iterable[str]:
    return {name, *(name[:k] + name[k + 1 :] for k in range(len(name)))}


def _slip(piece: str, name: str) -> str:
    """Name the one slip between a piece of text and a name; ``""`` where it is none, or not one."""
    if OSA.distance(piece, name, score_cutoff=1) != 1:
        return ""
    if len(piece) != len(name):
        longer, shorter = (piece, name) if len(piece) > len(name) else (name, piece)
        k = next((k for k, c in enumerate(shorter) if longer[k] != c), len(shorter))
        return "" if longer[k] in _TELLING else "length"
    wrong = [k for k, (a, b) in enumerate(zip(piece, name, strict=True)) if a != b]
    if len(wrong) == 2:
        return "" if any(piece[k].isdigit() for k in wrong) else "order"
    typed, meant = piece[wrong[0]], name[wrong[0]]
    if typed in _TELLING or meant in _TELLING:
        return ""
    return "sound" if sounds_alike(typed, meant) else "other"


def _latin(character: str) -> bool:
    return character.isalpha() and character < "\u2e80"


def _starts_word(text: str, at: int) -> bool:
    return at == 0 or not (_latin(text[at - 1]) and _latin(text[at]))


def _ends_word(text: str, end: int) -> bool:
    return end == len(text) or not (_latin(text[end]) and _latin(text[end - 1]))
