"""Grids of one system that another one cuts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from geo_service.crosswalk._atoms import Atoms, sums


def conflicts(
    atoms: Atoms,
    systems: Mapping[str, gpd.GeoDataFrame],
    texts: Mapping[str, list[str]],
    kept: npt.NDArray[np.intp],
    cell_of: npt.NDArray[np.intp],
    areas: npt.NDArray[np.float64],
    above: float,
) -> pd.DataFrame:
    """List what is cut in the base layer: of each two systems, the finer one's grids."""
    size = sums(cell_of, areas, len(kept))
    stands = np.full(len(areas), -1, np.intp)
    stands[kept] = np.arange(len(kept))
    held = []
    for atom, row in atoms.covering:
        base = stands[atom] >= 0
        held.append(pd.DataFrame({"cell": stands[atom[base]], "row": row[base]}))
    whole = [
        sums(h["row"].to_numpy(), size[h["cell"].to_numpy()], len(layer))
        for h, layer in zip(held, systems.values(), strict=True)
    ]
    names = list(systems)
    rows: list[tuple[str, str, str, int, list[str], list[float]]] = []
    for a, b in itertools.combinations(range(len(names)), 2):
        fine, coarse = sorted((a, b), key=lambda k: (float(np.median(whole[k])), k))
        found = _crossings(held[fine], held[coarse], whole[fine], whole[coarse], size, above)
        for cut, others in found:
            codes = [texts[names[coarse]][o] if o >= 0 else "" for o, _ in others]
            shares = [share for _, share in others]
            code = texts[names[fine]][cut]
            rows.append((names[fine], code, names[coarse], len(others), codes, shares))
    rows.sort(key=lambda row: (row[5][0], *row[:3]))
    return pd.DataFrame(rows, columns=["system", "code", "cut_by", "parts", "codes", "shares"])


def _crossings(
    fine: pd.DataFrame,
    coarse: pd.DataFrame,
    whole_fine: npt.NDArray[np.float64],
    whole_coarse: npt.NDArray[np.float64],
    size: npt.NDArray[np.float64],
    above: float,
) -> list[tuple[int, list[tuple[int, float]]]]:
    """Give grids with several parts of which at least one crosses: no side holds the other."""
    both = fine.merge(coarse, on="cell", suffixes=("", "_other"))
    both["area"] = size[both["cell"]]
    common = both.groupby(["row", "row_other"])["area"].sum().reset_index()
    common["share"] = common["area"] / whole_fine[common["row"]]
    common["share_other"] = common["area"] / whole_coarse[common["row_other"]]
    parts = common[common["share"] >= above]
    crossing = parts[(parts["share"] <= 1 - above) & (parts["share_other"] <= 1 - above)]
    several = parts.groupby("row").size()
    cut = crossing[crossing["row"].map(several) > 1]["row"].unique()
    found = []
    for row in sorted(cut.tolist()):
        mine = parts[parts["row"] == row]
        others = list(zip(mine["row_other"].tolist(), mine["share"].tolist(), strict=True))
        outside = 1.0 - sum(share for _, share in others)
        if outside >= above:
            others.append((-1, outside))
        found.append((row, sorted(others, key=lambda part: (-part[1], part[0]))))
    return found
