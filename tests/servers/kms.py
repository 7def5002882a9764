"""A KMS that speaks AWS's protocol: moto's server, on loopback.

What moto does not do as AWS does, no test here claims: it decrypts with a key that is disabled.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "eu-west-1"
_START_SECONDS = 60


@dataclass(frozen=True)
class KmsServer:
    """A running one."""

    port: int

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def variable(self) -> str:
        """The connection as the text of an AIRFLOW_CONN_ variable."""
        extra = {"region_name": REGION, "endpoint_url": self.url}
        return json.dumps({
            "conn_type": "aws",
            "login": "kms",
            "password": "secret",
            "extra": extra,
        })

    def client(self) -> Any:
        """A client of the owner."""
        return boto3.client(
            "kms",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="kms",
            aws_secret_access_key="secret",
        )

    def make_key(self) -> str:
        """A new key; its ARN."""
        return str(self.client().create_key()["KeyMetadata"]["Arn"])


@contextmanager
def kms_server() -> Iterator[KmsServer]:
    """Start one; end it by its process."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("moto's server does not start")
            time.sleep(0.05)
        yield KmsServer(port)
    finally:
        process.kill()
        process.wait()
