"""The shell blocks of the documents are run as they stand, as somebody in need would run them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str) -> list[str]:
    """The shell blocks of a document of the project, in order."""
    return _BLOCK.findall((ROOT / document).read_text(encoding="utf-8"))


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    """An installation with one dataset, crm, and the environment of its shell."""
    data = tmp_path / "crm"
    (data / "contracts").mkdir(parents=True)
    (data / "contracts" / "a.txt").write_text("signed\n")
    (data / "customers.csv").write_text("id,name\n1,Ada\n")
    config = tmp_path / "config"
    config.mkdir()
    (config / "policy.yaml").write_text(
        (ROOT / "include" / "config" / "policy.yaml").read_text(encoding="utf-8")
    )
    (config / "datasets.yaml").write_text(
        "key: {provider: local, connection: backup_master_key}\n"
        "signing_key: {connection: backup_signing_key}\n"
        f"vaults: {{primary: {{url: 'file://{tmp_path}/vault'}}, "
        f"second: {{url: 'file://{tmp_path}/second'}}}}\n"
        "datasets:\n"
        "  crm:\n"
        "    class: critical\n"
        "    owner: crm-team@example.com\n"
        f"    source: {{type: filesystem, path: {data}}}\n"
        "    replicas: [second]\n"
    )
    (tmp_path / "scratch").mkdir()
    (tmp_path / "second").mkdir()
    binaries = tmp_path / "bin"
    binaries.mkdir()
    command = binaries / "holdfast"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m include.backup "$@"\n')
    command.chmod(0o755)
    (binaries / "python3").symlink_to(sys.executable)
    return {
        "PATH": f"{binaries}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
        "HOLDFAST_CONFIG": str(config),
        "HOLDFAST_STATE": str(tmp_path / "state"),
        "SCRATCH": str(tmp_path / "scratch"),
        "VAULT": str(tmp_path / "vault"),
    }


def run(script: str, environment: dict[str, str], folder: str) -> str:
    """Run a script with bash; fail with all it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{script}\n--- printed\n{done.stdout}\n{done.stderr}"
    return done.stdout


def with_keys(site: dict[str, str]) -> dict[str, str]:
    """The environment with the keys that `holdfast init` makes."""
    lines = run("holdfast init | grep ^export", site, site["SCRATCH"]).splitlines()
    keys = {}
    for line in lines:
        name, _, value = line.removeprefix("export ").partition("=")
        keys[name] = json.loads(value.strip("'")) and value.strip("'")
    return site | keys


@pytest.mark.interop
def test_the_runbook_works_as_it_stands(site: dict[str, str]) -> None:
    """Every block of the runbook succeeds, one after the other, in one shell."""
    environment = with_keys(site)
    run("holdfast back-up crm && holdfast replicate crm", environment, site["SCRATCH"])
    run("\n".join(blocks("RUNBOOK.md")), environment, site["SCRATCH"])
    scratch = Path(site["SCRATCH"])
    for restored in ("newest", "older", "by-restic/crm", "from-second"):
        assert (scratch / restored / "customers.csv").read_text() == "id,name\n1,Ada\n"
    for part in ("part", "before"):
        assert [path.name for path in (scratch / part).rglob("*.*")] == ["a.txt"]


def test_the_readme_leads_to_a_restored_dataset(site: dict[str, str], tmp_path: Path) -> None:
    """The steps of the README, after the installation, end in "identical"."""
    _install, *steps = blocks("README.md")
    script = "\n".join(steps).replace("/srv/crm", f"{tmp_path}/crm")
    script = script.replace("/tmp/crm-restored", f"{tmp_path}/restored")
    script = script.replace("/srv/vault", site["VAULT"])
    printed = run(script, site, site["SCRATCH"])
    assert printed.rstrip().endswith("identical")
    sheet = (Path(site["SCRATCH"]) / "keys-and-sheet.txt").read_text()
    assert f"#     file://{site['VAULT']}\n" in sheet
