"""A dataset whose vault lies in a bucket behind a network that spoils calls.

The beginning of a scene is made in memory, where time can pass, and laid into a bucket with Object
Lock; after each act the bucket is put back to it, by deleting what is new and laying down again
what is gone. What an act left behind is judged on a copy of the bucket in memory, where half an
hour passes at once.
"""

from __future__ import annotations

import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.backup.actions.back_up import back_up
from include.backup.actions.replicate import replicate
from include.backup.policy.model import Method
from include.backup.storage.memory import MemoryStorage, _Held, _Version
from include.backup.storage.retry import Patience
from include.backup.storage.s3 import S3Storage
from include.backup.storage.s3_client import S3Access, make_client
from tests.damage.site import Site
from tests.servers.rgw import REGION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from include.backup.storage.s3_locks import LockMode
    from tests.servers.fault_proxy import FaultProxy
    from tests.servers.rgw import Rgw

LARGE_BYTES = 1_100_000  # more than is sent at once: boto3 asks the store first
READ_SECONDS = 1.0
PATIENCE = Patience(
    deadline=timedelta(seconds=20),
    first_wait=timedelta(milliseconds=10),
    longest_wait=timedelta(milliseconds=200),
)
HOME, SECOND = "home", "second"


def client_of(server: Rgw, proxy: FaultProxy) -> Any:
    """A client of the owner through the proxy; boto3 tries each request once, for a second."""
    return make_client(
        S3Access(
            access_key=server.owner.access_key,
            secret_key=server.owner.secret_key,
            region=REGION,
            endpoint_url=proxy.endpoint,
            addressing_style="path",
            attempts=1,
            connect_seconds=5,
            read_seconds=READ_SECONDS,
        )
    )


class BucketSite(Site):
    """A site at the machine's time, ahead or behind by what was waited."""

    def __init__(self, folder: Path) -> None:
        self.ahead = timedelta()
        super().__init__(folder)

    def clock(self) -> datetime:
        """The time."""
        return datetime.now(UTC) + self.ahead

    def wait(self, **length: float) -> None:
        """Let time pass."""
        self.ahead += timedelta(**length)

    def take(self, method: Method = Method.INCREMENTAL) -> str:
        """Take a recovery point into the vault in memory; return its snapshot."""
        outcome = back_up(self.setting(), "crm", method=method)
        assert outcome.kind == "recovery-point", outcome.sentence
        return str(outcome.details["snapshot"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a scene has come to: the content of each recovery point, and what will have to go."""

    contents: dict[str, dict[str, bytes]]  # by snapshot
    expired: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Laid:
    """One object of the beginning."""

    data: bytes
    until: datetime | None  # its lock date
    version: str = ""


@dataclass(slots=True)
class Bed:
    """A scene in a bucket, and the way to it through a proxy."""

    site: BucketSite
    server: Rgw
    bucket: str
    proxy: FaultProxy
    beginning: Beginning
    lock_mode: LockMode | None
    patience: Patience = PATIENCE
    renew: Callable[[], Any] | None = None  # another client, when credentials have expired
    _client: Any = None
    _direct: Any = None
    _laid: dict[str, _Laid] = field(default_factory=dict)
    _bodies: dict[str, bytes] = field(default_factory=dict)  # by version, of this run

    def __post_init__(self) -> None:
        self._direct = self.server.client(endpoint_url=self.server.http_endpoint)
        self._client = client_of(self.server, self.proxy)
        self._lay_everything()

    def storages(self) -> tuple[S3Storage, S3Storage]:
        """Both vaults over the network, for one act: nothing is remembered from other acts."""
        home, second = (
            S3Storage(
                self._client,
                self.bucket,
                prefix,
                lock_mode=self.lock_mode,
                patience=self.patience,
                insecure_reason="a test within this machine",
                renew=self.renew,
            )
            for prefix in (HOME, SECOND)
        )
        return home, second

    def rewind(self) -> None:
        """Put the bucket, and what this machine remembers, back to the beginning."""
        seen = self.proxy.clear()
        relocked = {_key(line) for line in seen if line.startswith("PUT ") and "?retention" in line}
        known = {(key, laid.version) for key, laid in self._laid.items()}
        found = set(self._versions())
        again = {key for key in self._laid if key.removeprefix(f"{self.bucket}/") in relocked}
        extra = [one for one in found if one not in known or one[0] in again]
        self._erase(extra)
        for key, version in known - (found - set(extra)):
            assert version
            self._lay(key)
        self._bodies.clear()
        folder = self.site.folder
        shutil.rmtree(folder / "state", ignore_errors=True)
        shutil.copytree(folder / "state-kept", folder / "state")
        for restored in folder.glob("restored-*"):
            shutil.rmtree(restored)
        shutil.rmtree(folder / "target", ignore_errors=True)
        self.site.ahead = timedelta()

    def tampering(self) -> list[str]:
        """Names in the bucket that look as if somebody had overwritten or hidden them."""
        return [one.name for one in S3Storage(self._direct, self.bucket).tampering()]

    def copied(self, prefix: str) -> MemoryStorage:
        """What the bucket holds below a prefix now, as another storage: its oldest versions."""
        pages = self._direct.get_paginator("list_object_versions")
        oldest: dict[str, Any] = {}
        for page in pages.paginate(Bucket=self.bucket, Prefix=f"{prefix}/"):
            oldest |= {entry["Key"]: entry for entry in page.get("Versions", ())}
        with ThreadPoolExecutor(4) as pool:
            bodies = dict(zip(oldest, pool.map(self._body, oldest.values()), strict=True))
        memory = MemoryStorage(self.site.clock)
        for key, entry in oldest.items():
            version = _Version(data=bodies[key], saved_at=entry["LastModified"], locked_until=None)
            memory._names[key.removeprefix(f"{prefix}/")] = _Held([version])
        return memory

    def _body(self, entry: Any) -> bytes:
        key, version = entry["Key"], entry["VersionId"]
        laid = self._laid.get(key)
        if laid is not None and laid.version == version:
            return laid.data
        if version not in self._bodies:
            answer = self._direct.get_object(Bucket=self.bucket, Key=key, VersionId=version)
            self._bodies[version] = answer["Body"].read()
        return self._bodies[version]

    def _versions(self) -> list[tuple[str, str]]:
        """Every version and marker in the bucket, as key and id."""
        pages = self._direct.get_paginator("list_object_versions").paginate(Bucket=self.bucket)
        return [
            (entry["Key"], entry["VersionId"])
            for page in pages
            for kind in ("Versions", "DeleteMarkers")
            for entry in page.get(kind, ())
        ]

    def _erase(self, versions: list[tuple[str, str]]) -> None:
        objects = [{"Key": key, "VersionId": version} for key, version in versions]
        for begin in range(0, len(objects), 1000):
            answer = self._direct.delete_objects(
                Bucket=self.bucket,
                Delete={"Objects": objects[begin : begin + 1000], "Quiet": True},
                BypassGovernanceRetention=True,
            )
            assert not answer.get("Errors"), answer["Errors"]

    def _lay_everything(self) -> None:
        """Lay what is in memory into the bucket, with its lock dates."""
        vaults = {HOME: self.site.memory, SECOND: self.site.second}
        for prefix, memory in vaults.items():
            assert isinstance(memory, MemoryStorage)
            for name, held in memory._names.items():
                version = held.versions[0]
                until = version.locked_until if self.lock_mode else None
                self._laid[f"{prefix}/{name}"] = _Laid(version.data, until)
        for key in self._laid:
            self._lay(key)
        state = self.site.folder / "state"
        shutil.copytree(state, self.site.folder / "state-kept")

    def _lay(self, key: str) -> None:
        laid = self._laid[key]
        lock = {"ObjectLockMode": self.lock_mode, "ObjectLockRetainUntilDate": laid.until}
        answer = self._direct.put_object(
            Bucket=self.bucket, Key=key, Body=laid.data, **(lock if laid.until else {})
        )
        laid.version = answer["VersionId"]


def _key(line: str) -> str:
    return line.split(" ")[1].partition("?")[0].removeprefix("/")


def make_bed(
    server: Rgw,
    proxy: FaultProxy,
    folder: Path,
    scene: Callable[[BucketSite], Beginning],
    *,
    lock_mode: LockMode | None = "GOVERNANCE",
    patience: Patience = PATIENCE,
) -> Bed:
    """Play a scene in memory and lay what comes of it into a new bucket."""
    site, bucket = BucketSite(folder), server.make_bucket("locked")
    lock = f"', object_lock: '{lock_mode.lower()}" if lock_mode else ""
    site.second = MemoryStorage(site.clock)
    site.vault_url = f"s3://{bucket}/{HOME}', connection: 'none{lock}"
    site.second_url = f"s3://{bucket}/{SECOND}', connection: 'none{lock}"
    beginning = scene(site)
    site.ahead = timedelta()  # the scenes end at about the present
    return Bed(
        site=site,
        server=server,
        bucket=bucket,
        proxy=proxy,
        beginning=beginning,
        lock_mode=lock_mode,
        patience=patience,
    )


def two_points(site: BucketSite) -> Beginning:
    """A full and an incremental, an hour ago, and a dataset that has changed since."""
    site.wait(hours=-2)
    dice = random.Random(1)
    contents: dict[str, dict[str, bytes]] = {}
    site.write(large=dice.randbytes(LARGE_BYTES), folder__small="small", gone="gone")
    snapshot = site.take(Method.FULL)
    contents[snapshot] = site.content()
    site.write(folder__added=dice.randbytes(3000))
    snapshot = site.take()
    contents[snapshot] = site.content()
    site.write(folder__small="changed", large_2=dice.randbytes(LARGE_BYTES))
    (site.data / "gone").unlink()
    return Beginning(contents=contents)


def an_old_generation(site: BucketSite) -> Beginning:
    """A generation of two points that have expired, and one of two that have not."""
    site.wait(days=-43)
    contents: dict[str, dict[str, bytes]] = {}
    for method in (Method.FULL, Method.INCREMENTAL):
        site.write(**{f"old_{method}": f"of {method}"})
        snapshot = site.take(method)
        contents[snapshot] = site.content()
        site.wait(days=1)
    expired = frozenset(contents)
    replicate_quietly(site)
    site.wait(days=39)
    for method in (Method.FULL, Method.INCREMENTAL):
        site.write(**{f"new_{method}": f"of {method}"})
        snapshot = site.take(method)
        contents[snapshot] = site.content()
        site.wait(hours=20)
    replicate_quietly(site)
    return Beginning(contents=contents, expired=expired)


def replicate_quietly(site: BucketSite) -> None:
    """Let the second vault follow."""
    assert replicate(site.setting(), "crm", "second").ok
