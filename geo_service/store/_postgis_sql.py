"""The SQL that only PostgreSQL and PostGIS need: transactions, guards, the walk network's file."""

from __future__ import annotations

BUSY_SECONDS = 30
LOCK_CLASS = 0x47454F53  # "GEOS": the first half of our advisory locks, the schema is the second

SEARCH_PATH = "SET LOCAL search_path TO {path}"
BEGIN_READING = "LOCK TABLE gs_settings IN ACCESS SHARE MODE"
"""Before the snapshot is taken, so that no table read in it is replaced under it (`SWAP_LOCK`)."""

BEGIN_WRITING = (
    "SET LOCAL lock_timeout = '{seconds}s';"
    "SELECT set_config('geo_service.writer', 'on', true);"
    "SELECT set_config('synchronous_commit', 'on', true)"  # what was published survives a power cut
    " WHERE current_setting('synchronous_commit') = 'off';"
    "SELECT pg_advisory_xact_lock({number},"
    " (to_regnamespace({schema})::oid::bigint % 2147483647)::int)"
)
SWAP_LOCK = "LOCK TABLE gs_settings, {table} IN ACCESS EXCLUSIVE MODE"
SWAP_WAIT = "SET LOCAL lock_timeout = '200ms'"
"""Readers that come while a replacement waits for older ones wait this long at most."""

GUARD_FUNCTION = """CREATE FUNCTION gs_guard() RETURNS trigger LANGUAGE plpgsql AS $guard$
BEGIN
    IF current_setting('geo_service.writer', true) IS DISTINCT FROM 'on' THEN
        RAISE EXCEPTION '已发布的内容不能直接修改，请导入草稿 / published: import a draft instead'
            USING ERRCODE = 'insufficient_privilege', TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $guard$"""
GUARDED = ("gs_settings", "gs_revisions", "gs_history", "gs_codes", "gs_keys", "gs_audit")
GUARD = (
    'CREATE TRIGGER gs_guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON "{table}"'
    " FOR EACH STATEMENT EXECUTE FUNCTION gs_guard()"
)
UNGUARD = 'DROP TRIGGER IF EXISTS gs_guard ON "{table}"'
UNGUARDED = """SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind = 'r'
        AND c.relname = ANY(%s) AND NOT EXISTS (
            SELECT FROM pg_trigger t
            WHERE t.tgrelid = c.oid AND t.tgname = 'gs_guard' AND t.tgenabled = 'O')
    ORDER BY 1"""

UNINDEXED = """SELECT c.relname FROM pg_class c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind = 'r'
        AND c.relname = ANY(%s) AND NOT EXISTS (
            SELECT FROM pg_index i
            JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
            WHERE i.indrelid = c.oid AND i.indisvalid AND m.amname = 'gist')
    ORDER BY 1"""

HISTORY_INDEX = "CREATE INDEX gs_history_geom ON gs_history USING gist (geom)"

FILES_TABLE = """CREATE TABLE gs_files (
    name text NOT NULL,
    sha256 text NOT NULL,
    part integer NOT NULL,
    content bytea NOT NULL,
    PRIMARY KEY (name, part))"""

DECLARED_KIND = """SELECT type FROM geometry_columns
    WHERE f_table_schema = current_schema() AND f_table_name = %s AND f_geometry_column = 'geom'"""
POSTGIS_SCHEMA = """SELECT n.nspname, e.extversion
    FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'postgis'"""
FREE_SRID = """SELECT coalesce(
    (SELECT min(srid) FROM spatial_ref_sys WHERE srid >= {first} AND srtext = %(wkt)s),
    (SELECT greatest(max(srid), {first} - 1) + 1 FROM spatial_ref_sys WHERE srid < 998999))"""
ADD_SRID = """INSERT INTO spatial_ref_sys (srid, srtext, proj4text) VALUES (%s, %s, %s)
    ON CONFLICT DO NOTHING"""
