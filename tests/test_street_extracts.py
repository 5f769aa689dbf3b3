"""Extracts as they come: every format, history, cut, doubled, damaged; pyosmium as reference."""

from __future__ import annotations

import gzip
import struct
import zlib
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import numpy as np
import osmium
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from osmium.osm.mutable import Node, Way

from geo_service.errors import InputError
from geo_service.streets import WalkNetwork, _osmium, _pbf, extracts, tag_rules
from geo_service.streets._elements import Elements
from geo_service.streets.segments import Segments

STREET = {"highway": "residential", "name": "建设路"}
ROW = {"a": (0, 0), "b": (400, 0), "c": (800, 0), "d": (1200, 0), "e": (1600, 0)}
RULES = _pbf.Rules(
    tag_rules.relevant_keys(), frozenset(tag_rules.way_kinds()), frozenset(tag_rules.node_kinds())
)
EXTRACTS = [
    "beijing_bupt", "beijing_tsinghua", "beijing_wangjing", "guixi_jiangxi", "heidelberg",
    "helsinki_center", "liechtenstein", "monaco_osrm", "ninghua_fujian", "porto_alegre",
    "sao_paulo_center", "shanghai_baoshan_shu", "shenzhen_longgang", "taipei_osm2streets",
]  # fmt: skip


def assert_same(ours: Elements, theirs: Elements) -> None:
    for name in ("node_ids", "x", "y", "way_ids", "way_start", "refs"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), name)
    assert ours.node_tags == theirs.node_tags
    assert ours.areas == theirs.areas
    for rows, texts in (("way_tags", "tag_sets"), ("way_name", "names")):
        one, other = (
            [getattr(found, texts)[row] for row in getattr(found, rows)] for found in (ours, theirs)
        )
        assert one == other
    assert ours.counts == theirs.counts


@pytest.mark.real
@pytest.mark.parametrize("name", EXTRACTS)
def test_every_extract_reads_as_by_pyosmium(real_data: Path, name: str) -> None:
    path = real_data / "osm" / f"{name}.osm.pbf"
    assert_same(_pbf.read(path, RULES), _osmium.read(path, "osm.pbf", RULES))


@pytest.mark.parametrize("ending", ["osm", "osm.gz", "osm.bz2", "osm.pbf"])
@pytest.mark.parametrize("options", ["", ",pbf_dense_nodes=false", ",pbf_compression=none"])
def test_every_format_gives_the_same_streets(
    street_plans: ModuleType, tmp_path: Path, ending: str, options: str
) -> None:
    spots = {**ROW, "c": (800, 0, {"barrier": "gate", "access": "private"}), "n": (800, 300)}
    streets = [("a b c d e", STREET), ("b n d", {}), ("d c b", {"source": "survey"})]
    areas = [([2, 3], {"highway": "pedestrian"})]
    plain = street_plans.write(tmp_path / "plain.osm.pbf", spots, streets, areas=areas)
    again = tmp_path / f"again.{ending}"
    kind = ending + (options if ending == "osm.pbf" else "")
    with osmium.SimpleWriter(osmium.io.File(str(again), kind), overwrite=True) as writer:
        for entity in osmium.FileProcessor(str(plain)):
            writer.add(entity)
    again = again.rename(tmp_path / "any name at all")  # told by its first bytes
    (one, found), (other, report) = extracts.read(plain), extracts.read(again)
    for column in fields(Segments):
        np.testing.assert_array_equal(
            getattr(one, column.name), getattr(other, column.name), column.name
        )
    assert report.pop("format") == ending
    for differs in ("file", "sha256", "format"):
        found.pop(differs, None)
        report.pop(differs, None)
    assert found == report


def write(path: Path, nodes: list[Node], ways: list[Way], kind: str = "osm.pbf") -> Path:
    with osmium.SimpleWriter(osmium.io.File(str(path), kind), overwrite=True) as writer:
        for node in nodes:
            writer.add_node(node)
        for way in ways:
            writer.add_way(way)
    return path


def at(number: int, x: float, plans: ModuleType, **more: object) -> Node:
    return Node(id=number, location=plans.lonlat(x, 0), **more)


def test_history_counts_what_is_there_last(street_plans: ModuleType, tmp_path: Path) -> None:
    nodes = [
        at(1, 0, street_plans, version=1, visible=True),
        at(2, 900, street_plans, version=1, visible=True),
        at(2, 400, street_plans, version=2, visible=True),
        at(3, 800, street_plans, version=1, visible=True),
        at(4, 1200, street_plans, version=1, visible=True),
        Node(id=4, version=2, visible=False),
    ]
    ways = [
        Way(id=1, nodes=[1, 2, 3], tags=STREET, version=1, visible=True),
        Way(id=1, nodes=[1, 2], tags=STREET, version=2, visible=True),
        Way(id=2, nodes=[2, 3], tags=STREET, version=1, visible=True),
        Way(id=2, version=2, visible=False),
        Way(id=3, nodes=[2, 3], tags=STREET, version=1, visible=True),
        Way(id=3, nodes=[2, 3], tags={"waterway": "river"}, version=2, visible=True),
        Way(id=4, nodes=[2, 3, 4], tags=STREET, version=1, visible=True),
    ]
    path = write(tmp_path / "h.osh.pbf", nodes, ways, "osh.pbf")
    streets, found = extracts.read(path)
    assert streets.way_ids.tolist() == [1, 4]
    assert found["history"] == 1
    assert (found["nodes_twice"], found["ways_twice"], found["nodes_missing"]) == (0, 0, 1)
    assert WalkNetwork.from_pbf(path).length_m == pytest.approx(800, abs=0.5)
    assert_same(_pbf.read(path, RULES), _osmium.read(path, "osh.pbf", RULES))


def test_ids_that_stand_twice_and_negative_ones(street_plans: ModuleType, tmp_path: Path) -> None:
    nodes = [
        at(-1, 0, street_plans), at(-2, 400, street_plans), at(3, 700, street_plans),
        at(3, 800, street_plans), at(-4, 1200, street_plans),
    ]  # fmt: skip
    ways = [
        Way(id=-7, nodes=[-1, -2, 3], tags=STREET),
        Way(id=8, nodes=[3, -4], tags={"highway": "motorway"}),
        Way(id=8, nodes=[3, -4], tags=STREET),
    ]
    path = write(tmp_path / "twice.osm.pbf", nodes, ways)
    streets, found = extracts.read(path)
    assert streets.osm_ids.tolist() == [-4, -2, -1, 3]
    assert (found["nodes_twice"], found["ways_twice"], found["ids_negative"]) == (1, 1, 4)
    # Of an id that stands twice the later one counts.
    assert WalkNetwork.from_pbf(path).length_m == pytest.approx(1200, abs=0.5)
    assert_same(_pbf.read(path, RULES), _osmium.read(path, "osm.pbf", RULES))


def test_an_extract_cut_through_ways(street_plans: ModuleType, tmp_path: Path) -> None:
    path = street_plans.write(
        tmp_path / "cut.osm.pbf", ROW, [("a b c d e", STREET)], missing=["c", "e"]
    )
    _, found = extracts.read(path)
    assert (found["ways_clipped"], found["nodes_missing"]) == (1, 2)
    [(way, node, lon, lat), (_, other, *_)] = found["ways_clipped_at"]
    assert (way, node, other) == (1, 3, 5)
    assert (lon, lat) == pytest.approx(street_plans.lonlat(400, 0), abs=1e-7)


def test_ways_without_length_and_a_street_of_one_edge(
    street_plans: ModuleType, tmp_path: Path
) -> None:
    spots = {"a": (0, 0), "b": (700, 0), "c": (700, 0), "z": (0, 0)}
    streets = [("a b", STREET), ("b c", STREET), ("a", STREET), ("a a", STREET)]
    path = street_plans.write(tmp_path / "one.osm.pbf", spots, streets)
    network = WalkNetwork.from_pbf(path)
    assert network.source["ways_without_length"] == 3
    assert network.source["segments_without_length"] == 1
    assert network.edge_count == 1
    assert network.length_m == pytest.approx(700, abs=0.1)
    lon, lat = street_plans.lonlat(100, 10)
    assert network.catchment(lon, lat, minutes=5)["reached_m"].iloc[0] == pytest.approx(450, abs=12)


def test_a_city_in_islands(street_plans: ModuleType, tmp_path: Path) -> None:
    """27 % of the street lies in islands: pieces of a kilometre are served, crumbs are told."""
    spots, streets = {}, []
    for island, (y, length) in enumerate([(0, 14600), (1000, 3000), (2000, 1500), (3000, 900)]):
        spots |= {f"{island}a": (0, y), f"{island}b": (length, y)}
        streets.append((f"{island}a {island}b", STREET))
    path = street_plans.write(tmp_path / "islands.osm.pbf", spots, streets)
    network = WalkNetwork.from_pbf(path)
    assert network.components.round().tolist() == [14600, 3000, 1500, 900]
    assert network.pieces()["serves"].tolist() == [True, True, True, False]
    spot = network.snap(*street_plans.lonlat(150, 1010))
    assert spot.snap_distance_m[0] == pytest.approx(10, abs=0.1)
    with pytest.raises(InputError, match="No walkable street"):
        network.snap(*street_plans.lonlat(150, 3010))


def test_barriers_that_stop_ways_are_listed(street_plans: ModuleType, tmp_path: Path) -> None:
    gate = {"barrier": "gate", "access": "private"}
    spots = {**ROW, "b": (400, 0, {"barrier": "wall"}), "c": (800, 0, gate)}
    path = street_plans.write(tmp_path / "g.osm.pbf", spots, [("a b c d e", STREET)])
    network = WalkNetwork.from_pbf(path)
    shut = network.barriers()
    assert shut["osm_id"].tolist() == [2, 3]
    assert shut["tags"].tolist() == ["barrier=wall", "access=private barrier=gate"]
    assert shut["opens_to"].tolist() == ["", "resident"]
    assert shut.geometry.x.to_numpy()[1] == pytest.approx(street_plans.lonlat(800, 0)[0])
    assert network.with_profile("resident").barriers()["osm_id"].tolist() == [2]


# Damage.


@pytest.fixture(scope="module")
def whole(street_plans: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "x.osm.pbf"
    spots = {**ROW, "c": (800, 0, {"barrier": "gate"}), "n": (400, 300)}
    streets = [("a b c d e", STREET), ("b n c b", {"highway": "pedestrian", "area": "yes"})]
    street_plans.write(path, spots, streets, areas=[([2], {"highway": "pedestrian"})])
    return path.read_bytes()


def blobs_of(whole: bytes) -> list[tuple[int, bytes]]:
    """Begin and bytes of each blob."""
    found, p = [], 0
    while p < len(whole):
        length = int.from_bytes(whole[p : p + 4], "big")
        size = _pbf._message(whole[p + 4 : p + 4 + length], "head")[3]
        found.append((p, whole[p : p + 4 + length + size]))
        p += 4 + length + size
    return found


def repacked(whole: bytes, spoil: bytes | None, at: int) -> bytes:
    """Unpack every block, spoil the bytes from `at` on, and pack them again."""
    out = []
    for _, packed in blobs_of(whole):
        length = int.from_bytes(packed[:4], "big")
        head, blob = packed[4 : 4 + length], packed[4 + length :]
        parts = _pbf._message(blob, "blob")
        block = parts[1] if 1 in parts else zlib.decompress(parts[3])
        if b"OSMData" in head and spoil is not None:
            place = at % len(block)
            block = block[:place] + spoil + block[place + len(spoil) :]
        body = b"\x0a" + varint(len(block)) + block
        kind = head[2 : 2 + head[1]]
        new = b"\x0a" + bytes([len(kind)]) + kind + b"\x18" + varint(len(body))
        out.append(struct.pack(">I", len(new)) + new + body)
    return b"".join(out)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


@settings(max_examples=200, deadline=None)
@given(
    at=st.integers(0, 2**20),
    spoil=st.binary(min_size=1, max_size=12)
    | st.sampled_from([b"\xff" * 12, b"\x80" * 12, b"\x00" * 12, b"\x7f" * 5]),
)
def test_spoilt_blocks_are_refused_or_read(
    whole: bytes, tmp_path_factory: pytest.TempPathFactory, at: int, spoil: bytes
) -> None:
    path = tmp_path_factory.mktemp("spoilt") / "x.osm.pbf"
    assert repacked(whole, None, 0) != b""
    path.write_bytes(repacked(whole, spoil, at))
    with suppress(InputError):  # any other error fails
        extracts.read(path)


def test_every_cut_is_refused(whole: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.osm.pbf"
    between = {0, *(start for start, _ in blobs_of(whole))}
    for length in {*range(0, len(whole), 7)} - between:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as refused:
            extracts.read(path)
        assert refused.value.code in ("pbf_unreadable", "streets_empty")


def test_packings_python_lacks_are_refused_by_name(whole: bytes, tmp_path: Path) -> None:
    plain = repacked(whole, None, 0)
    place = plain.index(b"OSMData") + len(b"OSMData")
    place = plain.index(b"\x0a", place)  # the Blob's first field: raw
    for field, name in ((6, "lz4"), (7, "zstd")):
        path = tmp_path / f"{name}.osm.pbf"
        path.write_bytes(plain[:place] + bytes([field << 3 | 2]) + plain[place + 1 :])
        with pytest.raises(InputError, match=rf"packed with {name}.*osmium cat"):
            extracts.read(path)


def test_a_bomb_is_not_unpacked(whole: bytes, tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(80_000_000))
    body = b"\x10" + varint(1000) + b"\x1a" + varint(len(bomb)) + bomb
    head = b"\x0a\x07OSMData\x18" + varint(len(body))
    path = tmp_path / "bomb.osm.pbf"
    path.write_bytes(whole + struct.pack(">I", len(head)) + head + body)
    with pytest.raises(InputError, match=r"is damaged|unpacks to"):
        extracts.read(path)


@pytest.mark.parametrize(
    "content",
    [b"<osm version='0.6'><node id=", gzip.compress(b"<osm")[:-9], b"\xff\x00\x01", b""],
    ids=["cut", "gzip cut", "binary", "empty"],
)
def test_other_formats_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.osm"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused:
        extracts.read(path)
    assert refused.value.code == "pbf_unreadable"


def test_blocks_in_another_order(whole: bytes, tmp_path: Path) -> None:
    """Ways before nodes, as some programs write: read in three passes, with the same result."""
    blobs = [blob for _, blob in blobs_of(whole)]
    assert len(blobs) == 4  # head, nodes, ways, relations
    (tmp_path / "usual.osm.pbf").write_bytes(whole)
    path = tmp_path / "turned.osm.pbf"
    path.write_bytes(blobs[0] + blobs[3] + blobs[2] + blobs[1])
    told: list[float] = []
    turned = _pbf.read(path, RULES, on_progress=told.append)
    assert_same(turned, _pbf.read(tmp_path / "usual.osm.pbf", RULES))
    assert told[-1] == 1.0
