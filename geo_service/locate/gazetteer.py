"""Lookups over all published levels: the grid of a point with everything above and below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import geopandas as gpd
import numpy as np
import numpy.typing as npt

from geo_service import codes, crs
from geo_service.errors import InputError, MissingError, Phrase
from geo_service.layers import LAYERS
from geo_service.locate.answer import Names, chain_of, describe
from geo_service.locate.locator import Locator

if TYPE_CHECKING:
    from geo_service.addresses import Address

MICRO_GRIDS = "micro_grids"
DIVISIONS = ("city", "counties", "townships", "communities", "grids", MICRO_GRIDS)
"""The layers of the one hierarchy; every other layer is a grid system of its own."""

_PARENT = "parent_code"


class Published(Protocol):
    """What lookups need of a store."""

    def layers(self) -> list[str]:
        """Names of the published layers."""

    def frame(self, layer: str, *, at: Any = None) -> gpd.GeoDataFrame:
        """A layer as of a revision or a date."""

    def revision(self, layer: str, at: Any = None) -> Any:
        """Its revision: ``number`` and ``published_at``."""


@dataclass(frozen=True)
class Gazetteer:
    """One layer indexed for lookup, with the names of every area above it.

    Parameters
    ----------
    locator : Locator
        Over the layer.
    attributes : list of dict
        What is told of each grid, by row.
    names : Names
        Level -> code -> name.
    parents : Mapping
        Code -> code one level up, where a ``parent_code`` column says it.
    micro : Locator or None
        Over the micro-grids, where they are published.
    revision : int
        The layer's revision that answers.
    valid_from : str
        When it was published (UTC, ISO 8601).
    tag : str
        Names the revisions of all layers the answers come from: the same tag, the same answers.
    systems : Mapping
        Layer -> locator, of the other grid systems published (security grids, compounds ...).
    """

    locator: Locator
    attributes: list[dict[str, Any]]
    names: Names
    parents: Mapping[str, str]
    micro: Locator | None
    revision: int
    valid_from: str
    tag: str = ""
    systems: Mapping[str, Locator] = field(default_factory=dict)

    @classmethod
    def of(cls, store: Published, *, layer: str = "grids", at: Any = None) -> Gazetteer:
        """Make the gazetteer of a store's layer, as it is or as it was.

        Parameters
        ----------
        store : Published
            An open store.
        layer : str
            The layer that answers.
        at : int, str or date, optional
            A revision of the layer, or a date. The names of the other levels are today's.

        Raises
        ------
        MissingError
            ``layer_unknown``, ``revision_unknown``.
        """
        frame = store.frame(layer, at=at)
        revision = store.revision(layer, at=at)
        numbers = {layer: revision.number}
        systems: dict[str, Locator] = {}
        names: dict[str, dict[str, str]] = {}
        parents: dict[str, str] = {}
        published = set(store.layers())
        for other in LAYERS.values():
            if other.name not in published | {layer}:
                continue
            known = frame if other.name == layer else store.frame(other.name)
            if other.name != layer:
                numbers[other.name] = store.revision(other.name).number
            if other.name != layer and other.name not in DIVISIONS:
                systems[other.name] = Locator(known)
                names[other.name] = _column(known, "name")
                continue
            names.setdefault(other.level, {}).update(_column(known, "name"))
            parents.update({code: up for code, up in _column(known, _PARENT).items() if up})
        has_micro = layer == "grids" and MICRO_GRIDS in published
        return cls(
            locator=Locator(frame),
            attributes=frame.drop(columns=frame.geometry.name).to_dict("records"),
            names=names,
            parents=parents,
            micro=Locator(store.frame(MICRO_GRIDS)) if has_micro else None,
            revision=revision.number,
            valid_from=str(revision.published_at),
            systems=systems,
            tag="-".join(f"{name}.{number}" for name, number in sorted(numbers.items())),
        )

    def answer(
        self,
        lon: float,
        lat: float,
        *,
        datum: str,
        accuracy_m: float | None = None,
        systems: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Answer for one point in the words of the contract.

        Parameters
        ----------
        lon, lat : float
            Degrees in `datum`; for an EPSG datum its x and y.
        datum : str
            A member of `geo_service.crs.DATUMS`, or an EPSG code.
        accuracy_m : float, optional
            Every grid within this distance is told as an alternative; else only the runner-up.
        systems : sequence of str
            Other grid systems to answer from too, by their layers.

        Returns
        -------
        dict
            As `describe`, with ``micro_grid`` where one holds the point, and ``systems``: layer ->
            ``code``, ``name`` and ``border_distance_m``, or nothing where it holds the point in
            none.

        Raises
        ------
        InputError
            ``datum_unknown``, ``lonlat_swapped``, ``lonlat_out_of_range``, ``parameter_invalid``.
        MissingError
            ``layer_unknown``.
        """
        if accuracy_m is not None and not accuracy_m >= 0:
            reason = Phrase("应大于或等于 0", ">= 0")
            raise InputError(
                "parameter_invalid", name="accuracy_m", value=accuracy_m, reason=reason
            )
        x, y = self._plane.forward(lon, lat, datum=datum)
        located = self.locator.locate_xy(x, y)
        row = int(located.rows[0])
        others = _runner_up(located)
        if accuracy_m is not None:
            others = self.locator.alternatives_xy(x, y, accuracy_m)[0]
        answer = describe(
            located,
            self.names,
            grid=self.attributes[row] if row >= 0 else None,
            chain=self._chain(str(located.codes[0])),
            alternatives=others,
            revision=self.revision,
            valid_from=self.valid_from,
        )
        micro = self._micro_grid(x, y) if answer["found"] else None
        if micro:
            answer["micro_grid"] = micro
        if systems:
            answer["systems"] = {name: self._in_system(name, x, y) for name in systems}
        return answer

    def answer_address(self, found: Address, *, accuracy_m: float | None = None) -> dict[str, Any]:
        """Answer for what an address book found (`geo_service.addresses.AddressBook.find`).

        Parameters
        ----------
        found : Address
            In WGS84.
        accuracy_m : float, optional
            As for `answer`; by default the radius of the address.

        Returns
        -------
        dict
            As `answer`, with ``address``. Where no single place was found ``found`` is false and
            ``reason`` ``address_ambiguous``, ``address_not_found`` or ``address_unreadable``; a
            street alone has its ``grids``, each with the ``share`` of its doors.
        """
        asked = found.to_dict()
        if found.status == "found":
            answer = self.answer(
                found.lon, found.lat, datum="wgs84", accuracy_m=accuracy_m or found.radius_m
            )
            return {**answer, "address": asked}
        refused = {"found": False, "reason": f"address_{found.status}", "address": asked}
        return {**refused, "grids": self._shares(found.along)} if found.along else refused

    def _shares(self, places: Sequence[tuple[float, float]]) -> list[dict[str, Any]]:
        """The grids of some places, by falling share."""
        lon, lat = np.array(places).T
        rows = self.locator.locate(lon, lat, datum="wgs84", distances=False).rows
        held, counts = np.unique(rows[rows >= 0], return_counts=True)
        told = [
            {"code": str(self.attributes[row]["code"]), "name": self.attributes[row].get("name"),
             "share": round(count / len(places), 4), "doors": count}
            for row, count in zip(held.tolist(), counts.tolist(), strict=True)
        ]  # fmt: skip
        return sorted(told, key=lambda grid: (-grid["doors"], grid["code"]))

    def table(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, *, datum: str
    ) -> dict[str, npt.NDArray[Any]]:
        """Answer for many points, as columns.

        Returns
        -------
        dict of ndarray
            ``grid_code`` (empty outside), ``grid_name``, ``border_distance_m``, ``runner_up``,
            ``runner_up_distance_m``.
        """
        located = self.locator.locate(lon, lat, datum=datum)
        names = np.array([str(a.get("name") or "") for a in self.attributes] + [""])
        return {
            "grid_code": located.codes,
            "grid_name": names[located.rows],
            "border_distance_m": located.border_distance_m.round(3),
            "runner_up": located.runner_up,
            "runner_up_distance_m": located.runner_up_distance_m.round(3),
        }

    @cached_property
    def _plane(self) -> crs.Plane:
        return crs.Plane.of(self.locator.crs)

    def _in_system(self, layer: str, x: npt.ArrayLike, y: npt.ArrayLike) -> dict[str, Any] | None:
        if layer not in self.systems:
            raise MissingError("layer_unknown", layer=layer, known=", ".join(self.systems))
        located = self.systems[layer].locate_xy(x, y)
        code = str(located.codes[0])
        if not code:
            return None
        border_m = round(float(located.border_distance_m[0]), 3)
        return {
            "code": code,
            "name": self.names[layer].get(code, ""),
            "border_distance_m": border_m,
        }

    def _chain(self, code: str) -> list[dict[str, str]] | None:
        if code and code not in self._chains:
            self._chains[code] = chain_of(code, self.names, parents=self.parents)
        return self._chains.get(code)

    @cached_property
    def _chains(self) -> dict[str, list[dict[str, str]]]:
        return {}

    def _micro_grid(self, x: npt.ArrayLike, y: npt.ArrayLike) -> dict[str, str] | None:
        """The micro-grid at a place of the plane, which is one for all layers of a store."""
        if self.micro is None:
            return None
        code = str(self.micro.locate_xy(x, y).codes[0])
        name = self.names.get("micro_grid", {}).get(code, "")
        return {"code": code, "name": name} if code else None


def _column(frame: gpd.GeoDataFrame, column: str) -> dict[str, str]:
    if column not in frame.columns or "code" not in frame.columns:
        return {}
    return dict(zip(frame["code"], codes.texts(frame[column]), strict=True))


def _runner_up(located: Any) -> list[tuple[str, float]]:
    code = str(located.runner_up[0])
    return [(code, float(located.runner_up_distance_m[0]))] if code else []
