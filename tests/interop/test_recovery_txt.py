"""RECOVERY.txt is followed to the letter, by a stranger: the vault, the key, stock tools."""

from __future__ import annotations

import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.replicate import replicate
from include.backup.actions.rotate_key import rotate_key
from include.backup.policy.model import Method
from include.backup.storage.s3 import S3Storage
from include.backup.vault.keyring import LocalKey
from include.backup.vault.rescue import unwrap_sha256
from tests.damage.site import MASTER_KEY
from tests.interop.archives import Archives
from tests.interop.survey import differences, survey
from tests.servers.rgw import REGION, rgw  # noqa: F401 a fixture

if TYPE_CHECKING:
    from tests.interop.conftest import Restic
    from tests.servers.rgw import Rgw


@pytest.fixture
def archives(tmp_path: Path) -> Archives:
    """A dataset, crm, and its vault on disk."""
    made = Archives(tmp_path)
    made.write(customers="id,name\n1,Ada\n", folder__two=b"2" * 100_000)
    (made.data / "link").symlink_to("customers")
    return made


def commands(text: str) -> str:
    """The lines that stand as code."""
    return "\n".join(re.findall(r"^    (.*)$", text, re.MULTILINE))


def tools(folder: Path) -> Path:
    """`python3`, the machine's own if it has `cryptography`, and what tests have of `aws`."""
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    own = ["/usr/bin/python3", "-I", "-c", "import cryptography"]
    stock = subprocess.run(own, capture_output=True, check=False).returncode == 0
    for name, what in (
        ("python3", "/usr/bin/python3" if stock else sys.executable),
        ("aws", f"{sys.executable} {Path(__file__).with_name('aws.py')}"),
    ):
        (binaries / name).write_text(f'#!/bin/sh\nexec {what} "$@"\n')
        (binaries / name).chmod(0o755)
    return binaries


def follow(text: str, restic: Restic, folder: Path, *, key: str, **more: str) -> str:
    """Do what a RECOVERY.txt says on a machine without Holdfast; return what is printed."""
    empty = folder / "nowhere"
    empty.mkdir(exist_ok=True)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands(text)],
        env={
            "PATH": f"{tools(folder)}:{restic.binary.rpartition('/')[0]}:/usr/bin:/bin",
            "HOME": str(folder),
            "TARGET": str(folder / "target"),
            **more,
        },
        cwd=empty,
        input=key,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_stranger_restores_from_a_directory(
    restic: Restic, archives: Archives, tmp_path: Path
) -> None:
    """The newest state comes back whole, by the commands of the file and a key that was typed."""
    assert archives.back_up().ok
    archives.write(more="later")
    assert archives.back_up().ok
    text = (archives.vault / "RECOVERY.txt").read_text(encoding="utf-8")
    typed = f"{MASTER_KEY[:11]}  {MASTER_KEY[11:22]}\n{MASTER_KEY[22:]}\n"
    printed = follow(text, restic, tmp_path, key=typed)
    digest = sha256((archives.vault / "unwrap.py").read_bytes()).hexdigest()
    assert f"{digest}  " in printed  # what sha256sum says
    assert digest in text
    assert "# Restoring crm without Holdfast" in printed
    assert differences(survey(archives.data), survey(tmp_path / "target" / "crm")) == []


def test_an_unfinished_generation_is_passed_over(
    restic: Restic, archives: Archives, tmp_path: Path
) -> None:
    """The last one that has a snapshot is taken, though a later one was begun."""
    assert archives.back_up().ok
    generations = archives.vault / "datasets" / "crm" / "generations"
    (generations / "29991231T000000Z" / "data").mkdir(parents=True)
    text = (archives.vault / "RECOVERY.txt").read_text(encoding="utf-8")
    follow(text, restic, tmp_path, key=MASTER_KEY)
    assert (tmp_path / "target" / "crm" / "customers").exists()


def test_a_copy_rescues_itself_while_a_key_is_changed(
    restic: Restic, archives: Archives, tmp_path: Path
) -> None:
    """A replica has the files too; of several envelopes the one of the key that was typed opens."""
    archives.add_second()
    assert archives.back_up().ok
    replicate(archives.setting(), "crm", "second")
    old = LocalKey.of_text(MASTER_KEY)
    archives.keys["backup_master_key"] = new = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU="
    rotate_key(archives.setting(), "crm", old)
    [folder] = (archives.vault / "datasets" / "crm" / "keys").iterdir()
    [there] = (tmp_path / "second" / "datasets" / "crm" / "keys").iterdir()
    (there / f"{LocalKey.of_text(new).master_key_id}.json").write_bytes(
        next(folder.iterdir()).read_bytes()
    )
    assert len(list(there.iterdir())) == 2
    text = (tmp_path / "second" / "RECOVERY.txt").read_text(encoding="utf-8")
    assert f"file://{tmp_path}/second" in text
    for number, key in enumerate((MASTER_KEY, new)):
        target = tmp_path / f"by-{number}"
        follow(text, restic, tmp_path, key=key, TARGET=str(target))
        assert differences(survey(archives.data), survey(target / "crm")) == []


@pytest.mark.integration
def test_a_stranger_restores_from_a_bucket(
    restic: Restic,
    rgw: Rgw,  # noqa: F811
    tmp_path: Path,
) -> None:
    """With `aws` for what is small, over TLS, and nothing but credentials and the key added."""
    site = Archives(tmp_path)
    bucket = rgw.make_bucket()
    site.storage = S3Storage(rgw.client(), bucket, "some/vault")
    site.vault_url = f"s3://{bucket}/some/vault', connection: 'none"  # no endpoint: the client's
    site.write(one=b"1" * 100_000, folder__two=b"2")
    assert back_up(site.setting(), "crm", method=Method.FULL).ok
    text = site.storage.load("RECOVERY.txt").decode()
    printed = follow(
        text,
        restic,
        tmp_path,
        key=MASTER_KEY,
        AWS_ACCESS_KEY_ID=rgw.owner.access_key,
        AWS_SECRET_ACCESS_KEY=rgw.owner.secret_key,
        AWS_DEFAULT_REGION=REGION,
        AWS_CA_BUNDLE=str(rgw.ca_path),
        SSL_CERT_FILE=str(rgw.ca_path),
    )
    assert unwrap_sha256() in printed
    assert differences(survey(site.data), survey(tmp_path / "target" / "crm")) == []
