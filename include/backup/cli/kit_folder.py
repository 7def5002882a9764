"""The rescue kit: one folder that restores without a network, on a machine that has Python alone.

    README.txt          one page: what to do
    wheels/             Holdfast as far as a restore needs it, and what that needs
    config/             policy.yaml, datasets.yaml and the like, in which nothing is secret
    RUNBOOK.md  LICENSE  unwrap.py  signing-key.txt
    restic  restic-licence.txt           where this machine has them
    RECOVERY-<vault>.txt                 how each vault opens without Holdfast
    MANIFEST.json       {version, python, platform, signing_key, files: {name: SHA-256}}
    SHA256SUMS          of all others, for `sha256sum --check`

No key is in it. The digest of a kit is that of its MANIFEST.json.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import tomllib
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distributions, version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from include.backup.cli.kit_readme import README
from include.backup.cli.kit_wheel import NEEDS, engine_wheel
from include.backup.errors import ConfigurationInvalid, ToolMissing
from include.backup.vault.recovery_text import recovery_text
from include.backup.vault.rescue import RECOVERY, UNWRAP, unwrap_script, unwrap_sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).resolve().parents[3]
MANIFEST: Final = "MANIFEST.json"
SUMS: Final = "SHA256SUMS"
_CONFIG: Final = ("policy.yaml", "datasets.yaml", "people.yaml")
_CONFIG_FOLDERS: Final = ("datasets.d", "expectations")
_LICENCES: Final = ("/usr/share/doc/restic/copyright", "/usr/share/doc/restic/LICENSE")


def release() -> str:
    """The version of this Holdfast."""
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["version"])
    except OSError:  # it is installed, and its folder is elsewhere
        pass
    try:
        return version("holdfast").partition("+")[0]
    except PackageNotFoundError:
        return "unknown"


def make_kit(
    folder: Path,
    *,
    config: Path,
    vaults: Mapping[str, tuple[str, str]],
    signing_key: bytes,
    wheels: Path | None = None,
) -> tuple[str, list[str]]:
    """Fill a new folder with everything that a restore needs.

    Args:
        config: the folder of policy.yaml and datasets.yaml.
        vaults: the url of each, and its address for restic.
        signing_key: the public key that ledgers are verified with.
        wheels: a folder that has the wheels of others, where there is no network; None: pip fetches
            those of the very versions that are installed here.

    Returns:
        The digest of its manifest, in hex, and what it lacks, a line each.

    Raises:
        ConfigurationInvalid: the folder is not empty, or this is no project that a kit can be of.
        ToolMissing: pip could not fetch what is needed.
    """
    _require_new(folder)
    lacking = []
    (folder / "wheels").mkdir(parents=True)
    name, data = engine_wheel(ROOT, release())
    (folder / "wheels" / name).write_bytes(data)
    _fetch(folder / "wheels", wheels)
    for document in ("RUNBOOK.md", "VAULTS.md", "SOURCES.md", "LICENSE"):
        shutil.copyfile(ROOT / document, folder / document)
    (folder / UNWRAP).write_bytes(unwrap_script())
    (folder / "signing-key.txt").write_text(f"{signing_key.hex()}\n", encoding="ascii")
    _copy_config(config, folder / "config")
    for vault, (url, address) in vaults.items():
        text = recovery_text(
            url=url, restic_address=address, name=RECOVERY, unwrap=UNWRAP,
            unwrap_sha256=unwrap_sha256(),
        )  # fmt: skip
        (folder / f"RECOVERY-{vault}.txt").write_bytes(text)
    if why := _take_restic(folder):
        lacking.append(why)
    (folder / "README.txt").write_text(
        README.format(version=release(), python=_python(), platform=sysconfig.get_platform()),
        encoding="utf-8",
    )
    return _seal(folder, signing_key), lacking


def packed(folder: Path) -> bytes:
    """A kit as one file: the same files make the same bytes."""
    made = BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(_files(folder)):
            data = (folder / name).read_bytes()
            entry = tarfile.TarInfo(f"rescue-kit/{name}")
            entry.size, entry.mode = len(data), 0o755 if name == "restic" else 0o644
            archive.addfile(entry, BytesIO(data))
    return made.getvalue()


def _require_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationInvalid(
            f"{folder} is there, and not empty", hint="name a new folder; an old kit stays as it is"
        )
    if not (ROOT / "RUNBOOK.md").exists():
        raise ConfigurationInvalid(
            f"{ROOT} is no folder of the project", hint="make the kit where Holdfast is installed"
        )


def _fetch(folder: Path, wheels: Path | None) -> None:
    """Let pip fetch wheels of the versions that are installed, for this Python and platform.

    Raises:
        ToolMissing: it cannot.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as pins:
        pins.write("".join(f"{one.name}=={one.version}\n" for one in distributions() if one.name))
        pins.flush()
        source = ["--no-index", "--find-links", str(wheels)] if wheels else []
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
            *("--only-binary", ":all:", "--constraint", pins.name, "--dest", str(folder)),
            *source,
            *NEEDS,
        ]
        done = subprocess.run(  # noqa: S603  our own arguments
            command, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise ToolMissing(
            f"pip cannot fetch the wheels: {done.stderr.strip().splitlines()[-1:]}",
            hint="with a network; or `--wheels DIR`, a folder that has them",
        )


def _copy_config(config: Path, folder: Path) -> None:
    folder.mkdir()
    for name in _CONFIG:
        if (config / name).exists():
            shutil.copyfile(config / name, folder / name)
    for name in _CONFIG_FOLDERS:
        if (config / name).is_dir():
            shutil.copytree(config / name, folder / name)


def _take_restic(folder: Path) -> str:
    """Copy stock restic with its licence; return why not."""
    found = shutil.which("restic")
    licence = next((path for path in map(Path, _LICENCES) if path.exists()), None)
    if found is None:
        return "restic is not installed here: the kit opens no repository without Holdfast"
    if licence is None:
        return f"{found} is left out: its licence is in none of {', '.join(_LICENCES)}"
    shutil.copyfile(found, folder / "restic")
    (folder / "restic").chmod(0o755)
    shutil.copyfile(licence, folder / "restic-licence.txt")
    return ""


def _seal(folder: Path, signing_key: bytes) -> str:
    digests = {name: _sha256(folder / name) for name in sorted(_files(folder))}
    manifest = {
        "version": release(),
        "python": _python(),
        "platform": sysconfig.get_platform(),
        "signing_key": signing_key.hex(),
        "files": digests,
    }
    data = json.dumps(manifest, indent=2).encode() + b"\n"
    (folder / MANIFEST).write_bytes(data)
    digests[MANIFEST] = sha256(data).hexdigest()
    sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    (folder / SUMS).write_text(sums, encoding="utf-8")
    return digests[MANIFEST]


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])
