"""What `doctor` looks at in a dataset that lies in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.cli.environment import patience, s3_client
from include.backup.sources.s3.examine import examine
from include.backup.sources.s3.source import S3Source

if TYPE_CHECKING:
    from include.backup.policy.dataset_model import Dataset
    from include.backup.policy.source_model import S3Settings


def try_bucket(dataset: Dataset, settings: S3Settings) -> str:
    """List one object and read it, as a backup will.

    Raises:
        BackupError: the connection is missing or unsafe, or the bucket refuses something.
    """
    source = S3Source(
        s3_client(settings, hurried=True),
        settings.bucket,
        settings.prefix,
        with_tags=settings.tags == "read",
        insecure_reason=dataset.insecure_reason,
        patience=patience(hurried=True),
    )
    return f"{settings.url}: {examine(source)}"
