"""What was restored for good, read again and compared with the recovery point before hand-over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.quality.files import compare_folder
from include.backup.sources.directory import Directory

if TYPE_CHECKING:
    from include.backup.quality.comparing import Compared, Restored
    from include.backup.sources.base import Destination, Server


def compare_handed_over(destination: Destination | Server, restored: Restored) -> Compared:
    """Compare a destination with the recovery point that was restored to it.

    Raises:
        DamageFound, StorageError: the recovery point cannot be read.
        RestoreRefused: the destination cannot be asked.
    """
    if isinstance(destination, Directory):
        return compare_folder(restored, destination.path)
    from include.backup.quality import scratch_mariadb, scratch_postgresql  # noqa: PLC0415  heavy
    from include.backup.quality.bucket import compare_bucket  # noqa: PLC0415  heavy
    from include.backup.sources.mariadb.target import MariadbTarget  # noqa: PLC0415  PyMySQL
    from include.backup.sources.postgresql.target import PostgresTarget  # noqa: PLC0415  heavy
    from include.backup.sources.s3.source import S3Source  # noqa: PLC0415  heavy
    from include.backup.sources.s3.target import S3Target  # noqa: PLC0415  heavy

    if isinstance(destination, PostgresTarget):
        return scratch_postgresql.compare_databases(
            restored, destination.address, destination.rules
        )
    if isinstance(destination, MariadbTarget):
        return scratch_mariadb.compare_target(restored, destination)
    assert isinstance(destination, S3Target)
    source = S3Source(
        destination.client,
        destination.bucket,
        destination.prefix,
        insecure_reason=destination.insecure_reason,
    )
    return compare_bucket(restored, source)
