"""Somebody deletes backups in a real bucket that locks: told as tampering, read, brought back."""

from __future__ import annotations

import functools
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from include.backup.cli.main import main
from include.backup.repository import lock
from include.backup.storage import s3, s3_client
from include.backup.vault.layout import is_write_once
from tests.integration.cli.shell import ENTRY, Shell
from tests.integration.storage.test_expiry_on_s3 import documented_policy
from tests.interop.conftest import restic  # noqa: F401 a fixture
from tests.servers.rgw import REGION, rgw  # noqa: F401 a fixture

if TYPE_CHECKING:
    from tests.interop.conftest import Restic
    from tests.servers.rgw import Rgw
    from tests.servers.rgw_cluster import User

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]
PREFIX = "vault/datasets/crm/"


class Inside(Shell):
    """The same commands without a new interpreter for each, which takes a second to begin."""

    def run(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """See Shell."""
        out, err = io.StringIO(), io.StringIO()
        with patch.dict(os.environ, self.environment), redirect_stdout(out), redirect_stderr(err):
            ended = main(arguments)
        told = subprocess.CompletedProcess(arguments, ended, out.getvalue(), err.getvalue())
        assert code in {None, ended}, f"exit {ended}\n{told.stdout}{told.stderr}"
        return told


class Bucket:
    """A vault in a bucket with Object Lock and the rights of VAULTS.md, and one recovery point."""

    def __init__(self, server: Rgw, shell: Shell, restic: Restic) -> None:  # noqa: F811
        self.server, self.shell, self.restic = server, shell, restic
        self.name = server.make_bucket("locked")
        server.client().put_bucket_policy(
            Bucket=self.name, Policy=documented_policy(server, self.name)
        )
        for role, user in (("writer", server.role), ("expirer", server.owner)):
            shell.environment[f"AIRFLOW_CONN_{role.upper()}"] = json.dumps({
                "conn_type": "aws",
                "login": user.access_key,
                "password": user.secret_key,
                "extra": {
                    "region_name": REGION,
                    "endpoint_url": server.endpoint,
                    "verify": str(server.ca_path),
                },
            })
        shell.datasets(ENTRY)
        config = shell.site / "config" / "datasets.yaml"
        vault = (
            f"{{primary: {{url: 's3://{self.name}/vault', connection: writer, expirer: expirer, "
            "object_lock: compliance}}"
        )
        lines = config.read_text().splitlines()
        lines[2] = f"vaults: {vault}".replace("}}", "}") + "}"
        config.write_text("\n".join(lines) + "\n")
        dice = random.Random(6)
        for number in range(3):
            (shell.site / "crm" / f"scan-{number}").write_bytes(dice.randbytes(300_000))
        shell("back-up", "crm")
        self.generation = shell.json("recovery-points", "crm")[0]["generation"]
        self.password = shell.out("keys", "export", "crm", self.generation).split()[-1]
        self.kept = {
            one["Key"]: one["VersionId"]
            for one in self.versions()
            if is_write_once(one["Key"].removeprefix(PREFIX))
        }

    def versions(self, kind: str = "Versions") -> list[dict[str, Any]]:
        """All versions, or all `DeleteMarkers`, of the dataset."""
        pages = self.server.client().get_paginator("list_object_versions")
        listed = pages.paginate(Bucket=self.name, Prefix=PREFIX)
        return [one for page in listed for one in page.get(kind, ())]

    def attack(self, user: User, *, locking: bool) -> dict[str, int]:
        """Delete, erase and overwrite all that one can; how much of each was allowed."""
        client, allowed = self.server.client(user), dict.fromkeys(("erased", "marked", "forged"), 0)
        until = datetime.now(UTC) + timedelta(days=1)
        lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": until}
        for number, (key, version) in enumerate(self.kept.items()):
            one = {"Bucket": self.name, "Key": key}
            tries = {
                "erased": lambda one=one, version=version: client.delete_object(
                    **one, VersionId=version, BypassGovernanceRetention=True
                ),
                "marked": lambda one=one: client.delete_object(**one),
                "forged": lambda one=one, number=number: client.put_object(
                    **one, Body=b"forged", **(lock if locking and number % 2 else {})
                ),
            }
            for what, attempt in tries.items():
                with suppress(client.exceptions.ClientError):
                    attempt()
                    allowed[what] += 1
        return allowed

    def stock(self, *arguments: str, user: User | None = None, code: int = 0) -> str:
        """Run stock restic on the repository; return what it printed."""
        own = ["--no-lock"] if user is None else []
        user = user or self.server.reader
        where = f"s3:{self.server.endpoint}/{self.name}/{PREFIX}generations/{self.generation}"
        done = subprocess.run(
            [self.restic.binary, "--no-cache", *own, "-r", where, *arguments],
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.restic.home),
                "SSL_CERT_FILE": str(self.server.ca_path),
                "RESTIC_PASSWORD": self.password,
                "AWS_ACCESS_KEY_ID": user.access_key,
                "AWS_SECRET_ACCESS_KEY": user.secret_key,
                "AWS_DEFAULT_REGION": REGION,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode == 0) == (code == 0), done.stdout + done.stderr
        return done.stdout + done.stderr

    def restored(self) -> dict[str, bytes]:
        """What our own restore brings back."""
        target = self.shell.site / f"restored-{time.monotonic_ns()}"
        self.shell("restore", "crm", "--to", str(target))
        return {path.name: path.read_bytes() for path in target.rglob("*") if path.is_file()}

    def content(self) -> dict[str, bytes]:
        """What was backed up."""
        return {path.name: path.read_bytes() for path in (self.shell.site / "crm").iterdir()}

    def require_whole(self) -> None:
        """Every first version is there, stock restic sees and reads all, our check has no word."""
        there = {(one["Key"], one["VersionId"]) for one in self.versions()}
        assert set(self.kept.items()) - there == set()
        assert "no errors were found" in self.stock("check", "--read-data")
        assert "1 snapshots" in self.stock("snapshots")


@pytest.fixture
def bucket(
    rgw: Rgw,  # noqa: F811
    shell: Shell,
    restic: Restic,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> Bucket:
    """Such a vault."""
    monkeypatch.setattr(lock, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(s3, "make_client", functools.cache(s3_client.make_client))  # they are slow
    return Bucket(rgw, Inside(shell.site), restic)


def test_forget_and_prune_are_undone(bucket: Bucket) -> None:
    """Stock restic, with keys that may delete: all is hidden, nothing lost, and comes back."""
    told = bucket.stock("forget", "--prune", "latest", user=bucket.server.owner)
    assert bucket.versions("DeleteMarkers"), told
    assert "1 snapshots" not in bucket.stock("snapshots")
    assert "hidden by" in bucket.shell("check", "crm", "--read-data", code=1)
    assert bucket.restored() == bucket.content()
    told = bucket.shell("doctor", code=1)
    assert "ok    rights in vault primary" in told  # what VAULTS.md grants is enough
    assert "1 to mend" in told
    assert "FAIL  tampering in vault primary: tampering with crm" in told
    before = bucket.shell("vault", "undelete", "crm", "--dry-run")
    assert "crm: " in before
    assert "hidden by delete markers" in before
    assert "KEPT 3.2" in bucket.shell("vault", "undelete", "crm")
    bucket.require_whole()
    assert "is whole: all" in bucket.shell("check", "crm", "--read-data")
    assert "ok    tampering in vault primary" in bucket.shell("doctor")
    assert "nothing lies over a file" in bucket.shell("vault", "undelete", "crm")


@pytest.mark.parametrize("who", ["writer", "expirer"])
def test_whatever_one_key_can_do_is_undone(bucket: Bucket, who: str) -> None:
    """Nothing is erased; the hidden and forged is told, read, and seen by restic again."""
    user = bucket.server.role if who == "writer" else bucket.server.owner
    allowed = bucket.attack(user, locking=who == "writer")
    assert allowed["erased"] == 0
    assert allowed["forged"] == len(bucket.kept)
    assert (allowed["marked"] > 0) == (who == "expirer")  # the writer's policy lets no backup go
    bucket.stock("snapshots", code=1)
    told = bucket.shell("check", "crm", code=1)
    assert "AT RISK" in told
    assert "damage: tampering: " in told
    assert bucket.restored() == bucket.content()
    told = bucket.shell("vault", "undelete", "--all", code=None)
    if who == "writer":
        assert "a copy of the file lies over it" in told
    bucket.require_whole()
    assert bucket.restored() == bucket.content()


def test_killed_while_it_works_it_is_gone_on_with(bucket: Bucket) -> None:
    """Kill -9 at a random moment: no first version is lost, and the next run does the rest."""
    seed = int.from_bytes(os.urandom(4), "big")
    bucket.attack(bucket.server.owner, locking=False)
    victim = subprocess.Popen(
        [sys.executable, "-m", "include.backup", "vault", "undelete", "crm"],
        env=bucket.shell.environment,
        cwd=bucket.shell.site,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(random.Random(seed).uniform(0.3, 1.6))
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    bucket.shell("vault", "undelete", "crm", code=None)
    bucket.require_whole()
    verified = bucket.shell("ledger", "verify", "crm")
    assert "crm" in verified, f"seed {seed}"
