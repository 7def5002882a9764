"""An S3 storage on a real server: locks, narrow roles, versions, trust."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.config import Config

from include.backup.errors import (
    AccessRefused,
    ConfigurationInvalid,
    FileAbsent,
    FileHeld,
    FileLocked,
    NameTaken,
)
from include.backup.storage.local import LocalStorage
from include.backup.storage.s3 import S3Storage, open_s3
from include.backup.storage.s3_client import S3Access
from include.backup.storage.s3_locks import kept_by_lock
from include.backup.vault.layout import is_envelope
from tests.servers.rgw import REGION

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from include.backup.storage.s3_locks import LockMode
    from tests.servers.rgw import Rgw
    from tests.servers.rgw_cluster import User

pytestmark = pytest.mark.integration

WRITERS = 12


def access(server: Rgw, **more: Any) -> S3Access:
    settings: dict[str, Any] = {
        "access_key": server.owner.access_key,
        "secret_key": server.owner.secret_key,
        "region": REGION,
        "endpoint_url": server.endpoint,
        "verify": str(server.ca_path),
        "addressing_style": "path",
    }
    return S3Access(**{**settings, **more})


def fresh_client(server: Rgw, **more: Any) -> Any:
    """A client of its own, whose events a test may change."""
    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    return server.client(config=config, api_version=None, **more)


def soon(storage: S3Storage, by: timedelta) -> datetime:
    """A time that far ahead by the store's clock."""
    name = f"clock/{secrets.token_hex(4)}"
    storage.save(name, b"")
    return storage.stat(name).modified_at + by


def forget_locks(client: Any) -> None:
    """Let a client lose the lock of its uploads, as stores do that accept and forget them."""

    def lose(params: dict[str, Any], **_: Any) -> None:
        params.pop("ObjectLockMode", None)
        params.pop("ObjectLockRetainUntilDate", None)

    client.meta.events.register("before-parameter-build.s3.PutObject", lose)


def test_the_command_line_opens_a_vault_over_tls(rgw: Rgw) -> None:
    """Address and credentials are enough; what was saved is loaded."""
    bucket = rgw.make_bucket()
    storage = open_s3(f"s3://{bucket}/some/vault/", access(rgw))
    assert storage.url == f"s3://{bucket}/some/vault"
    body = secrets.token_bytes(17 << 20)
    storage.save("data/pack", memoryview(body), sha256=hashlib.sha256(body).digest())
    assert storage.load("data/pack", offset=5 << 20, length=1000) == body[5 << 20 :][:1000]
    assert storage.load("data/pack") == body
    listed = rgw.client().list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == ["some/vault/data/pack"]
    assert "-" not in listed[0]["ETag"], "one PutObject, never in parts"


def test_an_unknown_certificate_is_refused_with_a_hint(rgw: Rgw) -> None:
    """A server that cannot prove who it is gets nothing, and is not retried for minutes."""
    stranger = open_s3(f"s3://{rgw.make_bucket()}/v", access(rgw, verify=True))
    with pytest.raises(AccessRefused, match="hint: give the path of the certificate"):
        stranger.load("config")


def test_wrong_credentials_are_refused_and_not_repeated(rgw: Rgw) -> None:
    """The message names the file, never the secret."""
    wrong = open_s3(f"s3://{rgw.make_bucket()}/v", access(rgw, secret_key="wrong secret 123"))
    with pytest.raises(AccessRefused) as refusal:
        wrong.load("config")
    assert "wrong secret" not in str(refusal.value)


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_each_file_is_locked_in_the_mode_asked_for(rgw: Rgw, mode: LockMode) -> None:
    """Date and mode stand at the object; fractions of a second only ever lengthen a lock."""
    bucket = rgw.make_bucket("locked")
    storage = S3Storage(rgw.client(), bucket, lock_mode=mode)
    until = soon(storage, timedelta(seconds=3)).replace(microsecond=1)
    storage.save("locked", b"x", locked_until=until)
    storage.save("free", b"x")
    head = rgw.client().head_object(Bucket=bucket, Key="locked")
    assert head["ObjectLockMode"] == mode
    assert until <= head["ObjectLockRetainUntilDate"] < until + timedelta(seconds=1)
    assert "ObjectLockMode" not in rgw.client().head_object(Bucket=bucket, Key="free")


def test_a_locked_pack_is_one_request_and_its_lock_is_read_back(rgw: Rgw) -> None:
    """Stores drop the lock of an upload in parts, so there is none, however large the pack."""
    bucket, client = rgw.make_bucket("locked"), fresh_client(rgw)
    sent: list[str] = []
    client.meta.events.register("before-call.s3", lambda model, **_: sent.append(model.name))
    storage = S3Storage(client, bucket, lock_mode="COMPLIANCE")
    body = secrets.token_bytes(17 << 20)
    sha256 = hashlib.sha256(body).digest()
    until = soon(storage, timedelta(seconds=3))
    sent.clear()
    storage.save(f"data/{sha256.hex()}", body, sha256=sha256, locked_until=until)
    assert sent == ["PutObject", "HeadObject"]


def test_a_lock_that_was_forgotten_is_set_again(rgw: Rgw) -> None:
    """The store that drops the lock of an upload gets a second request for it."""
    bucket, client = rgw.make_bucket("locked"), fresh_client(rgw)
    forget_locks(client)
    again: list[str] = []
    client.meta.events.register(
        "before-call.s3.PutObjectRetention", lambda model, **_: again.append(model.name)
    )
    storage = S3Storage(client, bucket, lock_mode="COMPLIANCE")
    until = soon(storage, timedelta(seconds=30)).replace(microsecond=0)
    storage.save("packs/one", b"x", locked_until=until)
    assert (
        rgw.client().head_object(Bucket=bucket, Key="packs/one")["ObjectLockRetainUntilDate"]
        == until
    )


def test_a_lock_that_cannot_be_had_fails_the_save(rgw: Rgw) -> None:
    """No success is reported for a file that anybody could delete."""
    bucket = rgw.make_bucket("locked")
    reading = ("s3:GetBucketVersioning", "s3:ListBucket*", "s3:GetObject*", "s3:PutObject")
    rgw.grant(bucket, actions=reading, but=("s3:PutObjectRetention",))
    client = fresh_client(rgw, user=rgw.role)
    forget_locks(client)
    storage = S3Storage(client, bucket, lock_mode="COMPLIANCE")
    with pytest.raises(AccessRefused):
        storage.save("packs/one", b"x", locked_until=soon(storage, timedelta(seconds=30)))
    head = rgw.client(rgw.role).head_object(Bucket=bucket, Key="packs/one")
    assert "ObjectLockMode" not in head


def test_a_bucket_without_object_lock_takes_no_locked_file(rgw: Rgw) -> None:
    """Locks asked for and not to be had are an error at the first save."""
    storage = S3Storage(rgw.client(), rgw.make_bucket("versioned"), lock_mode="COMPLIANCE")
    with pytest.raises(AccessRefused):
        storage.save("packs/one", b"x", locked_until=soon(storage, timedelta(seconds=30)))


def test_a_lock_date_needs_a_time_zone(rgw: Rgw) -> None:
    """A date that could mean any hour is refused."""
    storage = S3Storage(rgw.client(), rgw.make_bucket("locked"), lock_mode="COMPLIANCE")
    until = soon(storage, timedelta(seconds=30)).replace(tzinfo=None)
    with pytest.raises(ConfigurationInvalid, match="time zone"):
        storage.save("packs/one", b"x", locked_until=until)


def test_a_writer_needs_no_right_to_delete(rgw: Rgw) -> None:
    """Saving, reading and listing go without it; deleting says which right is missing."""
    bucket = rgw.make_bucket("versioned")
    narrow = ("s3:GetBucketVersioning", "s3:ListBucket*", "s3:GetObject*", "s3:PutObject")
    rgw.grant(bucket, actions=narrow, but=("s3:DeleteObject", "s3:DeleteObjectVersion"))
    storage = S3Storage(rgw.client(rgw.role), bucket, "v")
    storage.save("ledger/1", b"x")
    with pytest.raises(NameTaken):
        storage.save("ledger/1", b"y")
    with pytest.raises(AccessRefused, match=r"ledger/1 .*DeleteObject|deletion in"):
        storage.delete(["ledger/1"])
    assert [info.name for info in storage.list()] == ["ledger/1"]
    assert storage.load("ledger/1") == b"x"


def test_a_lock_that_has_passed_hides_no_missing_right(rgw: Rgw) -> None:
    """By the store's clock: a lock or a hold keeps a file, or else somebody's right is missing."""
    bucket, client = rgw.make_bucket("locked"), rgw.client()
    storage = S3Storage(client, bucket, lock_mode="COMPLIANCE")
    until = soon(storage, timedelta(seconds=4))
    storage.save("packs/one", b"x", locked_until=until)
    with pytest.raises(FileLocked, match="locked until") as caught:
        storage.delete(["packs/one"])
    assert not isinstance(caught.value, FileHeld)
    storage.hold(["packs/one"], on=True)
    with pytest.raises(FileHeld, match="on hold"):
        storage.delete(["packs/one"])
    storage.hold(["packs/one"], on=False)
    while soon(storage, timedelta()) <= until + timedelta(seconds=1):
        time.sleep(0.5)
    assert kept_by_lock(client, {"Bucket": bucket, "Key": "packs/one"}) == ""
    storage.delete(["packs/one"])


def test_a_file_deleted_and_saved_anew_elsewhere_is_read_anew(rgw: Rgw) -> None:
    """What is remembered about versions never hides what another process has done since."""
    bucket = rgw.make_bucket("versioned")
    ours, other = (S3Storage(rgw.client(), bucket, "v") for _ in range(2))
    ours.save("leases/1", b"first")
    assert ours.load("leases/1") == b"first"
    other.delete(["leases/1"])
    other.save("leases/1", b"second")
    assert ours.load("leases/1") == b"second"
    other.delete(["leases/1"])
    with pytest.raises(FileAbsent):
        ours.load("leases/1")


def test_a_history_longer_than_a_page_has_its_beginning(rgw: Rgw) -> None:
    """Hundreds of forged versions do not push the file out of sight."""
    bucket = rgw.make_bucket("versioned")
    storage = S3Storage(rgw.client(), bucket, "v")
    storage.save("config", b"original")
    storage.save("config2", b"neighbour")
    for number in range(130):  # more than one page of a history
        rgw.client().put_object(Bucket=bucket, Key="v/config", Body=b"forged %d" % number)
    fresh = S3Storage(rgw.client(), bucket, "v")
    assert fresh.load("config") == b"original"
    assert [told[:2] for told in fresh.tampering()] == [("config", 131)]
    fresh.delete(["config"])
    assert [info.name for info in fresh.list()] == ["config2"]
    assert list(fresh.tampering()) == []


def test_versions_decide_where_conditions_are_unknown(rgw: Rgw) -> None:
    """Without If-None-Match, racing writers of a bucket with versions still have one winner."""
    bucket = rgw.make_bucket("versioned")
    storage = S3Storage(rgw.client(), bucket, "v", conditional_writes=False)
    start = threading.Barrier(WRITERS)

    def write(number: int) -> bytes | None:
        start.wait()
        try:
            storage.save("ledger/1", b"writer %d" % number)
        except NameTaken:
            return None
        return b"writer %d" % number

    with ThreadPoolExecutor(WRITERS) as pool:
        winners = [won for won in pool.map(write, range(WRITERS)) if won]
    assert winners == [S3Storage(rgw.client(), bucket, "v").load("ledger/1")]


def test_without_conditions_a_name_is_looked_up_first(rgw: Rgw) -> None:
    """On a plain bucket without If-None-Match, an existing file still keeps its name."""
    storage = S3Storage(rgw.client(), rgw.make_bucket(), "v", conditional_writes=False)
    storage.save("config", b"first")
    with pytest.raises(NameTaken):
        storage.save("config", b"other")
    assert storage.load("config") == b"first"


def test_what_is_not_ours_is_passed_over(rgw: Rgw, tmp_path: Path) -> None:
    """Placeholders of consoles and hidden names are no files, in a bucket as in a directory."""
    bucket = rgw.make_bucket()
    for key in ("v/", "v/data/", "v/.hidden", "v/data/ü", "v/data/real", "vx/other"):
        rgw.client().put_object(Bucket=bucket, Key=key, Body=b"x")
    storage = S3Storage(rgw.client(), bucket, "v")
    assert [info.name for info in storage.list()] == ["data/real"]
    assert storage.folders() == ["data"]
    (tmp_path / "data").mkdir()
    for name in (".hidden", "data/ü", "data/real"):
        (tmp_path / name).write_bytes(b"x")
    assert [info.name for info in LocalStorage(tmp_path).list()] == ["data/real"]


def test_a_bucket_that_locks_everything_is_refused(rgw: Rgw) -> None:
    """Its default would lock leases as well; one without Object Lock locks nothing."""
    bucket = rgw.make_bucket("locked")
    S3Storage(rgw.client(), bucket, "v", lock_mode="COMPLIANCE").require_lockable()
    rgw.client().put_object_lock_configuration(
        Bucket=bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}},
        },
    )
    with pytest.raises(ConfigurationInvalid, match="has a default retention"):
        S3Storage(rgw.client(), bucket, "v", lock_mode="COMPLIANCE").require_lockable()
    plain = S3Storage(rgw.client(), rgw.make_bucket("versioned"), "v", lock_mode="COMPLIANCE")
    with pytest.raises(ConfigurationInvalid, match="has no Object Lock"):
        plain.require_lockable()


def test_who_may_bypass_governance_removes_envelopes_alone(rgw: Rgw) -> None:
    """Before their lock ends; without that right, or for what is in compliance, nobody does."""
    bucket = rgw.make_bucket("locked")
    everything = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    role_alone = {"Principal": {"AWS": f"arn:aws:iam:::user/{rgw.role.name}"}}
    bypass = "s3:BypassGovernanceRetention"
    statements = [
        {"Effect": "Allow", "Action": "s3:*", "Resource": everything, **role_alone},
        {"Effect": "Deny", "Action": bypass, "Resource": everything, **role_alone},
    ]
    policy = {"Version": "2012-10-17", "Statement": statements}
    rgw.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    def storage(user: User) -> S3Storage:
        return S3Storage(rgw.client(user), bucket, lock_mode="COMPLIANCE", governed=is_envelope)

    owner, role = storage(rgw.owner), storage(rgw.role)
    envelope = "datasets/crm/keys/20261124T010000Z/0123456789abcdef.json"
    pack = "datasets/crm/generations/20261124T010000Z/data/00/00"
    for name in (envelope, pack):
        owner.save(name, b"x", locked_until=soon(owner, timedelta(seconds=60)))
        head = rgw.client().head_object(Bucket=bucket, Key=name)
        assert head["ObjectLockMode"] == ("GOVERNANCE" if name == envelope else "COMPLIANCE")
    owner.extend_lock([envelope, pack], soon(owner, timedelta(seconds=90)))
    with pytest.raises(FileLocked):
        owner.delete([envelope])
    with pytest.raises(FileLocked):
        owner.delete([pack], bypass_governance=True)
    with pytest.raises(FileLocked):
        role.delete([envelope], bypass_governance=True)
    owner.delete([envelope], bypass_governance=True)
    assert {info.name for info in owner.list("datasets/")} == {pack}
