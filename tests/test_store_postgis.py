"""The database as a home: what PostGIS sees, who is kept out, what happens when it is away."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import geopandas as gpd
import httpx
import numpy as np
import pytest
import shapely
import sqlalchemy as sa

from geo_service.errors import ConflictError, GeoServiceError, InputError, MissingError
from geo_service.store import Store, create_store, health, open_store
from geo_service.store.postgis_connection import parse

pytestmark = pytest.mark.postgis


@pytest.fixture(scope="module")
def grids(tiling: Callable[..., Any]) -> gpd.GeoDataFrame:
    found, _ = tiling(60, seed=3)
    return found


@pytest.fixture
def url(new_place: Callable[[str], Any]) -> str:
    return new_place("postgis")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with create_store(url) as made:
        yield made


@pytest.fixture
def admin(postgis_url: str) -> Iterator[sa.Connection]:
    """The administrator, who knows nothing of stores."""
    engine = sa.create_engine(postgis_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")
    engine.dispose()


def publish(store: Store, frame: gpd.GeoDataFrame, layer: str = "grids", **options: Any) -> int:
    return store.publish(store.create_draft(layer, frame).id, **options).number


def schema_of(store: Store) -> str:
    return store._home.address.schema  # type: ignore[attr-defined] # a PostGIS home


# what others see


def test_a_layer_is_a_plain_spatial_table_with_real_columns(
    store: Store, grids: gpd.GeoDataFrame, admin: sa.Connection
) -> None:
    publish(store, grids.assign(households=3, rate=0.1, active=True))
    where = {"schema": schema_of(store)}
    columns = admin.execute(
        sa.text(
            "SELECT column_name, udt_name FROM information_schema.columns"
            " WHERE table_schema = :schema AND table_name = 'grids'"
        ),
        where,
    )
    told = dict(columns.all())
    assert told["geom"] == "geometry"
    assert (told["households"], told["rate"], told["active"]) == ("int8", "float8", "bool")
    registered = admin.execute(
        sa.text(
            "SELECT type, srid FROM geometry_columns"
            " WHERE f_table_schema = :schema AND f_table_name = 'grids'"
        ),
        where,
    ).one()
    assert tuple(registered) == ("POLYGON", 4547)
    plan = admin.exec_driver_sql(
        f'SELECT sum(ST_Area(geom)), count(*) FROM "{schema_of(store)}".grids'
    ).one()
    assert plan[0] == pytest.approx(grids.area.sum())
    indexes = admin.execute(
        sa.text("SELECT indexdef FROM pg_indexes WHERE schemaname = :schema"), where
    )
    assert any("grids USING gist (geom)" in line for line in indexes.scalars())


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE {s}.grids SET code = 'x'",
        "DELETE FROM {s}.grids",
        "TRUNCATE {s}.grids",
        "INSERT INTO {s}.grids SELECT * FROM {s}.grids",
        "DELETE FROM {s}.gs_history",
        "UPDATE {s}.gs_revisions SET author = 'x'",
        "UPDATE {s}.gs_codes SET retired = 1",
    ],
)
def test_an_edit_from_outside_is_refused(
    store: Store, grids: gpd.GeoDataFrame, admin: sa.Connection, statement: str
) -> None:
    publish(store, grids)
    with pytest.raises(sa.exc.DBAPIError, match="import a draft"):
        admin.exec_driver_sql(statement.format(s=schema_of(store)))
    store.verify()


def test_rings_that_postgis_refuses_wait_in_a_draft(store: Store, grids: gpd.GeoDataFrame) -> None:
    flat = shapely.from_wkt("POLYGON ((0 0, 1 1, 0 0, 0 0))")
    pointed = shapely.Polygon([(0, 0), (1000, 0), (0, 0)])
    frame = grids.iloc[:2].set_geometry([flat, pointed])
    found = store.draft_frame(store.create_draft("compounds", frame).id)
    assert shapely.to_wkb(found.geometry).tolist() == shapely.to_wkb(frame.geometry).tolist()


def test_a_plane_without_an_epsg_number(url: str, grids: gpd.GeoDataFrame) -> None:
    local = "+proj=tmerc +lat_0=0 +lon_0=113.9 +k=1 +x_0=50000 +y_0=-3700000 +ellps=GRS80 +units=m"
    for name in (url, url + "b"):
        with create_store(name, plane=local) as store:
            publish(store, grids.set_crs(local, allow_override=True))
            found = store.frame("grids")
            assert found.crs == local
            assert store._home.srid >= 910_000  # type: ignore[attr-defined]
            expected = grids.sort_values("code", ignore_index=True)
            assert (shapely.to_wkb(found.geometry) == shapely.to_wkb(expected.geometry)).all()


# one database, several stores


def test_stores_in_one_database_do_not_meet(
    new_place: Callable[[str], str], grids: gpd.GeoDataFrame
) -> None:
    with (
        create_store(new_place("postgis")) as one,
        create_store(new_place("postgis"), plane="EPSG:4526") as other,
    ):
        with one._home.writing():  # one writes: the other may, too
            publish(other, grids.to_crs(4526), accept=("gap", "overlap", "sliver", "spike"))
        assert (one.layers(), other.layers()) == ([], ["grids"])


@pytest.mark.parametrize("schema", ["许昌", 'we"ird', "Mixed-Case; DROP", "a b"])
def test_any_name_of_a_schema(postgis_url: str, schema: str, grids: gpd.GeoDataFrame) -> None:
    url = f"{postgis_url}&schema={schema}".replace(" ", "%20")
    with create_store(url) as store:
        publish(store, grids)
        store.verify()
    with open_store(url) as store:
        assert len(store.frame("grids")) == len(grids)


# readers, writers


def test_readers_see_whole_revisions_while_columns_change(
    store: Store, url: str, grids: gpd.GeoDataFrame
) -> None:
    """Every publication makes a new table; a reader in between finds the one of its snapshot."""
    publish(store, grids.assign(v0=0))
    seen: list[tuple[int, str]] = []
    wrong: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        try:
            with open_store(url) as reader:
                while not done.is_set():
                    frame = reader.frame("grids")
                    (column,) = [c for c in frame.columns if c.startswith("v")]
                    assert len(frame) == len(grids)
                    assert set(frame[column]) == {int(column[1:])}
                    seen.append((frame.attrs["revision"], column))
        except BaseException as error:
            wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for k in range(1, 8):
        publish(store, grids.assign(**{f"v{k}": k}))
    done.set()
    for reader in readers:
        reader.join(timeout=60)
    assert wrong == []
    assert len({revision for revision, _ in seen}) > 1
    assert all(column == f"v{revision - 1}" for revision, column in seen)


def test_a_long_reader_keeps_its_snapshot_and_holds_a_new_table_up_not_other_readers(
    store: Store, url: str, grids: gpd.GeoDataFrame
) -> None:
    publish(store, grids)
    with store._home.reading() as old:
        thread = threading.Thread(target=publish, args=(store, grids.assign(more=1)))
        thread.start()
        time.sleep(0.3)
        with open_store(url) as other:
            assert len(other.frame("grids")) == len(grids)  # not kept waiting
        assert store._schema.layer_table("grids", ()).name == "grids"
        assert old.exec_driver_sql("SELECT count(*) FROM grids").scalar_one() == len(grids)
    thread.join(timeout=30)
    assert store.revision("grids").number == 2
    assert "more" in store.frame("grids")


CHILD = """
import sys
from geo_service.store import open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
store.publish(2)
print("done", flush=True)
"""


def test_a_publisher_killed_at_any_moment_leaves_the_old_revision_or_the_new(
    new_place: Callable[[str], str], grids: gpd.GeoDataFrame
) -> None:
    killed = 0
    for wait in (0.0, 0.05, 0.1, 0.2):
        url = new_place("postgis")
        with create_store(url) as store:
            publish(store, grids)
            store.check_draft(store.create_draft("grids", grids.assign(more=1)).id)
            child = subprocess.Popen(
                [sys.executable, "-c", CHILD, url],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert child.stdin is not None
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            child.stdin.write("go\n")
            child.stdin.flush()
            time.sleep(wait)
            child.kill()
            finished = "done" in child.stdout.read()
            child.wait()
            child.stdin.close()
            child.stdout.close()
            store.verify()
            number = store.revision("grids").number
            assert number == 2 or not finished
            assert ("more" in store.frame("grids")) == (number == 2)
            if number == 1:
                killed += 1
                assert store.publish(2).number == 2
    assert killed


# rights, versions, addresses


def test_a_database_without_postgis_is_told(admin: sa.Connection, postgis_url: str) -> None:
    admin.exec_driver_sql("DROP ROLE IF EXISTS planner")
    admin.exec_driver_sql("CREATE ROLE planner LOGIN")
    admin.exec_driver_sql("CREATE DATABASE bare")
    try:
        bare = postgis_url.replace("/city?", "/bare?").replace("postgres:s3cret", "planner:s3cret")
        with pytest.raises(InputError) as refused:
            create_store(bare)
        assert refused.value.code == "postgis_missing"
        assert "CREATE EXTENSION postgis" in refused.value.message("zh")
        with pytest.raises(MissingError) as missing:
            open_store(bare)
        assert missing.value.code == "store_missing"
        (told,) = health.examine(bare)
        assert not told.ok
    finally:
        admin.exec_driver_sql("DROP DATABASE bare WITH (FORCE)")
        admin.exec_driver_sql("DROP ROLE planner")


def test_rights_that_are_missing_are_told(
    store: Store, url: str, grids: gpd.GeoDataFrame, admin: sa.Connection
) -> None:
    publish(store, grids)
    schema = schema_of(store)
    admin.exec_driver_sql("CREATE ROLE viewer LOGIN")
    viewer = url.replace("postgres:s3cret", "viewer:s3cret")
    try:
        for name in (viewer, viewer + "x"):
            with pytest.raises(GeoServiceError) as refused:
                (create_store if name.endswith("x") else open_store)(name)
            assert refused.value.code == "store_forbidden"
        admin.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO viewer")
        admin.exec_driver_sql(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO viewer")
        with open_store(viewer) as seen:
            assert len(seen.frame("grids")) == len(grids)
            with pytest.raises(InputError) as refused:
                seen.create_draft("grids", grids)
            assert refused.value.code == "store_forbidden"
        told = {finding.what: finding for finding in health.examine(viewer)}
        assert not told["rights"].ok
        assert "viewer" in told["rights"].en
        assert told["content"].ok
    finally:
        admin.exec_driver_sql("DROP OWNED BY viewer")
        admin.exec_driver_sql("DROP ROLE viewer")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("mysql://me:s3cret@host/db", "parameter_invalid"),
        ("postgresql://me:s3cret@host:port/db", "parameter_invalid"),
        ("postgresql://me:s3cret@127.0.0.1:1/db", "store_unreachable"),
        ("postgresql://me:s3cret@no-such-host.invalid/db", "store_unreachable"),
        ("postgresql://me@127.0.0.1:1/db?password=s3cret", "store_unreachable"),
        ("postgresql://me:s3cret@127.0.0.1:1/db?schema=pg_catalog", "parameter_invalid"),
    ],
)
def test_a_wrong_address_is_told_without_its_password(
    url: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(InputError) as refused:
        open_store(url)
    assert refused.value.code == code
    written = "".join(traceback.format_exception(refused.value)) + caplog.text
    told = written + refused.value.message("zh") + repr(refused.value.details)
    source = [line for line in told.splitlines() if "s3cret" in line]
    assert source == []


def test_a_password_is_shown_nowhere(store: Store, url: str) -> None:
    assert "s3cret" in url
    address = parse(url + "&sslpassword=s3cret")
    for text in (repr(store), store.name, str(store.info()), repr(address), repr(store._home)):
        assert "s3cret" not in text
    with pytest.raises(ConflictError) as refused:
        create_store(url)
    assert "s3cret" not in str(refused.value)


# away and back


def test_it_finds_its_way_back_after_the_server_was_away(
    store: Store, grids: gpd.GeoDataFrame, postgis_url: str, postgis_server: ModuleType
) -> None:
    publish(store, grids)
    folder = Path(parse(postgis_url).url.query["host"])  # type: ignore[arg-type]
    postgis_server.stop(folder)
    try:
        for read in (store.current_revisions, store.info):
            with pytest.raises(InputError) as refused:
                read()
            assert refused.value.code == "store_unreachable"
            assert refused.value.status == 503
    finally:
        postgis_server.start(postgis_server.programs(), folder)
    assert store.current_revisions() == {"grids": 1}
    assert publish(store, grids.assign(more=1)) == 2


def test_a_transaction_cut_off_is_told_and_nothing_of_it_stays(
    store: Store, grids: gpd.GeoDataFrame, admin: sa.Connection
) -> None:
    publish(store, grids)

    def cut_off() -> None:
        with store._home.writing() as connection:
            number = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            connection.exec_driver_sql("DELETE FROM grids")
            admin.exec_driver_sql(f"SELECT pg_terminate_backend({number})")
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(InputError) as refused:
        cut_off()
    assert refused.value.code == "store_unreachable"
    assert len(store.frame("grids")) == len(grids)


# the service


def test_several_services_on_one_database_follow_each_other(
    new_place: Callable[[str], Any], tiling: Callable[..., Any], served: ModuleType, tmp_path: Path
) -> None:
    grids, _ = tiling(60, seed=3)
    file, url = tmp_path / "city.gpkg", new_place("postgis")
    served.make_city(file, grids, published=("city", "communities", "grids"))
    with open_store(file) as store:
        store.copy_to(url)
        outline = store.frame("grids").to_crs(4326)
    inside = outline.geometry.representative_point()
    with ExitStack() as stack:
        bases = [stack.enter_context(served.serving(place)) for place in (url, url, file)]
        ask = [stack.enter_context(httpx.Client(base_url=base, timeout=60)) for base in bases]
        for code, point in list(zip(outline["code"], inside, strict=True))[:5]:
            query = {"lon": point.x, "lat": point.y, "datum": "wgs84"}
            told = [client.get("/locate", params=query).json() for client in ask]
            assert told[0]["grid"]["code"] == code
            assert told[0] == told[1] == told[2]
        place = {"lon": inside[0].x, "lat": inside[0].y, "minutes": "5"}
        walks = [client.get("/catchments", params=place).json() for client in ask]
        assert walks[0] == walks[2]
        tile = "/collections/grids/tiles/15/{}/{}".format(*tile_of(inside[0], 15))
        assert len({client.get(tile).content for client in ask}) == 1
        assert ask[0].get(tile).content
        with open_store(url) as store:  # a planner publishes beside them
            publish(store, grids.assign(name="改"), accept=("code_order",))
        until = time.monotonic() + 30
        for client in ask[:2]:
            query = {"lon": inside[0].x, "lat": inside[0].y, "datum": "wgs84"}
            # The last lookup answers while that of the new revision is made.
            while client.get("/locate", params=query).json()["grid"]["name"] != "改":
                assert time.monotonic() < until
                time.sleep(0.1)
            assert client.get("/collections/grids").json()["revision"] == 2


def tile_of(point: shapely.Point, zoom: int) -> tuple[int, int]:
    n = 2**zoom
    lat = np.radians(point.y)
    return int((point.x + 180) / 360 * n), int((1 - np.arcsinh(np.tan(lat)) / np.pi) / 2 * n)
