"""Ceph's S3 server, unpacked into a folder of this checkout and never installed.

apt downloads the packages of the Debian release that the machine runs, with all that they need,
libc included, so that the server runs from its own folder whatever else is on the machine. Any
user can do that: where apt's own lists are empty or old, fresh ones are fetched into the cache.
The system's package database, sources and settings are read, never changed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "rgw"
PACKAGES = ("ceph-mon", "ceph-osd", "radosgw", "ceph-common")
PROGRAMS = ("ceph-mon", "ceph-osd", "monmaptool", "rados", "radosgw", "radosgw-admin")
FETCH_SECONDS = 900


class TreeUnavailable(Exception):
    """The server cannot be had on this machine; says why."""


def fetch_tree() -> Path:
    """Return the folder that holds usr/bin/radosgw and the rest, filled on first use.

    Raises:
        TreeUnavailable: no apt here, or apt could not download the packages.
    """
    tree = CACHE / "tree"
    if tree.is_dir():
        return tree
    if missing := [tool for tool in ("apt-get", "dpkg-deb") if shutil.which(tool) is None]:
        raise TreeUnavailable(f"{missing[0]} is not on this machine")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test runs that start together fetch once
        if not tree.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE, prefix="fetch-") as work:
                _build(Path(work)).rename(tree)
    return tree


def _build(work: Path) -> Path:
    _download(work)
    root, tree = work / "root", work / "tree"
    root.mkdir()
    for package in sorted((work / "archives").glob("*.deb")):
        _run("dpkg-deb", "-x", str(package), str(root))
    # Before trixie some packages put libraries into /lib, others into /usr/lib.
    shutil.copytree(root / "lib", root / "usr/lib", symlinks=True, dirs_exist_ok=True)
    libraries = library_folder(root)
    (tree / "usr/bin").mkdir(parents=True)
    for program in PROGRAMS:
        (root / "usr/bin" / program).rename(tree / "usr/bin" / program)
    target = library_folder(tree)
    target.parent.mkdir(parents=True)
    libraries.rename(target)
    return tree


def library_folder(tree: Path) -> Path:
    """Where the libraries are: usr/lib/x86_64-linux-gnu, or what the machine calls it."""
    return tree / "usr/lib" / f"{os.uname().machine}-linux-gnu"


def _download(work: Path) -> None:
    (work / "archives/partial").mkdir(parents=True)
    (work / "preferences").mkdir()
    (work / "status").touch()  # as if nothing were installed: the closure is complete
    options = [
        f"Dir::State::status={work}/status",
        f"Dir::Cache::archives={work}/archives",
        "Dir::Cache::pkgcache=",
        "Dir::Cache::srcpkgcache=",
        f"Dir::Etc::preferencesparts={work}/preferences",
        f"Dir::Etc::preferences={work}/preferences/none",
        "APT::Install-Recommends=false",
        "Debug::NoLocking=1",
        "Acquire::Retries=3",
    ]
    try:
        _apt(options, "install", *PACKAGES)
    except TreeUnavailable:
        (work / "lists/partial").mkdir(parents=True)
        options.append(f"Dir::State::lists={work}/lists")
        _apt(options, "update")
        _apt(options, "install", *PACKAGES)


def _apt(options: list[str], command: str, *packages: str) -> None:
    flags = [part for option in options for part in ("-o", option)]
    _run("apt-get", *flags, "-qq", "-y", "--download-only", command, *packages)


def _run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise TreeUnavailable(f"{command[0]} failed: {said[-1] if said else done.returncode}")
