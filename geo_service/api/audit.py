"""The audit log, for admins: who wrote what, from where."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from geo_service.api import doors
from geo_service.api import state as states
from geo_service.api.state import State

router = APIRouter(tags=["service"], dependencies=[doors.requires("admin")])


@router.get("/audit", summary="Who wrote what, when and from where")
def audit(
    state: Annotated[State, Depends(states.of)],
    since: Annotated[str | None, Query(description="A date or moment, UTC")] = None,
    who: Annotated[str | None, Query(description="Only what one person wrote")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> Response:
    """Give the latest lines, oldest first; the log can be added to, never changed."""
    lines = [line.to_dict() for line in state.store.audit_log(since=since, who=who, limit=limit)]
    return Response(orjson.dumps({"audit": lines}), media_type="application/json")
