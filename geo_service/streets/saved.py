"""The file a walk network is saved in: its streets, and its graphs as the profiles walk them.

A saved network opens at once, whatever its size: nothing is read before it is needed, and no graph
is built again. Profiles that may pass the same doors share a graph. A file of an earlier format,
or one whose graphs have other columns than this version's, still opens; its graphs are built anew.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from geo_service.errors import InputError, MissingError
from geo_service.streets import _mapped, segments, tag_rules
from geo_service.streets.contraction import Graph
from geo_service.streets.segments import Segments
from geo_service.streets.tag_rules import WalkProfile

FORMAT = "geo-service streets 2"
_FIRST_FORMAT = "geo-service streets 1"
_SHARED = {"names"}  # of a graph: it stands with the streets


@dataclass(frozen=True)
class Saved:
    """What a file holds: streets, graphs by mask of access classes, and what is said of them."""

    streets: Segments
    profile: WalkProfile
    plane: str
    source: dict[str, Any]
    graphs: dict[int, Graph] = field(default_factory=dict)


def write(path: Path, network: Saved) -> None:
    """Write a network.

    Raises
    ------
    InputError
        ``output_unwritable``.
    """
    arrays = {f"streets.{name}": array for name, array in segments.arrays(network.streets).items()}
    masks: dict[str, str] = {}
    kept: dict[str, Graph] = {}
    for mask, graph in sorted(network.graphs.items()):
        twin = next((name for name, other in kept.items() if _same(graph, other)), None)
        masks[str(mask)] = twin or str(mask)
        if twin is None:
            kept[str(mask)] = graph
            arrays |= {f"graph.{mask}.{n}": a for n, a in _columns(graph).items()}
    about = {
        "format": FORMAT, "profile": asdict(network.profile), "plane": network.plane,
        "source": network.source, "graphs": masks,
    }  # fmt: skip
    try:
        _mapped.write(path, about, arrays)
    except OSError as error:
        raise InputError(
            "output_unwritable", file=str(path), reason=error, known=".streets"
        ) from error


def read(path: Path) -> Saved:
    """Open a network.

    Raises
    ------
    MissingError
        ``file_missing``.
    InputError
        ``file_unreadable``.
    """
    if not path.is_file():
        raise MissingError("file_missing", file=str(path))
    try:
        if not _mapped.is_one(path):
            return _read_first_format(path)
        about, arrays = _mapped.read(path)
        if about["format"] != FORMAT:
            raise ValueError(about["format"])
        streets = Segments(**{n: arrays[f"streets.{n}"] for n in segments.names()})
        profile = dict(about["profile"])
        name = profile.pop("name")
        return Saved(
            streets, tag_rules.read_profile(name, profile, file=path.name), about["plane"],
            about["source"], _graphs(about["graphs"], arrays, streets),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("file_unreadable", file=path.name, reason=error) from error


def _graphs(
    masks: Mapping[str, str], arrays: Mapping[str, Any], streets: Segments
) -> dict[int, Graph]:
    wanted = [f.name for f in fields(Graph)]
    found = {}
    for mask, kept in masks.items():
        columns = {n: arrays.get(f"graph.{kept}.{n}") for n in wanted if n not in _SHARED}
        columns |= {name: getattr(streets, name) for name in _SHARED.intersection(wanted)}
        if all(column is not None for column in columns.values()):
            found[int(mask)] = Graph(**columns)  # type: ignore[arg-type]  # no None among them
    return found


def _columns(graph: Graph) -> dict[str, Any]:
    return {f.name: getattr(graph, f.name) for f in fields(Graph) if f.name not in _SHARED}


def _same(one: Graph, other: Graph) -> bool:
    others = _columns(other)
    return all(np.array_equal(column, others[name]) for name, column in _columns(one).items())


def _read_first_format(path: Path) -> Saved:
    with np.load(path, allow_pickle=False) as found:
        about = json.loads(str(found["about"]))
        if about["format"] != _FIRST_FORMAT:
            raise ValueError(about["format"])
        columns = {name: found[name] for name in segments.names() if name in found}
    return Saved(
        segments.completed(columns), tag_rules.profile(about["profile"]), about["plane"],
        about["source"],
    )  # fmt: skip
