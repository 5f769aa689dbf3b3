"""The walk network: streets of one extract as one profile may walk them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely

from geo_service import crs
from geo_service.errors import InputError, Phrase
from geo_service.streets import contraction, extracts, saved, segments, tag_rules
from geo_service.streets.contraction import CM_PER_M, Graph
from geo_service.streets.saved import Saved
from geo_service.streets.segments import FloatArray, Segments
from geo_service.streets.snapping import SNAP_LIMIT_M, Snapped, StreetIndex, least_piece_cm
from geo_service.streets.tag_rules import WalkProfile

if TYPE_CHECKING:
    import geopandas as gpd
    import networkx as nx
    import pandas as pd

    from geo_service.walking import Route, TravelMatrix

_SECONDS_PER_MINUTE = 60.0
_KMH_PER_M_S = 3.6
_SLOWEST_KMH = 0.1


class WalkNetwork:
    """Streets as a graph that answers what can be walked.

    Lengths are metres on the ground (ellipsoid, see `segments.ground_length_m`), kept as whole
    centimetres; positions are in `plane`. A network never changes after it was built, so threads
    may share it.

    Parameters
    ----------
    streets : Segments
        All segments of the extract.
    profile : str or WalkProfile
        Which doors open, and the usual speed: see `tag_rules.profile`.
    plane : str or int or pyproj.CRS, optional
        A metric system; by default the zone of the extract's middle (`crs.plane_for`).
    source : dict, optional
        What the reader found in the extract: file, SHA-256, counts.
    graphs : dict, optional
        Graphs of the same streets in the same plane that are known already, by mask of access
        classes; others are added when a profile needs them.
    """

    of_old_format = False
    """Whether it was opened from a file that an older version saved: its graphs are built anew."""

    def __init__(
        self,
        streets: Segments,
        *,
        profile: str | WalkProfile = "adult",
        plane: Any = None,
        source: dict[str, Any] | None = None,
        graphs: dict[int, Graph] | None = None,
    ) -> None:
        if plane is None:
            plane = crs.plane_for(_middle(streets.lon), _middle(streets.lat))
        if crs.is_lonlat(plane):
            raise InputError(
                "parameter_invalid",
                name="plane",
                value=crs.name(plane),
                reason=Phrase("单位不是米", "not in metres"),
            )
        self.walker: WalkProfile = (
            profile if isinstance(profile, WalkProfile) else tag_rules.profile(profile)
        )
        self.source: dict[str, Any] = dict(source or {})
        self._streets = streets
        self._plane = crs.Plane.of(plane)
        self._graphs: dict[int, Graph] = {} if graphs is None else graphs
        self.graph: Graph = self._graph_for(self.walker)
        if self.graph.tail.size == 0:
            raise InputError("streets_empty", file=self.source.get("file", ""))

    @classmethod
    def from_pbf(
        cls,
        path: str | Path,
        *,
        profile: str = "adult",
        plane: Any = None,
        on_progress: extracts.Progress | None = None,
    ) -> WalkNetwork:
        """Import an OSM extract.

        Parameters
        ----------
        path : str or Path
            A file ``*.osm.pbf``.
        profile : str
            Who walks: ``adult``, ``senior``, ``courier`` or ``resident``.
        plane : str or int or pyproj.CRS, optional
            A metric system for positions.
        on_progress : callable, optional
            Called with the share done, 0 to 1.

        Raises
        ------
        MissingError
            ``file_missing``, ``profile_unknown``.
        InputError
            ``pbf_unreadable``, ``streets_empty``.
        """
        tag_rules.profile(profile)  # refuse an unknown name before the long read
        streets, source = extracts.read(path, on_progress=on_progress)
        network = cls(streets, profile=profile, plane=plane, source=source)
        if on_progress:
            on_progress(1.0)
        return network

    def save(self, path: str | Path) -> None:
        """Write the network to one file, with its graphs as every shipped profile walks them.

        The same network gives the same bytes.

        Raises
        ------
        InputError
            ``output_unwritable``.
        """
        graphs = {self.walker.mask: self.graph} if not self.walker.names_gates else {}
        for walker in tag_rules.profiles().values():
            if walker.mask not in graphs:
                graphs[walker.mask] = self._graph_for(walker)
        saved.write(
            Path(path),
            Saved(self._streets, self.walker, self._plane.crs.to_wkt(), self.source, graphs),
        )

    @classmethod
    def load(cls, path: str | Path, *, profile: str | None = None) -> WalkNetwork:
        """Open a network that `save` wrote; `profile` replaces the one it was saved with.

        Raises
        ------
        MissingError
            ``file_missing``.
        InputError
            ``file_unreadable``.
        """
        found = saved.read(Path(path))
        old = not found.graphs
        network = cls(
            found.streets, profile=profile or found.profile, plane=found.plane,
            source=found.source, graphs=found.graphs,
        )  # fmt: skip
        network.of_old_format = old
        return network

    def with_profile(self, profile: str) -> WalkNetwork:
        """Give the network of the same streets as another profile may walk them.

        Networks made this way are kept, so asking again costs nothing.
        """
        if profile == self.profile:
            return self
        known = self._by_profile
        if profile not in known:
            other = WalkNetwork(
                self._streets, profile=profile, plane=self._plane.crs, source=self.source,
                graphs=self._graphs,
            )  # fmt: skip
            other.__dict__["_by_profile"] = known
            known[profile] = other
        return known[profile]

    def _graph_for(self, walker: WalkProfile) -> Graph:
        """Give the graph of what somebody may walk: one of those kept, or a new one."""
        if walker.names_gates:
            streets = _as_known_to(self._streets, walker)
            return contraction.contract(streets, mask=walker.mask, plane=self._plane)
        if walker.mask not in self._graphs:
            self._graphs[walker.mask] = contraction.contract(
                self._streets, mask=walker.mask, plane=self._plane
            )
        return self._graphs[walker.mask]

    @cached_property
    def _by_profile(self) -> dict[str, WalkNetwork]:
        return {self.profile: self}

    @property
    def profile(self) -> str:
        """Name of the profile the network was made for."""
        return self.walker.name

    @property
    def plane(self) -> str:
        """Name of the metric system of positions, such as ``EPSG:4547``."""
        return self._plane.name

    @property
    def node_count(self) -> int:
        """Number of junctions and dead ends."""
        return int(self.graph.node_x.size)

    @property
    def edge_count(self) -> int:
        """Number of chains between them."""
        return int(self.graph.tail.size)

    @property
    def length_m(self) -> float:
        """Length of all walkable streets, each counted once."""
        return float(self.graph.length_cm.sum(dtype=np.int64)) / CM_PER_M

    @property
    def components(self) -> FloatArray:
        """Length of each piece of the network in metres, longest first."""
        return self.graph.component_cm / CM_PER_M

    def pieces(self) -> pd.DataFrame:
        """List the pieces of the network, longest first.

        Returns
        -------
        DataFrame
            ``length_m``; ``nodes``; ``serves``: whether places snap to it (see `snapping`);
            ``lon``, ``lat`` of a node of it, in WGS84 degrees.
        """
        import pandas as pd

        length_m = self.components
        _, first = np.unique(self.graph.component, return_index=True)
        return pd.DataFrame(
            {
                "length_m": length_m,
                "nodes": np.bincount(self.graph.component, minlength=length_m.size),
                "serves": self.graph.component_cm >= least_piece_cm(self.graph),
                "lon": self.node_lonlat[first, 0],
                "lat": self.node_lonlat[first, 1],
            }
        )

    def barriers(self) -> gpd.GeoDataFrame:
        """List the gates, walls and others that stop this profile on a street.

        Returns
        -------
        GeoDataFrame
            Points in WGS84 with ``osm_id``, ``tags``, and ``opens_to``: the shipped profiles that
            may pass, with spaces between.
        """
        import geopandas as gpd

        streets = _as_known_to(self._streets, self.walker)
        shut = np.flatnonzero((streets.barrier_masks & self.walker.mask) == 0)
        usable = ((streets.forward | streets.backward) & self.walker.mask) != 0
        walked = np.zeros(streets.osm_ids.size, bool)
        walked[streets.tail[usable]] = walked[streets.head[usable]] = True
        shut = shut[walked[streets.barriers[shut]]]
        rows, masks = streets.barriers[shut], streets.barrier_masks[shut].tolist()
        known = tag_rules.profiles()
        opens_to = [" ".join(n for n, p in known.items() if p.mask & mask) for mask in masks]
        return gpd.GeoDataFrame(
            {"osm_id": streets.osm_ids[rows], "tags": streets.barrier_kinds[shut],
             "opens_to": opens_to},
            geometry=gpd.points_from_xy(streets.lon[rows], streets.lat[rows]),
            crs=4326,
        )  # fmt: skip

    @cached_property
    def node_lonlat(self) -> FloatArray:
        """Positions of the nodes, shape (n, 2), WGS84 degrees."""
        return np.column_stack(self._plane.inverse(self.graph.node_x, self.graph.node_y))

    @cached_property
    def index(self) -> StreetIndex:
        """The spatial index of the streets, built when first used."""
        return StreetIndex(self.graph)

    def to_plane(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, *, datum: str = "wgs84"
    ) -> tuple[FloatArray, FloatArray]:
        """Bring coordinates of a datum into the network's plane.

        Raises
        ------
        InputError
            ``lonlat_swapped``, ``lonlat_out_of_range`` (also for NaN), ``datum_unknown``.
        """
        return self._plane.forward(lon, lat, datum=crs.parse_datum(datum))

    def to_lonlat(self, x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Bring positions in the plane to WGS84 degrees."""
        return self._plane.inverse(x, y)

    def limit_cm(self, minutes: float, *, speed_kmh: float | None = None) -> int:
        """Give the whole centimetres walked in some minutes.

        Parameters
        ----------
        minutes : float
            More than 0.
        speed_kmh : float, optional
            Kilometres an hour instead of the profile's speed.

        Raises
        ------
        InputError
            ``parameter_invalid``.
        """
        speed_m_s = self.speed_m_s(speed_kmh)
        metres = minutes * _SECONDS_PER_MINUTE * speed_m_s
        if not (minutes > 0 and metres < 1e6):
            reason = Phrase(
                "步行距离应大于 0、不超过 1,000 千米", "between 0 and 1,000 km of walking"
            )
            raise InputError("parameter_invalid", name="minutes", value=minutes, reason=reason)
        return int(metres * CM_PER_M + 1e-6)

    def speed_m_s(self, speed_kmh: float | None = None) -> float:
        """Give the speed in metres a second: the one said, else the profile's."""
        if speed_kmh is None:
            return self.walker.speed_m_s
        if not _SLOWEST_KMH <= speed_kmh < 100:
            reason = Phrase(
                f"步行速度应为 {_SLOWEST_KMH:g} 到 100 km/h",
                f"a walk has {_SLOWEST_KMH:g} km/h or more and less than 100",
            )
            raise InputError("parameter_invalid", name="speed_kmh", value=speed_kmh, reason=reason)
        return speed_kmh / _KMH_PER_M_S

    def snap_all(
        self,
        lon: npt.ArrayLike,
        lat: npt.ArrayLike,
        *,
        datum: str = "wgs84",
        limit_m: float = SNAP_LIMIT_M,
    ) -> Snapped:
        """Snap many places; a place too far from any street has edge -1.

        Parameters
        ----------
        lon, lat : array_like, shape (k,)
            Degrees in `datum`.
        datum : str
            A datum or EPSG code.
        limit_m : float
            The farthest street that is accepted.
        """
        x, y = self.to_plane(np.atleast_1d(lon), np.atleast_1d(lat), datum=datum)
        return self.index.snap(x.ravel(), y.ravel(), limit_m=limit_m)

    def snap(
        self, lon: float, lat: float, *, datum: str = "wgs84", limit_m: float = SNAP_LIMIT_M
    ) -> Snapped:
        """Snap one place; see `snap_all` for many.

        Raises
        ------
        InputError
            ``street_too_far``; ``lonlat_swapped`` and others of `to_plane`.
        """
        x, y = self.to_plane(lon, lat, datum=datum)
        snapped = self.index.snap(np.atleast_1d(x), np.atleast_1d(y), limit_m=limit_m)
        if not snapped.found[0]:
            raise InputError(
                "street_too_far", lon=lon, lat=lat, limit_m=limit_m,
                distance_m=round(float(snapped.snap_distance_m[0])),
            )  # fmt: skip
        return snapped

    # Doors to the rooms above, so that a network is all one has to hold.

    def catchment(
        self, lon: npt.ArrayLike, lat: npt.ArrayLike, *, minutes: float | Iterable[float] = (15,),
        **options: Any,
    ) -> gpd.GeoDataFrame:  # fmt: skip
        """Give what can be reached on foot; see `geo_service.catchments.catchment`."""
        from geo_service import catchments

        return catchments.catchment(self, lon, lat, minutes=minutes, **options)

    def route(
        self, origin: tuple[float, float], destination: tuple[float, float], **options: Any
    ) -> Route:
        """Give the shortest walk between two places; see `geo_service.walking.route`."""
        from geo_service import walking

        return walking.route(self, origin, destination, **options)

    def time_matrix(
        self, origins: npt.ArrayLike, destinations: npt.ArrayLike, *, minutes: float,
        **options: Any,
    ) -> TravelMatrix:  # fmt: skip
        """Give all walks within some minutes; see `geo_service.walking.time_matrix`."""
        from geo_service import walking

        return walking.time_matrix(self, origins, destinations, minutes=minutes, **options)

    def to_networkx(self) -> nx.MultiDiGraph:
        """Export the graph: nodes with ``x``, ``y``, ``osm_id``; edges with ``cm`` and ``edge``."""
        import networkx as nx

        graph = self.graph
        exported = nx.MultiDiGraph(crs=self.plane)
        for node in range(self.node_count):
            exported.add_node(
                node, x=float(graph.node_x[node]), y=float(graph.node_y[node]),
                osm_id=int(graph.node_osm_ids[node]),
            )  # fmt: skip
        for edge in range(self.edge_count):
            tail, head = int(graph.tail[edge]), int(graph.head[edge])
            length = {"cm": int(graph.length_cm[edge]), "edge": edge}
            if graph.forward[edge]:
                exported.add_edge(tail, head, **length)
            if graph.backward[edge]:
                exported.add_edge(head, tail, **length)
        return exported

    @classmethod
    def from_osmnx(
        cls, graph: nx.MultiDiGraph, *, profile: str = "adult", plane: Any = None
    ) -> WalkNetwork:
        """Take over a street graph of osmnx; see `osmnx_graphs.import_graph`.

        Raises
        ------
        InputError
            ``streets_empty``, ``value_invalid``.
        """
        from geo_service.streets import osmnx_graphs

        streets = osmnx_graphs.import_graph(graph)
        return cls(streets, profile=profile, plane=plane, source={"file": "osmnx"})

    def to_osmnx(self) -> nx.MultiDiGraph:
        """Give the network as osmnx's street graph; see `osmnx_graphs.export`."""
        from geo_service.streets import osmnx_graphs

        lonlat = np.column_stack(self._plane.inverse(self.graph.shape_x, self.graph.shape_y))
        return osmnx_graphs.export(self.graph, self._streets, lonlat, self.node_lonlat)

    def street_lines(self) -> gpd.GeoDataFrame:
        """Give the streets as lines in the plane, one from junction to junction and kind to kind.

        Returns
        -------
        geopandas.GeoDataFrame
            Column ``highway``: what OSM says of each (``residential``, ``footway`` ...).
        """
        import geopandas as gpd

        from geo_service.streets.osmnx_graphs import SEVERAL

        graph, streets = self.graph, self._streets
        ends = graph.shape_start[1:] - 1  # no piece leaves the last vertex of a chain
        piece = np.delete(np.arange(len(graph.shape_x)), ends)
        chain = np.repeat(np.arange(graph.tail.size), np.diff(graph.shape_start) - 1)
        kind = streets.kind[graph.shape_segment[piece]]
        begins = np.flatnonzero(
            (np.diff(chain, prepend=-1) != 0) | (np.diff(kind, prepend=-1) != 0)
        )
        run = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(piece))))
        # Every piece's first vertex, and behind the last piece of each run its second one too.
        stops = np.append(begins[1:], len(piece))
        vertex = np.insert(piece, stops, piece[stops - 1] + 1)
        of = np.insert(run, stops, np.arange(len(begins)))
        xy = np.column_stack((graph.shape_x, graph.shape_y))
        lines = shapely.linestrings(xy[vertex], indices=of)
        named = [text.split(SEVERAL)[0] for text in streets.kinds.tolist()]
        highway = np.array(named, object)[kind[begins]]
        return gpd.GeoDataFrame({"highway": highway}, geometry=lines, crs=self._plane.crs)

    def __repr__(self) -> str:
        return (
            f"<WalkNetwork {self.source.get('file', '')} {self.profile}: {self.node_count} nodes, "
            f"{self.edge_count} chains, {self.length_m / 1000:.1f} km, {self.plane}>"
        )


def _as_known_to(streets: Segments, walker: WalkProfile) -> Segments:
    """Shut and open the gates that the profile names."""
    mask_of = dict(zip(streets.barriers.tolist(), streets.barrier_masks.tolist(), strict=True))
    kind_of = dict(zip(streets.barriers.tolist(), streets.barrier_kinds.tolist(), strict=True))
    for gates, mask in ((walker.closed_gates, tag_rules.CLOSED), (walker.open_gates, walker.mask)):
        rows = segments.rows_of(np.array(gates, np.int64), streets.osm_ids)
        mask_of |= dict.fromkeys(rows[rows >= 0].tolist(), mask)
    barriers = np.array(sorted(mask_of), np.int32)
    return replace(
        streets, barriers=barriers,
        barrier_masks=np.array([mask_of[b] for b in barriers.tolist()], np.uint8),
        barrier_kinds=np.array([kind_of.get(b, "") for b in barriers.tolist()], np.str_),
    )  # fmt: skip


def _middle(degrees: FloatArray) -> float:
    return float((degrees.min() + degrees.max()) / 2.0)
