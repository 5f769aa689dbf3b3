"""What is wrong with a store or the place it lies in, and how to mend it, before it hurts.

Every finding is a sentence in both languages: what was looked at, what is wrong, what to do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from geo_service.errors import GeoServiceError
from geo_service.store import log, opening
from geo_service.store.home import Home
from geo_service.store.opening import Where
from geo_service.store.store import Store

LEAST_FREE_BYTES = 1_000_000_000
_TIMES_ITS_SIZE = 2  # a publication that changes everything writes the file and its log
_MOUNTS = Path("/proc/mounts")
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "vboxsf", "fuse.sshfs", "davfs")
_UNSAFE = ("fsync", "full_page_writes")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    what : str
        Stable name: ``disk``, ``rights``, ``guards`` ...
    ok : bool
        Whether it is as it should be.
    zh, en : str
        What was found; where it is not ok, also what to do.
    """

    what: str
    ok: bool
    zh: str
    en: str


def examine(where: Where, *, mend: bool = False) -> list[Finding]:
    """Look at a store and the place it lies in.

    Parameters
    ----------
    where : str or path-like
        The GeoPackage, or the ``postgresql://`` URL.
    mend : bool
        Set guards again that are missing.

    Returns
    -------
    list of Finding
        In the order they were looked at; the last one is the store itself.
    """
    findings = [] if opening.is_url(where) else list(_file(Path(where)))
    try:
        home, settings = opening.open_home(where)
        with Store(home, settings) as store:
            if opening.is_url(where):
                findings += _server(home)
            findings.append(_guards(home, mend=mend))
            return [*findings, _content(store)]
    except GeoServiceError as error:
        return [*findings, _refused("store", error)]


def _refused(what: str, error: GeoServiceError) -> Finding:
    return Finding(what, False, error.message("zh"), error.message("en"))


def _file(path: Path) -> Iterator[Finding]:
    """Look at the file's place; the file itself is opened afterwards."""
    folder = path.resolve().parent
    if not folder.is_dir():
        return  # the store is missing, which is said
    size = path.stat().st_size if path.is_file() else 0
    free, needed = shutil.disk_usage(folder).free, max(LEAST_FREE_BYTES, _TIMES_ITS_SIZE * size)
    left = f"{free / 1e9:.1f} GB"
    if free < needed:
        yield Finding(
            "disk",
            False,
            f"只剩 {left}，至少需要 {needed / 1e9:.1f} GB。请清理磁盘，或把数据库移到更大的磁盘。",
            f"{left} free, {needed / 1e9:.1f} GB are needed. "
            "Make room, or move the store to a larger disk.",
        )
    else:
        yield Finding("disk", True, f"剩余 {left}", f"{left} free")
    kind = _file_system(folder)
    if kind.startswith(_NETWORK):
        yield Finding(
            "drive",
            False,
            f"文件在网络盘（{kind}）上，多人同时使用可能损坏。请放到本机磁盘，或改用 PostGIS"
            "（geo-service restore 文件 --store postgresql://…）。",
            f"It lies on a network drive ({kind}), where several users at once may damage it. "
            "Keep it on a local disk, or move it to PostGIS "
            "(geo-service restore FILE --store postgresql://…).",
        )
    closed = [p for p in (path, folder) if p.exists() and not os.access(p, os.W_OK)]
    if closed:
        names = ", ".join(map(str, closed))
        yield Finding(
            "rights",
            False,
            f"没有写入权限：{names}。可以查看，不能发布；请修改文件和文件夹的权限。",
            f"Not writable: {names}. It can be read, and nothing be published; "
            "change the rights of the file and its folder.",
        )


def _file_system(folder: Path) -> str:
    """The kind of file system a folder lies on; "" where the system does not tell."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    mounts = [line.split()[1:3] for line in lines]
    inside = [
        (len(point), kind)
        for point, kind in mounts
        if folder.is_relative_to(point.replace("\\040", " "))
    ]
    return max(inside, default=(0, ""))[1]


def _server(home: Home) -> Iterator[Finding]:
    with home.reading() as connection:
        yield _versions(connection)
        yield _rights(connection)
        unsafe = [name for name in _UNSAFE if _shown(connection, name) == "off"]
    if unsafe:
        names = ", ".join(unsafe)
        yield Finding(
            "server",
            False,
            f"服务器关闭了 {names}，断电可能丢失已发布的内容。请管理员改为 on。",
            f"The server runs with {names} off: a power cut may lose what was published. "
            "Have its administrator turn it on.",
        )


def _versions(connection: sa.Connection) -> Finding:
    server = _shown(connection, "server_version")
    postgis = connection.exec_driver_sql("SELECT PostGIS_Lib_Version()").scalar_one()
    told = f"PostgreSQL {server}, PostGIS {postgis}"
    return Finding("versions", True, told, told)


def _rights(connection: sa.Connection) -> Finding:
    query = """SELECT has_schema_privilege(current_schema(), 'CREATE'),
        has_table_privilege('gs_revisions', 'INSERT'), pg_is_in_recovery(),
        current_setting('default_transaction_read_only') = 'on'"""
    may_create, may_insert, standby, only_read = connection.exec_driver_sql(query).one()
    if standby or only_read:
        return Finding(
            "rights",
            False,
            "连接的是只读副本，可以查看，不能发布。请把 --store 指向主服务器。",
            "This is a read-only copy: it can be read, and nothing be published. "
            "Point --store at the primary server.",
        )
    if may_create and may_insert:
        return Finding("rights", True, "可读可写", "may read and write")
    user = connection.exec_driver_sql("SELECT current_user").scalar_one()
    return Finding(
        "rights",
        False,
        f"用户 {user} 不能发布。请管理员把该模式及其中的表授权或转给该用户。",
        f"The user {user} can't publish. Have the administrator grant it the schema and its "
        "tables, or make it their owner.",
    )


def _guards(home: Home, *, mend: bool) -> Finding:
    with home.reading() as connection:
        layers = list(log.numbers(home.schema, connection))
    missing = home.unguarded(layers)
    if missing and mend:
        home.guard(missing)
        missing = home.unguarded(layers)
    if not missing:
        return Finding("guards", True, "已发布的图层受保护", "published layers are guarded")
    names = ", ".join(missing)
    return Finding(
        "guards",
        False,
        f"防误改的触发器缺失：{names}。请运行 geo-service doctor --mend。",
        f"The triggers that guard against edits are missing: {names}. "
        "Run geo-service doctor --mend.",
    )


def _content(store: Store) -> Finding:
    try:
        store.verify()
    except GeoServiceError as error:
        return _refused("content", error)
    told = ", ".join(f"{name} r{number}" for name, number in store.current_revisions().items())
    return Finding("content", True, told or "空库", told or "empty")


def _shown(connection: sa.Connection, name: str) -> str:
    return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())
