"""Any number of grid systems into one base layer (多格合一).

The base layer is the model planners use: every special net becomes a set of base cells, and what
one system says of a place can be carried over to another by its share. All borders are noded
together and polygonised, so that cells do not overlap, share every vertex, and their union is the
union of the systems. Lines that were digitised twice, some metres apart, would leave a sliver
each: what is narrower than a stated width goes to the cell that keeps the border of the strongest
system, and the ground that changes hands is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from geo_service import codes as grid_codes
from geo_service.crosswalk import _atoms, _cuts
from geo_service.crosswalk._atoms import Atoms, sums
from geo_service.crosswalk.shares import WHOLE, aligned, unit_m2
from geo_service.drawing.counts import share_whole
from geo_service.errors import InputError, Phrase
from geo_service.layers import LAYERS

COUNTS = ("households", "population")
"""What is shared out beside area: columns of weighting points, or of the systems themselves."""

_OWN_COLUMNS = frozenset({"code", "sources", "area_m2", "geometry", *COUNTS})


@dataclass(frozen=True)
class Combined:
    """Several grid systems as one.

    Parameters
    ----------
    base : geopandas.GeoDataFrame
        The proposed base layer: ``code`` (000001 .., west to east and north to south), one column
        per system with the code that covers the cell (empty where none does; several by comma
        where a system overlaps itself), ``sources`` (``name:code`` by semicolon), ``area_m2``,
        with weighting points also ``households`` and ``population``; geometry.
    shares : pandas.DataFrame
        One row per grid of a system and cell it has land in: ``system``, ``code``, ``cell``,
        ``area_m2``, ``share`` (of the grid; they add up to 1 per grid, snapped slivers included),
        and for each count that is known the count and ``<count>_share`` (NaN of nothing).
    conflicts : pandas.DataFrame
        Grids that another system cuts without either lying in the other: ``system``, ``code``,
        ``cut_by``, ``parts``, ``codes`` and ``shares`` (lists, largest first; the part outside has
        the empty code), most evenly cut first.
    moved : pandas.DataFrame
        Ground that snapping took from one grid of a system to another: ``system``, ``from_code``,
        ``to_code``, ``area_m2``, ``pieces``.
    systems : pandas.DataFrame
        ``system``, ``contract`` (of a known layer, else empty), ``grids``, ``area_m2``, ``covered``
        (its share of the union), ``overlap_m2`` (of itself), ``moved_m2``.
    union_in_m2, union_out_m2 : float
        Area of the union of all systems, by overlay, and the sum of the cells.
    """

    base: gpd.GeoDataFrame
    shares: pd.DataFrame
    conflicts: pd.DataFrame
    moved: pd.DataFrame
    systems: pd.DataFrame
    union_in_m2: float
    union_out_m2: float


def combine(
    layers: Mapping[str, gpd.GeoDataFrame],
    *,
    sliver_width_m: float = 0.0,
    weights: gpd.GeoDataFrame | None = None,
    cut_above: float = 1 - WHOLE,
) -> Combined:
    """Lay several grid systems over each other.

    Parameters
    ----------
    layers : mapping of str to geopandas.GeoDataFrame
        Name of a system -> its grids, with a column ``code``; the strongest first. They need not
        tile, and all are brought into the plane of the first.
    sliver_width_m : float, default 0
        Pieces that no circle of this diameter fits into are snapped to the strongest system; 0
        leaves every piece as it is.
    weights : geopandas.GeoDataFrame, optional
        Points with ``households`` or ``population``. Without them the systems' own columns of that
        name are divided over their cells by area, in whole numbers that add up.
    cut_above : float, default 0.02
        A part counts as cut from this share of its grid on; less is drawing tolerance.

    Returns
    -------
    Combined

    Raises
    ------
    InputError
        ``parameter_invalid`` without a layer or for a name that can't be a column,
        ``field_missing``, ``crs_missing``.

    Examples
    --------
    >>> from shapely import box
    >>> red = gpd.GeoDataFrame({"code": ["R"]}, geometry=[box(0, 0, 40, 10)], crs=4547)
    >>> homes = gpd.GeoDataFrame({"code": ["H"]}, geometry=[box(-2, 0, 20, 10)], crs=4547)
    >>> found = combine({"red": red, "homes": homes}, sliver_width_m=5)
    >>> found.base["sources"].tolist()
    ['red:R;homes:H', 'red:R']
    >>> found.union_in_m2, found.union_out_m2
    (420.0, 420.0)
    """
    systems = _aligned(layers)
    first = next(iter(systems.values()))
    shapes = [_valid(layer) for layer in systems.values()]
    atoms = _atoms.cut(shapes)
    units = unit_m2(first.crs, atoms.shapes)
    areas = atoms.areas * units

    target = np.arange(len(areas))
    if sliver_width_m > 0:
        width = sliver_width_m / math.sqrt(float(np.median(units)))
        target = _atoms.snapped(atoms, _atoms.slivers(atoms, width))
    cells, kept = _atoms.merged(atoms, target)
    spots = atoms.spots[kept]
    order = grid_codes.order_west_east(shapely.get_x(spots), shapely.get_y(spots))
    cells, kept = cells[order], kept[order]
    cell_of = np.empty(len(areas), np.intp)
    cell_of[kept] = np.arange(len(kept))
    cell_of = cell_of[target]

    texts = {name: grid_codes.texts(layer["code"]) for name, layer in systems.items()}
    points = None if weights is None else _counted(atoms, weights.to_crs(first.crs))
    names = _code_columns(atoms, texts)
    base = _base(cells, kept, sums(cell_of, areas, len(kept)), names, first.crs)
    for count, values in (points or {}).items():
        base.insert(base.columns.get_loc("geometry"), count, sums(cell_of, values, len(kept)))
    shares = pd.concat(
        [
            _shares_of(name, systems[name], texts[name], pair, areas, cell_of, points)
            for name, pair in zip(systems, atoms.covering, strict=True)
        ],
        ignore_index=True,
    )
    shares["cell"] = base["code"].to_numpy()[shares["cell"]]
    moved = _moved(names, target, areas)
    union = shapely.union_all(np.concatenate(shapes))
    union_m2 = float(union.area * (areas.sum() / atoms.areas.sum() if len(areas) else 1.0))
    return Combined(
        base=base,
        shares=shares,
        conflicts=_cuts.conflicts(atoms, systems, texts, kept, cell_of, areas, cut_above),
        moved=moved,
        systems=_summary(atoms, systems, areas, moved),
        union_in_m2=union_m2,
        union_out_m2=float(base["area_m2"].sum()),
    )


def _aligned(layers: Mapping[str, gpd.GeoDataFrame]) -> dict[str, gpd.GeoDataFrame]:
    if not layers:
        reason = Phrase("至少需要一个图层", "at least one layer is needed")
        raise InputError("parameter_invalid", name="layers", value="{}", reason=reason)
    for name in layers:
        if not name or name in _OWN_COLUMNS:
            reason = Phrase("网格体系不能用这个名称", "a system can't have this name")
            raise InputError("parameter_invalid", name="layers", value=name, reason=reason)
    first = next(iter(layers.values()))
    return {name: aligned(first, layer) for name, layer in layers.items()}


def _valid(layer: gpd.GeoDataFrame) -> npt.NDArray[np.object_]:
    """Give a layer's shapes; a ring that crosses itself is taken for the ground it encloses."""
    shapes = np.asarray(layer.geometry.values, object)
    broken = ~shapely.is_valid(shapes)
    return np.where(broken, shapely.make_valid(shapes), shapes) if broken.any() else shapes


def _code_columns(
    atoms: Atoms, texts: Mapping[str, list[str]]
) -> dict[str, npt.NDArray[np.object_]]:
    """Give the code of every system over every atom; several by comma, none empty."""
    columns = {}
    for (name, codes), (atom, row) in zip(texts.items(), atoms.covering, strict=True):
        column = np.full(len(atoms.shapes), "", object)
        for a, code in sorted(zip(atom.tolist(), (codes[r] for r in row), strict=True)):
            column[a] = f"{column[a]},{code}" if column[a] else code
        columns[name] = column
    return columns


def _base(
    cells: npt.NDArray[np.object_],
    kept: npt.NDArray[np.intp],
    area_m2: npt.NDArray[np.float64],
    names: Mapping[str, npt.NDArray[np.object_]],
    crs: Any,
) -> gpd.GeoDataFrame:
    table = pd.DataFrame({name: codes[kept] for name, codes in names.items()})
    sources = [
        ";".join(f"{name}:{code}" for name, code in row.items() if code)
        for row in table.to_dict("records")
    ]
    numbers = [f"{number:06d}" for number in range(1, len(kept) + 1)]
    table.insert(0, "code", pd.Series(numbers, dtype=object))
    table["sources"] = sources
    table["area_m2"] = area_m2
    return gpd.GeoDataFrame(table, geometry=cells, crs=crs)


def _counted(atoms: Atoms, points: gpd.GeoDataFrame) -> dict[str, npt.NDArray[np.float64]]:
    """Sum up the points in every atom; a point on a border counts once, in the first atom."""
    point, atom = shapely.STRtree(atoms.shapes).query(points.geometry.values, "intersects")
    where = np.full(len(points), len(atoms.shapes), np.intp)
    np.minimum.at(where, point, atom)
    inside = where < len(atoms.shapes)
    return {
        name: sums(where[inside], points[name].fillna(0).to_numpy(float)[inside], len(atoms.shapes))
        for name in COUNTS
        if name in points
    }


def _shares_of(
    name: str,
    layer: gpd.GeoDataFrame,
    codes: list[str],
    pair: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]],
    areas: npt.NDArray[np.float64],
    cell_of: npt.NDArray[np.intp],
    points: Mapping[str, npt.NDArray[np.float64]] | None,
) -> pd.DataFrame:
    atom, row = pair
    pieces = pd.DataFrame({"row": row, "cell": cell_of[atom], "area_m2": areas[atom]})
    for count, values in (points or {}).items():
        pieces[count] = values[atom]
    table = pieces.groupby(["row", "cell"], sort=True).sum().reset_index()
    if points is None:
        for count in COUNTS:
            if count in layer:
                table[count] = _divided(layer[count].fillna(0).to_numpy(), table)
    for count in ("area_m2", *(c for c in COUNTS if c in table)):
        share = "share" if count == "area_m2" else f"{count}_share"
        total = table.groupby("row")[count].transform("sum")
        table[share] = (table[count] / total).where(total > 0)
    table.insert(0, "code", [codes[r] for r in table["row"]])
    table.insert(0, "system", name)
    table = table.sort_values(["code", "row", "cell"], kind="stable")
    ordered = ["system", "code", "cell", "area_m2", "share"]
    return table[[*ordered, *(c for c in table if c not in {*ordered, "row"})]]


def _divided(counts: npt.NDArray[Any], table: pd.DataFrame) -> npt.NDArray[np.int64]:
    divided = np.zeros(len(table), np.int64)
    area_m2 = table["area_m2"].to_numpy()
    for places in table.groupby("row").indices.values():
        divided[places] = share_whole(int(counts[table["row"].iloc[places[0]]]), area_m2[places])
    return divided


def _moved(
    names: Mapping[str, npt.NDArray[np.object_]],
    target: npt.NDArray[np.intp],
    areas: npt.NDArray[np.float64],
) -> pd.DataFrame:
    """List what changed hands, per system."""
    found = []
    for name, codes in names.items():
        away = np.flatnonzero(codes != codes[target])
        pieces = pd.DataFrame(
            {
                "system": name,
                "from_code": codes[away],
                "to_code": codes[target][away],
                "area_m2": areas[away],
                "pieces": 1,
            }
        )
        found.append(pieces.groupby(["system", "from_code", "to_code"]).sum().reset_index())
    return pd.concat(found, ignore_index=True)


def _summary(
    atoms: Atoms,
    systems: Mapping[str, gpd.GeoDataFrame],
    areas: npt.NDArray[np.float64],
    moved: pd.DataFrame,
) -> pd.DataFrame:
    rows = []
    for (name, layer), (atom, _) in zip(systems.items(), atoms.covering, strict=True):
        own = areas[np.unique(atom)].sum()
        rows.append(
            {
                "system": name,
                "contract": LAYERS[name].contract if name in LAYERS else "",
                "grids": len(layer),
                "area_m2": float(areas[atom].sum()),
                "covered": float(own / areas.sum()),
                "overlap_m2": float(areas[atom].sum() - own),
                "moved_m2": float(moved.loc[moved["system"] == name, "area_m2"].sum()),
            }
        )
    return pd.DataFrame(rows)
