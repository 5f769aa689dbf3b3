"""The SQL that GeoPackage prescribes (OGC 12-128r19), and the guards of published layers."""

from __future__ import annotations

APPLICATION_ID = 0x47504B47  # "GPKG"
USER_VERSION = 10400  # 1.4.0

CORE_TABLES = (
    """CREATE TABLE gpkg_spatial_ref_sys (
        srs_name TEXT NOT NULL,
        srs_id INTEGER NOT NULL PRIMARY KEY,
        organization TEXT NOT NULL,
        organization_coordsys_id INTEGER NOT NULL,
        definition TEXT NOT NULL,
        description TEXT)""",
    """CREATE TABLE gpkg_contents (
        table_name TEXT NOT NULL PRIMARY KEY,
        data_type TEXT NOT NULL,
        identifier TEXT UNIQUE,
        description TEXT DEFAULT '',
        last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
        min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE,
        srs_id INTEGER,
        CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id))""",
    """CREATE TABLE gpkg_geometry_columns (
        table_name TEXT NOT NULL,
        column_name TEXT NOT NULL,
        geometry_type_name TEXT NOT NULL,
        srs_id INTEGER NOT NULL,
        z TINYINT NOT NULL,
        m TINYINT NOT NULL,
        CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
        CONSTRAINT uk_gc_table_name UNIQUE (table_name),
        CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
        CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id))""",
    """CREATE TABLE gpkg_extensions (
        table_name TEXT,
        column_name TEXT,
        extension_name TEXT NOT NULL,
        definition TEXT NOT NULL,
        scope TEXT NOT NULL,
        CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name))""",
)

INSERT_SRS = (
    "INSERT OR REPLACE INTO gpkg_spatial_ref_sys (srs_name, srs_id, organization,"
    " organization_coordsys_id, definition, description) VALUES (?, ?, ?, ?, ?, ?)"
)
_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,'
    'AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,'
    'AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],'
    'AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]'
)
REQUIRED_SYSTEMS: tuple[tuple[str, int, str, int, str, str | None], ...] = (
    ("Undefined Cartesian SRS", -1, "NONE", -1, "undefined", "undefined plane"),
    ("Undefined geographic SRS", 0, "NONE", 0, "undefined", "undefined longitude/latitude"),
    ("WGS 84 geodetic", 4326, "EPSG", 4326, _WGS84, "longitude/latitude in decimal degrees"),
)

REGISTER_LAYER = (
    "INSERT INTO gpkg_contents (table_name, data_type, identifier, srs_id) VALUES (?, ?, ?, ?)"
)
REGISTER_GEOMETRY = "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', ?, ?, 0, 0)"
REGISTER_RTREE = (
    "INSERT INTO gpkg_extensions VALUES (?, 'geom', 'gpkg_rtree_index',"
    " 'http://www.geopackage.org/spec120/#extension_rtree', 'write-only')"
)
TOUCH = """UPDATE gpkg_contents SET
    last_change = strftime('%Y-%m-%dT%H:%M:%fZ','now'), min_x = ?, min_y = ?, max_x = ?, max_y = ?
    WHERE table_name = ?"""


def rtree(layer: str) -> str:
    """Name the R-tree of a layer."""
    return f"rtree_{layer}_geom"


def create_rtree(layer: str) -> str:
    """Create the R-tree of a layer."""
    return f'CREATE VIRTUAL TABLE "{rtree(layer)}" USING rtree(id, minx, maxx, miny, maxy)'


def drop_rtree(layer: str) -> str:
    """Drop the R-tree of a layer."""
    return f'DROP TABLE "{rtree(layer)}"'


def insert_rtree(layer: str) -> str:
    """Insert boxes: id, min x, max x, min y, max y."""
    return f'INSERT INTO "{rtree(layer)}" VALUES (?, ?, ?, ?, ?)'


def trigger_names(layer: str) -> list[str]:
    """Name every trigger of a layer's table."""
    index = [f"{rtree(layer)}_{name}" for name in _RTREE_TRIGGERS]
    return [*index, *(f"{layer}_guard_{event}" for event in _GUARDED)]


def triggers(layer: str) -> list[str]:
    """Write every trigger of a layer's table: the R-tree extension's, then the guards."""
    index = [
        f'CREATE TRIGGER "{rtree(layer)}_{name}" {body}'.replace("<t>", f'"{layer}"').replace(
            "<r>", f'"{rtree(layer)}"'
        )
        for name, body in _RTREE_TRIGGERS.items()
    ]
    guards = [
        f'CREATE TRIGGER "{layer}_guard_{event}" BEFORE {event} ON "{layer}" BEGIN '
        f"SELECT RAISE(ABORT, '{_GUARD}'); END"
        for event in _GUARDED
    ]
    return index + guards


_GUARDED = ("INSERT", "UPDATE", "DELETE")
_GUARD = "已发布的图层不能直接修改，请导入草稿 / this layer is published: import a draft instead"

_FULL = "({row}.geom NOT NULL AND NOT ST_IsEmpty({row}.geom))"
_NEW, _OLD = _FULL.format(row="NEW"), _FULL.format(row="OLD")
_NEW_EMPTY = "(NEW.geom ISNULL OR ST_IsEmpty(NEW.geom))"
_OLD_EMPTY = "(OLD.geom ISNULL OR ST_IsEmpty(OLD.geom))"
_BOX = "NEW.fid, ST_MinX(NEW.geom), ST_MaxX(NEW.geom), ST_MinY(NEW.geom), ST_MaxY(NEW.geom)"
# Annex F.3 of the standard; update6 and update7 took the place of update1 and update3 in 1.4.
_RTREE_TRIGGERS = {
    "insert": f"AFTER INSERT ON <t> WHEN {_NEW} BEGIN "
    f"INSERT OR REPLACE INTO <r> VALUES ({_BOX}); END",
    "update6": f"AFTER UPDATE OF geom ON <t> WHEN OLD.fid = NEW.fid AND {_NEW} AND {_OLD} BEGIN "
    "UPDATE <r> SET minx = ST_MinX(NEW.geom), maxx = ST_MaxX(NEW.geom),"
    " miny = ST_MinY(NEW.geom), maxy = ST_MaxY(NEW.geom) WHERE id = NEW.fid; END",
    "update7": f"AFTER UPDATE OF geom ON <t> WHEN OLD.fid = NEW.fid AND {_NEW} AND {_OLD_EMPTY} "
    f"BEGIN INSERT INTO <r> VALUES ({_BOX}); END",
    "update2": f"AFTER UPDATE OF geom ON <t> WHEN OLD.fid = NEW.fid AND {_NEW_EMPTY} "
    "BEGIN DELETE FROM <r> WHERE id = OLD.fid; END",
    "update5": f"AFTER UPDATE ON <t> WHEN OLD.fid != NEW.fid AND {_NEW} BEGIN "
    f"DELETE FROM <r> WHERE id = OLD.fid; INSERT OR REPLACE INTO <r> VALUES ({_BOX}); END",
    "update4": f"AFTER UPDATE ON <t> WHEN OLD.fid != NEW.fid AND {_NEW_EMPTY} "
    "BEGIN DELETE FROM <r> WHERE id IN (OLD.fid, NEW.fid); END",
    "delete": "AFTER DELETE ON <t> WHEN OLD.geom NOT NULL "
    "BEGIN DELETE FROM <r> WHERE id = OLD.fid; END",
}
