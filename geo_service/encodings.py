"""Telling the text encoding of a file that does not say it: UTF-8, GB18030, Big5, Windows-1252.

GB18030 and Big5 accept most of each other's bytes, so decoding without error decides little. Both
charsets were laid out by use: the first level holds the characters people write, the rest is rare.
Read in the wrong one, common characters land in the rare part. So each reading that decodes is
scored by how everyday its characters are, and the better one wins.
"""

from __future__ import annotations

import codecs
from collections import Counter
from typing import NamedTuple

from geo_service.errors import InputError

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
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Encoding(NamedTuple):
    """An encoding, by Python's name of it, and the reason it was chosen."""

    name: str
    why: str


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
    >>> detect("Köln".encode("cp1252"))
    Encoding(name='cp1252', why='not UTF-8, and no reading gives everyday Chinese')
    """
    if data.startswith(codecs.BOM_UTF8):
        return Encoding("utf-8-sig", "byte order mark")
    if data.startswith(_UTF16_MARKS):
        return Encoding("utf-16", "byte order mark")
    if data.isascii():
        return Encoding("utf-8", "plain ASCII")
    utf8, gb18030 = _reading(data, "utf-8"), _reading(data, "gb18030")
    by_chance = utf8.everyday == 0.0 and gb18030.everyday >= _BEYOND_CHANCE
    if utf8.damage <= _MOST_DAMAGE and not by_chance:
        return Encoding("utf-8", "valid UTF-8")
    chinese = (gb18030, _big5_reading(data))
    best = max(chinese, key=lambda reading: reading.everyday)  # a tie stays with GB18030
    if best.everyday >= _LEAST_EVERYDAY and best.damage <= _MOST_DAMAGE:
        return Encoding(best.name, f"not UTF-8; {best.everyday:.0%} everyday characters this way")
    if b"\0" not in data and not _reading(data, "cp1252").damage:
        return Encoding("cp1252", "not UTF-8, and no reading gives everyday Chinese")
    raise InputError("encoding_unreadable", file=file, tried="UTF-8, GB18030, Big5, Windows-1252")


class _Reading(NamedTuple):
    name: str
    damage: float  # share of the non-ASCII characters that did not decode
    everyday: float  # mean worth of the others: 1 everyday, 0.5 first level, 0 anything else


def _big5_reading(data: bytes) -> _Reading:
    """Read in the plainest charset of the Big5 family that does least damage."""
    return min((_reading(data, name) for name in _BIG5), key=lambda reading: reading.damage)


def _reading(data: bytes, name: str) -> _Reading:
    text = codecs.getincrementaldecoder(name)("replace").decode(data)
    every = Counter(text)  # counted in C; what follows sees each distinct character once
    counts = Counter({c: n for c, n in every.items() if not c.isascii() and not _is_full_width(c)})
    total = counts.total()
    if not total:
        return _Reading(name, 0.0, 0.0)
    charset = "gb18030" if name == "gb18030" else "big5"
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
