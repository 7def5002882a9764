"""What a bucket answers to which objects are restored, in the words of a restore."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from include.backup.errors import (
    AccessRefused,
    RestoreRefused,
    StorageError,
    StorageFull,
    StorageUnreachable,
)
from include.backup.storage.retry import retried
from include.backup.storage.s3_errors import error_code, s3_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.backup.storage.retry import Patience

Result = TypeVar("Result")

_HINTS: Final = {
    "NoSuchBucket": "make the bucket, or correct its name",
    "AccessDenied": "the role needs s3:PutObject, s3:PutObjectTagging, s3:AbortMultipartUpload",
    "InvalidAccessKeyId": "correct the credentials of the connection",
    "SignatureDoesNotMatch": "correct the credentials of the connection",
}
_UNKNOWN_CLASS: Final = frozenset({"InvalidStorageClass", "InvalidArgument"})


class ClassUnknown(RestoreRefused):
    """The store may have no such storage class: it says only that an argument is wrong."""


def ask(what: str, operation: Callable[[], Result], patience: Patience) -> Result:
    """Ask a store to which objects are restored; again as long as that may help.

    Raises:
        RestoreRefused: it refuses.
        StorageFull, StorageUnreachable.
    """

    def once() -> Result:
        with s3_errors(what):
            return operation()

    try:
        return retried(once, patience)
    except (StorageFull, StorageUnreachable):
        raise
    except StorageError as error:
        code = _code(error)
        kind = ClassUnknown if code in _UNKNOWN_CLASS else RestoreRefused
        raise kind(error.message, hint=_HINTS.get(code, "")) from error


def _code(error: StorageError) -> str:
    from botocore.exceptions import ClientError  # noqa: PLC0415  heavy

    cause = error.__cause__
    if isinstance(cause, ClientError):
        return error_code(cause)
    return "AccessDenied" if isinstance(error, AccessRefused) else ""
