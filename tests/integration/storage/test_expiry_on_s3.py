"""Expiry, and a replica, in a real bucket with locks of seconds, by the rights of VAULTS.md."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.expire import expire
from include.backup.actions.replicate import replicate
from include.backup.errors import AccessRefused
from include.backup.policy.model import Method
from include.backup.repository import lock
from include.backup.storage.s3 import S3Storage
from tests.damage.replicas import Lost
from tests.damage.site import ROOT, Site

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.setting import Setting
    from include.backup.storage.base import Storage
    from tests.servers.rgw import Rgw

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
SECOND = timedelta(seconds=1)
RETENTION = 4 * SECOND


class Seconds(Site):
    """A site whose retention is a matter of seconds, and whose clock is that of the machine."""

    def clock(self) -> datetime:
        """The time."""
        return datetime.now(UTC)

    def setting(self, storage: Storage | None = None, second: Storage | None = None) -> Setting:
        """With a policy of seconds."""
        made = super().setting(storage, second)
        policy = made.policy
        brief = replace(policy.data_class("critical"), retention=RETENTION, complete_within=SECOND)
        classes = tuple(brief if one.name == "critical" else one for one in policy.classes)
        fulls = replace(policy.full_backups, interval=SECOND)
        policy = replace(
            policy,
            classes=classes,
            full_backups=fulls,
            grace=SECOND,
            evidence_retention=timedelta(hours=1),
        )
        return replace(
            made,
            policy=policy,
            open_storage=lambda vault: self.by_connection[vault.connection],
        )

    by_connection: dict[str, Storage]


def documented_policy(server: Rgw, bucket: str) -> str:
    """The policy of VAULTS.md, for the users of a server."""
    text = (ROOT / "VAULTS.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    block = block.replace("example-backups", bucket)
    role = "arn:aws:iam::111122223333:role/"
    block = block.replace(f"{role}holdfast-writer", f"arn:aws:iam:::user/{server.role.name}")
    block = block.replace(f"{role}holdfast-expirer", f"arn:aws:iam:::user/{server.owner.name}")
    block = block.replace(f"{role}holdfast-reader", f"arn:aws:iam:::user/{server.reader.name}")
    return json.dumps(json.loads(block))


@pytest.fixture
def bucket(rgw: Rgw, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that locks, with those rights."""
    monkeypatch.setattr(lock, "_SETTLE_SECONDS", 0.0)
    made: str = rgw.make_bucket("locked")
    rgw.client().put_bucket_policy(Bucket=made, Policy=documented_policy(rgw, made))
    return made


def vault_of(rgw: Rgw, bucket: str) -> tuple[str, dict[str, Storage]]:
    """Its address, as datasets.yaml has it, and its storage as who writes, and who deletes."""
    url = f"s3://{bucket}/vault', connection: 'writer', expirer: 'expirer"
    return f"{url}', object_lock: 'governance", {
        name: S3Storage(rgw.client(user), bucket, "vault", lock_mode="GOVERNANCE")
        for name, user in (("writer", rgw.role), ("expirer", rgw.owner))
    }


@pytest.fixture
def site(rgw: Rgw, bucket: str, tmp_path: Path) -> Seconds:
    """A vault in such a bucket."""
    site = Seconds(tmp_path)
    site.vault_url, site.by_connection = vault_of(rgw, bucket)
    site.storage = site.by_connection["writer"]
    return site


def remaining(client: Any, bucket: str, generation: str) -> int:
    """Versions and markers that are left of a generation."""
    prefix = "vault/datasets/crm/"
    found = client.list_object_versions(Bucket=bucket, Prefix=prefix)
    listed = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
    return sum(generation in one["Key"] for one in listed)


def test_a_generation_dies_when_its_locks_end(site: Seconds, rgw: Rgw) -> None:
    """Not before, by nobody; then to its last version. The writer deletes nothing, ever."""
    bucket = site.vault_url.split("/")[2]
    site.write(a="a", b="b")
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    old = site.place().state().generations[0].id
    names = [one.name for one in site.storage.list(f"datasets/crm/generations/{old}/data/")]
    expirer = site.by_connection["expirer"]
    with pytest.raises(AccessRefused):
        expirer.delete(names)  # locked
    for method in (Method.FULL, Method.INCREMENTAL):
        site.write(c=str(method))
        assert back_up(site.setting(), "crm", method=method).ok
    deadline = time.monotonic() + 60
    gone: list[str] = []
    while old not in gone and time.monotonic() < deadline:
        time.sleep(1)
        outcome, _ = expire(site.setting(), "crm")
        assert outcome.ok, outcome.sentence
        gone += outcome.details["generations"]
        if old not in gone:
            with pytest.raises(AccessRefused):
                site.storage.delete(names[:1])
    assert old in gone
    assert remaining(rgw.client(), bucket, old) == 0
    assert site.restored() == site.content()
    newest = site.place().state().generations[-1].id
    packs = [one.name for one in site.storage.list(f"datasets/crm/generations/{newest}/data/")]
    with pytest.raises(AccessRefused):
        site.storage.delete(packs)
    with pytest.raises(AccessRefused):
        expirer.delete(["datasets/crm/ledger/0000000001.json"])
    site.place().ledger.verify()


def test_a_replica_in_a_bucket_follows_its_home(rgw: Rgw, bucket: str, tmp_path: Path) -> None:
    """A directory is copied, locked, and removed when it has expired and its locks have ended."""
    site = Seconds(tmp_path)
    site.second_url, site.by_connection = vault_of(rgw, bucket)
    site.by_connection["none"] = site.memory
    site.second = site.by_connection["writer"]
    site.write(a="a", b="b")
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    old = site.place().state().generations[0].id
    assert replicate(site.setting(), "crm", "second").ok
    packs = [one.name for one in site.second.list(f"datasets/crm/generations/{old}/data/")]
    for storage in site.by_connection["writer"], site.by_connection["expirer"]:
        with pytest.raises(AccessRefused):
            storage.delete(packs)
    for method in (Method.FULL, Method.INCREMENTAL):
        site.write(c=str(method))
        assert back_up(site.setting(), "crm", method=method).ok
    deadline = time.monotonic() + 60
    gone: list[str] = []
    while old not in gone and time.monotonic() < deadline:
        time.sleep(1)
        assert expire(site.setting(), "crm")[0].ok
        outcome = replicate(site.setting(), "crm", "second")
        assert outcome.ok, outcome.sentence
        gone += outcome.details["generations"]
    assert old in gone
    assert remaining(rgw.client(), bucket, old) == 0
    home, site.by_connection["none"] = site.memory, Lost()
    assert site.restored(replica="second") == site.content()
    assert check(site.setting(), "crm", reading=Reading.ALL, replica="second")[1] == []
    site.by_connection["none"] = home
    with pytest.raises(AccessRefused):
        site.second.delete(["datasets/crm/replica.json"])


def test_a_reader_restores_and_changes_nothing(site: Seconds, rgw: Rgw) -> None:
    """An auditor's rights: all can be read and checked; records wait; nothing is written."""
    bucket = site.vault_url.split("/")[2]
    site.write(a="a", b="b")
    assert back_up(site.setting(), "crm", method=Method.INCREMENTAL).ok
    before = sorted(site.storage.list())
    site.by_connection["writer"] = S3Storage(
        rgw.client(rgw.reader), bucket, "vault", lock_mode="GOVERNANCE"
    )
    assert site.restored() == site.content()
    outcome, faults = check(site.setting(), "crm", reading=Reading.ALL)
    assert faults == []
    assert "waits in the spool" in outcome.sentence
    site.place().ledger.verify()
    for change in (
        lambda: site.by_connection["writer"].save("datasets/crm/leases/mine", b""),
        lambda: site.by_connection["writer"].delete([before[0].name]),
        lambda: site.by_connection["writer"].hold([before[0].name], on=True),
    ):
        with pytest.raises(AccessRefused):
            change()
    assert sorted(site.storage.list()) == before
