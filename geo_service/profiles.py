"""Rule profiles: tolerances, size bounds, required fields and severities, from TOML.

A verdict names the profile and its version. Profiles ship in ``defaults/profile_<name>.toml``; a
city's own is any TOML file of the same form, and says only what it changes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from geo_service.errors import InputError, MissingError

Severity = Literal["error", "warning", "note"]
_PREFIX, _SUFFIX = "profile_", ".toml"


@dataclass(frozen=True)
class Tolerance:
    """What is too small to be told: below the area (m2), or below the width (m)."""

    area_m2: float
    width_m: float


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
    required_fields : tuple of str
        Fields that may not be empty.
    households, population : tuple of int, or None
        Size bounds, inclusive; ``None``: not judged.
    least_heads, least_full_time : int
        How many heads (网格长) and full-time members (专职) a grid needs on the roster.
        0: not asked.
    most_grids_per_person : int
        A person on more grids is told.
    severities : Mapping
        Fault kind -> ``error``, ``warning`` or ``note``.
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
    severities: Mapping[str, Severity] = field(default_factory=dict)

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
        A shipped profile (``default``) or the path of a file ending in ``.toml``.

    Returns
    -------
    Profile

    Raises
    ------
    MissingError
        ``profile_unknown``.
    InputError
        ``file_unreadable`` or ``parameter_invalid``, naming the key.
    """
    text = str(name_or_path)
    base = Profile() if text == "default" else load("default")
    if text.endswith(_SUFFIX):
        path = Path(text)
        if not path.is_file():
            raise MissingError("file_missing", file=text)
        return _read(path.read_bytes(), base, source=path.name)
    shipped = resources.files("geo_service") / "defaults" / f"{_PREFIX}{text}{_SUFFIX}"
    if not shipped.is_file():
        raise MissingError("profile_unknown", profile=text, known=", ".join(known()))
    return _read(shipped.read_bytes(), base, source=text)


def known() -> list[str]:
    """Give the names of the shipped profiles."""
    folder = resources.files("geo_service") / "defaults"
    found = (p.name for p in folder.iterdir() if p.name.startswith(_PREFIX))
    return sorted(n.removeprefix(_PREFIX).removesuffix(_SUFFIX) for n in found)


def _read(content: bytes, base: Profile, *, source: str) -> Profile:
    try:
        rules: dict[str, Any] = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError("file_unreadable", file=source, reason=error) from error
    allowed = {f.name for f in fields(Profile)}
    unknown = sorted(set(rules) - allowed)
    if unknown:
        reason = f"unknown rule; known: {', '.join(sorted(allowed))}"
        raise InputError("parameter_invalid", name=source, value=unknown[0], reason=reason)
    for key in ("required_fields", "households", "population"):
        if key in rules:
            rules[key] = tuple(rules[key])
    if "severities" in rules:
        rules["severities"] = {**base.severities, **rules["severities"]}
    if "tolerances" in rules:
        rules["tolerances"] = _tolerances(rules, base, source=source)
    return replace(base, **rules)


def _tolerances(rules: Mapping[str, Any], base: Profile, *, source: str) -> dict[str, Tolerance]:
    """Tolerances by kind; what a kind's table leaves out is the general one."""
    general = {
        "area_m2": rules.get("min_area_m2", base.min_area_m2),
        "width_m": rules.get("min_width_m", base.min_width_m),
    }
    found = dict(base.tolerances)
    for kind, given in rules["tolerances"].items():
        if not isinstance(given, dict) or not set(given) <= set(general):
            reason = "a table of area_m2 and width_m"
            raise InputError(
                "parameter_invalid", name=source, value=f"tolerances.{kind}", reason=reason
            )
        found[kind] = Tolerance(**{**general, **given})
    return found
