"""Telling the text encoding of a file that does not say it: UTF-8, GB18030, Big5, Windows-1252.

GB18030 and Big5 accept most of each other's bytes, so decoding without error decides little. Both
charsets were laid out by use: the first level holds the characters people write, the rest is rare.
Read in the wrong one, common characters land in the rare part. So each reading that decodes is
scored by how everyday its characters are, and the better one wins.
"""

from __future__ import annotations

import codecs
import re
from collections import Counter
from functools import lru_cache
from typing import NamedTuple

from geo_service.errors import InputError, Phrase

# What stands in boundary files and registers of both scripts: numbers, places, roads, titles,
# surnames. A reading that hits these is worth more than one that hits any first-level character.
_EVERYDAY = frozenset(
    "一二三四五六七八九十百千万第号省市县区镇乡村街道社居委会办事处网格微组段里弄巷路大小东南西北"
    "中上下前后左右内外新老旧高低长平安和合兴福德明光华庄寨坡岗湾河湖海江沟渠桥井泉池林园花果树木"
    "山石土田地水火金银铁公司厂店铺场站院校学医所局队部门楼栋幢单元层室户人口年月日时分名称代码编"
    "类型面积备注电话联系负责员长职务专兼义城关文化政府民主党国家工农业商市场用途状态正常普通综合"
    "张王李赵刘陈杨黄吴周徐孙马朱胡郭何林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘于蒋蔡余杜叶程苏魏"
    "号縣區鎮鄉鄰號網格組東萬華國莊橋灣溝樹園廠鋪場醫樓棟層戶口時門稱碼編類積備註電話聯繫責員長專"
    "義關業商態陳楊黃吳劉趙孫馬許韓馮鄧蕭蔣葉蘇鄭謝羅臺灣里村路街段巷弄大安中正信義仁愛和平"
    "的了在是有不为与及或等其他無为於"
)
_LEVEL_1 = {"gb18030": (0xB0, 0xD7), "big5": (0xA4, 0xC6)}  # lead bytes of the first level
_CJK = (0x2E80, 0x9FFF)
_FULL_WIDTH = (0xFF00, 0xFFEF)
_BIG5 = ("big5", "cp950", "big5hkscs")  # plain, Microsoft's, Hong Kong's (also Taiwan's rare names)
_LEAST_EVERYDAY = 0.35  # below this worth a text is not Chinese
_BEYOND_CHANCE = 0.75  # a short GBK text may be valid UTF-8 by chance ("一" reads as "һ")
_MOST_DAMAGE = 0.02  # a DBF cuts texts inside a character, so a few may be broken
_SURELY_CHINESE = 0.7  # above this worth a text that had another reading is Chinese after all
_WRONG_READINGS = (  # the encoding a text was once wrongly read in, and the one it really was in
    ("latin1", "utf-8"),
    ("cp1252", "utf-8"),
    ("gb18030", "utf-8"),
    ("latin1", "gb18030"),
    ("cp1252", "gb18030"),
)
_LOST = re.compile("\ufffd|锟斤|烫烫烫|屯屯屯")  # what damaged bytes are shown as
_ASCII_BYTES = bytes(range(128))
_NEVER_BY_CHANCE = 300  # bytes beyond ASCII: as many of GBK are never all valid UTF-8
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Encoding(NamedTuple):
    """An encoding, by Python's name of it, and the reason it was chosen."""

    name: str
    why: Phrase


def detect_encoding(data: bytes, *, file: str = "") -> str:
    """Tell the encoding of a text.

    Parameters
    ----------
    data : bytes
        The text, or its beginning: a character cut at the end does no harm. Of a DBF give the
        records, not the header, whose unused bytes are noise.
    file : str
        The file's name, for the refusal.

    Returns
    -------
    str
        ``utf-8``, ``utf-8-sig``, ``utf-16``, ``gb18030``, ``big5``, ``cp950``, ``big5hkscs`` or
        ``cp1252``.

    Raises
    ------
    InputError
        ``encoding_unreadable``.

    Examples
    --------
    >>> detect_encoding("网格编码,网格名称".encode("gbk"))
    'gb18030'
    >>> detect_encoding("臺南市新營區".encode("big5"))
    'big5'
    """
    return detect(data, file=file).name


def detect(data: bytes, *, file: str = "") -> Encoding:
    """Tell the encoding of a text and why; see `detect_encoding`.

    Examples
    --------
    >>> found = detect("Köln".encode("cp1252"))
    >>> found.name, found.why.en
    ('cp1252', 'not UTF-8, and no reading gives everyday Chinese')
    """
    if data.startswith(codecs.BOM_UTF8):
        return Encoding("utf-8-sig", _MARKED)
    if data.startswith(_UTF16_MARKS):
        return Encoding("utf-16", _MARKED)
    if data.isascii():
        return Encoding("utf-8", _ASCII)
    if _is_long_utf8(data):
        return Encoding("utf-8", _VALID)
    utf8, gb18030 = _reading(data, "utf-8"), _reading(data, "gb18030")
    by_chance = utf8.everyday == 0.0 and gb18030.everyday >= _BEYOND_CHANCE
    if utf8.damage <= _MOST_DAMAGE and not by_chance:
        return Encoding("utf-8", _VALID)
    chinese = (gb18030, _big5_reading(data))
    best = max(chinese, key=lambda reading: reading.everyday)  # a tie stays with GB18030
    if best.everyday >= _LEAST_EVERYDAY and best.damage <= _MOST_DAMAGE:
        return Encoding(best.name, _by_content(best.everyday))
    if b"\0" not in data and not _reading(data, "cp1252").damage:
        return Encoding("cp1252", _WESTERN)
    raise InputError("encoding_unreadable", file=file, tried="UTF-8, GB18030, Big5, Windows-1252")


def _is_long_utf8(data: bytes) -> bool:
    """Whether a text is UTF-8 beyond chance, told at once: weighing each character takes longer."""
    if len(data.translate(None, _ASCII_BYTES)) < _NEVER_BY_CHANCE:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def fits(data: bytes, name: str) -> bool:
    """Tell whether a text may be in an encoding: it decodes, and no other reading is Chinese.

    Parameters
    ----------
    data : bytes
        The text; characters cut at the end of a value do no harm.
    name : str
        An encoding that Python knows.
    """
    if data.isascii():
        return True
    mine = _reading(data, name)
    if mine.damage > _MOST_DAMAGE:
        return False
    utf8 = _reading(data, "utf-8")
    if name in {"utf-8", "utf-8-sig"}:
        return True
    readings = [_reading(data, "gb18030"), _big5_reading(data)]
    if not utf8.damage and utf8.everyday > 0.0:
        readings.append(utf8)  # valid UTF-8 that is Chinese is no accident
    best = max(readings, key=lambda reading: reading.everyday)
    if best.name == name or (name in _BIG5 and best.name in _BIG5):
        return True
    return best.everyday < _SURELY_CHINESE or mine.everyday > best.everyday - _NEAR


def decodes(data: bytes, name: str) -> bool:
    """Tell whether a text decodes in an encoding, but for a character cut here and there."""
    return _reading(data, name).damage <= _MOST_DAMAGE


def family(name: str) -> tuple[str, ...]:
    """An encoding and the larger ones that are called by its name, the plainest first.

    Examples
    --------
    >>> family("big5"), family("utf-8")
    (('big5', 'cp950', 'big5hkscs'), ('utf-8',))
    """
    return _BIG5 if name in _BIG5 else (name,)


def is_lost(text: str) -> bool:
    """Tell whether a text was damaged beyond repair before it came here.

    Examples
    --------
    >>> is_lost("锟斤拷锟斤拷"), is_lost("????"), is_lost("第一网格"), is_lost("what?")
    (True, True, False, False)
    """
    return bool(_LOST.search(text)) or (text[:1] == "?" and len(text) > 1 and not text.strip("? "))


def undone(text: str) -> str | None:
    r"""Read a text rightly that was once read in a wrong encoding; ``None`` where it was not.

    The wrong reading is undone byte by byte, and believed only where every byte of it makes sense:
    UTF-8 read as Latin-1, Windows-1252 or GBK, GBK read as Latin-1 or Windows-1252.

    Examples
    --------
    >>> undone("ç¬¬ä¸\x80ç½\x91æ\xa0¼"), undone("缃戞牸缂栫爜"), undone("Íø¸ñ±àÂë")
    ('第一网格', '网格编码', '网格编码')
    >>> undone("第一网格"), undone("Köln")
    (None, None)
    """
    if not _suspects().search(text):  # of 50,000 texts nearly all leave here
        return None
    for wrong, right in _WRONG_READINGS:
        try:
            told = text.encode(wrong).decode(right)
        except UnicodeError:
            continue
        if told != text and _makes_sense(told, wrong, right):
            return told
    return None


def may_be_garbled(texts: str) -> bool:
    r"""Tell whether any of many texts, put together, may be `is_lost` or can be `undone`.

    Examples
    --------
    >>> may_be_garbled("第一网格\n第二网格"), may_be_garbled("第一网格\n????")
    (False, True)
    """
    if "?" in texts:
        return True
    return not texts.isascii() and bool(_LOST.search(texts) or _suspects().search(texts))


@lru_cache(maxsize=1)
def _suspects() -> re.Pattern[str]:
    """Characters of which a text holds one if it was wrongly read.

    Beyond ASCII, Latin-1 has few; in GBK they are the pairs of bytes that a common character of
    UTF-8 begins with.
    """
    pairs = (bytes((lead, trail)) for lead in range(0xE3, 0xEA) for trail in range(0x80, 0xC0))
    return re.compile(f"[\x80-\xff{''.join(pair.decode('gb18030') for pair in pairs)}]")


def _makes_sense(told: str, wrong: str, right: str) -> bool:
    reading = _weighed(told, right)
    if right == "gb18030":  # which accepts nearly any two bytes
        return reading.everyday >= _SURELY_CHINESE
    if wrong == "gb18030":  # a common character may be valid UTF-8 by chance, three bytes never
        return reading.everyday > 0.0
    return True  # bytes that happen to be UTF-8 are UTF-8


_NEAR = 0.2  # two readings whose worths are nearer than this can't be told apart
_MARKED = Phrase("有字节序标记（BOM）", "byte order mark")
_ASCII = Phrase("只有英文和数字", "plain ASCII")
_VALID = Phrase("内容是合法的 UTF-8", "valid UTF-8")
_WESTERN = Phrase(
    "不是 UTF-8，按中文编码读也不成文", "not UTF-8, and no reading gives everyday Chinese"
)


def _by_content(everyday: float) -> Phrase:
    return Phrase(
        f"不是 UTF-8；这样读常用字最多（{everyday:.0%}）",
        f"not UTF-8; {everyday:.0%} everyday characters this way",
    )


class _Reading(NamedTuple):
    name: str
    damage: float  # share of the non-ASCII characters that did not decode
    everyday: float  # mean worth of the others: 1 everyday, 0.5 first level, 0 anything else


def _big5_reading(data: bytes) -> _Reading:
    """Read in the plainest charset of the Big5 family that does least damage."""
    return min((_reading(data, name) for name in _BIG5), key=lambda reading: reading.damage)


def _reading(data: bytes, name: str) -> _Reading:
    return _weighed(codecs.getincrementaldecoder(name)("replace").decode(data), name)


def _weighed(text: str, name: str) -> _Reading:
    every = Counter(text)  # counted in C; what follows sees each distinct character once
    counts = Counter({c: n for c, n in every.items() if not c.isascii() and not _is_full_width(c)})
    total = counts.total()
    if not total:
        return _Reading(name, 0.0, 0.0)
    charset = "big5" if name in _BIG5 else "gb18030"
    worth = sum(_worth(character, charset) * times for character, times in counts.items())
    return _Reading(name, counts["\ufffd"] / total, worth / total)


def _worth(character: str, charset: str) -> float:
    if character in _EVERYDAY:
        return 1.0
    if not _CJK[0] <= ord(character) <= _CJK[1]:
        return 0.0
    first, last = _LEVEL_1[charset]
    encoded = character.encode(charset, "ignore")
    return 0.5 if len(encoded) == 2 and first <= encoded[0] <= last else 0.0


def _is_full_width(character: str) -> bool:
    return _FULL_WIDTH[0] <= ord(character) <= _FULL_WIDTH[1]
