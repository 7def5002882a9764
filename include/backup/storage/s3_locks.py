"""Lock dates of objects (S3 Object Lock): how they are asked for, and that they were kept.

Some stores accept a lock date and forget it. A file that should be locked and is not would be
found out on the day somebody deletes it, so each save reads its lock back and fails without it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal

from include.backup.errors import AccessRefused, ConfigurationInvalid, FileAbsent
from include.backup.storage.s3_errors import CredentialsExpired, s3_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from include.backup.storage.retry import Patience
    from include.backup.storage.s3_bucket import Bucket
    from include.backup.storage.s3_client import S3Client

ON_HOLD: Final = "on hold"
_AT_ONCE: Final = 8  # requests about single objects
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


def require_no_default(client: S3Client, bucket: str) -> None:
    """Refuse a bucket that gives every file a lock date of its own: leases and locks as well.

    Raises:
        ConfigurationInvalid: it has a default retention, or no Object Lock.
        AccessRefused, StorageUnreachable.
    """
    found: Mapping[str, Any]
    try:
        with s3_errors(f"the Object Lock of s3://{bucket}"):
            found = client.get_object_lock_configuration(Bucket=bucket)
    except (FileAbsent, AccessRefused) as error:
        if isinstance(error, AccessRefused) and "ConfigurationNotFound" not in error.message:
            raise
        found = {}
    configuration = found.get("ObjectLockConfiguration", {})
    if configuration.get("ObjectLockEnabled") != "Enabled":
        raise ConfigurationInvalid(
            f"s3://{bucket} has no Object Lock, and the vault says object_lock",
            hint="VAULTS.md tells how to make the bucket",
        )
    if "DefaultRetention" in configuration.get("Rule", {}):
        raise ConfigurationInvalid(
            f"s3://{bucket} has a default retention, which locks leases as well",
            hint="remove it: each file gets a date of its own (VAULTS.md)",
        )


def extend_locks(
    bucket: Bucket, names: Sequence[str], mode: LockMode, until: datetime, patience: Patience
) -> None:
    """See Storage.extend_lock.

    Raises:
        FileAbsent, AccessRefused, StorageUnreachable.
    """

    def extend(identifier: Mapping[str, str], place: str) -> None:
        confirm_lock(bucket.client, identifier, mode, until, place=place)

    _each(bucket, names, extend, patience)


def set_holds(bucket: Bucket, names: Sequence[str], patience: Patience, *, on: bool) -> None:
    """See Storage.hold.

    Raises:
        FileAbsent, AccessRefused, StorageUnreachable.
    """
    wanted = "ON" if on else "OFF"

    def change(identifier: Mapping[str, str], place: str) -> None:
        with s3_errors(f"the legal hold of {place}"):
            bucket.client.put_object_legal_hold(**identifier, LegalHold={"Status": wanted})
            answer = bucket.client.get_object_legal_hold(**identifier)
        if answer["LegalHold"].get("Status") != wanted:
            raise AccessRefused(
                f"the store did not turn the legal hold of {place} {wanted.lower()}",
                hint="the bucket needs Object Lock, the role s3:PutObjectLegalHold",
            )

    _each(bucket, names, change, patience)


def _each(
    bucket: Bucket,
    names: Sequence[str],
    change: Callable[[Mapping[str, str], str], None],
    patience: Patience,
) -> None:
    """Change something about the first version of each file, several at a time."""

    def one(name: str) -> None:
        version, _ = bucket.file_version_id(name)
        change(bucket.identifier(name, version), bucket.place(name))

    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="locks") as pool:
        for _ in pool.map(lambda name: bucket.retried(partial(one, name), patience), names):
            pass


def kept_by_lock(client: S3Client, identifier: Mapping[str, str]) -> str:
    """What of Object Lock keeps an object now, for people; empty: nothing, or nobody may ask.

    By the store's own clock: a date that has passed keeps nothing, and a right is missing.

    Raises:
        CredentialsExpired, StorageUnreachable.
    """
    try:
        with s3_errors("lock"):
            head = client.head_object(**identifier)
    except CredentialsExpired:
        raise
    except (AccessRefused, FileAbsent):
        return ""
    if head.get("ObjectLockLegalHoldStatus") == "ON":
        return ON_HOLD
    date = head.get("ObjectLockRetainUntilDate")
    told = head["ResponseMetadata"]["HTTPHeaders"].get("date")
    if not isinstance(date, datetime) or (told and date <= parsedate_to_datetime(told)):
        return ""
    return f"locked until {date.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _is_locked(
    client: S3Client, identifier: Mapping[str, str], mode: LockMode, until: datetime
) -> bool:
    head = client.head_object(**identifier)
    strong_enough = head.get("ObjectLockMode") in {mode, "COMPLIANCE"}
    date = head.get("ObjectLockRetainUntilDate")
    return strong_enough and isinstance(date, datetime) and date >= until
