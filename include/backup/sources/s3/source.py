"""The objects of a bucket below a prefix, as a source.

Keys are paths split at "/" (names.py); what a store says of an object beside its bytes goes into
extended attributes (metadata.py). Memory holds the largest directory, never the bucket
(listing.py).

Fingerprint: entity tag, size, Last-Modified and version. An object of which they all are the
parent's is not asked for. In a bucket that keeps versions everything is read as it was at one
instant, the end of the second, by the store's clock, in which the reading began. It waits for that
second to end, so that nothing can be added to it afterwards. In others each object is read as it
is when its turn comes (reading.py).
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.errors import SourceError
from include.backup.format.times import text_of_datetime
from include.backup.sources.exclude import Exclusion
from include.backup.sources.s3.bucket import SourceBucket
from include.backup.sources.s3.examine import examine
from include.backup.sources.s3.reading import S3Reading
from include.backup.storage.retry import Patience
from include.backup.storage.s3_client import checked_transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from include.backup.sources.base import Parent
    from include.backup.storage.s3_client import S3Client

_BETWEEN_LOOKS_SECONDS: Final = 0.1  # at the store's clock, which shows whole seconds
_MOST_LOOKS: Final = 50
PATIENCE: Final = Patience(deadline=timedelta(minutes=5))


class S3Source:
    """The objects of a bucket below a prefix.

    Args:
        client: of boto3, made by Airflow's S3Hook or by s3_client.make_client.
        exclude: patterns as in a .gitignore, of keys relative to the prefix.
        with_tags: keep the tags of objects.
        jobs: how many requests are under way at a time; each large one holds 8 MiB.
        insecure_reason: why http:// or unverified TLS to another machine is acceptable; noted.

    Raises:
        ConfigurationInvalid: the transport is not safe.
    """

    def __init__(  # noqa: PLR0913  keywords
        self,
        client: S3Client,
        bucket: str,
        prefix: str = "",
        *,
        exclude: tuple[str, ...] = (),
        with_tags: bool = True,
        jobs: int = 8,
        insecure_reason: str = "",
        patience: Patience = PATIENCE,
    ) -> None:
        self.transport = checked_transport(client, insecure_reason=insecure_reason, whose="dataset")
        self.bucket = SourceBucket(client, bucket, patience=patience)
        prefix = prefix.strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self.exclusion = Exclusion(exclude)
        self.with_tags = with_tags
        self.jobs = jobs

    def preflight(self) -> str:
        """See Source.preflight."""
        return f"{self.bucket.url(self.prefix)}: {examine(self)}"

    @contextmanager
    def read(self, *, now: datetime, parent: Parent | None) -> Iterator[S3Reading]:
        """See Source.read."""
        keeps_versions, there = self.bucket.versioning()
        instant = self._next_second(there) if keeps_versions else None
        horizon = ""
        if parent is not None:
            # Times of objects are the store's, so the parent's is put on its clock: by the
            # difference found now, less the fraction of a second that no header tells.
            apart = there.replace(microsecond=0) - now if there else timedelta()
            horizon = text_of_datetime(parent.taken_at + apart)[:19]
        stop = threading.Event()
        bucket = self.bucket.stoppable(stop)
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="s3-read") as pool:
            try:
                yield S3Reading(self, bucket, pool, now, horizon, instant)
            finally:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
        self.bucket.versioning()  # what was read does not count if the bucket is gone

    def _next_second(self, begun: datetime | None) -> datetime:
        """Wait until the store's clock shows another second; return which.

        Raises:
            SourceGone, SourceError.
        """
        for _ in range(_MOST_LOOKS):
            time.sleep(_BETWEEN_LOOKS_SECONDS)
            _, there = self.bucket.versioning()
            if begun is not None and there is not None and there > begun:
                return there
        raise SourceError(f"{self.bucket.url('')}: the store does not say what time it is")
