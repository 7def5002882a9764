"""Lock dates of objects (S3 Object Lock): how they are asked for, and that they were kept.

Some stores accept a lock date and forget it. A file that should be locked and is not would be
found out on the day somebody deletes it, so each save reads its lock back and fails without it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from include.backup.errors import AccessRefused, ConfigurationInvalid
from include.backup.storage.s3_errors import s3_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.storage.s3_client import S3Client

LockMode = Literal["GOVERNANCE", "COMPLIANCE"]


def lock_date(locked_until: datetime) -> datetime:
    """The first whole second in UTC that is not before `locked_until`: S3 keeps no fractions.

    Raises:
        ConfigurationInvalid: the date has no time zone.
    """
    if locked_until.tzinfo is None:
        raise ConfigurationInvalid(f"the lock date {locked_until} has no time zone")
    whole = locked_until.astimezone(UTC).replace(microsecond=0)
    return whole if whole >= locked_until else whole + timedelta(seconds=1)


def confirm_lock(
    client: S3Client, identifier: Mapping[str, str], mode: LockMode, until: datetime, *, place: str
) -> None:
    """Read the lock of a saved object back, and set it once more if it was forgotten.

    Raises:
        AccessRefused: the store does not keep the lock.
        StorageUnreachable.
    """
    with s3_errors(f"the lock of {place}"):
        if _is_locked(client, identifier, mode, until):
            return
        client.put_object_retention(
            **identifier, Retention={"Mode": mode, "RetainUntilDate": until}
        )
        if _is_locked(client, identifier, mode, until):
            return
    raise AccessRefused(
        f"{place} was saved, but the store has not locked it until {until:%Y-%m-%d %H:%M:%S} UTC",
        hint="the bucket needs Object Lock, the role s3:PutObjectRetention and GetObjectRetention",
    )


def locked_until(client: S3Client, identifier: Mapping[str, str]) -> datetime | None:
    """The lock date of an object, None if it has none or it cannot be had."""
    try:
        with s3_errors("lock"):
            head = client.head_object(**identifier)
    except AccessRefused:
        return None
    date = head.get("ObjectLockRetainUntilDate")
    return date.astimezone(UTC) if isinstance(date, datetime) else None


def _is_locked(
    client: S3Client, identifier: Mapping[str, str], mode: LockMode, until: datetime
) -> bool:
    head = client.head_object(**identifier)
    strong_enough = head.get("ObjectLockMode") in {mode, "COMPLIANCE"}
    date = head.get("ObjectLockRetainUntilDate")
    return strong_enough and isinstance(date, datetime) and date >= until
