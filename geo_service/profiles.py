"""Rule profiles: patterns, tolerances, size bounds, required fields, severities, words; from TOML.

A verdict names the profile, its version and the digest of its rules. Profiles ship in
``defaults/profile_<name>.toml``; a city's own is any TOML file of the same form, says what it
``extends`` (``default`` where it says nothing), and only what it changes.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from geo_service.codes import LEVELS
from geo_service.errors import InputError, MissingError, Phrase

Severity = Literal["error", "warning", "note"]
_SEVERITIES = ("error", "warning", "note")
_PREFIX, _SUFFIX = "profile_", ".toml"


@dataclass(frozen=True)
class Tolerance:
    """What is too small to be told: below the area (m2), or below the width (m)."""

    area_m2: float
    width_m: float


@dataclass(frozen=True)
class Sizes:
    """How many households and people a grid of one type may hold; ``None``: not judged."""

    households: tuple[int, int] | None = None
    population: tuple[int, int] | None = None


@dataclass(frozen=True)
class Sentence:
    """A city's own words for a fault kind; places such as ``{codes}`` are filled in."""

    zh: str = ""
    en: str = ""


@dataclass(frozen=True)
class Profile:
    """The rules one verdict is given by.

    Parameters
    ----------
    name, version : str
        Told with every verdict as ``name@version``.
    min_area_m2 : float
        A gap, overlap or overrun below this area is counted and summed, not listed.
    min_width_m : float
        The same below this width (2 x area / perimeter).
    tolerances : Mapping
        Fault kind -> `Tolerance` of its own, in place of the two above.
    outline_slack_m : float
        Where grids and outline run apart by less than this they are one line written down twice:
        told once with the figure, as a warning.
    snap_m : float
        How far repair may move a vertex to close a gap.
    max_gap_m : float
        The widest gap (metres) repair closes; no border moves further.
    gap_to : str
        Whom repair gives a gap: ``longest_border`` or ``same_community``.
    overlap_to : str
        Who keeps an overlap: ``smaller_code`` or ``drawn_back``.
    gap_width_m : float
        A hole wider than this at its widest is a ``missing_grid`` when it is also grid-sized.
    missing_grid_share : float
        A hole of at least this share of the median of the grids around it is a ``missing_grid``.
    sliver_area_m2, sliver_thinness : float
        A grid below the area, or thinner than 4 pi A / P^2, is a sliver.
    spike_degrees : float
        A vertex with a sharper angle is a spike.
    area_mismatch_percent : float
        Largest difference of an area column from the geometry.
    code_pattern : str
        Regular expression that a grid's code matches.
    code_patterns : Mapping
        Level -> the same for the codes of other levels; digits by level where one is not named.
    city_box : tuple of float, or None
        Longitudes and latitudes (min, min, max, max) the city lies in: what a file without a
        coordinate system is proposed one by.
    required_fields : tuple of str
        Fields that may not be empty.
    households, population : tuple of int, or None
        Size bounds, inclusive; ``None``: not judged.
    least_heads, least_full_time : int
        How many heads (网格长) and full-time members (专职) a grid needs on the roster.
        0: not asked.
    most_grids_per_person : int
        A person on more grids is told.
    sizes : Mapping
        Type of grid (its ``kind`` column: 专属网格) -> `Sizes` in place of the two above.
    severities : Mapping
        Fault kind -> ``error``, ``warning`` or ``note``.
    messages : Mapping
        Fault kind -> `Sentence`, in place of the product's own.
    digest : str
        The first 12 hex digits of the SHA-256 of all rules, those taken over included.
    """

    name: str = "default"
    version: str = "1"
    min_area_m2: float = 1e-6
    min_width_m: float = 0.0
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    outline_slack_m: float = 0.005
    snap_m: float = 0.1
    max_gap_m: float = 2.0
    gap_to: str = "longest_border"
    overlap_to: str = "smaller_code"
    gap_width_m: float = 1.0
    missing_grid_share: float = 0.1
    sliver_area_m2: float = 1.0
    sliver_thinness: float = 0.01
    spike_degrees: float = 1.0
    area_mismatch_percent: float = 1.0
    code_pattern: str = r"^\d{15}$"
    required_fields: tuple[str, ...] = ()
    households: tuple[int, int] | None = None
    population: tuple[int, int] | None = None
    least_heads: int = 1
    least_full_time: int = 0
    most_grids_per_person: int = 3
    code_patterns: Mapping[str, str] = field(default_factory=dict)
    city_box: tuple[float, float, float, float] | None = None
    sizes: Mapping[str, Sizes] = field(default_factory=dict)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    messages: Mapping[str, Sentence] = field(default_factory=dict)
    digest: str = ""

    @property
    def label(self) -> str:
        """``default@1``."""
        return f"{self.name}@{self.version}"

    def severity(self, kind: str) -> Severity:
        """The severity of a fault kind; an unlisted kind is an error."""
        return self.severities.get(kind, "error")

    def tolerance(self, kind: str) -> Tolerance:
        """What is too small to be told of a fault kind."""
        return self.tolerances.get(kind, Tolerance(self.min_area_m2, self.min_width_m))


def load(name_or_path: str | Path = "default") -> Profile:
    """Load a profile by its name, or from a TOML file.

    Parameters
    ----------
    name_or_path : str or Path
        A shipped profile (``default``) or the path of a file ending in ``.toml``. What it
        ``extends`` is a shipped one's name, or a file beside it.

    Returns
    -------
    Profile

    Raises
    ------
    MissingError
        ``profile_unknown``, ``file_missing``.
    InputError
        ``file_unreadable``, ``profile_key_unknown`` (with the nearest known key) or
        ``parameter_invalid``, naming the key.
    """
    return _load(str(name_or_path), ())


def known() -> list[str]:
    """Give the names of the shipped profiles."""
    folder = resources.files("geo_service") / "defaults"
    found = (p.name for p in folder.iterdir() if p.name.startswith(_PREFIX))
    return sorted(n.removeprefix(_PREFIX).removesuffix(_SUFFIX) for n in found)


def shipped(name: str) -> str:
    """Give the name of a shipped profile back: who asks from afar names no file of this machine.

    Raises
    ------
    MissingError
        ``profile_unknown``.
    """
    names = known()
    if name not in names:
        raise MissingError("profile_unknown", profile=name, known=", ".join(names))
    return name


def to_dict(profile: Profile) -> dict[str, Any]:
    """Give every rule of a profile as plain data, as its file would name it."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(profile)))
    return plain


def _load(text: str, below: tuple[str, ...]) -> Profile:
    if text in below:
        circle = " → ".join((*below, text))
        reason = Phrase(f"循环继承：{circle}", f"they extend each other: {circle}")
        raise InputError("parameter_invalid", name="extends", value=text, reason=reason)
    path = Path(text)
    if text.endswith(_SUFFIX):
        if not path.is_file():
            raise MissingError("file_missing", file=text)
        rules = _rules(path.read_bytes(), path.name)
    else:
        shipped = resources.files("geo_service") / "defaults" / f"{_PREFIX}{text}{_SUFFIX}"
        if not shipped.is_file():
            raise MissingError("profile_unknown", profile=text, known=", ".join(known()))
        rules = _rules(shipped.read_bytes(), text)
    above = rules.pop("extends", None if text == "default" else "default")
    if above is None:
        base = Profile()
    else:
        beside = str(path.parent / above) if str(above).endswith(_SUFFIX) else str(above)
        base = _load(beside, (*below, text))
    return _digested(_applied(rules, base, path.name))


def _rules(content: bytes, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("file_unreadable", file=source, reason=error) from error


def _digested(profile: Profile) -> Profile:
    rules = {key: value for key, value in to_dict(profile).items() if key != "digest"}
    told = json.dumps(rules, sort_keys=True, ensure_ascii=False).encode()
    return replace(profile, digest=hashlib.sha256(told).hexdigest()[:12])


def _applied(rules: dict[str, Any], base: Profile, source: str) -> Profile:
    """The base with a file's rules over it, each of them looked at."""
    _require_known(rules, [f.name for f in fields(Profile) if f.name != "digest"], source, "")
    made = dict(rules)
    for key, value in rules.items():
        made[key] = _value(key, value, getattr(base, key), base, source)
    if "tolerances" in rules:
        _require_kinds(rules["tolerances"], base, source, "tolerances")
        made["tolerances"] = _tolerances(rules, base, source=source)
    return replace(base, **made)


def _value(key: str, value: Any, before: Any, base: Profile, source: str) -> Any:
    if key in {"households", "population"}:
        return _bounds(key, value, source)
    if key == "city_box":
        _require(
            _numbers(value, 4),
            source,
            key,
            Phrase("应为四个度数：西、南、东、北", "four degrees: west, south, east, north"),
        )
        return tuple(map(float, value))
    if key == "required_fields":
        _require(_texts(value), source, key, Phrase("应为字段名的列表", "a list of field names"))
        return tuple(value)
    if key == "sizes":
        return {**before, **_sizes(value, source)}
    if key == "messages":
        _require_kinds(value, base, source, key)
        return {**before, **_sentences(value, source)}
    if key == "severities":
        _require_kinds(value, base, source, key)
        wrong = next((k for k, v in value.items() if v not in _SEVERITIES), None)
        _require(
            wrong is None,
            source,
            f"{key}.{wrong}",
            Phrase("可用 " + ", ".join(_SEVERITIES), ", ".join(_SEVERITIES)),
        )
        return {**before, **value}
    if key == "code_patterns":
        _require_known(value, LEVELS, source, "code_patterns.")
        for level, pattern in value.items():
            _require(
                _compiles(pattern),
                source,
                f"{key}.{level}",
                Phrase("应为正则表达式", "a regular expression"),
            )
        return {**before, **value}
    if key == "code_pattern":
        _require(_compiles(value), source, key, Phrase("应为正则表达式", "a regular expression"))
    elif key == "tolerances":
        _require(
            isinstance(value, dict), source, key, Phrase("应为按问题类别的表", "a table of kinds")
        )
    elif isinstance(before, int):
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        _require(whole, source, key, Phrase("应为 0 或更大的整数", "a whole number, 0 or more"))
    elif isinstance(before, float):
        number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        _require(number, source, key, Phrase("应为 0 或更大的数", "a number, 0 or more"))
        return float(value)
    else:
        _require(isinstance(value, str), source, key, Phrase("应为文字", "a text"))
    return value


def _sizes(value: Any, source: str) -> dict[str, Sizes]:
    _require(
        isinstance(value, dict),
        source,
        "sizes",
        Phrase("应为按网格类型的表", "tables by type of grid"),
    )
    found = {}
    for kind, bounds in value.items():
        name = f"sizes.{kind}"
        _require(
            isinstance(bounds, dict),
            source,
            name,
            Phrase("应为含 households 和 population 的表", "a table of households and population"),
        )
        _require_known(bounds, ("households", "population"), source, f"{name}.")
        found[kind] = Sizes(**{k: _bounds(f"{name}.{k}", v, source) for k, v in bounds.items()})
    return found


def _sentences(value: dict[str, Any], source: str) -> dict[str, Sentence]:
    found = {}
    for kind, words in value.items():
        name = f"messages.{kind}"
        _require(
            isinstance(words, dict),
            source,
            name,
            Phrase("应为含 zh 和 en 的表", "a table of zh and en"),
        )
        _require_known(words, ("zh", "en"), source, f"{name}.")
        _require(_texts(list(words.values())), source, name, Phrase("应为文字", "texts"))
        found[kind] = Sentence(**words)
    return found


def _bounds(name: str, value: Any, source: str) -> tuple[int, int] | None:
    if value == []:
        return None
    _require(
        _numbers(value, 2) and value[0] <= value[1],
        source,
        name,
        Phrase("应为 [最小, 最大]，或 []", "[least, most], or []"),
    )
    return int(value[0]), int(value[1])


def _numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    )


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _compiles(pattern: Any) -> bool:
    try:
        re.compile(pattern)
    except (re.error, TypeError):
        return False
    return True


def _require(fits: bool, source: str, key: str, reason: Phrase) -> None:
    if not fits:
        raise InputError("parameter_invalid", name=source, value=key, reason=reason)


def _require_kinds(value: Any, base: Profile, source: str, key: str) -> None:
    """Fault kinds are those that the default profile gives a severity."""
    _require(
        isinstance(value, dict), source, key, Phrase("应为按问题类别的表", "a table by fault kind")
    )
    _require_known(value, base.severities or value, source, f"{key}.")


def _require_known(given: Iterable[str], known_: Iterable[str], source: str, above: str) -> None:
    allowed = sorted(known_)
    for key in given:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, 1, 0.5)
            raise InputError(
                "profile_key_unknown",
                file=source,
                key=above + key,
                nearest=above + near[0] if near else ", ".join(allowed),
            )


def _tolerances(rules: Mapping[str, Any], base: Profile, *, source: str) -> dict[str, Tolerance]:
    """Tolerances by kind; what a kind's table leaves out is the general one."""
    general = {
        "area_m2": rules.get("min_area_m2", base.min_area_m2),
        "width_m": rules.get("min_width_m", base.min_width_m),
    }
    found = dict(base.tolerances)
    for kind, given in rules["tolerances"].items():
        if not isinstance(given, dict) or not set(given) <= set(general):
            reason = Phrase("应为含 area_m2 和 width_m 的表", "a table of area_m2 and width_m")
            raise InputError(
                "parameter_invalid", name=source, value=f"tolerances.{kind}", reason=reason
            )
        found[kind] = Tolerance(**{**general, **given})
    return found
