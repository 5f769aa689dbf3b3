"""The same answers as pages for people: plain HTML, no script, in the reader's language."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jinja2
import numpy as np
import numpy.typing as npt
import shapely
from fastapi import Request
from starlette.responses import Response

from geo_service import layers, masking
from geo_service.api.errors import reader_language
from geo_service.api.ogc.systems import System
from geo_service.api.state import GEOMETRY, View
from geo_service.errors import Language

_FIRST_FIELDS = ("code", "name", "kind", "parent_code", "households", "population")
_MOST_COLUMNS = 9
_PICTURE = 320
"""Width and height of a feature's outline, pixels."""

_FIELDS_ZH = {field.name: field.zh for field in layers.FIELDS}
# Chinese and English of every word on the pages, by the name the templates use.
_WORDS: dict[str, tuple[str, str]] = {
    "home": ("网格服务", "Geo Service"),
    "map": ("地图", "Map"),
    "collections": ("图层", "Layers"),
    "collections_lead": (
        "已发布的图层。每个答复都注明来自哪一版。",
        "The published layers. Every answer names the revision it comes from.",
    ),
    "none": ("还没有。", "None yet."),
    "layer": ("图层", "Layer"),
    "revision": ("版本", "Revision"),
    "published": ("发布时间", "Published"),
    "features": ("要素数", "Features"),
    "download": ("下载", "Download"),
    "browse": ("查看要素", "Browse the features"),
    "fields": ("字段", "Fields"),
    "field": ("字段", "Field"),
    "type": ("类型", "Type"),
    "meaning": ("含义", "Meaning"),
    "systems": ("坐标系", "Coordinate systems"),
    "stored": ("存储坐标系，原样给出", "as stored, nothing changed"),
    "history": ("历史版本", "History"),
    "message": ("说明", "Message"),
    "rows": ("第 {first} – {last} 条，共 {matched} 条", "{first} – {last} of {matched}"),
    "no_rows": ("没有符合条件的要素。", "No feature meets what was asked."),
    "next": ("下一页", "Next"),
    "prev": ("上一页", "Previous"),
    "as_of": ("第 {revision} 版", "revision {revision}"),
    "other_forms": ("其他格式", "Other forms"),
    "connect": ("在 QGIS 中连接", "Connect from QGIS"),
    "connect_how": (
        "图层 › 添加图层 › 添加 WFS / OGC API 要素图层，新建连接，填入这个地址：",
        "Layer › Add Layer › Add WFS / OGC API – Features Layer, New, and give this address:",
    ),
    "landing_lead": (
        "已发布的网格与边界：查看、下载、查询，或在 QGIS 中直接打开。",
        "Published grids and boundaries: look, download, ask, or open them in QGIS.",
    ),
    "api": ("接口说明（OpenAPI）", "The API (OpenAPI)"),
    "conformance": ("符合的标准", "Standards kept"),
    "processes": ("计算", "Processes"),
    "processes_lead": (
        "可以交给服务计算的内容；耗时的作为任务在后台运行。",
        "What the service computes when asked; long work runs as a job.",
    ),
    "inputs": ("输入", "Inputs"),
    "needed": ("必填", "required"),
    "example": ("例子", "Example"),
    "jobs": ("任务", "Jobs"),
    "jobs_lead": ("最近的任务，新的在前。", "The latest jobs, newest first."),
    "job": ("任务", "Job"),
    "status": ("状态", "Status"),
    "progress": ("进度", "Progress"),
    "created": ("提交时间", "Submitted"),
    "finished": ("结束时间", "Finished"),
    "process": ("计算", "Process"),
    "results": ("结果", "Results"),
    "reload": ("刷新本页看进度。", "Reload this page to see how it goes."),
    "accepted": ("排队中", "Waiting"),
    "running": ("运行中", "Running"),
    "successful": ("已完成", "Done"),
    "failed": ("失败", "Failed"),
    "dismissed": ("已取消", "Cancelled"),
    "synthetic": ("演示数据（虚构）", "SYNTHETIC DATA"),
    "skip": ("跳到正文", "Skip to the content"),
}


def landing(request: Request, body: dict[str, Any]) -> Response:
    """Show where everything is."""
    return _page(request, "landing.html", "home", body=body, address=str(request.base_url))


def collections(request: Request, body: dict[str, Any]) -> Response:
    """Show the published layers."""
    return _page(request, "collections.html", "collections", body=body)


def collection(
    request: Request,
    body: dict[str, Any],
    properties: dict[str, Any],
    history: list[dict[str, Any]],
) -> Response:
    """Show one layer: what it holds, how to get it, what it was."""
    return _page(
        request, "collection.html", body["title"], body=body, properties=properties,
        history=history, address=str(request.base_url),
        files=[k for k in body["links"] if k["rel"] == "items" and "title" in k],
    )  # fmt: skip


def fields(request: Request, body: dict[str, Any]) -> Response:
    """Show the fields of a layer."""
    return _page(request, "fields.html", body["title"], body=body)


def items(
    request: Request,
    view: View,
    rows: npt.NDArray[np.intp],
    system: System,
    links: list[dict[str, str]],
    *,
    offset: int,
    matched: int,
    returned: int,
) -> Response:
    """Show a page of features as a table."""
    named = [name for name in _FIRST_FIELDS if name in view.frame.columns]
    named += [n for n in view.frame.columns if n != GEOMETRY and n not in named]
    shown = named[:_MOST_COLUMNS]
    return _page(
        request, "items.html", f"{view.layer.zh} {view.layer.name}",
        view=view, shown=shown, zh=_FIELDS_ZH,
        records=masking.records(view.frame[shown].iloc[rows]), links=_by_rel(links),
        alternates=[k for k in links if k["rel"] == "alternate"],
        first=offset + 1, last=offset + returned, matched=matched, system=system,
    )  # fmt: skip


def item(request: Request, view: View, row: int, links: list[dict[str, str]]) -> Response:
    """Show one feature."""
    [record] = masking.records(view.frame.drop(columns=GEOMETRY).iloc[[row]])
    return _page(
        request, "item.html", f"{record.get('name') or ''} {record['code']}".strip(), view=view,
        record=record, zh=_FIELDS_ZH, picture=_outline(view.frame.geometry.iloc[row]),
        alternates=[k for k in links if k["rel"] == "alternate"],
    )  # fmt: skip


def processes(request: Request, body: dict[str, Any]) -> Response:
    """Show what can be computed."""
    return _page(request, "processes.html", "processes", body=body)


def process(request: Request, body: dict[str, Any]) -> Response:
    """Show one process and what it wants."""
    return _page(request, "process.html", body["title"], body=body)


def jobs(request: Request, body: dict[str, Any]) -> Response:
    """Show the latest jobs."""
    return _page(request, "jobs.html", "jobs", body=body)


def job(request: Request, body: dict[str, Any]) -> Response:
    """Show how one job goes."""
    return _page(request, "job.html", "job", body=body)


def _page(request: Request, template: str, title: str, **shown: Any) -> Response:
    language = reader_language(request.headers.get("accept-language"))
    words = _words(language)
    text = _templates().get_template(template).render(
        words=words, language="zh-CN" if language == "zh" else "en",
        title=words.get(title, title), **shown,
    )  # fmt: skip
    headers = {"Vary": "Accept, Accept-Language", "Content-Language": language}
    return Response(text, headers=headers, media_type="text/html; charset=utf-8")


@lru_cache(maxsize=2)
def _words(language: Language) -> dict[str, str]:
    return {name: pair[0 if language == "zh" else 1] for name, pair in _WORDS.items()}


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("geo_service", "web/pages"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _by_rel(links: list[dict[str, str]]) -> dict[str, str]:
    return {link["rel"]: link["href"] for link in links}


def _outline(geometry: shapely.Geometry) -> str | None:
    """The rings of a polygon as an SVG path in a square of `_PICTURE` pixels; north is up."""
    rings = shapely.get_rings(shapely.get_parts(geometry))
    if len(rings) == 0:
        return None
    x0, y0, x1, y1 = shapely.bounds(geometry)
    scale = _PICTURE / max(x1 - x0, y1 - y0, 1e-12)
    drawn = []
    for ring in rings:
        xy = (shapely.get_coordinates(ring) - (x0, y1)) * (scale, -scale)
        drawn.append("M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in xy) + "Z")
    return "".join(drawn)
