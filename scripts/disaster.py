"""`make disaster`: what is left of the demo when all but its vault is gone, restored three ways.

Airflow, configuration, state, data and environment of the last `make demo` are moved away; then
every dataset comes back, each time into empty folders, and the minutes are taken:

    rescue kit     by the commands of its README.txt, installed without a network
    --vault        `holdfast --vault` with the master key alone
    stock restic   by the commands of the vault's own RECOVERY.txt, with unwrap.py

All three must be the same, byte for byte, and the same as the data where that has not changed
since its last backup. Whatever happens, what was moved away is put back.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from include.backup.evidence.table import aligned
from include.backup.evidence.wording import size
from scripts.airflow_site import only_one
from scripts.demo import FOLDER
from scripts.keys_file import keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_AWAY: Final = ("airflow", "config", "state", "data", "keys.env")
_STATIC: Final = ("handbook", "short_lived")  # datasets that nobody writes to
_PATH: Final = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
_COMMAND: Final = re.compile(r" {4}(?:\S| {2})")  # behind five there is an example
_HOLDFAST: Final = str(Path(sys.executable).parent / "holdfast")


class DisasterError(Exception):
    """Something did not come back as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way back, and how long it took for all datasets."""

    name: str
    folder: Path
    seconds: float


def main() -> int:
    """Try the three ways; 0 when each brought everything back."""
    argparse.ArgumentParser(prog="make disaster", description=__doc__).parse_args()
    try:
        with only_one(FOLDER):
            _run()
    except (DisasterError, subprocess.CalledProcessError) as error:
        print(f"\nthe disaster was one: {error}", file=sys.stderr)
        print(getattr(error, "stderr", "") or "", file=sys.stderr)
        return 1
    return 0


def _run() -> None:
    vault = FOLDER / "vault"
    if not (vault / "datasets").is_dir():
        raise DisasterError(f"there is no vault in {FOLDER}: run make demo first")
    known = keys(FOLDER / "keys.env", config=FOLDER / "config")
    master = json.loads(known["AIRFLOW_CONN_BACKUP_MASTER_KEY"])["password"]
    datasets = sorted(one.name for one in (vault / "datasets").iterdir())
    with tempfile.TemporaryDirectory(prefix="holdfast-disaster-") as temporary:
        home = Path(temporary)
        _say("before: a rescue kit, as `make rescue-kit` makes it")
        kit = home / "kit"
        _holdfast(known, home, "--config", str(FOLDER / "config"), "rescue-kit", "--to", str(kit))
        with _gone(home / "away"):
            _say(f"{', '.join(_AWAY)} are gone; there are the vault and the master key")
            ways = [
                _by_kit(kit, datasets, known, home),
                _by_vault(vault, datasets, master, home),
                _by_restic(vault, datasets, master, home),
            ]
        _compare(ways, datasets)
        total = sum(file.stat().st_size for file in ways[0].folder.rglob("*") if file.is_file())
        rows = [("way", "datasets", "restored", "took")]
        rows += [
            (way.name, str(len(datasets)), size(total), f"{way.seconds / 60:.1f} min")
            for way in ways
        ]
        print()
        print("\n".join(aligned(rows)))
        print("\nall three are the same, byte for byte, and as the data where nobody changed it.")


@contextmanager
def _gone(away: Path) -> Iterator[None]:
    """Move away all that a disaster takes; put it back at the end."""
    away.mkdir()
    moved = [name for name in _AWAY if (FOLDER / name).exists()]
    for name in moved:
        shutil.move(FOLDER / name, away / name)
    try:
        yield
    finally:
        for name in moved:
            shutil.move(away / name, FOLDER / name)


def _by_kit(kit: Path, datasets: list[str], known: Mapping[str, str], home: Path) -> Way:
    """By the commands of its README, with nothing but Python and the kit."""
    began, folder = time.monotonic(), home / "by-kit"
    whole, install, *use = _commands((kit / "README.txt").read_text(encoding="utf-8"))
    (kit / "keys.env").write_text(
        "".join(f"export {name}='{value}'\n" for name, value in known.items())
    )
    here = {"VENV": str(home / "venv"), "STATE": str(home / "kit-state"), "USER": "stranger"}
    _shell(f"{whole}\n{install}", kit, home, here, offline=True)
    for name in datasets:
        own = here | {"DATASET": name, "TARGET": str(folder / name)}
        _shell("\n".join(use), kit, home, own, offline=True)
    return _way("rescue kit, no network", folder, began)


def _by_vault(vault: Path, datasets: list[str], master: str, home: Path) -> Way:
    began, folder = time.monotonic(), home / "by-vault"
    for name in datasets:
        arguments = ("--vault", f"file://{vault}", "restore", name, "--to", str(folder / name))
        _holdfast({"HOLDFAST_MASTER_KEY": master}, home, *arguments, "--reason", "a disaster")
    return _way("holdfast --vault", folder, began)


def _by_restic(vault: Path, datasets: list[str], master: str, home: Path) -> Way:
    began, folder = time.monotonic(), home / "by-restic"
    script = "\n".join(_commands((vault / "RECOVERY.txt").read_text(encoding="utf-8")))
    for name in datasets:
        target = home / "restic" / name
        there = {"DATASET": name, "TARGET": str(target), "VAULT": str(vault)}
        _shell(script, home, home, there, typed=master)
        folder.mkdir(exist_ok=True)
        shutil.move(target / name, folder / name)
    return _way("unwrap.py, stock restic", folder, began)


def _way(name: str, folder: Path, began: float) -> Way:
    seconds = time.monotonic() - began
    _say(f"{name}: {seconds:.0f} s")
    return Way(name=name, folder=folder, seconds=seconds)


def _commands(text: str) -> list[str]:
    """The commands of a page: lines behind four spaces, block by block."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if _COMMAND.match(line):
            blocks[-1].append(line[4:])
        else:
            blocks.append([])
    return ["\n".join(block) for block in blocks if block]


def _holdfast(more: Mapping[str, str], home: Path, *arguments: str) -> None:
    subprocess.run(
        [_HOLDFAST, *arguments],
        env={"PATH": _PATH, "HOME": str(home), "HOLDFAST_STATE": str(home / "strange"), **more},
        cwd=home,
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def _shell(
    script: str,
    folder: Path,
    home: Path,
    more: Mapping[str, str],
    *,
    typed: str = "",
    offline: bool = False,
) -> None:
    command = ["bash", "-euo", "pipefail", "-c", script]
    if offline and os.geteuid() == 0 and shutil.which("unshare"):
        command = ["unshare", "--net", *command]
    subprocess.run(
        command,
        env={"PATH": _PATH, "HOME": str(home), "PIP_NO_INDEX": "1", **more},
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
        input=typed,
    )


def _compare(ways: list[Way], datasets: list[str]) -> None:
    """See that every way brought the same, and what the data still is.

    Raises:
        DisasterError: names the first file that differs.
    """
    first, *others = ways
    for name in datasets:
        for way in others:
            _require_same(first.folder / name, way.folder / name)
        if name in _STATIC:
            _require_same(FOLDER / "data" / name, first.folder / name)


def _require_same(left: Path, right: Path) -> None:
    there = {str(one.relative_to(left)) for one in left.rglob("*")}
    if odd := there ^ {str(one.relative_to(right)) for one in right.rglob("*")}:
        raise DisasterError(f"{left} and {right}: {min(odd)} is in one of them only")
    for name in sorted(there):
        one, other = left / name, right / name
        if one.is_symlink() or other.is_symlink():
            same = one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
        else:
            same = one.is_dir() == other.is_dir() and (
                one.is_dir() or filecmp.cmp(one, other, shallow=False)
            )
        if not same:
            raise DisasterError(f"{one} and {other} differ")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
