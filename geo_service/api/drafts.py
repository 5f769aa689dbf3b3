"""Uploads on their way to a revision: draft, check, difference, publication; and the history."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator, BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import Response

from geo_service import layers, profiles
from geo_service.api import desk, doors, uploads
from geo_service.api import state as states
from geo_service.api.state import State
from geo_service.boundary_files import BoundaryFile
from geo_service.errors import InputError, Phrase
from geo_service.store import Draft
from geo_service.store.records import Edit

UPLOAD = "upload"
"""The work of taking an uploaded file in, as the queue of jobs knows it."""

_TEXT_FIELDS = {
    "layer": "Which layer it belongs to: city, counties, townships, communities, grids …",
    "replace_within": "The code of the area whose part of the layer it replaces",
    "crs": "Coordinate system, where the file does not say: EPSG:4547",
    "datum": "gcj02 or bd09, where its longitudes and latitudes are shifted",
    "swap_axes": "1 where x and y stand in the wrong order",
    "encoding": "Text encoding, where it can't be told: GB18030",
    "file_layer": "Which layer of the file, where it holds several",
    "author": "Who brings it; what they say in fields is remembered",
    "fields": "field=column, comma between: code=XYZ,name=ABC, where names are unusual",
}
_READER_OPTIONS = {
    "crs": "crs", "datum": "datum", "swap_axes": "swap_axes", "encoding": "encoding",
    "file_layer": "layer",
}  # fmt: skip
_PLACE_HELPS = ("crs_missing", "crs_digits_disagree")
_UPLOAD_SCHEMA: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file", "layer"],
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    **{
                        name: {"type": "string", "description": text}
                        for name, text in _TEXT_FIELDS.items()
                    },
                },
            }
        }
    },
}

router = APIRouter(tags=["drafts"])

StateOf = Annotated[State, Depends(states.of)]
VIEWER = doors.requires("viewer")
PLANNER = doors.requires("planner")
PUBLISHER = doors.requires("publisher")
RuleProfile = Annotated[str, AfterValidator(profiles.shipped)]
Profile = Annotated[RuleProfile, Query(description="Rule profile")]


def _own_draft(number: int, request: Request, state: StateOf) -> Draft:
    """Give a draft to whoever may change its part of the layer."""
    found = state.store.draft(number)
    doors.admit_area(request, found.replace_within)
    return found


OWN = Depends(_own_draft)
OwnDraft = Annotated[Draft, OWN]


class Publication(BaseModel):
    """Why a draft is published, and which faults it is published in spite of."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"message": "2026 redraw of the east", "accept": []}]}
    )

    message: str = ""
    author: str = ""
    accept: list[str] = []
    reason: str = ""


@router.get(
    "/drafts",
    summary="All drafts",
    dependencies=[PLANNER],
)
def drafts(request: Request, state: StateOf) -> Response:
    """List the drafts, oldest first, and layers that were edited in a GIS program meanwhile."""
    caller = doors.of(request)
    own = [one for one in state.store.drafts() if caller.may_change(one.replace_within)]
    edited = [_offered(edit) for edit in state.store.edits()] if caller.may("publisher") else []
    return _json({"drafts": [told(draft) for draft in own], "edited": edited})


@router.post(
    "/drafts",
    status_code=201,
    summary="Upload a boundary file as a draft",
    openapi_extra={"requestBody": _UPLOAD_SCHEMA},
    dependencies=[PLANNER],
)
async def upload(request: Request) -> Response:
    """Read a file (zipped shapefile, GeoPackage, GeoJSON, KML, DXF …) and keep it as a draft.

    With ``Prefer: respond-async`` it becomes a job (202), whose progress ``/jobs/{id}`` tells.
    """
    state = states.of(request)
    async with request.form(max_files=1, max_fields=len(_TEXT_FIELDS)) as form:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InputError("parameter_missing", name="file")
        given = {key: str(value) for key, value in form.items() if key in _TEXT_FIELDS and value}
        if "layer" not in given:
            raise InputError("parameter_missing", name="layer")
        layers.layer(given["layer"])  # refused before the file is read
        doors.admit_area(request, given.get("replace_within"))
        if desk.wants_job(request):

            def fill(folder: Path) -> None:
                (folder / UPLOAD).mkdir()
                uploads.keep(file, folder / UPLOAD)

            queue = await run_in_threadpool(lambda: desk.of(request).queue)
            job = await run_in_threadpool(desk.submit, request, queue, UPLOAD, given, fill)
            return desk.accepted(request, job)
        with tempfile.TemporaryDirectory(prefix="geo-service-") as folder:
            path = await run_in_threadpool(uploads.keep, file, Path(folder))
            draft = await run_in_threadpool(take_in, state, path, given)
    return _json(told(draft), 201, {"Location": f"/drafts/{draft.id}"})


@router.get(
    "/drafts/{number}",
    summary="One draft",
    dependencies=[PLANNER],
)
def draft(found: OwnDraft) -> Response:
    """Tell what a draft is and what its last check said."""
    return _json(told(found))


@router.get(
    "/drafts/{number}/check",
    summary="Check a draft",
    dependencies=[PLANNER],
)
def check(found: OwnDraft, state: StateOf, profile: Profile = "default") -> Response:
    """Check the layer as it would be with the draft in it; every fault is in the answer."""
    report = state.store.check_draft(found.id, profile=profile)
    seam = state.store.seam(found.id, report).to_dict("records")
    return _json({"draft": found.id, **report.to_dict(), "seam": seam})


@router.get(
    "/drafts/{number}/diff",
    summary="What a draft would change",
    dependencies=[PLANNER],
)
def difference(found: OwnDraft, state: StateOf) -> Response:
    """Compare the codes and shapes of a draft with the published layer."""
    after = state.store.draft_frame(found.id).set_index("code").geometry
    published = found.layer in state.revisions()
    before = state.store.frame(found.layer).set_index("code").geometry if published else after[:0]
    kept = after.index[~after.index.duplicated()].intersection(before.index, sort=False)
    one, other = before.loc[kept], after[~after.index.duplicated()].loc[kept]
    moved = kept[~one.geom_equals_exact(other, tolerance=0.0).to_numpy()]
    return _json(
        {
            "draft": found.id,
            "layer": found.layer,
            "before": state.revisions().get(found.layer, 0),
            "added": sorted(set(after.index) - set(before.index)),
            "removed": sorted(set(before.index) - set(after.index)),
            "moved": sorted(moved),
        }
    )


@router.post(
    "/drafts/{number}/publish", status_code=201, summary="Publish a draft", dependencies=[PUBLISHER]
)
def publish(number: int, state: StateOf, publication: Publication | None = None) -> Response:
    """Make a draft the next revision: needs a check without errors, or each kind accepted."""
    asked = publication or Publication()
    revision = state.store.publish(
        number,
        message=asked.message,
        author=asked.author,
        accept=asked.accept,
        reason=asked.reason,
    )
    state.look_again()
    if "grids" in state.revisions():
        state.gazetteer()  # whoever hears that it is published may look it up
    where = {"Location": f"/collections/{revision.layer}"}
    return _json(revision.to_dict(), 201, where)


@router.delete(
    "/drafts/{number}", status_code=204, summary="Discard a draft", dependencies=[PLANNER]
)
def discard(found: OwnDraft, state: StateOf) -> Response:
    """Close a draft without publishing it."""
    state.store.discard(found.id)
    return Response(status_code=204)


@router.post(
    "/edits/{layer}",
    status_code=201,
    summary="Make a draft of what QGIS edited",
    dependencies=[PUBLISHER],
)
def take_edits(layer: str, state: StateOf, author: str = "") -> Response:
    """Take what a GIS program saved into a published layer's table in as a draft."""
    draft = state.store.take_edits(layer, author=author)
    return _json(told(draft), 201, {"Location": f"/drafts/{draft.id}"})


@router.delete(
    "/edits/{layer}", status_code=204, summary="Discard what QGIS edited", dependencies=[PUBLISHER]
)
def discard_edits(layer: str, state: StateOf) -> Response:
    """Let go of what a GIS program saved into a published layer's table."""
    state.store.discard_edits(layer)
    return Response(status_code=204)


@router.get("/history/{layer}", summary="The revisions of a layer", dependencies=[VIEWER])
def history(layer: str, state: StateOf) -> Response:
    """List the revisions of a layer, oldest first."""
    found = [revision.to_dict() for revision in state.store.history(layer)]
    return _json({"layer": layer, "revisions": found})


@router.get(
    "/history/{layer}/diff",
    summary="What changed between two revisions",
    dependencies=[VIEWER],
)
def changes(layer: str, state: StateOf, a: str, b: str | None = None) -> Response:
    """Compare two revisions: codes added, removed and changed, with the area that moved."""
    return _json(state.store.diff(layer, a, b).to_dict())


def take_in(state: State, path: Path, given: dict[str, str]) -> Draft:
    """Read an uploaded file and keep it as a draft.

    Parameters
    ----------
    state : State
        Of the store.
    path : Path
        The file.
    given : dict
        What was said of it: `_TEXT_FIELDS`.
    """
    options: dict[str, Any] = {
        ours: given[name] for name, ours in _READER_OPTIONS.items() if name in given
    }
    author = given.get("author", "")
    known, named = state.store.fields_of(author), _fields(given.get("fields", ""))
    options |= {"fields": named, "remembered": known}
    if "swap_axes" in options:
        options["swap_axes"] = options["swap_axes"].lower() in {"1", "true", "yes"}
    read = _read(state, path, options)
    if named and author:
        state.store.remember_fields(author, {**known, **named})
    return state.store.create_draft(
        given["layer"],
        read.layer_frame(),
        source=read.source,
        sha256=read.sha256,
        notes=read.notes,
        author=author,
        replace_within=given.get("replace_within"),
    )


def _fields(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    wrong = next((pair for pair in pairs if not all(pair)), None)
    if wrong is not None:
        reason = Phrase("请写成 字段=列，如 code=XYZ", "write it as field=column, e.g. code=XYZ")
        raise InputError("parameter_invalid", name="fields", value="".join(wrong), reason=reason)
    return {field.strip(): column.strip() for field, _, column in pairs}


def _read(state: State, path: Path, options: dict[str, Any]) -> BoundaryFile:
    """Read an upload; where its system can't be told, propose one for the store's city."""
    try:
        return uploads.read(path, options)
    except InputError as error:
        near = state.store.lonlat_box() if error.code in _PLACE_HELPS else None
        if near is None:
            raise
    return uploads.read(path, {**options, "near": near})


def _offered(edit: Edit) -> dict[str, Any]:
    return {**edit.to_dict(), "links": {"take": f"/edits/{edit.layer}"}}


def told(draft: Draft) -> dict[str, Any]:
    """Give a draft as answers tell it."""
    links = {what: f"/drafts/{draft.id}/{what}" for what in ("check", "diff", "publish")}
    return {**draft.to_dict(), "links": links if draft.state == "open" else {}}


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    data = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
    return Response(data, status, headers, "application/json")
