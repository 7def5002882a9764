"""A lighter S3 server: moto's, on loopback, without TLS. It starts in a second, all in memory.

It only plays at being a store. What it cannot prove is in GAPS, by test: these must fail on it, and
the day one of them passes it is to leave the list. Ceph's server (tests/servers/rgw.py) proves all.
"""

from __future__ import annotations

import atexit
import functools
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.daemon import free_ports
from tests.servers.rgw import Rgw
from tests.servers.rgw_cluster import User

_START_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """What moto does not do as S3 does, so that a test must fail on it."""

    reason: str
    only: str = ""  # a part of the test's parameters; empty: whatever they are
    run: bool = True  # False: it would take minutes to fail


_UNSIGNED = "signatures, and what policies say of a user, are not looked at"
_UNHASHED = "bytes are not compared with their SHA-256"
_KEY_MARKER = "a listing of versions begins at a key that is there, or nowhere"
_NO_MARKER = "deleting a name that is not there leaves no delete marker"
ALL = os.environ.get("HOLDFAST_SERVERS") == "all"  # every test on both servers
GAPS: dict[str, Gap] = {
    "test_refusal_is_not_absence": Gap(reason=_UNSIGNED),
    "test_wrong_credentials_are_refused_and_not_repeated": Gap(reason=_UNSIGNED),
    "test_a_lock_that_cannot_be_had_fails_the_save": Gap(reason=_UNSIGNED),
    "test_who_may_bypass_governance_removes_envelopes_alone": Gap(reason=_UNSIGNED),
    "test_an_unknown_certificate_is_refused_with_a_hint": Gap(reason="it is run without TLS"),
    "test_bytes_that_do_not_match_their_digest_are_refused": Gap(reason=_UNHASHED, only="3145728"),
    "test_a_bit_flipped_on_the_way_is_never_stored": Gap(reason=_UNHASHED),
    "test_a_save_outlives_faults_on_the_way": Gap(reason=_UNHASHED, only="flip request"),
    "test_bytes_spoiled_before_they_leave_are_damage": Gap(reason=_UNHASHED, only="prehashed"),
    "test_a_bare_delete_marker_is_not_absence": Gap(reason=_NO_MARKER),
    "test_tampering_is_told": Gap(reason=_NO_MARKER),
    "test_undeletion_lets_every_file_be_seen": Gap(reason=_NO_MARKER),
    "test_delete_takes_every_version_and_marker": Gap(reason=_KEY_MARKER, only="30"),
    "test_many_names_are_listed_in_order_and_deleted_at_once": Gap(
        reason=_KEY_MARKER, only="moto-versioned", run=False
    ),
    "test_a_generation_dies_by_batches": Gap(reason=_KEY_MARKER, run=False),
    "test_a_generation_dies_when_its_locks_end": Gap(reason=_UNSIGNED, run=False),
    "test_a_replica_in_a_bucket_follows_its_home": Gap(reason=_UNSIGNED, run=False),
    "test_a_reader_restores_and_changes_nothing": Gap(reason=_UNSIGNED, run=False),
}


def declare_gaps(items: list[pytest.Item]) -> None:
    """Expect the tests of what moto lacks to fail on it: for a `pytest_collection_modifyitems`."""
    for item in items:
        name, _, parameters = item.name.partition("[")
        gap = GAPS.get(name)
        if gap is not None and "moto" in parameters and gap.only in parameters:
            item.add_marker(
                pytest.mark.xfail(reason=f"moto: {gap.reason}", run=gap.run, strict=True)
            )


@functools.cache
def shared_moto() -> Rgw:
    """The one server of this process, ended when the process ends."""
    [port] = free_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    atexit.register(process.kill)
    until = time.monotonic() + _START_SECONDS
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            break
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError("moto's server does not start")
        time.sleep(0.05)
    owner, role, reader = (User(name=name) for name in ("owner", "role", "reader"))
    return Rgw(
        endpoint=f"http://127.0.0.1:{port}",
        http_endpoint=f"http://127.0.0.1:{port}",
        ca_path=Path(),
        owner=owner,
        role=role,
        reader=reader,
        pids=(process.pid,),
    )
