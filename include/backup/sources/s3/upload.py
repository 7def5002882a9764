"""One object on its way into a bucket: by one request, or in parts if it is large.

Each request carries the MD5 of its body, which the store compares, and the entity tag of the whole
is compared with ours where it is made of bytes alone (not with KMS or customers' keys: then the
size is). An upload in parts that fails is aborted, so that no part is paid for and nothing shows.
Repeating any of it leads to the same object.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode

from include.backup.errors import RestoreRefused, StorageError
from include.backup.sources.s3.bucket import stoppable
from include.backup.sources.s3.refusals import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Executor, Future

    from include.backup.storage.retry import Patience
    from include.backup.storage.s3_client import S3Client

log = logging.getLogger(__name__)

Result = TypeVar("Result")

PART_BYTES: Final = 8 << 20  # of the largest objects larger: there may be 10,000
SINGLE_BYTES: Final = 64 << 20  # larger objects go in parts
ROOM: Final = 8  # so many parts of that size are in memory at a time
_MOST_PARTS: Final = 10_000
_PLAIN_MD5: Final = re.compile(r'"?[0-9a-f]{32}(-\d+)?"?').fullmatch


class Uploads:
    """Uploads to one bucket. All methods may be called from several threads.

    Args:
        pool: sends parts; a pool of its own, for whoever waits for them is in another.
        stop: set when nobody waits any more; nothing is asked again then.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        *,
        patience: Patience,
        pool: Executor,
        stop: threading.Event,
    ) -> None:
        self.client = client
        self.bucket = bucket
        self._patience = stoppable(patience, stop)
        self._lasting = patience  # what is left behind is cleared away whatever else has failed
        self._pool = pool
        self._room = threading.Semaphore(ROOM)
        self._taking = threading.Lock()

    def put(
        self,
        key: str,
        size_bytes: int,
        content: Iterator[bytes],
        arguments: Mapping[str, Any],
        progress: Callable[[int], None],
    ) -> None:
        """Store one object; on return it is there, whole.

        Args:
            arguments: its metadata and tags, named as boto3 names them.

        Raises:
            RestoreRefused, StorageError: names the object; nothing of it is left behind.
            what reading `content` raises.
        """
        if size_bytes > SINGLE_BYTES:
            self._put_parts(key, size_bytes, content, arguments, progress)
            return
        permits = _permits(size_bytes)
        self._take(permits)
        try:
            body = bytearray()
            for piece in content:
                body += piece
            md5 = _md5(body)
            answer = self._ask(
                key,
                lambda: self.client.put_object(
                    **self._named(key), Body=body, ContentMD5=_base64(md5), **arguments
                ),
            )
            self._compare(key, answer, md5.hex(), len(body))
            progress(len(body))
        finally:
            self._give(permits)

    def _put_parts(
        self,
        key: str,
        size_bytes: int,
        content: Iterator[bytes],
        arguments: Mapping[str, Any],
        progress: Callable[[int], None],
    ) -> None:
        part_bytes = max(PART_BYTES, -(-size_bytes // _MOST_PARTS))
        permits = _permits(part_bytes)
        begun = self._ask(
            key, lambda: self.client.create_multipart_upload(**self._named(key), **arguments)
        )
        upload = {**self._named(key), "UploadId": begun["UploadId"]}
        coming: deque[Future[tuple[str, bytes]]] = deque()
        sent: list[tuple[str, bytes]] = []
        length = 0

        def send(number: int, body: bytes) -> tuple[str, bytes]:
            try:
                md5 = _md5(body)
                answer = self._ask(
                    key,
                    lambda: self.client.upload_part(
                        **upload, PartNumber=number, Body=body, ContentMD5=_base64(md5)
                    ),
                )
                progress(len(body))
                return str(answer["ETag"]), md5
            finally:
                self._give(permits)

        try:
            for body in self._parts(content, part_bytes):
                length += len(body)
                number = len(sent) + len(coming) + 1
                coming.append(self._pool.submit(send, number, body))
                while coming and coming[0].done():
                    sent.append(coming.popleft().result())
            while coming:
                sent.append(coming.popleft().result())
            parts = [{"PartNumber": n, "ETag": tag} for n, (tag, _) in enumerate(sent, 1)]
            tag = f"{_md5(b''.join(md5 for _, md5 in sent)).hex()}-{len(sent)}"
            answer = self._complete(key, upload, parts, tag)
        except BaseException:
            for one in coming:
                if one.cancel():
                    self._give(permits)
                else:
                    one.exception()  # an abort must not overtake a part
            self._abort(key, upload)
            raise
        self._compare(key, answer, tag, length, ask_size=True)
        self._see_tags(key, arguments.get("Tagging", ""))

    def _see_tags(self, key: str, wanted: str) -> None:
        """Set the tags of an object that was sent in parts, if the store has dropped them."""
        tags = dict(parse_qsl(wanted, keep_blank_values=True))
        if not tags:
            return
        told = self._ask(key, lambda: self.client.get_object_tagging(**self._named(key)))
        if {one["Key"]: one["Value"] for one in told.get("TagSet", ())} != tags:
            listed = [{"Key": name, "Value": value} for name, value in tags.items()]
            self._ask(
                key,
                lambda: self.client.put_object_tagging(
                    **self._named(key), Tagging={"TagSet": listed}
                ),
            )

    def _complete(
        self, key: str, upload: Mapping[str, str], parts: list[dict[str, Any]], tag: str
    ) -> Mapping[str, Any]:
        """Make the parts one object; what the store says of it."""
        try:
            answer: Mapping[str, Any] = self._ask(
                key,
                lambda: self.client.complete_multipart_upload(
                    **upload, MultipartUpload={"Parts": parts}
                ),
            )
        except RestoreRefused:
            # No such upload: it was completed, and the answer to that got lost.
            head = self._ask(key, lambda: self.client.head_object(**self._named(key)))
            if str(head["ETag"]).strip('"') != tag:
                raise
            return dict(head)
        return answer

    def _parts(self, content: Iterator[bytes], part_bytes: int) -> Iterator[bytes]:
        """A content in parts of one size, each with its permits of the room."""
        permits = _permits(part_bytes)
        held = bytearray()
        self._take(permits)
        ours = True  # whoever gets a part gives its permits back
        try:
            for piece in content:
                held += piece
                while len(held) >= part_bytes:
                    with memoryview(held) as view:
                        part = bytes(view[:part_bytes])
                    del held[:part_bytes]
                    ours = False
                    yield part
                    del part
                    self._take(permits)
                    ours = True
            if held:
                ours = False
                yield bytes(held)
        finally:
            if ours:
                self._give(permits)

    def _compare(
        self, key: str, answer: Mapping[str, Any], tag: str, length: int, *, ask_size: bool = False
    ) -> None:
        """See that what is there is what was sent.

        Raises:
            RestoreRefused: it is not.
        """
        told = str(answer.get("ETag", ""))
        sealed = "SSECustomerAlgorithm" in answer or "kms" in str(
            answer.get("ServerSideEncryption", "")
        )
        comparable = bool(_PLAIN_MD5(told)) and not sealed
        if comparable and told.strip('"') != tag:
            raise RestoreRefused(f"{self.url(key)}: the store has other bytes than were sent")
        if ask_size or not comparable:
            head = self._ask(key, lambda: self.client.head_object(**self._named(key)))
            if head["ContentLength"] != length:
                raise RestoreRefused(
                    f"{self.url(key)} has {head['ContentLength']} bytes, {length} were sent"
                )

    def _abort(self, key: str, upload: Mapping[str, str]) -> None:
        try:
            ask(
                self.url(key),
                lambda: self.client.abort_multipart_upload(**upload),
                self._lasting,
            )
        except (StorageError, RestoreRefused) as error:  # what the upload failed with says more
            log.warning(
                "%s: parts of an upload that failed are left behind, and are paid for: %s",
                self.url(key),
                error.message,
            )

    def url(self, key: str) -> str:
        """The address of an object, for people."""
        return f"s3://{self.bucket}/{key}"

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": key}

    def _take(self, permits: int) -> None:
        with self._taking:  # one at a time: two with half of what they need would wait for ever
            for _ in range(permits):
                self._room.acquire()

    def _give(self, permits: int) -> None:
        self._room.release(permits)

    def _ask(self, key: str, operation: Callable[[], Result]) -> Result:
        return ask(self.url(key), operation, self._patience)


def _permits(size_bytes: int) -> int:
    """How much of the room so many bytes take."""
    return min(ROOM, max(1, -(-size_bytes // PART_BYTES)))


def tagging(tags: Mapping[str, str]) -> dict[str, str]:
    """The argument of an upload that sets tags."""
    return {"Tagging": urlencode(tags, quote_via=quote)} if tags else {}  # "+" stays a "+"


def _md5(body: bytes | bytearray) -> bytes:
    return hashlib.md5(body, usedforsecurity=False).digest()


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
