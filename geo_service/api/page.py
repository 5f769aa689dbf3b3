"""The map page, with what it needs to know of the city."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from geo_service import masking, proposals
from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.state import State
from geo_service.errors import MissingError

router = APIRouter(tags=["service"], dependencies=[doors.requires("viewer")])

StateOf = Annotated[State, Depends(states.of)]
_WEB = Path(str(resources.files("geo_service") / "web"))


def mount_files(app: FastAPI) -> None:
    """Serve the page's own files, and MapLibre from its Python package: nothing from elsewhere."""
    app.mount("/web", StaticFiles(directory=_WEB), name="web")
    app.mount("/maplibre", StaticFiles(packages=[("maplibre", "srcjs")]), name="maplibre")


@router.get("/map", summary="The map page", include_in_schema=False)
async def map_page() -> FileResponse:
    """Give the page itself."""
    return FileResponse(_WEB / "map.html", headers={"Cache-Control": "no-cache"})


@router.get("/map/city", summary="What the map page needs to know", include_in_schema=False)
def city(request: Request, state: StateOf) -> Response:
    """Give the title, the extent, the layers, what else there is, and what the caller may do."""
    caller = doors.of(request)
    info = state.store.info()
    views = [state.view(name) for name in state.revisions()]
    bounds = np.array([view.bounds for view in views]).reshape(-1, 4)
    box = [*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0)] if len(bounds) else None
    return _json(
        {
            "title": info.title or "网格地图",
            "synthetic": info.synthetic,
            "bounds": box,
            "layers": [
                {
                    "id": view.layer.name,
                    "revision": view.revision,
                    "published_at": view.published_at,
                    "features": len(view.frame),
                }
                for view in views
            ],
            "streets": state.streets_stamp(),
            "facilities": "facilities" in info.tables,
            "proposals": proposals.TABLE in info.tables,
            "addresses": "addresses" in info.tables,
            "homes": "buildings" in info.tables,
            "caller": {
                "name": caller.name,
                "draws": caller.may("planner"),
                "publishes": caller.may("publisher"),
            },
        }
    )


@router.get(
    "/map/areas",
    summary="Areas the caller may draw in",
    include_in_schema=False,
    dependencies=[doors.requires("planner")],
)
def areas(request: Request, state: StateOf) -> Response:
    """Give code and name of the counties, townships and communities the caller may draw in."""
    caller = doors.of(request)
    names = [name for name in ("counties", "townships", "communities") if name in state.revisions()]
    frames = {name: state.view(name).frame for name in names}
    return _json(
        {
            name: [
                {"code": row["code"], "name": row.get("name") or ""}
                for row in masking.records(frame.drop(columns=frame.geometry.name))
                if caller.may_change(row["code"])
            ]
            for name, frame in frames.items()
        }
    )


@router.get("/map/facilities", summary="Existing facilities as points", include_in_schema=False)
def facilities(state: StateOf) -> Response:
    """Give the facilities that stand today."""
    if "facilities" not in state.store.tables():
        raise MissingError("not_found", what="facilities")
    table = masking.masked(state.store.table("facilities"))
    if "status" in table:
        table = table[table["status"].isin(["existing", ""]) | table["status"].isna()]
    points = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [row.pop("lon"), row.pop("lat")]},
            "properties": row,
        }
        for row in masking.records(table)
    ]
    return _json({"type": "FeatureCollection", "features": points})


def _json(body: dict[str, Any]) -> Response:
    return Response(
        orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json"
    )
