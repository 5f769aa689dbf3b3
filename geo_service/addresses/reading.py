"""What an address text says once spelling habits are taken away.

One canonical spelling serves the table and the questions: NFKC widths, simplified characters,
Arabic numbers before 号, 单元 and the like, ``N号楼`` for every way to write a building (栋, 幢,
座, #), ``街道`` and ``社区`` for their offices. A question is further stripped of phone numbers,
and its words of nearness (附近, 对面) are taken off and remembered as metres. Text that was damaged
on its way (mojibake, ``?`` inside words) is told apart: it must never be guessed at.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

_DIGITS = {c: v for v, chars in enumerate(("零〇", "一壹", "二贰两", "三叁", "四肆", "五伍",
           "六陆", "七柒", "八捌", "九玖")) for c in chars}  # fmt: skip
_UNITS = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_NUMERAL = "".join([*_DIGITS, *_UNITS])

# A Chinese number is read as one only where a counter follows: 五一路 keeps its name.
_COUNTED = re.compile(f"[{_NUMERAL}]+(?=号|栋|幢|座|单元|室|层|楼|#)")
_BUILDING = re.compile(r"(\d+|(?<![a-z])[a-z]\d*)(?:号楼|栋楼?|幢楼?|座|#楼?|号栋|号幢)")
_DASH = re.compile(r"(?<=\d)[‐-―−~_ー之](?=\d)")
_SUB_NUMBER = re.compile(r"(\d+)号?[之-](\d+)号?(?![\d号栋幢座单室层楼#])")
_APART = re.compile(r"(?<=\d) (?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff]) (?=\d)")
_OFFICES = (
    (re.compile("社区(?:居民委员会|居委会|服务中心)|(?<!社区)(?:居民委员会|居委会)"), "社区"),
    (re.compile("村(?:村民委员会|民委员会|委会)"), "村"),
    (re.compile("街道办事处|街道办"), "街道"),
)
_YARD = re.compile(r"(?<=\d)号(?:大院|院)(?!子)")
_BETWEEN = re.compile(r"[^\S\n]+|[,，。、;；:：!！()（）\[\]【】{}《》<>“”\"'’‘·|/\\&*]+")

_PHONE = re.compile(r"(?<!\d)(?:\+?86)?1[3-9]\d{9}(?!\d)|(?<!\d)0\d{2,3}[- ]\d{7,8}(?!\d)")
_PHONE_WORD = re.compile("(?:联系)?(?:电话|手机|手机号|热线)(?:号码|号)?(?:是|为)?")
_POSTCODE = re.compile(r"(?:邮编|邮政编码)\s*\d{6}|(?<!\d)\d{6}(?!\d|号|-)")

NEARNESS_M = {
    "斜对面": 60.0, "对面": 50.0, "对过": 50.0, "马路对面": 60.0, "附近": 150.0, "周边": 200.0,
    "周围": 150.0, "旁边": 50.0, "旁": 50.0, "隔壁": 40.0, "边上": 50.0, "门口": 20.0,
    "门前": 20.0, "楼下": 20.0, "后面": 60.0, "前面": 60.0, "东侧": 60.0, "西侧": 60.0,
    "南侧": 60.0, "北侧": 60.0, "东边": 60.0, "西边": 60.0, "南边": 60.0, "北边": 60.0,
    "一带": 200.0, "那边": 100.0, "这边": 100.0,
}  # fmt: skip
"""How far, metres, a word of nearness may lead away from the place it is said of (our estimate)."""

_NEARNESS = re.compile("|".join(sorted(NEARNESS_M, key=len, reverse=True)))
_CROSSING = re.compile("(?:十字|丁字)?(?:交叉口|路口|交汇处|交汇口|交界处|交口)")

_BROKEN = re.compile("[\ufffd\ue000-\uf8ff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|锟斤拷|烫烫|屯屯")
_ASKED = re.compile(r"[?？]+\s*$")
_LATIN_1 = re.compile("[\u00a1-\u00ff]")
_RARE_LIMIT = 0.34


@dataclass(frozen=True, slots=True)
class Question:
    """An address as it was asked.

    Parameters
    ----------
    text : str
        In canonical spelling; parts that were written apart stand apart by one space.
    nearness_m : float
        Metres the words of nearness may lead away; 0 without any.
    nearness : str
        The first such word.
    crossing : bool
        Whether a crossing of two roads is asked for.
    """

    text: str
    nearness_m: float
    nearness: str
    crossing: bool


def question(text: str) -> Question | None:
    """Read a question; ``None`` where the text is damaged or says nothing.

    Examples
    --------
    >>> question("建设路十二号（锦绣家园）三栋　附近，电话13800001234")
    Question(text='建设路12号 锦绣家园 3号楼', nearness_m=150.0, nearness='附近', crossing=False)
    >>> question("?毕宄强h") is None
    True
    """
    if is_damaged(text):
        return None
    plain = _PHONE_WORD.sub(" ", _PHONE.sub(" ", unicodedata.normalize("NFKC", text)))
    plain = canonical(_POSTCODE.sub(" ", plain))
    crossing = _CROSSING.search(plain) is not None
    plain = _CROSSING.sub(" ", plain)
    words = _NEARNESS.findall(plain)
    plain = _BETWEEN.sub(" ", _NEARNESS.sub(" ", plain)).strip()
    if not plain:
        return None
    nearness_m = max((NEARNESS_M[word] for word in words), default=0.0)
    return Question(plain, nearness_m, words[0] if words else "", crossing)


def canonical(text: str) -> str:
    """Bring a text to the one spelling that table and questions share.

    Examples
    --------
    >>> canonical("建設路１２號之３"), canonical("锦绣家园Ａ座"), canonical("文峰社区居委会")
    ('建设路12-3号', '锦绣家园a号楼', '文峰社区')
    >>> canonical("五一路二十一号院3#楼")
    '五一路21号3号楼'
    """
    plain = unicodedata.normalize("NFKC", text).casefold().translate(_simplified())
    plain = _APART.sub("", _BETWEEN.sub(" ", _DASH.sub("-", plain)))
    plain = _COUNTED.sub(lambda found: str(_number(found[0])), plain)
    plain = _SUB_NUMBER.sub(r"\1-\2号", plain)
    plain = _BUILDING.sub(r"\1号楼", plain)
    for spelling, office in _OFFICES:
        plain = spelling.sub(office, plain)
    plain = _YARD.sub("号", plain)
    return plain.strip(" ")


def unspaced(text: str) -> str:
    """Bring a text to one width and case, without the spaces in it."""
    return unicodedata.normalize("NFKC", text).casefold().replace(" ", "")


def is_damaged(text: str) -> bool:
    """Tell whether a text lost its characters on the way.

    Replacement and control characters, ``?`` inside words, UTF-8 read as Latin-1 or as GBK (rare
    characters pile up): any of them. What is left may look like an address, and would be a guess.

    Examples
    --------
    >>> is_damaged("?毕宄强h"), is_damaged("璁告槍甯傚缓璁捐矾"), is_damaged("建设路12号在哪？")
    (True, True, False)
    """
    if not text.strip() or _BROKEN.search(text):
        return True
    asked = _ASKED.sub("", text)
    if "?" in asked or "？" in asked:
        return True
    chinese = [c for c in asked if "\u4e00" <= c <= "\u9fff"]
    if not chinese:
        letters = [c for c in asked if c.isalpha()]
        return len(_LATIN_1.findall(asked)) > 0.5 * max(len(letters), 1)
    rare = sum(not _everyday(c) for c in chinese)
    return rare >= 2 and rare > _RARE_LIMIT * len(chinese)


def _everyday(character: str) -> bool:
    """Whether it is among the 3,755 characters of GB 2312's first level, once simplified."""
    try:
        lead = character.translate(_simplified()).encode("gb2312")[0]
    except UnicodeEncodeError:
        return False
    return 0xB0 <= lead <= 0xD7


def _number(numeral: str) -> int:
    """Read a Chinese number, positional (一二三) or with units (一百二十三)."""
    if not any(c in _UNITS for c in numeral):
        return int("".join(str(_DIGITS[c]) for c in numeral))
    total, digit = 0, 0
    for c in numeral:
        if c in _DIGITS:
            digit = _DIGITS[c]
            continue
        total += max(digit, 1) * _UNITS[c]
        digit = 0
    return total + digit


@lru_cache(maxsize=1)
def _simplified() -> dict[int, str]:
    """Traditional -> simplified characters, of those that stand in addresses."""
    file = resources.files("geo_service") / "defaults" / "traditional.csv"
    rows = file.read_text(encoding="utf-8").splitlines()[1:]
    return {ord(traditional): simple for traditional, simple in (row.split(",") for row in rows)}
