"""Taking an address apart: the names a table knows, then numbers, then what nobody knows."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from geo_service.addresses.names import PLACES, Named, Names

_MASK = "\0"
_BUILDING = re.compile(r"(\d+|[a-z]\d*)号楼")
_UNIT = re.compile(r"(\d+)单元")
_ROOM = re.compile(r"\d+(?:室|房|户|层|楼)")
_NUMBER = re.compile(r"(\d+(?:-\d+)?[a-z]?)号")
_BARE_AFTER = re.compile(r"\0 ?(\d+(?:-\d+)?(?: ?[a-z](?![a-z]))?)(?![\d号米])")
_BARE_BEFORE = re.compile(r"(?<!\d)(\d+(?:-\d+)?[a-z]?) \0")
_LANE = re.compile(r"\0(?:[\d一二三四五六七八九十]+|[东西南北中])?(?:巷|弄|胡同|支路|里弄)")
_SEGMENT = re.compile("(?<=\0)[东西南北中]段")

_FILLER = re.compile(
    "请问|麻烦|帮忙|地址|位置|位于|住在|家住|我家|我们|我在|人在|就在|地点|这里|那里|的|在|住|是|从|到|去|"
    "送|来|小区|院内|院里|里面|内|里|哪里|哪儿|哪|怎么走|有人|反映|投诉|先生|女士|门牌|整栋|全部|一个|"
    "家属院|大院|楼|号|与|和|跟|及|同|交叉|向|往|靠近|临街|底商|商铺|门面|中国|谢谢|您好|你好"
)
_UNKNOWN_AREA = re.compile(r"([\u4e00-\u9fff]{1,6}?)(省|市|区|县|街道|镇|乡)")
_UNKNOWN_PLACE = re.compile(
    r"[\u4e00-\u9fff]{1,6}?(?:路|大道|大街|街|巷|胡同|弄|道)|"
    r"[\u4e00-\u9fff]{1,8}?(?:小区|花园|家园|花苑|公寓|大厦|广场|新村|新城|苑|府|院|庭|城|湾|里|居)"
)
# One or two unknown characters just before a name belong to it: 新建设路 is not 建设路.
_JUST_BEFORE = re.compile(r"(?:^|[\0 ])([\u4e00-\u9fff]{1,2})$")
_CHANGES_NAME = frozenset("东西南北中上下前后新老旧大小")


@dataclass(frozen=True, slots=True)
class Parts:
    """What an address text names.

    Parameters
    ----------
    named : list of Named
        Known names, in their order in the text.
    number, building, unit : str
        ``12-3``, ``3``, ``2``; empty where not said.
    number_owner : int
        Place in `named` of the road the number follows at once, or -1.
    strange_areas, strange_places : list of str
        What looks like an area, or a road or compound, but is not in the table.
    altered : bool
        A known road or compound stands with a word that makes it another (新建设路, 建设路三巷).
    """

    named: list[Named] = field(default_factory=list)
    number: str = ""
    building: str = ""
    unit: str = ""
    number_owner: int = -1
    strange_areas: list[str] = field(default_factory=list)
    strange_places: list[str] = field(default_factory=list)
    altered: bool = False

    def of(self, kind: str) -> list[Named]:
        """The names of one kind."""
        return [named for named in self.named if named.kind == kind]


def take_apart(text: str, names: Names, *, slips: bool = False) -> Parts:
    """Take a text in canonical spelling apart.

    Parameters
    ----------
    text : str
        From `geo_service.addresses.reading`.
    names : Names
        What the table knows.
    slips : bool
        Look for roads and compounds with one slip too.
    """
    named = names.find(text)
    if slips:
        named = _with_slips(text, named, names)
    masked = _masked(text, named)
    altered = _is_altered(masked, named)
    masked = _SEGMENT.sub("", masked)

    building, masked = _take(_BUILDING, masked)
    unit, masked = _take(_UNIT, masked)
    _, masked = _take(_ROOM, masked)
    number, masked, at = _take_number(masked)
    owner = next((k for k, n in enumerate(named) if n.kind == "road" and n.end == at), -1)
    altered = altered or _is_interrupted(masked, named, at)
    areas, places = _strange(masked)
    return Parts(named, number, building, unit, owner, areas, places, altered)


def _with_slips(text: str, exact: list[Named], names: Names) -> list[Named]:
    """Put names with one slip in place of exact ones they cover more of the text than."""
    areas = [n for n in exact if n.kind not in PLACES]
    longest = max((n.end - n.start for n in exact if n.kind in PLACES), default=0)
    slipped = [
        n
        for n in names.find_slipped(_masked(text, [n for n in areas if not n.short]))
        if n.end - n.start > longest
    ]
    if not slipped:
        return exact
    apart = [n for n in areas if all(n.end <= s.start or s.end <= n.start for s in slipped)]
    return sorted([*apart, *slipped], key=lambda n: (n.start, n.end))


def _masked(text: str, named: list[Named]) -> str:
    characters = list(text)
    for n in named:
        characters[n.start : n.end] = _MASK * (n.end - n.start)
    return "".join(characters)


def _take(pattern: re.Pattern[str], text: str) -> tuple[str, str]:
    """Cut the first match out of a text; a space stands in its place."""
    found = pattern.search(text)
    if found is None:
        return "", text
    said = found[1] if pattern.groups else found[0]
    return said, text[: found.start()] + " " + text[found.end() :]


def _take_number(text: str) -> tuple[str, str, int]:
    """Cut the house number out: with 号 after a name, with 号 anywhere, else bare beside a name."""
    found = re.search(r"\0(\d+(?:-\d+)?[a-z]?)号", text) or _NUMBER.search(text)
    found = found or _BARE_AFTER.search(text) or _BARE_BEFORE.search(text)
    if found is None:
        return "", text, -1
    said = found[1].replace(" ", "")
    rest = text[: found.start(1)] + " " + text[found.end() :].removeprefix(_MASK)
    return said, rest, found.start(1)


def _is_altered(masked: str, named: list[Named]) -> bool:
    for n in named:
        if n.kind not in PLACES:
            continue
        before = _JUST_BEFORE.search(masked[: n.start])
        if before and (before[1][-1] in _CHANGES_NAME or not _FILLER.fullmatch(before[1])):
            return True
        if n.kind == "road" and _LANE.match(masked, n.end - 1):
            return True
    return False


def _is_interrupted(masked: str, named: list[Named], number_at: int) -> bool:
    """Whether something unknown stands between a road and its number: 建设路12谷3号."""
    ends = [n.end for n in named if n.kind == "road" and n.end <= number_at]
    between = masked[max(ends) : number_at] if ends else ""
    return re.search(r"[\u4e00-\u9fff\d]", _FILLER.sub("", between)) is not None


def _strange(masked: str) -> tuple[list[str], list[str]]:
    """What looks like a name among the characters nothing else took."""
    areas: list[str] = []
    places: list[str] = []
    for piece in re.split(r"[\0 ]+", masked):
        rest = _FILLER.sub("", piece) if len(piece) < 3 else piece
        areas += [found[0] for found in _UNKNOWN_AREA.finditer(rest)]
        rest = _UNKNOWN_AREA.sub("", rest)
        places += [found[0] for found in _UNKNOWN_PLACE.finditer(rest) if len(found[0]) > 1]
    return areas, places
