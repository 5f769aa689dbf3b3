"""Faults of a published layer or a draft, as GeoJSON for a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import orjson
import shapely
from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from geo_service import crs
from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.drafts import Profile
from geo_service.api.state import GEOJSON, State
from geo_service.errors import InputError
from geo_service.reports import KINDS_ZH

if TYPE_CHECKING:
    from geo_service.coverage import CoverageReport

router = APIRouter(tags=["drafts"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]


@router.get("/faults", summary="Faults on the map", response_class=Response,
            responses={200: {"content": {GEOJSON: {}}}})  # fmt: skip
def faults(
    request: Request,
    state: StateOf,
    layer: Annotated[str | None, Query(description="A published layer", examples=["grids"])] = None,
    draft: Annotated[int | None, Query(description="Or an open draft")] = None,
    profile: Profile = "default",
) -> Response:
    """Check a layer or a draft; each fault is a feature with its message in both languages."""
    if (layer is None) == (draft is None):
        raise InputError("parameter_missing", name="layer | draft")
    if draft is not None:
        doors.admit(request, "planner")
        doors.admit_area(request, state.store.draft(draft).replace_within)
        report = state.store.check_draft(draft, profile=profile)
        return _answer(report, {"draft": draft})
    assert layer is not None
    revision = state.view(layer).revision
    # The verdict depends on the layers above as well.
    report = state.report(
        f"check {layer} {profile}",
        dict(state.revisions()),
        lambda: state.store.check(layer, profile=profile),
    )
    return _answer(report, {"layer": layer, "revision": revision})


def _answer(report: CoverageReport, about: dict[str, Any]) -> Response:
    found = report.faults
    plane = crs.Plane.of(report.crs)

    def unproject(xy: Any) -> Any:
        return np.column_stack(plane.inverse(xy[:, 0], xy[:, 1]))

    geometries = shapely.to_geojson(shapely.transform(found.geometry.to_numpy(), unproject))
    x, y = found["x"].to_numpy(float), found["y"].to_numpy(float)
    placed = np.isfinite(x)  # a code missing from the layer is nowhere on the map
    lon, lat = plane.inverse(np.where(placed, x, 0.0), np.where(placed, y, 0.0))
    columns = ("kind", "severity", "codes", "area_m2", "width_m", "message_zh", "message_en")
    at = [[x, y] if known else None for x, y, known in zip(lon, lat, placed, strict=True)]
    rows = zip(*(found[name] for name in columns), at, geometries, strict=True)
    features = [
        {
            "type": "Feature",
            "geometry": orjson.Fragment(geometry) if geometry else None,
            "properties": {
                "kind": kind, "severity": severity, "codes": list(codes), "area_m2": area,
                "width_m": width, "at": at, "message": {"zh": zh, "en": en},
            },
        }
        for kind, severity, codes, area, width, zh, en, at, geometry in rows
    ]  # fmt: skip
    kinds = [
        {"kind": kind, "count": count, "zh": KINDS_ZH.get(kind, kind), "en": kind.replace("_", " ")}
        for kind, count in report.counts.items()
    ]
    body = {
        "type": "FeatureCollection", **about, "verdict": report.verdict,
        "coverage_percent": report.coverage_percent, "counts": report.counts,
        "kinds": kinds, "hidden": report.hidden, "profile": report.profile, "features": features,
    }  # fmt: skip
    return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type=GEOJSON)
