"""What a layer is: its level, its contract, its fields and the names planners give them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from geo_service.errors import MissingError

Contract = Literal["tiles", "nests_in", "no_overlap", "partial"]
"""``tiles`` its parent without gap or overlap; ``nests_in`` it; ``no_overlap``; ``partial`` (anything)."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A kind of boundary or place the store keeps.

    Parameters
    ----------
    name : str
        The name in the store and the API (``grids``).
    level : str
        A member of `geo_service.codes.LEVELS`, or ``place`` for points.
    contract : str
        What its features must do: see `Contract`.
    parent : str or None
        The layer whose features contain these.
    zh : str
        What planners call it.
    """

    name: str
    level: str
    contract: Contract
    parent: str | None
    zh: str


LAYERS: dict[str, Layer] = {
    layer.name: layer
    for layer in (
        Layer("city", "city", "no_overlap", None, "市界"),
        Layer("counties", "county", "tiles", "city", "区县"),
        Layer("townships", "township", "tiles", "counties", "乡镇（街道）"),
        Layer("communities", "community", "tiles", "townships", "社区（村）"),
        Layer("grids", "grid", "tiles", "communities", "网格"),
        Layer("micro_grids", "micro_grid", "nests_in", "grids", "微网格"),
        Layer("security_grids", "grid", "no_overlap", "city", "治安维稳防控网"),
        Layer("compounds", "place", "partial", None, "居民小区管理网"),
        Layer("property_networks", "place", "partial", None, "红色物业服务网"),
    )
}
"""The layers every store knows; a further one is one entry here."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a layer, and the names it arrives under."""

    name: str
    zh: str
    aliases: tuple[str, ...]


FIELDS: tuple[Field, ...] = (
    Field(
        "code",
        "网格编码",
        ("网格编码", "网格代码", "编码", "代码", "行政区划代码", "区划代码", "社区编码", "社区代码",
         "wgbm", "wgdm", "gridcode", "grid_code", "gridid", "grid_id", "code", "adcode", "bm", "geoid"),
    ),
    Field("name", "网格名称", ("网格名称", "名称", "wgmc", "gridname", "grid_name", "name", "mc")),
    Field("kind", "网格类型", ("网格类型", "类型", "wglx", "kind", "gridtype")),
    Field("parent_code", "上级编码", ("上级编码", "所属社区编码", "parent_code", "parentcode", "sjbm")),
    Field("head", "网格长", ("网格长", "grid_head", "head", "wgz")),
    Field("phone", "联系电话", ("联系电话", "网格员电话", "电话", "phone", "lxdh")),
    Field("households", "户数", ("户数", "households", "hs")),
    Field("population", "人口", ("人口", "常住人口", "population", "rk")),
    Field("population_60", "60岁以上人口", ("60岁以上人口", "老年人口", "population_60")),
    Field("area", "面积", ("面积", "mj", "area", "shape_area")),
    Field("address", "地址", ("地址", "详细地址", "标准地址", "address", "dz")),
    Field("lon", "经度", ("经度", "lon", "longitude", "lng", "x")),
    Field("lat", "纬度", ("纬度", "lat", "latitude", "y")),
)  # fmt: skip
"""Fields of grids and of the lists beside them, with Chinese, pinyin-initial and English aliases."""


def layer(name: str) -> Layer:
    """Give the layer of a name.

    Raises
    ------
    MissingError
        ``layer_unknown``.
    """
    if name not in LAYERS:
        raise MissingError("layer_unknown", layer=name, known=", ".join(LAYERS))
    return LAYERS[name]


def match_fields(columns: Iterable[str]) -> dict[str, str]:
    """Match a file's columns with our fields.

    A name cut by a format (10 bytes in a DBF) matches the alias it is the beginning of, from two
    Chinese or four Latin characters on.

    Parameters
    ----------
    columns : iterable of str
        The file's column names.

    Returns
    -------
    dict
        Our field name -> the file's column; fields without a column are absent.

    Examples
    --------
    >>> match_fields(["FID", "网格编", "WGMC", "geometry"])
    {'code': '网格编', 'name': 'WGMC'}
    """
    present = [str(column) for column in columns]
    found: dict[str, str] = {}
    for exact in (True, False):
        for field in FIELDS:
            if field.name in found:
                continue
            free = (c for c in present if c not in found.values())
            column = next((c for c in free if _matches(c, field, exact=exact)), None)
            if column is not None:
                found[field.name] = column
    return {field.name: found[field.name] for field in FIELDS if field.name in found}


def _matches(column: str, field: Field, *, exact: bool) -> bool:
    plain = column.strip().lower().replace(" ", "")
    if exact:
        return any(plain == alias for alias in field.aliases)
    shortest = 4 if plain.isascii() else 2
    return len(plain) >= shortest and any(alias.startswith(plain) for alias in field.aliases)
