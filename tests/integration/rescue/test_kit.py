"""The rescue kit: made, kept, installed where there is no network, and restored with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from include.backup.cli.kit_wheel import NEEDS, engine_wheel
from include.backup.evidence.signing import Signer
from include.backup.vault.rescue import unwrap_sha256
from tests.integration.cli.shell import ENTRY, ROOT, Shell, connection
from tests.servers.wheels import make_wheels

if TYPE_CHECKING:
    from pathlib import Path


pytestmark = pytest.mark.timeout(1200)  # pip installs a kit


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pip would fetch."""
    folder = tmp_path_factory.mktemp("index") / "wheels"
    make_wheels(folder, NEEDS)
    return folder


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """An installation with one dataset, and a vault."""
    (tmp_path / "config").mkdir()
    policy = (ROOT / "include" / "config" / "policy.yaml").read_text(encoding="utf-8")
    (tmp_path / "config" / "policy.yaml").write_text(policy)
    (tmp_path / "vault").mkdir()
    (tmp_path / "crm").mkdir()
    (tmp_path / "crm" / "customers.csv").write_text("id,name\n1,Ada\n")
    made = Shell(tmp_path)
    made.datasets(ENTRY)
    return made


def without_network() -> list[str]:
    """A command in front of others that takes the network away, where this user may."""
    words = ["unshare", "--map-root-user", "--net"]
    able = (
        shutil.which("unshare")
        and not subprocess.run([*words, "true"], capture_output=True, check=False).returncode
    )
    return words if able else []


def test_it_restores_where_there_is_nothing_but_python(
    shell: Shell, wheels: Path, tmp_path: Path
) -> None:
    """By the commands of its own page: installed, listed, restored, with no network at all."""
    kit = tmp_path / "kit"
    shell("back-up", "crm")
    told = shell("rescue-kit", "--to", "kit", "--wheels", str(wheels), "--store")
    digest = sha256((kit / "MANIFEST.json").read_bytes()).hexdigest()
    assert digest in told
    manifest = json.loads((kit / "MANIFEST.json").read_bytes())
    assert manifest["files"]["unwrap.py"] == unwrap_sha256()
    assert "RECOVERY-primary.txt" in manifest["files"]
    assert not [name for name in manifest["files"] if "airflow" in name.lower()]
    for name, variable in shell.environment.items():
        if name.startswith("AIRFLOW_CONN"):
            secret = json.loads(variable)["password"].encode()
            assert all(secret not in (kit / one).read_bytes() for one in manifest["files"])
    far = tmp_path / "far"
    shutil.copytree(kit, far)
    keys = [
        f"export {name}='{value}'\n"
        for name, value in shell.environment.items()
        if name.startswith("AIRFLOW_CONN")
    ]
    (far / "keys.env").write_text("".join(keys))
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    python.write_text(f'#!/bin/sh\nexec {sys._base_executable} "$@"\n')  # type: ignore[attr-defined]
    python.chmod(0o755)
    page = (kit / "README.txt").read_text(encoding="utf-8")
    done = subprocess.run(
        [
            *without_network(),
            "bash",
            "-euc",
            "\n".join(re.findall(r"^    (\S.*)$", page, re.MULTILINE)),
        ],
        env={
            "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
            "HOME": str(far),
            "USER": "anna",
            "DATASET": "crm",
            "TARGET": str(tmp_path / "restored"),
            "PIP_NO_INDEX": "1",
            "https_proxy": "http://127.0.0.1:9",
            "PIP_CONFIG_FILE": "/dev/null",
        },
        cwd=far,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "restored" / "customers.csv").read_text() == "id,name\n1,Ada\n"
    installed = {path.name.partition("-")[0] for path in far.rglob("*.dist-info")}
    assert "holdfast" in installed
    assert not {"apache_airflow", "great_expectations", "pandas"} & installed
    [stored] = (tmp_path / "vault" / "rescue-kits").iterdir()
    assert stored.name == f"{sha256(stored.read_bytes()).hexdigest()}.tar"
    with tarfile.open(stored) as archive:
        assert {f"rescue-kit/{name}" for name in manifest["files"]} <= set(archive.getnames())


def test_what_nobody_confirmed_is_asked_for_until_somebody_does(shell: Shell, wheels: Path) -> None:
    """The sheet by `keys escrowed`, also after another master key; the kit when it is made anew."""

    def asked(command: str = "status") -> set[str]:
        told = shell(command, code=None)
        words = {
            "sheet": "nobody has said that the sheet with key",
            "none": "no rescue kit is known",
            "old": "the rescue kit of",
        }
        return {name for name, text in words.items() if text in told}

    assert asked() == asked("doctor") == {"sheet", "none"}
    shell("policy", "review", "--by", "anna", "--note", "as it was")
    assert "KEPT 4.2 · key " in shell("keys", "escrowed", "--by", "anna", "--where", "safe 3")
    shell("policy", "review", "--by", "anna", "--note", "again")
    assert asked("doctor") == {"none"}
    shell("rescue-kit", "--to", "kit", "--wheels", str(wheels))
    assert asked() == set()
    assert not (shell.site / "vault" / "rescue-kits").exists()
    told = shell("rescue-kit", "--to", "kit", "--wheels", str(wheels), code=2)
    assert "is there, and not empty" in told
    shell.environment["AIRFLOW_CONN_BACKUP_MASTER_KEY"] = connection(7)
    assert asked() == {"sheet"}
    shell.environment["AIRFLOW_CONN_BACKUP_MASTER_KEY"] = connection(1)
    shell.environment["AIRFLOW_CONN_BACKUP_SIGNING_KEY"] = connection(9)
    path = shell.site / "config" / "datasets.yaml"
    old = Signer(bytes([2]) * 32).public_key.hex()
    trusted = f"backup_signing_key, trusted: ['{old}']}}"
    path.write_text(path.read_text().replace("backup_signing_key}", trusted))
    assert asked() == {"old"}
    assert shell("ledger", "verify")


def test_the_same_files_make_the_same_wheel() -> None:
    """Byte for byte; it asks for no Airflow, and has no code that needs one."""
    name, data = engine_wheel(ROOT, "1.2.3")
    assert name == "holdfast-1.2.3+rescue-py3-none-any.whl"
    assert engine_wheel(ROOT, "1.2.3") == (name, data)
    assert b"include/orchestration" not in data


def test_a_kit_that_pip_cannot_fill_is_told(shell: Shell, tmp_path: Path) -> None:
    """In one line, with what to do."""
    (tmp_path / "empty").mkdir()
    told = shell("rescue-kit", "--to", "kit", "--wheels", str(tmp_path / "empty"), code=1)
    assert "pip cannot fetch the wheels" in told
    assert "--wheels DIR" in told
