"""The S3 server of a round, and what its bucket holds. boto3 stays in processes of its own.

python -m benchmarks.server make BUCKET            with BENCH_SERVER, what `rgw --serve` prints
python -m benchmarks.server size BUCKET PREFIX     the same; prints bytes
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import BenchmarkFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
_STOP_SECONDS: Final = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running S3 server."""

    endpoint: str
    http_endpoint: str
    ca_path: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bucket, with a prefix for each program."""

    server: Server
    name: str

    def connection(self) -> str:
        """An Airflow connection that reaches it."""
        return json.dumps({
            "conn_type": "aws",
            "login": self.server.access_key,
            "password": self.server.secret_key,
            "extra": {
                "endpoint_url": self.server.endpoint,
                "verify": self.server.ca_path,
                "region_name": self.server.region,
            },
        })

    def credentials(self) -> dict[str, str]:
        """The environment of programs that follow the AWS command line."""
        return {
            "AWS_ACCESS_KEY_ID": self.server.access_key,
            "AWS_SECRET_ACCESS_KEY": self.server.secret_key,
            "AWS_DEFAULT_REGION": self.server.region,
        }

    def size_bytes(self, prefix: str) -> int:
        """Bytes of all objects below a prefix."""
        return int(_ask("size", self.server, self.name, prefix))


@contextmanager
def running_bucket() -> Iterator[Bucket]:
    """A new server with an empty bucket. It keeps everything in memory and frees it at its end.

    Raises:
        BenchmarkFailedError: the server did not start.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.servers.rgw", "--serve"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchmarkFailedError("the S3 server did not start; its reason stands above")
        bucket = Bucket(server=Server(**json.loads(line)), name="bench")
        _ask("make", bucket.server, bucket.name)
        yield bucket
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)
        process.communicate()


def _ask(verb: str, server: Server, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.server", verb, *arguments],
        cwd=ROOT,
        env={**os.environ, "BENCH_SERVER": json.dumps(asdict(server))},  # holds a secret
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchmarkFailedError(done.stderr)
    return done.stdout


def main() -> None:
    """Answer one question with boto3."""
    import boto3  # noqa: PLC0415  heavy, and only needed here
    from botocore.config import Config  # noqa: PLC0415  same

    verb, bucket, *prefixes = sys.argv[1:]
    server = Server(**json.loads(os.environ["BENCH_SERVER"]))
    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        verify=server.ca_path,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        config=Config(s3={"addressing_style": "path"}),
    )
    if verb == "make":
        client.create_bucket(Bucket=bucket)
        return
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"{prefixes[0]}/"
    )
    print(sum(found["Size"] for page in pages for found in page.get("Contents", ())))


if __name__ == "__main__":
    main()
