"""Plain tables beside the layers: addresses, facilities, candidates, demand."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import geopandas as gpd
import orjson
import pandas as pd
import sqlalchemy as sa

from geo_service.errors import InputError, MissingError, Phrase
from geo_service.layers import LAYERS
from geo_service.store import log, times
from geo_service.store.home import Home
from geo_service.store.rows import attributes_of, columns_to_table, from_cell, to_cell
from geo_service.store.schema import Schema

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}\Z")
_OURS = ("gs_", "gpkg_", "rtree_", "sqlite_", "pg_")


def put(
    home: Home, schema: Schema, connection: sa.Connection, name: str, frame: pd.DataFrame
) -> None:
    """Write a table in place of the one of that name, if there is one."""
    if not _NAME.match(name) or name.startswith(_OURS) or name in LAYERS:
        reason = Phrase(
            "表名只能用小写拉丁字母、数字和 _，且不能与图层同名",
            "a table's name is lower-case Latin letters, digits and _, and not a layer's",
        )
        raise InputError("parameter_invalid", name="table", value=name, reason=reason)
    plain = _with_lonlat(frame)
    columns, attributes = attributes_of(plain, source=name)
    rows = [orjson.loads(row) for row in attributes]
    cells = [[to_cell(row.get(c.name), c.type) for row in rows] for c in columns]
    values = list(zip(range(1, len(rows) + 1), *cells, strict=True))
    with home.replacing_table(connection, name, columns) as table:
        home.insert(connection, table, [column.name for column in table.columns], values)
    connection.execute(schema.tables.delete().where(schema.tables.c.name == name))
    connection.execute(
        schema.tables.insert().values(
            name=name,
            columns=log.columns_to(columns),
            rows=len(plain),
            sha256=hashlib.sha256(b"\n".join(attributes)).hexdigest(),
            updated_at=times.now(),
        )
    )


def get(schema: Schema, connection: sa.Connection, name: str) -> pd.DataFrame:
    """Read a table, rows in the order they were put.

    Raises
    ------
    MissingError
        ``addresses_missing`` or ``table_missing``.
    """
    found = connection.execute(sa.select(schema.tables).where(schema.tables.c.name == name)).first()
    if found is None and name == "addresses":
        raise MissingError("addresses_missing")
    if found is None:
        known = ", ".join(sizes(schema, connection)) or "-"
        raise MissingError("table_missing", table=name, known=known)
    columns = log.columns_from(found.columns)
    table = schema.attribute_table(name, columns)
    fetched = connection.execute(sa.select(table).order_by(table.c.fid)).all()
    _, *cells = zip(*fetched, strict=True) if fetched else [()] * (len(columns) + 1)
    values: dict[str, list[Any]] = {
        column.name: [from_cell(value, column.type) for value in cell]
        for column, cell in zip(columns, cells, strict=True)
    }
    return columns_to_table(values, columns, len(fetched))


def state(schema: Schema, connection: sa.Connection, name: str) -> dict[str, Any] | None:
    """Tell what a table holds, by its hash; ``None`` where there is none."""
    table = schema.tables
    query = sa.select(table.c.rows, table.c.sha256).where(table.c.name == name)
    found = connection.execute(query).first()
    return None if found is None else {"rows": found.rows, "sha256": found.sha256}


def sizes(schema: Schema, connection: sa.Connection) -> dict[str, int]:
    """Give each table's number of rows."""
    query = sa.select(schema.tables.c.name, schema.tables.c.rows)
    return dict(sorted((row.name, row.rows) for row in connection.execute(query)))


def _with_lonlat(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn a point geometry into ``lon`` and ``lat``, WGS84."""
    if not isinstance(frame, gpd.GeoDataFrame) or frame.active_geometry_name is None:
        return pd.DataFrame(frame)
    plain = pd.DataFrame(frame.drop(columns=frame.geometry.name))
    if {"lon", "lat"} <= set(plain.columns):
        return plain
    if frame.crs is None:
        raise InputError("crs_missing", file="table", proposal="EPSG:4326")
    if not (frame.geom_type == "Point").all():
        reason = Phrase("图形必须是点", "its geometries must be points")
        raise InputError("parameter_invalid", name="table", value="geometry", reason=reason)
    points = frame.geometry.to_crs("EPSG:4326")
    return plain.assign(lon=points.x.to_numpy(), lat=points.y.to_numpy())
