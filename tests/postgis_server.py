"""A private PostGIS server from the system's packages, in a temporary folder, for one test session.

It listens on a Unix socket only. Root can't run PostgreSQL: then it runs as the user ``postgres``
that Debian's package makes.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_DEBIAN = Path("/usr/lib/postgresql")
FAST = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "logging_collector": "off",
    "log_min_messages": "fatal",
}
OWNER = "postgres"
PORT = 54321
"""Only part of the socket's name: the folder is the server's own."""


def programs() -> Path | str:
    """The folder of the newest server's programs, or the reason why there is none."""
    folders = sorted(_DEBIAN.glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    folders += [Path(on_path).resolve().parent] if on_path else []
    servers = [folder for folder in folders if (folder / "initdb").exists()]
    if not servers:
        return "PostgreSQL is not installed (apt-get install postgresql)"
    with_postgis = [folder for folder in servers if _has_postgis(folder)]
    if not with_postgis:
        return "PostGIS is not installed (apt-get install postgis postgresql-NN-postgis-3)"
    if os.geteuid() == 0 and OWNER not in {entry.pw_name for entry in pwd.getpwall()}:
        return f"root can't run PostgreSQL, and there is no user {OWNER}"
    return with_postgis[0]


def _has_postgis(programs: Path) -> bool:
    asked = [str(programs / "pg_config"), "--sharedir"]
    told = subprocess.run(asked, capture_output=True, text=True, check=False)
    return (Path(told.stdout.strip()) / "extension" / "postgis.control").exists()


@contextmanager
def server(programs: Path, *, settings: Mapping[str, str] = FAST) -> Iterator[str]:
    """Run a server; give the URL of a database with PostGIS, ending in ``?host=…&port=…``."""
    folder = Path(tempfile.mkdtemp(prefix="geo-service-pg-"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam(OWNER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    try:
        run(programs, folder, "initdb", "-D", str(folder / "data"), "-U", OWNER, "-A", "trust",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")  # fmt: skip
        lines = [f"{name} = '{value}'" for name, value in settings.items()]
        lines += [f"port = {PORT}", f"unix_socket_directories = '{folder}'", ""]
        with (folder / "data" / "postgresql.auto.conf").open("a") as file:
            file.write("\n".join(lines))
        start(programs, folder)
        at = ("-h", str(folder), "-p", str(PORT), "-U", OWNER)
        run(programs, folder, "createdb", *at, "city")
        run(programs, folder, "psql", *at, "-q", "-d", "city", "-c", "CREATE EXTENSION postgis")
        yield f"postgresql://{OWNER}:s3cret@/city?host={folder}&port={PORT}"
    finally:
        stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def run(programs: Path, folder: Path, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs, never as root."""
    as_owner: list[str] = []
    if os.geteuid() == 0:
        group = pwd.getpwnam(OWNER).pw_gid
        as_owner = ["setpriv", f"--reuid={OWNER}", f"--regid={group}", "--clear-groups"]
    command = [*as_owner, str(programs / program), *arguments]
    subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=120)


def start(programs: Path, folder: Path) -> None:
    """Start the server in a folder."""
    log = ("-l", str(folder / "log"))
    run(programs, folder, "pg_ctl", "-D", str(folder / "data"), "-w", "-s", *log, "start")


def stop(folder: Path) -> None:
    """Stop the server of a folder at once, as a power cut would."""
    try:
        number = int((folder / "data" / "postmaster.pid").read_text().split()[0])
        os.kill(number, signal.SIGQUIT)
    except (OSError, IndexError):
        return  # it stopped by itself, or never ran
    for _ in range(200):
        try:
            os.kill(number, 0)
        except OSError:
            return
        time.sleep(0.05)
