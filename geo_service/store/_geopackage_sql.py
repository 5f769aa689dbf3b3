"""The SQL that GeoPackage prescribes (OGC 12-128r19), and what keeps published rows."""

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
    return [*index, *(f"{layer}_keep_{name}" for name in _KEEPING)]


def former_trigger_names(layer: str) -> list[str]:
    """Name the triggers that older versions made."""
    return [f"{layer}_guard_{event}" for event in ("INSERT", "UPDATE", "DELETE")]


def originals(layer: str) -> str:
    """Name the table of published rows that somebody edited since, as they were published."""
    return f"gs_originals_{layer}"


def published(layer: str) -> str:
    """Name the table of the published rows' numbers that still stand in the layer's table."""
    return f"gs_published_{layer}"


CREATE_EDITED = "CREATE TABLE IF NOT EXISTS gs_edited (layer TEXT PRIMARY KEY, at TEXT NOT NULL)"
"""Layers that a GIS program has edited, and when it did last."""


def begin_keeping(layer: str) -> list[str]:
    """Write the tables that keep a published layer safe from edits, empty of any."""
    return [
        CREATE_EDITED,
        f"DELETE FROM gs_edited WHERE layer = '{layer}'",
        f'CREATE TABLE "{originals(layer)}" AS SELECT * FROM "{layer}" WHERE 0',
        f'CREATE UNIQUE INDEX "{originals(layer)}_fid" ON "{originals(layer)}" (fid)',
        # The reference makes GDAL refuse to drop or overwrite the whole table.
        f'CREATE TABLE "{published(layer)}" (fid INTEGER PRIMARY KEY REFERENCES "{layer}" (fid))',
        f'INSERT INTO "{published(layer)}" SELECT fid FROM "{layer}"',
    ]


def end_keeping(layer: str) -> list[str]:
    """Write what takes the tables of `begin_keeping` away."""
    return [
        f'DROP TABLE IF EXISTS "{originals(layer)}"',
        f'DROP TABLE IF EXISTS "{published(layer)}"',
    ]


def triggers(layer: str, columns: str) -> list[str]:
    """Write every trigger of a layer's table: the R-tree extension's, then what keeps originals.

    `columns` names the columns as published: a GIS program may add others.
    """
    index = [
        f'CREATE TRIGGER "{rtree(layer)}_{name}" {body}'.replace("<t>", f'"{layer}"').replace(
            "<r>", f'"{rtree(layer)}"'
        )
        for name, body in _RTREE_TRIGGERS.items()
    ]
    names = {
        "<c>": columns,
        "<t>": f'"{layer}"',
        "<o>": f'"{originals(layer)}"',
        "<p>": f'"{published(layer)}"',
    }
    keep = []
    for name, body in _KEEPING.items():
        statement = f'CREATE TRIGGER "{layer}_keep_{name}" {body}'.replace("<layer>", layer)
        for mark, table in names.items():
            statement = statement.replace(mark, table)
        keep.append(statement)
    return index + keep


# A row of the published state is copied away before it is first changed. Conditions stand in WHERE,
# for a conflict clause of the outer statement (INSERT OR REPLACE) would override one in here.
_KEEP = (
    "INSERT INTO <o> (<c>) SELECT <c> FROM <t> WHERE fid = {fid}"
    " AND fid IN (SELECT fid FROM <p>) AND fid NOT IN (SELECT fid FROM <o>);"
)
_LET_GO = "DELETE FROM <p> WHERE fid = OLD.fid;"
_MARK = (
    "DELETE FROM gs_edited WHERE layer = '<layer>';"
    " INSERT INTO gs_edited VALUES ('<layer>', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));"
)
_KEEPING = {
    "insert": f"BEFORE INSERT ON <t> BEGIN {_KEEP.format(fid='NEW.fid')} {_MARK} END",
    "update": f"BEFORE UPDATE ON <t> BEGIN {_KEEP.format(fid='OLD.fid')} {_MARK} END",
    "renumber": "BEFORE UPDATE ON <t> WHEN OLD.fid != NEW.fid"
    f" BEGIN {_KEEP.format(fid='OLD.fid')} {_LET_GO} END",
    "delete": f"BEFORE DELETE ON <t> BEGIN {_KEEP.format(fid='OLD.fid')} {_LET_GO} {_MARK} END",
}

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
