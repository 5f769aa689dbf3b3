"""Every way to spoil a tiling; a further one is a function and an entry in `VARIANTS`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import shapely

from geo_service.demo_city.dirty import many, records
from geo_service.demo_city.dirty.shapes import (
    area,
    denser,
    inner_point,
    moved,
    quad,
    square_inside,
    with_vertex,
)
from geo_service.demo_city.dirty.work import Fault, FloatArray, Spoil, Work

_T_JUNCTION_M = (0.001, 0.01, 0.1)
_SLIVER_WIDTH_M = 0.03


def _pull(work: Work, row: int, *, meeting: int, inward: bool) -> Fault | None:
    """Move one shared vertex of one grid: inward leaves a gap, outward an overlap."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    for k in work.shared(row, meeting):
        rows = tuple(work.meeting(row, k))
        if any(work.on_rim[r] for r in rows):
            continue
        by_m = float(work.rng.uniform(0.15, 0.3)) * np.hypot(*(middle - ring[k])) * 0.3
        towards = middle if inward else 2.0 * ring[k] - middle
        vertex = moved(work, row, k, towards, by_m)
        spoiled, between = with_vertex(ring, k, vertex), quad(ring, k, vertex)
        if not (shapely.is_valid(spoiled) and shapely.is_valid(between)):
            continue
        ground = (
            work.polygons[row]
            if inward
            else shapely.union_all(work.polygons[[r for r in rows if r != row]])
        )
        if not shapely.covers(ground, between):
            continue
        if not inward and meeting == 3 and not _over_both(work, row, rows, between):
            continue
        return Fault(
            "gap" if inward else "overlap", work.codes(rows), inner_point(between),
            area(between), rows=rows, geometry={row: spoiled},
        )  # fmt: skip
    return None


def _over_both(work: Work, row: int, rows: tuple[int, ...], between: Any) -> bool:
    others = work.polygons[[r for r in rows if r != row]]
    return bool((shapely.area(shapely.intersection(others, between)) > 0.5).all())


def _hole(work: Work, row: int) -> Fault | None:
    hole = square_inside(work.polygons[row], 0.12)
    polygon = shapely.polygons(work.rings[row], [shapely.get_coordinates(hole)])
    return Fault(
        "gap", work.codes((row,)), inner_point(hole), area(hole), rows=(row,),
        geometry={row: polygon},
    )  # fmt: skip


def _inside(work: Work, row: int) -> Fault | None:
    small = square_inside(work.polygons[row], 0.3)
    code = work.new_code(row)
    return Fault(
        "overlap", tuple(sorted((work.code(row), code))), inner_point(small), area(small),
        rows=(row,), added=[(row, small, code)],
    )  # fmt: skip


def _sliver(work: Work, row: int) -> Fault | None:
    """Cut a strip of 3 cm off along a border: the tiling stays exact, the strip is a grid."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    for k in work.shared(row, 2):
        run = [(k + step) % len(ring) for step in range(5)]
        if {tuple(work.meeting(row, j)) for j in run} != {tuple(work.meeting(row, k))}:
            continue
        inner = np.array([moved(work, row, j, middle, _SLIVER_WIDTH_M) for j in run[1:-1]])
        strip = shapely.polygons(np.concatenate([ring[run], inner[::-1]]))
        rest = ring.copy()
        rest[run[1:-1]] = inner
        if shapely.is_valid(strip) and shapely.is_valid(shapely.polygons(rest)):
            code = work.new_code(row)
            return Fault(
                "sliver", (code,), inner_point(strip), area(strip),
                rows=tuple(work.meeting(row, k)),
                geometry={row: shapely.polygons(rest)}, added=[(row, strip, code)],
            )  # fmt: skip
    return None


def _duplicate(form: str) -> Spoil:
    def spoil(work: Work, row: int) -> Fault | None:
        ring = work.rings[row]
        if form == "turned":
            ring = np.roll(ring[::-1], 7, axis=0)
        if form == "denser":
            exact = _exact_middles(ring)
            if not exact:
                return None
            ring = np.insert(ring, exact[0] + 1, (ring[exact[0]] + ring[exact[0] + 1]) / 2, axis=0)
        code = work.new_code(row)
        return Fault(
            "duplicate_geometry", tuple(sorted((work.code(row), code))),
            inner_point(work.polygons[row]), area(work.polygons[row]),
            rows=(row,), added=[(row, shapely.polygons(ring), code)],
        )  # fmt: skip

    return spoil


def _exact_middles(ring: FloatArray) -> list[int]:
    """Segments whose middle is a pair of doubles exactly on the line."""
    found = []
    for k in range(len(ring) - 1):
        exact = all(
            (Fraction(a) + Fraction(b)) / 2 == Fraction((a + b) / 2)
            for a, b in zip(ring[k].tolist(), ring[k + 1].tolist(), strict=True)
        )
        if exact:
            found.append(k)
    return found


def _bow_tie(work: Work, row: int) -> Fault | None:
    ring = work.rings[row]
    for k in work.shared(row, 2):
        after = (k + 1) % len(ring)
        if work.meeting(row, k) != work.meeting(row, after):
            continue
        crossed = ring.copy()
        crossed[[k, after]] = crossed[[after, k]]
        polygon = shapely.polygons(crossed)
        if not shapely.is_valid(polygon):
            at = (ring[k] + ring[after]) / 2.0
            return Fault("self_intersection", work.codes((row,)), at,
                          rows=tuple(work.meeting(row, k)), geometry={row: polygon})  # fmt: skip
    return None


def _repeat(work: Work, row: int) -> Fault | None:
    ring = work.rings[row]
    k = len(ring) // 3
    polygon = shapely.polygons(np.insert(ring, k, ring[k], axis=0))
    return Fault("repeated_point", work.codes((row,)), ring[k], real=False, rows=(row,),
                  geometry={row: polygon})  # fmt: skip


def _spike(work: Work, row: int) -> Fault | None:
    """A needle into the grid: a spike of its ring, and a gap as long."""
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    for k in work.shared(row, 2):
        after = (k + 1) % len(ring)
        length = float(np.hypot(*(ring[after] - ring[k])))
        if work.meeting(row, k) != work.meeting(row, after) or length < 4.0:
            continue
        foot = ring[k] + (ring[after] - ring[k]) * (0.1 / length)
        tip = moved(work, row, k, middle, 0.4 * float(np.hypot(*(middle - ring[k]))))
        needle = shapely.polygons(np.array([ring[k], tip, foot]))
        polygon = shapely.polygons(np.insert(ring, k + 1, [tip, foot], axis=0))
        if shapely.is_valid(polygon) and shapely.covers(work.polygons[row].buffer(1e-6), needle):
            rows = tuple(work.meeting(row, k))
            gap = Fault("gap", work.codes(rows), inner_point(needle), area(needle))
            return Fault("spike", work.codes((row,)), tip, rows=rows, geometry={row: polygon},
                          more=(gap,))  # fmt: skip
    return None


def _exclave(work: Work, row: int) -> Fault | None:
    """Give a grid a piece of another: the tiling stays exact, the grid has two parts."""
    beyond = set[int]().union(*(work.neighbours[r] for r in work.neighbours[row]))
    for host in sorted(beyond - work.neighbours[row] - {row}):
        if work.on_rim[host]:
            continue
        piece = square_inside(work.polygons[host], 0.3)
        holed = shapely.polygons(work.rings[host], [shapely.get_coordinates(piece)])
        both = shapely.multipolygons([work.polygons[row], piece])
        return Fault("multipart", work.codes((row,)), inner_point(work.polygons[row]),
                      rows=(row, host), geometry={row: both, host: holed})  # fmt: skip
    return None


def _t_junction(work: Work, row: int) -> Fault | None:
    """A vertex of one side only, a millimetre to ten centimetres off the line."""
    ring = work.rings[row]
    off_m = _T_JUNCTION_M[len(work.faults) % len(_T_JUNCTION_M)]
    inward = bool(work.rng.random() < 0.5)
    for k in work.shared(row, 2):
        after = (k + 1) % len(ring)
        along = ring[after] - ring[k]
        length = float(np.hypot(*along))
        if work.meeting(row, k) != work.meeting(row, after) or length < 5.0:
            continue
        left = np.array([-along[1], along[0]]) / length
        side = 1.0 if shapely.is_ccw(shapely.linearrings(ring)) == inward else -1.0
        vertex = (ring[k] + ring[after]) / 2.0 + side * off_m * left
        triangle = shapely.polygons(np.array([ring[k], vertex, ring[after]]))
        rows = tuple(work.meeting(row, k))
        return Fault("gap" if inward else "overlap", work.codes(rows), inner_point(triangle),
                      area(triangle), rows=rows,
                      geometry={row: denser(ring, k, vertex)})  # fmt: skip
    return None


def _harmless(work: Work, row: int) -> Fault | None:
    """A vertex of one side only, exactly on the line."""
    ring = work.rings[row]
    for k in _exact_middles(ring):
        rows = tuple(work.meeting(row, k))
        if len(rows) != 2 or tuple(work.meeting(row, k + 1)) != rows:
            continue
        vertex = (ring[k] + ring[k + 1]) / 2.0
        return Fault("edge_mismatch", work.codes(rows), vertex, real=False, rows=rows,
                      geometry={row: denser(ring, k, vertex)})  # fmt: skip
    return None


def _rim(work: Work, row: int, *, inward: bool, sharpest: bool = False) -> Fault | None:
    """Move a rim vertex: inward leaves the rim open, outward overruns it.

    `sharpest` asks for the outline's corners first.
    """
    ring = work.rings[row]
    middle = shapely.get_coordinates(work.polygons[row].centroid)[0]
    places = work.shared(row, 1)
    if sharpest:
        places = sorted(places, key=lambda k: _straightness(ring, k))
    for k in places:
        neighbours = [(k - 1) % len(ring), (k + 1) % len(ring)]
        if any(len(work.meeting(row, j)) != 1 for j in neighbours):
            continue
        by_m = 0.1 * float(np.hypot(*(middle - ring[k])))
        vertex = moved(work, row, k, middle if inward else 2.0 * ring[k] - middle, by_m)
        spoiled, between = with_vertex(ring, k, vertex), quad(ring, k, vertex)
        if not (shapely.is_valid(spoiled) and shapely.is_valid(between)):
            continue
        clear = (
            shapely.covers(work.polygons[row], between)
            if inward
            else shapely.area(shapely.intersection(work.outline, between)) == 0.0
        )
        if clear:
            return Fault("rim_gap" if inward else "overrun", work.codes((row,)),
                          inner_point(between), area(between), rows=(row,),
                          geometry={row: spoiled})  # fmt: skip
    return None


def _straightness(ring: FloatArray, k: int) -> float:
    """The cosine of the turn at a vertex: 1 straight on, -1 back."""
    back, ahead = ring[k] - ring[k - 1], ring[(k + 1) % len(ring)] - ring[k]
    return float(back @ ahead / (np.hypot(*back) * np.hypot(*ahead)))


def _missing(work: Work, row: int) -> Fault | None:
    around = work.neighbours[row] - {row}
    if any(work.on_rim[r] for r in around):
        return None
    return Fault("missing_grid", work.codes(around), inner_point(work.polygons[row]),
                  area(work.polygons[row]), rows=(row, *sorted(around)),
                  dropped=(row,))  # fmt: skip


RIM_VARIANTS = {
    "overrun",
    "rim_gap",
    "rim_gap_corner",
    "overrun_corner",
    "rim_gap_at_node",
    "ribbon",
}
"""Those that need a grid at the rim; all others keep away from it."""

VARIANTS: dict[str, Spoil] = {
    "gap_at_edge": lambda work, row: _pull(work, row, meeting=2, inward=True),
    "gap_in_one": _hole,
    "gap_at_node": lambda work, row: _pull(work, row, meeting=3, inward=True),
    "overlap_at_edge": lambda work, row: _pull(work, row, meeting=2, inward=False),
    "overlap_over_two": lambda work, row: _pull(work, row, meeting=3, inward=False),
    "overlap_inside": _inside,
    "sliver": _sliver,
    "duplicate_same": _duplicate("same"),
    "duplicate_turned": _duplicate("turned"),
    "duplicate_denser": _duplicate("denser"),
    "bow_tie": _bow_tie,
    "repeated_point": _repeat,
    "spike": _spike,
    "exclave": _exclave,
    "t_junction": _t_junction,
    "t_junction_again": _t_junction,
    "t_junction_harmless": _harmless,
    "overrun": lambda work, row: _rim(work, row, inward=False),
    "rim_gap": lambda work, row: _rim(work, row, inward=True),
    "missing_grid": _missing,
    "code_duplicate": records.same_code,
    "code_malformed": records.bad_code,
    "code_parent_mismatch": records.wrong_parent,
    "area_mismatch": records.wrong_area,
    "gap_round_node": many.gap_round_node,
    "gap_lane": many.gap_lane,
    "overlap_triple": many.overlap_triple,
    "overlap_all_round": many.overlap_all_round,
    "enclave": many.enclave,
    "enclave_too_small": many.enclave_too_small,
    "exclave_over": many.exclave_over,
    "gap_touching_gap": lambda work, row: many.touching(work, row, second_inward=True),
    "gap_touching_overlap": lambda work, row: many.touching(work, row, second_inward=False),
    "rim_gap_corner": lambda work, row: _rim(work, row, inward=True, sharpest=True),
    "overrun_corner": lambda work, row: _rim(work, row, inward=False, sharpest=True),
    "rim_gap_at_node": many.rim_gap_at_node,
    "ribbon": many.ribbon,
}
"""Name of a variant -> how it spoils a grid; a further one is one entry here."""

RECORD_VARIANTS: dict[str, Spoil] = {
    "attribute_missing": records.empty_name,
    "size_out_of_range": records.too_many_households,
    "not_in_register": records.renamed,
    "code_order": records.numbered_backwards,
}
"""Those that a register, or a profile that asks for names and sizes, brings to light."""

PARENT_VARIANTS: dict[str, Spoil] = {"parent_mismatch": records.across_parents}
"""Those that show within the layer above only; all others show within the outline."""
