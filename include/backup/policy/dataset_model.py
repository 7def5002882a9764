"""What the user listed, as facts: keys, vaults, sources and datasets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from include.backup.hosts import is_loopback
from include.backup.policy.source_model import FilesystemSettings, S3Settings
from include.backup.policy.suspicion import TOLERANCE

if TYPE_CHECKING:
    from datetime import date

    from include.backup.policy.source_model import SourceSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySettings:
    """Where the master key comes from, which opens every data key."""

    provider: str  # "local": the connection's password is the key, 32 bytes in base64; "aws_kms"
    connection: str
    key_id: str = ""  # aws_kms: the ARN of the key
    offline_recipient: str = ""  # an X25519 public key in hex: each envelope opens with it as well

    @property
    def offline(self) -> bytes:
        """The public key of the second recipient; empty: there is none."""
        return bytes.fromhex(self.offline_recipient)

    @property
    def region(self) -> str:
        """That of a key in KMS; its ARN says so."""
        return self.key_id.split(":")[3] if self.key_id else ""

    @property
    def endpoint_url(self) -> str:
        """The connection has it, if it is not AWS's own."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """One place where recovery points lie."""

    name: str
    url: str  # file:///srv/vault or s3://bucket/prefix
    connection: str = ""  # for s3; it writes and reads
    expirer: str = ""  # a connection that may delete; empty: `connection` does
    region: str = ""
    endpoint_url: str = ""  # empty: that of the connection, or of AWS
    object_lock: str = ""  # "governance", "compliance" or empty
    envelope_lock: str = ""  # "governance": envelopes are locked so, in a vault in compliance
    insecure_reason: str = ""  # why plain http, or TLS without verification, is accepted
    offsite: bool | None = None  # whether it lies away from the data (3.5); None: nobody says

    @property
    def local_path(self) -> str:
        """The folder of a local vault; empty for a bucket."""
        split = urlsplit(self.url)
        return unquote(split.path) if split.scheme == "file" else ""

    @property
    def place(self) -> str:
        """Where it lies, as a path to be compared with those of datasets."""
        return self.local_path or _place_in_bucket(self.url, self.endpoint_url)

    @property
    def insecure(self) -> bool:
        """Whether data would travel in the clear to another machine (3.3)."""
        split = urlsplit(self.endpoint_url)
        return split.scheme == "http" and not is_loopback(split.hostname or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class OffsiteWaiver:
    """Somebody's word that copies count although none of them is offsite (3.5)."""

    reason: str
    by: str
    until: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Retired:
    """A dataset that is no longer backed up; its recovery points live on."""

    date: date
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """One thing to protect."""

    name: str
    data_class: str
    owner: str
    source: SourceSettings | None  # None: no valid entry says what it is, a vault holds it
    vault: str  # its home: the ledger is there
    replicas: tuple[str, ...] = ()  # vaults that hold copies of it
    shrink_tolerance: float = TOLERANCE  # the share that a backup may lose without being in doubt
    description: str = ""
    retired: Retired | None = None
    insecure_reason: str = ""
    file: str  # where it is written, as in "datasets.d/team.yaml"
    line: int

    @property
    def path(self) -> str:
        """The directory of a dataset that is one; else empty."""
        return self.source.path if isinstance(self.source, FilesystemSettings) else ""

    @property
    def connection(self) -> str:
        """The connection that it is read through; empty for a directory."""
        if self.source is None or isinstance(self.source, FilesystemSettings):
            return ""
        return self.source.connection

    @property
    def place(self) -> str:
        """Where it lies, as a path to be compared with those of others; empty for a database."""
        if isinstance(self.source, S3Settings):
            return _place_in_bucket(self.source.url, self.source.endpoint_url)
        return self.path

    @property
    def address(self) -> str:
        """Where the data lies, for people; empty if nobody knows."""
        return "" if self.source is None else self.source.address


def _place_in_bucket(url: str, endpoint: str) -> str:
    """A path that no directory has. Buckets of one name at two addresses are two."""
    return f"/s3:{endpoint.replace('/', '|')}/{url.removeprefix('s3://')}"
