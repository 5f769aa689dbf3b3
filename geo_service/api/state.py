"""What the routes answer from: the open store, and what was derived from its current revisions.

Everything derived is kept per revision and never changes, so threads share it. A newly published
revision is noticed by comparing revision numbers, twice a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from starlette.requests import HTTPConnection

from geo_service import crs, layers, masking
from geo_service.errors import ConflictError, GeoServiceError, MissingError
from geo_service.locate import Gazetteer
from geo_service.notes import Note
from geo_service.roles import Caller
from geo_service.streets import WalkNetwork
from geo_service.tiles import TileSource, mvt, saved

if TYPE_CHECKING:
    from geo_service.addresses import AddressBook
    from geo_service.addresses.online import WithOnline
    from geo_service.store import Store

log = logging.getLogger("geo_service.api")

LOOK_EVERY_SECONDS = 0.5
KEPT_PAST = 4
"""Past revisions that are kept: so many views of all layers, and so many lookups over grids."""
GEOMETRY = "geometry"
GEOJSON = "application/geo+json"
SHOWN_FIRST = ("city", "counties", "townships", "communities", "grids")
"""What the map opens with; other layers are loaded when first asked for."""


@dataclass(frozen=True)
class View:
    """One revision of a layer, as it is served.

    Parameters
    ----------
    layer : layers.Layer
        Which.
    revision : int
        Its number.
    published_at : str
        UTC, ISO 8601.
    frame : geopandas.GeoDataFrame
        Features by rising code, in the store's plane, phones masked.
    executor : ThreadPoolExecutor
        Where coarser zooms are made.
    whole : pandas.DataFrame
        The columns that masking changed, as they were published.
    """

    layer: layers.Layer
    revision: int
    published_at: str
    frame: gpd.GeoDataFrame
    executor: ThreadPoolExecutor
    whole: pd.DataFrame

    def shown_to(self, caller: Caller, rows: npt.NDArray[np.intp]) -> pd.DataFrame:
        """Give the attributes of rows, with persons where they may be seen by whoever asks."""
        shown = self.frame.drop(columns=GEOMETRY).iloc[rows]
        if not caller.sees_persons or self.whole.empty:
            return shown
        seen = np.array([caller.sees_persons_of(code) for code in shown["code"]], dtype=bool)
        whole = self.whole.iloc[rows]
        return shown.assign(
            **{name: shown[name].where(~seen, whole[name]) for name in whole.columns}
        )

    @cached_property
    def lonlat(self) -> npt.NDArray[np.object_]:
        """Geometries in WGS84 degrees, by row."""
        plane = crs.Plane.of(self.frame.crs)

        def unproject(xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.column_stack(plane.inverse(xy[:, 0], xy[:, 1]))

        return np.asarray(shapely.transform(self.frame.geometry.to_numpy(), unproject))

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Index of `lonlat`."""
        return shapely.STRtree(self.lonlat)

    def in_system(self, epsg: int) -> tuple[npt.NDArray[np.object_], shapely.STRtree]:
        """Geometries in a coordinate system, x east, and their index; kept once made."""
        if epsg in {crs.WGS84_EPSG, crs.CGCS2000_EPSG}:
            return self.lonlat, self.tree
        if epsg == crs.epsg(self.frame.crs):
            return self.frame.geometry.to_numpy(), self.plane_tree
        if epsg not in self._projected:
            found = self.frame.geometry.to_crs(epsg).to_numpy()
            self._projected[epsg] = (found, shapely.STRtree(found))
        return self._projected[epsg]

    @cached_property
    def _projected(self) -> dict[int, tuple[npt.NDArray[np.object_], shapely.STRtree]]:
        return {}

    @cached_property
    def plane_tree(self) -> shapely.STRtree:
        """Index of the geometries in the store's plane."""
        return shapely.STRtree(self.frame.geometry.to_numpy())

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north in degrees."""
        west, south, east, north = shapely.total_bounds(self.lonlat).tolist()
        return west, south, east, north

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Code -> row; of a code that stands twice, the first."""
        codes = self.frame["code"].tolist()
        return {code: row for row, code in reversed(list(enumerate(codes)))}

    @cached_property
    def tile_source(self) -> TileSource:
        """What its vector tiles are drawn from."""
        tiles = self.layer.contract == "tiles"
        return TileSource.of(self.frame, self.layer.name, tiles=tiles, executor=self.executor)


class State:
    """Shared by all requests of one application.

    Parameters
    ----------
    store : Store
        Open for the application's life.
    streets : Path, optional
        The walk network's file; by default the one the store keeps.
    """

    def __init__(self, store: Store, *, streets: Path | None = None) -> None:
        self.store = store
        self.executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="derive")
        self.started_at = time.time()
        self.ready = False
        self.problem: GeoServiceError | None = None
        """What kept it from loading everything."""
        self._streets = streets
        self._streets_stamp: str | None = None
        self._views: OrderedDict[tuple[str, int], View] = OrderedDict()
        self._kept: dict[str, tuple[object, Any]] = {}
        self._past: OrderedDict[int, Gazetteer] = OrderedDict()
        self._saved: dict[str, tuple[int, saved.SavedTiles | None]] = {}
        self._drawn_ahead: dict[str, int] = {}
        self._revisions: dict[str, int] = {}
        self._looked_at = -LOOK_EVERY_SECONDS
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def revisions(self) -> dict[str, int]:
        """Give the current revision of each published layer, at most half a second old."""
        if time.monotonic() - self._looked_at >= LOOK_EVERY_SECONDS:
            found = self.store.current_revisions()
            self._revisions = {name: found[name] for name in layers.LAYERS if name in found}
            self._streets_stamp = self._look_at_streets()
            self._looked_at = time.monotonic()
        return self._revisions

    def look_again(self) -> None:
        """Let the next question see what was just published."""
        self._looked_at = -LOOK_EVERY_SECONDS

    def view(self, layer: str, *, at: int | str | None = None) -> View:
        """Give a layer as it is, or as it was.

        Parameters
        ----------
        layer : str
            A published layer.
        at : int or str, optional
            A revision or a date.

        Raises
        ------
        MissingError
            ``layer_unknown``, ``revision_unknown``.
        """
        current = self.revisions()
        if layer not in current:
            raise MissingError("layer_unknown", layer=layer, known=", ".join(current))
        number = current[layer] if at is None else self.store.revision(layer, at=at).number
        key = (layer, number)
        with self._locks["views"]:
            view = self._views.get(key) or self._make_view(layer, number)
            self._views[key] = view
            self._views.move_to_end(key)
            past = [one for one in self._views if current.get(one[0]) != one[1]]
            for one in past[:-KEPT_PAST]:
                del self._views[one]
        return view

    def gazetteer(self, *, at: int | str | None = None) -> Gazetteer:
        """Give the lookup over the grids, as they are or as they were; it is made if need be.

        Raises
        ------
        MissingError
            ``layer_unknown``, ``revision_unknown``.
        """
        if at is None:
            return self._current("gazetteer", self._make_gazetteer)
        number = self.store.revision("grids", at=at).number
        if number == self.revisions().get("grids"):
            return self.gazetteer()
        with self._locks["past"]:
            if number not in self._past:
                self._past[number] = self._make_gazetteer(number)
                while len(self._past) > KEPT_PAST:
                    self._past.popitem(last=False)
            self._past.move_to_end(number)
            return self._past[number]

    def gazetteer_at_hand(self) -> Gazetteer | None:
        """Give the lookup there is: while that of a new revision is made, the last one answers."""
        made: Gazetteer | None = self._kept.get("gazetteer", (None, None))[1]
        return made

    def follow(self, until: threading.Event) -> None:
        """Make ready for each newly published revision, whoever published it, until told."""
        while not until.wait(LOOK_EVERY_SECONDS):
            try:
                if "grids" in self.revisions():
                    self.gazetteer()
                if self.ready:
                    self._draw_new()
            except Exception:  # a database that went away comes back
                log.exception("looking for new revisions failed; trying again")

    def address_book(self) -> AddressBook | WithOnline:
        """Give the city's address book, with the online geocoder behind it that was switched on.

        Raises
        ------
        ConflictError
            ``addresses_missing``.
        """
        from geo_service.addresses import AddressBook
        from geo_service.addresses.online import with_online

        if "addresses" not in self.store.tables():
            raise ConflictError("addresses_missing")
        return self._current(
            "addresses", lambda: with_online(AddressBook(self.store.table("addresses")))
        )

    def network(self, profile: str | None = None) -> WalkNetwork:
        """Give the walk network for a profile.

        Raises
        ------
        ConflictError
            ``streets_missing``.
        """
        stamp = self.streets_stamp()
        if stamp is None:
            raise ConflictError("streets_missing")
        made = self._keep("network", stamp, self._load_streets)
        return made.with_profile(profile) if profile else made

    def streets_stamp(self) -> str | None:
        """Tell which state of the streets is served, at most half a second old; ``None``: none."""
        self.revisions()
        return self._streets_stamp

    def notes(self) -> list[Note]:
        """Tell what works and could work better."""
        network: WalkNetwork | None = self._kept.get("network", (None, None))[1]
        if network is None or not network.of_old_format:
            return []
        return [
            Note(
                "streets_old_format",
                "步行路网由旧版程序保存，能用，但每次启动都要重新构建。"
                "请用 geo-service streets import 重新导入街道文件，即存成新格式。",
                "The walk network was saved by an older version: it works, but is built anew at "
                "every start. Import the streets again (geo-service streets import) to save it in "
                "today's format.",
            )
        ]

    def street_tiles(self) -> TileSource:
        """Give what the tiles of the walk network's chains are drawn from."""
        network = self.network()
        return self._keep("street_tiles", id(network), lambda: self._draw_streets(network))

    def saved_tiles(self, layer: str) -> tuple[int, saved.SavedTiles | None]:
        """Give a layer's current revision (0: there is none), and its saved tiles if it has any."""
        number = self.revisions().get(layer, 0)
        kept = self._saved.get(layer)
        if number and (kept is None or kept[0] != number):
            digest = self.store.revision(layer, at=number).sha256
            kept = (number, saved.opened(self.store.tiles_path, layer, digest))
            self._saved[layer] = kept
        return kept if kept and number else (0, None)

    def report(self, name: str, version: object, make: Callable[[], Any]) -> Any:
        """Keep the answer of a long check for as long as what it was made from stays."""
        return self._keep(name, version, make)

    def warm(self) -> None:
        """Derive everything the first visitor of the map will ask for."""
        shown = [name for name in self.revisions() if name in SHOWN_FIRST]
        for layer in shown:
            self.view(layer)
        if "grids" in self.revisions():
            self.gazetteer()
        if self.streets_stamp() is not None:
            self.street_tiles()
        self.ready = True  # from now on `follow` draws what is not yet saved

    def draw_ahead(self) -> None:
        """Draw the coarse tiles of the layers that the map opens with, where none are saved."""
        for layer in self.revisions():
            if layer in SHOWN_FIRST:
                self._draw_ahead(layer)

    def close(self) -> None:
        """Let go of the store and of the threads."""
        self.executor.shutdown(wait=True, cancel_futures=True)
        self.store.close()

    def _draw_new(self) -> None:
        """Have the coarse tiles of revisions that the map opens with drawn, one after the other."""
        for layer, number in self.revisions().items():
            if layer in SHOWN_FIRST and self._drawn_ahead.get(layer) != number:
                self._drawn_ahead[layer] = number
                self.executor.submit(self._draw_ahead, layer)

    def _draw_ahead(self, layer: str) -> None:
        try:
            view = self.view(layer)
            source = view.tile_source
            if self.saved_tiles(layer)[1] is None:
                digest = self.store.revision(layer, at=view.revision).sha256
                made = saved.save(source, self.store.tiles_path, layer, digest)
                self._saved[layer] = (view.revision, made)
        except Exception:
            log.exception("drawing the tiles of %s ahead failed; each is drawn when asked", layer)

    def _current(self, name: str, make: Callable[[], Any]) -> Any:
        return self._keep(name, self.revisions(), make)

    def _keep(self, name: str, version: object, make: Callable[[], Any]) -> Any:
        kept_version, kept = self._kept.get(name, (None, None))
        if kept is not None and kept_version == version:
            return kept
        with self._locks[name]:
            kept_version, kept = self._kept.get(name, (None, None))
            if kept is None or kept_version != version:
                kept = make()
                self._kept[name] = (version, kept)
            return kept

    def _make_view(self, layer: str, number: int) -> View:
        frame = self.store.frame(layer, at=number)
        ordered = frame.sort_values("code", kind="stable", ignore_index=True)
        shown = masking.masked(ordered)
        return View(
            layer=layers.layer(layer),
            revision=number,
            published_at=self.store.revision(layer, at=number).published_at,
            frame=shown,
            executor=self.executor,
            whole=_changed(ordered, shown),
        )

    def _make_gazetteer(self, at: int | None = None) -> Gazetteer:
        made = Gazetteer.of(self.store, at=at)
        shown = masking.records(masking.masked(pd.DataFrame(made.attributes)))
        return replace(made, attributes=shown)

    def _look_at_streets(self) -> str | None:
        if self._streets is None:
            return self.store.streets_stamp()
        return str(self._streets.stat().st_mtime_ns) if self._streets.is_file() else None

    def _load_streets(self) -> WalkNetwork:
        return WalkNetwork.load(self._streets or self.store.streets_path)

    def _draw_streets(self, network: WalkNetwork) -> TileSource:
        lines = mvt.to_mercator(street_chains(network), network.plane)
        return TileSource("streets", lines, executor=self.executor)


def street_chains(network: WalkNetwork) -> npt.NDArray[np.object_]:
    """Give the chains of a walk network as lines in its plane."""
    graph = network.graph
    vertices = np.diff(graph.shape_start)
    return np.asarray(
        shapely.linestrings(
            np.column_stack((graph.shape_x, graph.shape_y)),
            indices=np.repeat(np.arange(len(vertices)), vertices),
        )
    )


def of(connection: HTTPConnection) -> State:
    """Give the state of the application a request came to (a FastAPI dependency)."""
    state: State = connection.app.state.geo_service
    return state


def _changed(before: gpd.GeoDataFrame, after: gpd.GeoDataFrame) -> pd.DataFrame:
    """Give the columns that masking changed, as they were."""
    names = [n for n in before.columns if n != GEOMETRY and not before[n].equals(after[n])]
    return pd.DataFrame({name: before[name] for name in names}, index=before.index)
