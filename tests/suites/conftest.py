"""The tenants of the conformance suites."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from include.backup.storage.local import LocalStorage
from include.backup.storage.memory import MemoryStorage
from include.backup.storage.s3 import S3Storage
from tests.servers.moto_s3 import ALL, declare_gaps, shared_moto
from tests.servers.rgw import rgw  # noqa: F401 a fixture
from tests.suites.storage_suite import Tenant, utc

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta
    from pathlib import Path

    from tests.servers.rgw import BucketKind, Rgw

NOBODY = 65534


class HandClock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = utc(1_800_000_000)

    def __call__(self) -> datetime:
        """The time it is."""
        return self.now

    def forward(self, by: timedelta) -> None:
        """Let time pass."""
        self.now += by


def memory_tenant() -> Tenant:
    clock = HandClock()
    storage = MemoryStorage(clock)

    def remains(name: str) -> int:
        return sum(told.versions + told.markers for told in storage.tampering(name)) or len([
            info for info in storage.list(name) if info.name == name
        ])

    return Tenant(
        storage=storage,
        refusing=storage.refusing,
        replace=storage.damage,
        overwrite=storage.overwrite,
        newest=storage.newest,
        hide=storage.hide,
        remains=remains,
        wait=clock.forward,
    )


def local_tenant(folder: Path) -> Tenant:
    root = folder / "vault"

    @contextmanager
    def refusing(prefix: str) -> Iterator[None]:
        closed = root / prefix
        closed.chmod(0)
        user = os.geteuid()
        if user == 0:  # to root nothing is refused
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(user)
            closed.chmod(0o700)

    def replace(name: str, data: bytes) -> None:
        (root / name).unlink()
        (root / name).write_bytes(data)

    return Tenant(storage=LocalStorage(root), refusing=refusing, replace=replace)


def s3_tenant(server: Rgw, kind: BucketKind) -> Tenant:
    bucket, client = server.make_bucket(kind), server.client()
    owner = server.client(server.role)  # of what the storage saves
    server.grant(bucket)
    storage = S3Storage(
        server.client(server.role),
        bucket,
        "vaults/one",
        lock_mode="COMPLIANCE" if kind == "locked" else None,
    )

    @contextmanager
    def refusing(prefix: str) -> Iterator[None]:
        server.refuse(bucket, f"vaults/one/{prefix}")
        try:
            yield
        finally:
            server.grant(bucket)

    def overwrite(name: str, data: bytes, *, locked_until: datetime | None = None) -> None:
        lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": locked_until}
        key = f"vaults/one/{name}"
        client.put_object(Bucket=bucket, Key=key, Body=data, **(lock if locked_until else {}))

    def newest(name: str) -> bytes | None:
        try:
            answer = owner.get_object(Bucket=bucket, Key=f"vaults/one/{name}")
        except owner.exceptions.NoSuchKey:
            return None
        return bytes(answer["Body"].read())

    def replace(name: str, data: bytes) -> None:
        if kind != "plain":  # no hand is laid on an old version; another file stands for it
            storage.delete([name])
        overwrite(name, data)

    def hide(name: str) -> None:
        client.delete_object(Bucket=bucket, Key=f"vaults/one/{name}")

    def remains(name: str) -> int:
        key = f"vaults/one/{name}"
        found = client.list_object_versions(Bucket=bucket, Prefix=key)
        entries = [*found.get("Versions", ()), *found.get("DeleteMarkers", ())]
        return len([entry for entry in entries if entry["Key"] == key])

    versions = {"overwrite": overwrite, "hide": hide, "remains": remains, "newest": newest}
    return Tenant(
        storage=storage,
        refusing=refusing,
        replace=replace,
        **({} if kind == "plain" else versions),
        wait=lambda by: time.sleep(by.total_seconds()),
    )


def make_tenant(request: pytest.FixtureRequest, folder: Path) -> Tenant:
    """The tenant that a test's parameter names."""
    if request.param == "memory":
        return memory_tenant()
    if request.param == "local":
        return local_tenant(folder)
    server, _, kind = request.param.partition("-")
    return s3_tenant(shared_moto() if server == "moto" else request.getfixturevalue("rgw"), kind)


def buckets(*kinds: BucketKind) -> list[object]:
    """Buckets on both servers: Ceph's, and a lighter one whose gaps are declared.

    All kinds on the lighter one with HOLDFAST_SERVERS=all; else those that ask the most of it.
    """
    return [
        pytest.param(f"{server}-{kind}", marks=pytest.mark.integration)
        for kind in kinds
        for server in (("s3", "moto") if ALL or kind == "versioned" else ("s3",))
    ]


@pytest.fixture(params=["memory", "local", *buckets("plain", "versioned")])
def tenant(request: pytest.FixtureRequest, tmp_path: Path) -> Tenant:
    """Each kind of storage in turn, empty."""
    return make_tenant(request, tmp_path)


@pytest.fixture(params=["memory", *buckets("versioned")])
def versioned(request: pytest.FixtureRequest, tmp_path: Path) -> Tenant:
    """Each kind of storage that keeps versions in turn, empty."""
    return make_tenant(request, tmp_path)


@pytest.fixture(params=["memory", *buckets("locked")])
def locked(request: pytest.FixtureRequest, tmp_path: Path) -> Tenant:
    """Each kind of storage with Object Lock in turn, empty."""
    return make_tenant(request, tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What moto cannot prove is expected to fail on it."""
    declare_gaps(items)
