"""Making and judging boto3 clients: credentials, encryption on the way, signing without rehashing.

Airflow makes its client with S3Hook; `make_client` makes the same for the command line. boto3 is
imported inside the functions: it takes half a second, and DAG files are parsed without it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

from include.backup.errors import ConfigurationInvalid
from include.backup.hosts import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

S3Client: TypeAlias = Any  # boto3 makes its clients at run time; they have no types

AddressingStyle = Literal["auto", "path", "virtual"]

MOST_CONNECTIONS = 64  # kept open at most; as many as a dataset may have jobs
_PREHASHED = "holdfast-s3v4-prehashed"


class S3Place(Protocol):
    """What the configuration says about reaching a bucket: of a vault, or of a dataset."""

    @property
    def connection(self) -> str:
        """The name of the connection that holds the credentials; empty: as boto3 finds them."""

    @property
    def region(self) -> str:
        """Of the bucket; empty: that of the connection."""

    @property
    def endpoint_url(self) -> str:
        """The address of the store; empty: that of the connection, or AWS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Access:
    """How to reach a store. boto3 looks up what is empty: environment, profile, role."""

    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    session_token: str = field(default="", repr=False)
    region: str = ""
    endpoint_url: str = ""  # empty: AWS
    verify: str | bool = True  # path of a certificate to trust; False: no verification
    addressing_style: AddressingStyle = "auto"
    profile: str = ""
    attempts: int = 5  # for each request, below the retries of S3Storage
    connect_seconds: float = 10
    read_seconds: float = 60


def make_client(access: S3Access) -> S3Client:
    """Return a boto3 client with the settings that Holdfast is tested with.

    Checksums only where required: the ones boto3 adds of itself fail over TLS on older stores,
    and `S3Storage` sends SHA-256 anyway. Attempts for each request are below our own retries.

    Raises:
        ConfigurationInvalid: boto3 cannot make a client of this.
    """
    import boto3  # noqa: PLC0415 heavy
    from botocore.config import Config  # noqa: PLC0415 heavy
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415 heavy

    try:
        session = boto3.Session(
            aws_access_key_id=access.access_key or None,
            aws_secret_access_key=access.secret_key or None,
            aws_session_token=access.session_token or None,
            region_name=access.region or None,
            profile_name=access.profile or None,
        )
        return session.client(
            "s3",
            endpoint_url=access.endpoint_url or None,
            verify=access.verify,
            config=Config(
                connect_timeout=access.connect_seconds,
                read_timeout=access.read_seconds,
                retries={"mode": "standard", "total_max_attempts": access.attempts},
                max_pool_connections=MOST_CONNECTIONS,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": access.addressing_style},
            ),
        )
    except (BotoCoreError, ValueError) as error:
        raise ConfigurationInvalid(f"no S3 client can be made: {error}") from error


def checked_transport(client: S3Client, *, insecure_reason: str, whose: str = "vault") -> str:
    """Refuse a client whose requests could be read or answered by strangers on the way.

    Servers on this machine's loopback may be talked to in clear.

    Returns:
        How data travels, in words for people: what the client does, whatever was configured.

    Raises:
        ConfigurationInvalid: plain http, or TLS without verification, and no reason given.
    """
    endpoint = urlsplit(str(client.meta.endpoint_url))
    if endpoint.scheme != "https":
        flaw = f"sends everything in clear ({endpoint.scheme}://)"
        transport = "sent over plain http"
    elif is_unverified(client):
        flaw = "accepts any certificate (verify is off)"
        transport = "sent over TLS to a server that was not verified"
    else:
        return "sent over TLS"
    if is_loopback(endpoint.hostname or ""):
        return f"{transport} within this machine"
    if insecure_reason:
        return f"{transport} (accepted: {insecure_reason})"
    raise ConfigurationInvalid(
        f"the {whose}'s connection to {endpoint.hostname} {flaw}",
        hint="use https:// with a verified certificate, or state a reason in the configuration",
    )


def is_unverified(client: S3Client) -> bool:
    """Whether the client accepts any certificate. boto3 has no public way to ask."""
    return client._endpoint.http_session._verify is False  # noqa: SLF001 a test watches the name


def sign_prehashed(client: S3Client) -> bool:
    """Let the client's uploads be signed with the SHA-256 that they carry anyway.

    botocore hashes each body for its signature although the caller knows the digest, which names
    the file: more than half of an upload's CPU time. The signature then covers the announced
    digest, so that a store refuses bytes damaged on the way or in our memory.

    The signer has a name of its own and is chosen by an event of this client: others in the
    process, Airflow's among them, sign as before.

    Returns:
        False, and the client is as it was, if botocore has no longer what this builds on.
    """
    try:
        import botocore.auth  # noqa: PLC0415 heavy

        standard = botocore.auth.AUTH_TYPE_MAPS["s3v4"]
        payload = standard.payload
    except (AttributeError, KeyError):
        return False
    if _PREHASHED not in botocore.auth.AUTH_TYPE_MAPS:
        members = {"payload": _announced_digest(payload)}
        signer = type("PrehashedS3SigV4Auth", (standard,), members)
        botocore.auth.AUTH_TYPE_MAPS[_PREHASHED] = signer
    client.meta.events.register_first(
        "choose-signer.s3.PutObject", _choose_prehashed, unique_id=_PREHASHED
    )
    return True


def _announced_digest(payload: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
    def announced(signer: S3Client, request: S3Client) -> str:
        digest = request.headers.get("x-amz-checksum-sha256")
        return base64.b64decode(digest).hex() if digest else payload(signer, request)

    return announced


def _choose_prehashed(signature_version: str | None = None, **_event: object) -> str | None:
    # Anything but the usual signature (several regions, S3 Express) is left to botocore.
    return _PREHASHED if signature_version in {"s3v4", "v4"} else None
