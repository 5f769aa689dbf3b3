"""Signed statements for auditors: that a layer, on a day, was what it was said to be.

A statement holds everything a claim such as "18,936 grids, fully covering" stands on, recomputed
from the store: the rules and their hash, the content and its hash, the files it came from, the
check run again, both rates, the faults that were accepted, by whom and why, and a sample drawn with
a stated seed for checking by hand. It holds no clock and no path, so the same store and software
give the same bytes.

The signature is SHA-256 over the canonical JSON (keys sorted, no spaces, UTF-8). It proves that a
statement was not altered since its hash was noted elsewhere, nothing about who made it; with a key
it is an HMAC-SHA256 (RFC 2104), which only a holder of that key can have made.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import orjson
import shapely
from jinja2 import Environment, select_autoescape

from geo_service import __version__, crs, layers, profiles
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.reports import tables
from geo_service.store import Store, checking
from geo_service.store.times import Moment

FORMAT = 1
SAMPLED_GRIDS, SAMPLED_POINTS = 100, 200
"""What an auditor checks by hand (journey of the auditor: 200 points, 100 grids)."""

_LEAST_KEY_BYTES = 16
_TRIES = 50  # boxes of points drawn until enough lie inside
_EMBEDDED = re.compile(r'<script type="application/json" id="statement">(.*?)</script>', re.S)

Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where a statement and the store disagree: a path such as ``check.counts.gap``."""

    where: str
    stated: Any
    found: Any


def make(
    store: Store,
    layer: str,
    *,
    at: Moment | None = None,
    profile: str | None = None,
    register: Sequence[str] | None = None,
    key: bytes | None = None,
    on_progress: Callable[..., None] | None = None,
) -> Statement:
    """State what a layer was, from what the store holds.

    Parameters
    ----------
    store : Store
        Open.
    layer : str
        Which.
    at : int, str, date, datetime or None
        A revision or a date; ``None``: the latest.
    profile : str, optional
        The rules to check by, by name or file; by default those it was published with.
    register : sequence of str, optional
        The register's codes: without them the share on the map (落图率) can't be told.
    key : bytes, optional
        At least 16 bytes, for an HMAC.
    on_progress : callable, optional
        Passed to the check.

    Raises
    ------
    MissingError
        ``layer_unknown``, ``revision_unknown``, ``profile_unknown``.
    InputError
        ``parameter_invalid`` for a short key.
    """
    revision = store.revision(layer, at)
    rules = checking.rules_for(layers.layer(layer), profiles.load(_profile_of(revision, profile)))
    frame = store.frame(layer, at=revision.number)
    report, check = store.checked(
        layer, at=revision.number, profile=rules, register=register, on_progress=on_progress
    )
    log = store.history(layer)[: revision.number]
    plain_rules = asdict(rules)
    stated = {
        "statement": FORMAT,
        "store": {
            "title": store.info().title,
            "plane": store.plane,
            "synthetic": store.synthetic,
        },
        "layer": layer,
        "contract": layers.layer(layer).contract,
        "revision": {
            "number": revision.number,
            "published_at": revision.published_at,
            "drawn_by": revision.drawn_by,
            "checked_by": revision.check.checked_by if revision.check else "",
            "published_by": revision.author,
            "message": revision.message,
            "features": revision.features,
            "changes": dict(revision.changes),
            "content_sha256": revision.sha256,
            "log_sha256": hashlib.sha256(canonical([r.to_dict() for r in log])).hexdigest(),
        },
        "content_recomputed_sha256": store.content_sha256(layer, at=revision.number),
        "inputs": _inputs(log, store.origins(layer, at=revision.number)),
        "rules": {
            "profile": rules.label,
            "sha256": hashlib.sha256(canonical(plain_rules)).hexdigest(),
            **plain_rules,
        },
        "check": {
            "verdict": report.verdict,
            "counts": dict(report.counts),
            "below_tolerance": {kind: dict(sums) for kind, sums in report.hidden.items()},
            "coverage_percent": report.coverage_percent,
            "on_map_percent": report.on_map_percent,
            "register_codes": None if register is None else len(set(register)),
            "register_sha256": None if register is None else _list_hash(register),
            "within": dict(check.against),
            "when_published": revision.check.to_dict() if revision.check else None,
        },
        "accepted": [acceptance.to_dict() for acceptance in revision.accepted],
        "sample": _sample(frame, revision.sha256),
        "software": {
            "geo-service": __version__,
            **{name: metadata.version(name) for name in ("numpy", "shapely")},
            "geos": shapely.geos_version_string,
        },
    }
    plain: Statement = orjson.loads(canonical(stated))
    return sign(plain, key)


def sign(statement: Statement, key: bytes | None = None) -> Statement:
    """Put the signature on a statement.

    Raises
    ------
    InputError
        ``parameter_invalid`` for a key under 16 bytes.
    """
    if key is not None and len(key) < _LEAST_KEY_BYTES:
        reason = Phrase(
            f"密钥至少 {_LEAST_KEY_BYTES} 字节", f"a key has at least {_LEAST_KEY_BYTES} bytes"
        )
        raise InputError("parameter_invalid", name="key", value=f"{len(key)} bytes", reason=reason)
    body = canonical({name: part for name, part in statement.items() if name != "signature"})
    signature = {
        "sha256": hashlib.sha256(body).hexdigest(),
        "over": "canonical JSON of everything but this signature",
        "proves": "not altered since this hash was noted; not who made it",
    }
    if key is not None:
        signature["hmac_sha256"] = hmac.new(key, body, "sha256").hexdigest()
        signature["proves"] = "not altered, and made by a holder of the key"
    return {**statement, "signature": signature}


def verify(
    store: Store,
    statement: Statement,
    *,
    profile: str | None = None,
    register: Sequence[str] | None = None,
    key: bytes | None = None,
) -> list[Difference]:
    """Recompute a statement from the store; give what differs, nothing where all is equal.

    Parameters are those of `make`. Without `register` or `key`, what only they could confirm counts
    as different: nothing is taken on trust.
    """
    number = statement.get("revision", {}).get("number")
    layer = statement.get("layer")
    if not isinstance(number, int) or not isinstance(layer, str):
        raise InputError(
            "statement_unreadable",
            reason=Phrase("其中没有写明图层和修订", "it names no layer and revision"),
        )
    signed = statement.get("signature", {})
    if profile is None:
        profile = str(statement.get("rules", {}).get("profile", "default")).split("@")[0]
    own = sign(statement, key if "hmac_sha256" in signed else None)["signature"]
    altered = [
        Difference(f"signature.{name} (altered)", signed.get(name), own.get(name))
        for name in sorted(signed.keys() | own.keys())
        if signed.get(name) != own.get(name)
    ]
    found = make(store, layer, at=number, profile=profile, register=register)
    one, other = ({**s, "signature": None} for s in (statement, found))
    return altered + list(_differences(one, other, ""))


def write(statement: Statement, path: str | Path) -> Path:
    """Write a statement: .json, or .html for people, with the JSON inside it.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    target = Path(path)
    known = (".json", ".html")
    if target.suffix.lower() not in known:
        ending = target.suffix or "—"
        reason = Phrase(f"不认识扩展名 {ending}", f"unknown ending {ending}")
        raise InputError(
            "output_unwritable", file=target.name, reason=reason, known=" ".join(known)
        )
    as_json = target.suffix.lower() == ".json"
    content = to_bytes(statement) if as_json else _page(statement).encode()
    return tables.put(target, content, known=known)


def read(path: str | Path) -> Statement:
    """Read a statement back, from .json or .html.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``statement_unreadable``.
    """
    source = Path(path)
    if not source.is_file():
        raise MissingError("file_missing", file=str(path))
    content = source.read_bytes()
    embedded = _EMBEDDED.search(content.decode("utf-8", "replace"))
    if embedded is not None:
        content = embedded[1].encode()
    try:
        statement = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InputError("statement_unreadable", reason=error) from error
    if not isinstance(statement, dict) or statement.get("statement") != FORMAT:
        raise InputError(
            "statement_unreadable",
            reason=Phrase(f"不是 {FORMAT} 格式的声明", f"not a statement of format {FORMAT}"),
        )
    return statement


def canonical(plain: Any) -> bytes:
    """JSON with sorted keys and no spaces: one form for one content."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(plain, option=options)


def to_bytes(statement: Statement) -> bytes:
    """A statement as it is written: sorted keys, indented, a line end."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(statement, option=options)


def _profile_of(revision: Any, given: str | None) -> str:
    if given is not None:
        return given
    return revision.profile.split("@")[0] if revision.profile else "default"


def _inputs(log: Sequence[Any], origins: Mapping[int, int]) -> list[dict[str, Any]]:
    """Name the files the rows came from, by the revision that brought them in."""
    return [
        {
            "revision": revision.number,
            "features": origins[revision.number],
            "source": revision.source,
            "sha256": revision.source_sha256,
        }
        for revision in log
        if origins.get(revision.number)
    ]


def _list_hash(register: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(register)).encode()).hexdigest()


def _sample(frame: gpd.GeoDataFrame, sha256: str) -> dict[str, Any]:
    """Draw grids and points by a seed that nobody chose: the content's own hash."""
    seed = int(sha256[:8], 16)
    random = np.random.default_rng(seed)
    codes = frame["code"].to_numpy()
    shapes = frame.geometry.to_numpy()
    drawn = np.sort(random.choice(len(frame), min(SAMPLED_GRIDS, len(frame)), replace=False))
    plane = crs.Plane.of(frame.crs)
    points = [
        {"lon": round(float(lon), 7), "lat": round(float(lat), 7), "datum": "wgs84", "code": code}
        for lon, lat, code in _points(shapes, codes, random, plane)
    ]
    grids = [
        {"code": str(codes[row]), "area_m2": round(float(shapely.area(shapes[row])), 3)}
        for row in drawn
    ]
    return {"seed": seed, "grids": grids, "points": points}


def _points(
    shapes: Any, codes: Any, random: np.random.Generator, plane: crs.Plane
) -> Iterator[tuple[float, float, str]]:
    """Draw points evenly over the layer; each with the smallest code that covers it."""
    x0, y0, x1, y1 = shapely.total_bounds(shapes)
    tree, found = shapely.STRtree(shapes), 0
    for _ in range(_TRIES):
        xy = random.uniform((x0, y0), (x1, y1), (SAMPLED_POINTS, 2))
        where: dict[int, str] = {}
        for point, row in zip(
            *tree.query(shapely.points(xy), predicate="intersects").tolist(), strict=True
        ):
            where[point] = min(where.get(point, codes[row]), codes[row])
        lon, lat = plane.inverse(xy[:, 0], xy[:, 1])
        for point in sorted(where):
            if found == SAMPLED_POINTS:
                return
            yield float(lon[point]), float(lat[point]), where[point]
            found += 1


def _differences(stated: Any, found: Any, where: str) -> Iterator[Difference]:
    if isinstance(stated, Mapping) and isinstance(found, Mapping):
        for name in sorted(stated.keys() | found.keys()):
            inner = f"{where}.{name}" if where else name
            yield from _differences(stated.get(name), found.get(name), inner)
    elif isinstance(stated, list) and isinstance(found, list) and len(stated) == len(found):
        for place, (one, other) in enumerate(zip(stated, found, strict=True)):
            yield from _differences(one, other, f"{where}[{place}]")
    elif stated != found:
        yield Difference(where, stated, found)


def _page(statement: Statement) -> str:
    template = resources.files("geo_service") / "defaults" / "statement.html"
    environment = Environment(autoescape=select_autoescape(default=True, default_for_string=True))
    # "</script>" inside a name would end the block early; "<\/" is the same JSON.
    embedded = to_bytes(statement).decode().replace("</", "<\\/")
    from geo_service.reports import KINDS_ZH

    kinds = Counter(statement["check"]["counts"])
    return environment.from_string(template.read_text("utf-8")).render(
        s=statement,
        kinds=[(KINDS_ZH.get(kind, kind), kind, n) for kind, n in kinds.items()],
        embedded=embedded,
    )
