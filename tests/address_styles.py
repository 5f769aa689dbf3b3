"""A made-up address table, and questions about it in the styles people write, with the truth.

Seeded: the same seed gives the same table and the same questions. Stems of roads and compounds are
drawn apart for known and for unknown places, so "not in the table" never comes true by accident.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

COUNTIES = ("魏都区", "建安区", "鄢陵县", "襄城县", "禹州市", "长葛市")
_FIRST = "建解劳文学育健康清湖莲荷桃梅兰竹松柏银金瑞祥永恒光明兴盛宏伟天宝华翠碧景秀春夏秋颍许"
_SECOND = "设放动化府苑园林泉源港津桥亭台阁轩庭岭峰坡川溪潭湾洲洋涛波澜滨岸堤桐榆槐柳杉枫樱桂"
_COMPOUND = ("锦绣", "阳光", "万和", "御景", "书香", "龙湖", "绿都", "亚星", "空港", "恒达", "空间",
             "碧桂", "名门", "帝豪", "瑞贝", "天瑞", "祥瑞", "颐和", "中央", "凤凰")  # fmt: skip
_COMPOUND_TAIL = ("家园", "花园", "名邸", "华府", "新城", "小区", "公馆", "国际城")
_SUFFIX = ("路", "路", "路", "街", "大道", "巷")
_DIGITS = "零一二三四五六七八九"


@dataclass(frozen=True)
class Asked:
    """A question, its style, and what is true: a status, and a place where it is ``found``."""

    style: str
    text: str
    status: str
    lon: float = float("nan")
    lat: float = float("nan")


def table(rows: int, seed: int) -> pd.DataFrame:
    """Make a table: 6 counties, townships 4 km apart, roads within one or two of them."""
    random = np.random.default_rng(seed)
    townships = max(6, rows // 900)
    stems = [a + b for a in _FIRST for b in _SECOND]
    if townships * 11 > len(stems) // 2:  # a large table: names of three characters too
        stems += [a + b + c for a in _FIRST[:20] for b in _SECOND for c in _SECOND[:10] if b != c]
    random.shuffle(stems)
    known = stems[: len(stems) * 2 // 3]
    roads = [stem + _SUFFIX[k % len(_SUFFIX)] for k, stem in enumerate(known)]
    compounds = [a + b for a in _COMPOUND for b in _COMPOUND_TAIL]
    if townships * 3 > len(compounds):
        compounds = [a + c + b for a in _COMPOUND for b in _COMPOUND_TAIL for c in _SECOND[:24]]
    random.shuffle(compounds)
    parts: list[dict[str, Any]] = []
    next_road, next_compound = 0, 0
    shared = roads[-8:]
    for k in range(townships):
        west, south = 4000.0 * (k % 12), 4000.0 * (k // 12)
        county = COUNTIES[k % len(COUNTIES)]
        township = f"{stems[k]}街道" if k % 3 else f"{stems[k]}镇"
        here = [shared[int(random.integers(8))]]
        while len(here) < 12:
            here.append(roads[next_road % (len(roads) - 8)])
            next_road += 1
        for line, road in enumerate(here):
            community = f"{stems[-1 - (k * 4 + line // 3) % 400]}社区"
            count = int(rows / townships / 12)
            north = south + 250.0 * line
            numbers = sorted(random.choice(np.arange(1, 3 * count), count, replace=False).tolist())
            base = {"county": county, "township": township, "community": community, "road": road}
            for n in numbers:
                side = 12.0 if n % 2 else -12.0
                parts.append({**base, "number": f"{n}号", "compound": "", "building": "",
                              "x": west + 9.0 * n, "y": north + side})  # fmt: skip
            if line % 4 == 0:
                name = compounds[next_compound % len(compounds)]
                next_compound += 1
                n = numbers[-1] + 2
                at = {**base, "number": f"{n}号", "compound": name}
                parts += [
                    {**at, "building": f"{b}号楼", "x": west + 9.0 * n + 60.0 * (b % 4),
                     "y": north + 60.0 * (1 + b // 4)}
                    for b in range(1, 9)
                ]  # fmt: skip
    frame = pd.DataFrame(parts)
    frame["lon"] = 113.3 + frame["x"] / 92_300.0
    frame["lat"] = 33.9 + frame["y"] / 110_900.0
    head = "河南省许昌市" + frame["county"] + frame["township"] + frame["community"]
    tail = frame["road"] + frame["number"] + frame["compound"] + frame["building"]
    frame.insert(0, "address", head + tail)
    frame["code"] = ""
    return frame.drop(columns=["x", "y"])


def _chinese(number: int) -> str:
    if number < 10:
        return _DIGITS[number]
    tens, ones = divmod(number, 10)
    if number < 100:
        return ("" if tens == 1 else _DIGITS[tens]) + "十" + (_DIGITS[ones] if ones else "")
    hundreds, rest = divmod(number, 100)
    if not rest:
        return _DIGITS[hundreds] + "百"
    return _DIGITS[hundreds] + "百" + ("零" if rest < 10 else "") + (
        "一" if 10 <= rest < 20 else ""
    ) + _chinese(rest)  # fmt: skip


_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_TRADITIONAL = str.maketrans(
    "区县镇号楼园门东国华单桥湾庄设动学银莲兰苑峰岭",
    "區縣鎮號樓園門東國華單橋灣莊設動學銀蓮蘭苑峰嶺",
)
_HOMOPHONES = {"设": "社", "放": "访", "动": "洞", "化": "话", "林": "琳", "泉": "全", "源": "圆",
               "港": "岗", "津": "金", "桥": "乔", "亭": "廷", "峰": "锋", "湾": "弯", "洲": "州",
               "洋": "阳", "波": "玻", "滨": "宾", "桐": "童", "柳": "刘", "枫": "丰", "樱": "英",
               "桂": "贵", "文": "闻", "学": "穴", "康": "糠", "清": "青", "莲": "连", "兰": "蓝",
               "银": "吟", "瑞": "锐", "祥": "翔", "光": "广", "明": "名", "秀": "绣"}  # fmt: skip


class Asker:
    """Draws questions over a table."""

    def __init__(self, frame: pd.DataFrame, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.frame = frame
        spread = frame.groupby("road")["township"].nunique()
        self.shared = set(spread[spread > 1].index)
        names = frame.loc[frame["compound"] != ""].groupby("compound")["township"].nunique()
        self.unique_compounds = set(names[names == 1].index)
        mine = ~frame["road"].isin(self.shared)
        self.doors = frame[(frame["compound"] == "") & mine].to_dict("records")
        self.buildings = frame[frame["compound"].isin(self.unique_compounds) & mine].to_dict(
            "records"
        )
        self.namesakes = frame[frame["road"].isin(self.shared) & (frame["compound"] == "")].to_dict(
            "records"
        )
        stems = [a + b for a in _FIRST for b in _SECOND]
        used = {name[:2] for name in [*frame["road"], *frame["township"], *frame["community"]]}
        self.unknown = [stem for stem in stems if stem not in used]
        self.taken = {(r["road"], int(r["number"][:-1])) for r in frame.to_dict("records")}

    def pick(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        return rows[int(self.random.integers(len(rows)))]

    def found(self, style: str, text: str, row: dict[str, Any]) -> Asked:
        return Asked(style, text, "found", row["lon"], row["lat"])

    def slip(self, road: str, kind: str) -> str:
        at = int(self.random.integers(2))
        if kind == "homophone":
            ready = [k for k, c in enumerate(road) if c in _HOMOPHONES]
            return (
                road if not ready else road.replace(road[ready[0]], _HOMOPHONES[road[ready[0]]], 1)
            )
        if kind == "wrong":
            return road[:at] + "谷" + road[at + 1 :]
        if kind == "missing":
            return road[:at] + road[at + 1 :]
        return road[1] + road[0] + road[2:]


def _door(r: dict[str, Any]) -> str:
    return f"{r['road']}{r['number']}"


def _styles(a: Asker) -> dict[str, Callable[[], Asked]]:
    def door(style: str, say: Callable[[dict[str, Any]], str]) -> Callable[[], Asked]:
        def ask() -> Asked:
            row = a.pick(a.doors)
            return a.found(style, say(row), row)

        return ask

    def block(style: str, say: Callable[[dict[str, Any]], str]) -> Callable[[], Asked]:
        def ask() -> Asked:
            row = a.pick(a.buildings)
            return a.found(style, say(row), row)

        return ask

    def none(style: str, status: str, say: Callable[[], str]) -> Callable[[], Asked]:
        return lambda: Asked(style, say(), status)

    def n(r: dict[str, Any]) -> int:
        return int(r["number"][:-1])

    def b(r: dict[str, Any]) -> str:
        return str(r["building"]).removesuffix("号楼")

    def between() -> Asked:
        while True:
            row = a.pick(a.doors)
            same = [r for r in a.doors if r["road"] == row["road"] and n(r) % 2 == n(row) % 2]
            higher = sorted((r for r in same if n(r) > n(row)), key=n)
            gap = (n(higher[0]) - n(row)) if higher else 0
            if gap not in {4, 6}:
                continue
            asked = n(row) + gap // 2 + (gap // 2) % 2
            if (row["road"], asked) in a.taken:
                continue
            share = (asked - n(row)) / gap
            lon, lat = (row[k] + share * (higher[0][k] - row[k]) for k in ("lon", "lat"))
            return Asked("between", f"{row['township']}{row['road']}{asked}号", "found", lon, lat)

    def strange() -> str:
        stem = a.unknown[int(a.random.integers(len(a.unknown)))]
        number = int(a.random.integers(1, 90))
        row = a.pick(a.doors)
        return [f"{stem}路{number}号", f"{row['township']}{stem}街{number}号",
                f"郑州市金水区{_door(row)}", f"{stem}山庄{number % 9 + 1}号楼",
                f"{row['road']}{n(row) + 3000}号",
                f"新{_door(row)}"][int(a.random.integers(6))]  # fmt: skip

    def damaged() -> str:
        text = a.pick(a.doors)["address"]
        at = int(a.random.integers(3, len(text) - 3))
        return [text.encode("utf-8").decode("gbk", errors="replace"),
                text.encode("gbk").decode("latin-1"),
                text[:at] + "?" + text[at + 1 :], text[:at] + "\ufffd" + text[at + 1 :],
                text.encode("utf-8").decode("gb18030", errors="ignore"),
                "?毕宄强h"][int(a.random.integers(6))]  # fmt: skip

    def spoken(r: dict[str, Any]) -> str:
        word = ["附近", "对面", "旁边", "门口"][int(a.random.integers(4))]
        return f"{r['township']}{_door(r)}{word}"

    def two(r: dict[str, Any]) -> str:
        slipped = a.slip(r["road"], ["homophone", "transposed"][int(a.random.integers(2))])
        number = [f"{_chinese(n(r))}号", f"{n(r)}号".translate(_WIDE)][int(a.random.integers(2))]
        return [f"{r['township']}{slipped}{number}", f"{r['county']}{slipped}{number}附近",
                f"张先生13912345678，{slipped}{number}",
                f"{r['road']}{number}对面，{r['county']}"][int(a.random.integers(4))]  # fmt: skip

    def say(style: str, words: str) -> tuple[str, Callable[[], Asked]]:
        """A style by its pattern: {county} {road} {n} …, {d} being road and number."""
        rows = a.buildings if "{c}" in words else a.doors

        def ask() -> Asked:
            row = a.pick(rows)
            text = words.format(
                d=_door(row), n=n(row), h=_chinese(n(row)), c=row["compound"], b=b(row),
                bh=_chinese(int(b(row) or 0)), short=row["county"][:-1], **row,
            )  # fmt: skip
            return a.found(style, text, row)

        return style, ask

    def slipped(style: str, kind: str, before: str) -> tuple[str, Callable[[], Asked]]:
        return style, door(
            style, lambda r: f"{r.get(before, '')}{a.slip(r['road'], kind)}{r['number']}"
        )

    def changed(style: str, table: dict[int, int], before: str) -> tuple[str, Callable[[], Asked]]:
        return style, door(style, lambda r: f"{r[before]}{_door(r)}".translate(table))

    counters = ("栋", "幢", "#楼", "座", "号")
    return dict([
        say("full", "{address}"),
        say("no_city", "{county}{township}{community}{d}"),
        say("road_only", "{d}"),
        say("county_road", "{county}{d}"),
        say("no_community", "{county}{township}{d}"),
        say("short_areas", "许昌{short}{d}"),
        say("numerals", "{township}{road}{h}号"),
        say("no_counter", "{township}{road} {n}"),
        say("order", "{d}，{township}，{county}"),
        say("number_first", "{number} {road} {township}"),
        say("brackets", "{county}（{township}） {road}【{number}】"),
        say("phone", "李女士 1380000{n:04d} {d}，家里没水"),
        say("yard", "{township}{road}{n}号院"),
        say("compound", "{c}{building}"),
        say("compound_road", "{county}{d}{c}{building}3单元502室"),
        say("compound_suffix", "{c}小区{b}号楼"),
        say("building_numeral", "{c}{bh}号楼二单元"),
        ("building_word", block("building_word", lambda r: r["compound"] + b(r)
                                + counters[int(a.random.integers(len(counters)))])),
        changed("wide", _WIDE, "township"),
        changed("traditional", _TRADITIONAL, "county"),
        ("near", door("near", spoken)),
        slipped("homophone", "homophone", ""),
        slipped("wrong_character", "wrong", "township"),
        slipped("transposed", "transposed", "county"),
        ("two", door("two", two)),
        ("between", between),
        ("namesake", none("namesake", "ambiguous", lambda: _door(a.pick(a.namesakes)))),
        ("bare_road", none("bare_road", "ambiguous", lambda: a.pick(a.doors)["road"])),
        ("unknown", none("unknown", "not_found", strange)),
        ("damaged", none("damaged", "unreadable", damaged)),
    ])  # fmt: skip


def questions(frame: pd.DataFrame, per_style: int, seed: int) -> list[Asked]:
    """Ask so many questions in every style."""
    styles = _styles(Asker(frame, seed))
    return [ask() for ask in styles.values() for _ in range(per_style)]


def mistyped(frame: pd.DataFrame, most: int, seed: int) -> list[Asked]:
    """Ask the real addresses of a table, each with one typing error in its road.

    An address that stands in two places is ambiguous, and asked as that.
    """
    random = np.random.default_rng(seed)
    doors = frame[(frame["road"] != "") & (frame["number"] != "")]
    alphabet = sorted(set("".join(doors["road"])))
    asked = []
    for row in doors.sample(min(most, len(doors)), random_state=seed).to_dict("records"):
        same = doors[(doors["road"] == row["road"]) & (doors["number"] == row["number"])]
        apart_m = np.hypot(np.ptp(same["lon"]) * 92_300.0, np.ptp(same["lat"]) * 110_900.0)
        text = row["address"].replace(row["road"], _one_error(row["road"], random, alphabet), 1)
        status = "found" if apart_m <= 50.0 else "ambiguous"
        asked.append(Asked("mistyped", text, status, row["lon"], row["lat"]))
    return asked


def _one_error(word: str, random: np.random.Generator, alphabet: list[str]) -> str:
    at = int(random.integers(len(word)))
    other = [c for c in alphabet if c != word[at]][int(random.integers(len(alphabet) - 1))]
    exchanged = [k for k in range(len(word) - 1) if word[k] != word[k + 1]]
    kind = int(random.integers(4 if exchanged else 3))
    if kind == 3:
        at = exchanged[int(random.integers(len(exchanged)))]
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + ("", other, other + word[at])[kind] + word[at + 1 :]


def judge(asked: Asked, answer: Any) -> str:
    """``right``, ``wrong`` (confidently: a place where none or another is true), or ``missed``."""
    if answer.status != "found":
        return "right" if answer.status == asked.status else "missed"
    return "right" if _away_m(asked, answer) <= 50.0 else "wrong"


def holds(asked: Asked, answer: Any) -> bool:
    """Whether the stated radius holds the truth."""
    return bool(_away_m(asked, answer) <= answer.radius_m)


def _away_m(asked: Asked, answer: Any) -> float:
    """Metres between an answer and the truth; NaN where nothing is true."""
    return float(
        np.hypot((answer.lon - asked.lon) * 92_300.0, (answer.lat - asked.lat) * 110_900.0)
    )
