"""What S3 and boto3 say, in the words of this package.

Stores differ in their codes, so the status decides where a code is unknown. Only codes and names
of files are repeated: the text of an answer may hold parts of a signed request.

    worth a retry    no answer, throttled, damaged on the way, body cut short     StorageUnreachable
    an answer        absent, taken, refused, full: asking again changes nothing   the others
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.backup.errors import (
    AccessRefused,
    BackupError,
    DamageFound,
    FileAbsent,
    NameTaken,
    StorageError,
    StorageFull,
    StorageUnreachable,
)
from include.backup.storage.retry import WorthOneRetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.exceptions import BotoCoreError, ClientError

_ABSENT = frozenset({"NoSuchKey", "NoSuchVersion", "404"})
_BEYOND = frozenset({"InvalidRange", "416"})
_TAKEN = frozenset({"PreconditionFailed", "412"})
_FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull"})
_DAMAGED = frozenset({"BadDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch"})
# The answer to a HEAD has no body, and so no code: a bare 400 is all that an expired token gets.
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "400"})
_AGAIN = frozenset({
    "ConditionalRequestConflict",
    "IncompleteBody",
    "InternalError",
    "OperationAborted",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
})
_HINTS = {
    "NoSuchBucket": "make the bucket, or correct the address of the vault",
    "InvalidAccessKeyId": "correct the credentials of the vault's connection",
    "SignatureDoesNotMatch": "correct the credentials of the vault's connection",
    "PermanentRedirect": "set the region of the bucket",
    "AuthorizationHeaderMalformed": "set the region of the bucket",
    "AccessDenied": "see the rights of the role, and lock dates",
}
_TOO_MANY_REQUESTS = 429
_CONFLICT = 409
_SERVER_ERRORS = 500
_INSUFFICIENT_STORAGE = 507


class DamagedInTransit(StorageUnreachable):
    """The store received other bytes than were announced, and kept nothing."""


class CredentialsExpired(AccessRefused):
    """They were good once; the connection may have newer ones."""


@contextmanager
def s3_errors(what: str) -> Iterator[None]:
    """Translate what boto3 raises while it works on `what`."""
    from botocore import exceptions  # noqa: PLC0415 boto3 is not for DAG parsing
    from botocore.parsers import ResponseParserError  # noqa: PLC0415 same
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 same

    try:
        yield
    except exceptions.ClientError as error:
        raise _from_answer(error, what) from error
    except exceptions.BotoCoreError as error:
        raise _from_client(error, what) from error
    except (ResponseParserError, ValueError, KeyError) as error:  # as a date that is none
        raise StorageUnreachable(f"{what}: the store's answer cannot be read") from error
    except (HTTPError, ConnectionError, TimeoutError) as error:  # bodies are read without boto3
        raise StorageUnreachable(f"{what}: {type(error).__name__}") from error


def error_code(error: ClientError) -> str:
    """The code of an error answer, or its status as text."""
    return str(error.response.get("Error", {}).get("Code") or _status(error))


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _from_answer(error: ClientError, what: str) -> BackupError:  # noqa: PLR0911 a table
    code, status = error_code(error), _status(error)
    if code in _ABSENT:
        return FileAbsent(f"{what} is not there")
    if code in _BEYOND:
        return DamageFound(f"{what} is cut short: it ends before the range that was asked for")
    if code in _TAKEN:
        return NameTaken(f"{what} exists already")
    if code in _FULL or status == _INSUFFICIENT_STORAGE:
        return StorageFull(f"{what}: the store is full ({code})", hint="raise its quota")
    if code in _DAMAGED:
        return DamagedInTransit(f"{what} was damaged on the way ({code})")
    if code == "RequestTimeTooSkewed":
        hint = "set the clock of this machine"
        return WorthOneRetry(f"{what}: this machine's clock differs from the store's", hint=hint)
    if code in _EXPIRED:
        return CredentialsExpired(
            f"{what}: the store answered {code}", hint="renew the credentials"
        )
    if code in _AGAIN or status in {_CONFLICT, _TOO_MANY_REQUESTS} or status >= _SERVER_ERRORS:
        return StorageUnreachable(f"{what}: the store answered {code}")
    return AccessRefused(f"{what}: the store answered {code}", hint=_HINTS.get(code, ""))


def _from_client(error: BotoCoreError, what: str) -> BackupError:
    from botocore import exceptions  # noqa: PLC0415 boto3 is not for DAG parsing

    kind = type(error).__name__
    if isinstance(error, exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return AccessRefused(
            f"{what}: the store's certificate is not trusted",
            hint="give the path of the certificate of its authority as `verify`",
        )
    transport = (
        exceptions.ConnectionError,
        exceptions.HTTPClientError,
        exceptions.IncompleteReadError,
        exceptions.FlexibleChecksumError,
        exceptions.ChecksumError,
        exceptions.CredentialRetrievalError,
        exceptions.MetadataRetrievalError,
    )
    if isinstance(error, transport):
        return StorageUnreachable(f"{what}: {kind}")
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return AccessRefused(f"{what}: no credentials", hint="see the vault's connection")
    return StorageError(f"{what}: {kind}: {error}")
