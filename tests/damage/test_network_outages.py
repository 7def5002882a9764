"""Servers that die, lines that break, and many backups at once: nothing acknowledged is lost.

Only where HOLDFAST_ROUNDS says how often, as `make torture` does: see conftest.py.
"""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from tests.damage.bucket_bed import PATIENCE, make_bed, two_points
from tests.damage.bucket_judge import SCENES, Judge, attempt
from tests.damage.tally import tell
from tests.damage.test_network_campaigns import (
    AT_ONCE,
    CHANCE,
    ROUNDS,
    Beds,
    Storm,
    _quick,
    dice,
    how,
    proxy,
)
from tests.servers.fault_proxy import fault_proxy
from tests.servers.rgw import rgw, server_of
from tests.servers.rgw_cluster import Cluster
from tests.servers.rgw_tree import TreeUnavailable, fetch_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.fault_proxy import FaultProxy
    from tests.servers.rgw import Rgw

__all__ = ["_quick", "dice", "proxy", "rgw"]
LONG = replace(PATIENCE, deadline=timedelta(seconds=120), longest_wait=timedelta(seconds=1))
CLONE_NEWNET = 0x40000000
pytestmark = [
    pytest.mark.integration,
    pytest.mark.interop,
    pytest.mark.timeout(600 + 60 * ROUNDS),
]


def test_eight_datasets_are_backed_up_at_once(
    rgw: Rgw,
    proxy: FaultProxy,
    tmp_path: Path,
    dice: random.Random,
) -> None:
    """Each is a vault of its own on one server, over one bad line."""
    eight = [make_bed(rgw, proxy, tmp_path / str(n), two_points) for n in range(AT_ONCE)]
    ends = Counter[str]()
    for _ in range(ROUNDS or 1):
        for bed in eight:
            bed.rewind()
        proxy.weather = Storm(dice, CHANCE / 5)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            ended = list(pool.map(lambda bed: attempt("full", bed), eight))
        proxy.weather = None
        for bed, one in zip(eight, ended, strict=True):
            Judge("full", bed).require(one)
        ends.update(map(how, ended))
    tell(f"{AT_ONCE} datasets at once", ends)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """An S3 server that keeps its objects in a file."""
    try:
        made = Cluster(fetch_tree(), tmp_path / "ceph", durable=True)
    except TreeUnavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no Ceph RGW: {error}")
    made.start()
    yield made
    made.kill()


def test_kill_9_of_the_s3_server(
    cluster: Cluster,
    tmp_path: Path,
    dice: random.Random,
) -> None:
    """The whole server dies at a random moment and comes back: what it acknowledged is there."""
    server, ends = server_of(cluster), Counter[str]()
    with fault_proxy(server.http_endpoint) as between:
        acts = Beds(server, between, tmp_path, patience=LONG)
        for _ in range(ROUNDS or 1):
            act = dice.choice(("full", "incremental", "replicate"))
            bed, judge = acts[act]
            with ThreadPoolExecutor(1) as pool:
                running = pool.submit(attempt, act, bed)
                time.sleep(dice.uniform(0, 1))
                interrupted = not running.done()
                cluster.restart()
                ended = running.result()
            judge.require(ended)
            ends[how(ended) if interrupted else "too late"] += 1
    tell("kill -9 of the S3 server", ends)


@contextmanager
def a_line_of_its_own() -> Iterator[tuple[str, int, str]]:
    """A network namespace with one line to this machine: its address, namespace, and device."""
    name = f"hf{os.getpid() % 100_000}"
    net = f"10.{random.randrange(64, 127)}.{random.randrange(256)}"
    commands = (
        f"ip netns add {name}",
        f"ip link add {name}a type veth peer name {name}b netns {name}",
        f"ip addr add {net}.1/30 dev {name}a",
        f"ip link set {name}a up",
        f"ip -n {name} addr add {net}.2/30 dev {name}b",
        f"ip -n {name} link set {name}b up",
        f"ip -n {name} link set lo up",
    )
    try:
        for command in commands:
            subprocess.run(command.split(), check=True, capture_output=True)
        space = os.open(f"/run/netns/{name}", os.O_RDONLY)
        try:
            yield f"{net}.1", space, f"{name}a"
        finally:
            os.close(space)
    finally:
        subprocess.run(["ip", "link", "del", f"{name}a"], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def enter(space: int) -> None:
    """Move this thread, and those it starts, into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(space, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


@pytest.mark.skipif(os.geteuid() != 0 and os.environ.get("CI") != "true", reason="needs root")
def test_a_line_that_breaks_and_heals(
    rgw: Rgw,
    tmp_path: Path,
    dice: random.Random,
) -> None:
    """Not an answer, not a reset: packets go nowhere for a while, in the middle of an act."""
    ends = Counter[str]()
    with (
        a_line_of_its_own() as (host, space, device),
        fault_proxy(rgw.http_endpoint, host=host) as between,
    ):
        acts = Beds(rgw, between, tmp_path, patience=LONG)
        for _ in range(ROUNDS or 1):
            act = dice.choice(list(SCENES))
            bed, judge = acts[act]
            with ThreadPoolExecutor(1, initializer=enter, initargs=(space,)) as pool:
                running = pool.submit(attempt, act, bed)
                time.sleep(dice.uniform(0, 0.8))
                interrupted = not running.done()
                for state, seconds in (("down", dice.uniform(0.5, 3)), ("up", 0)):
                    subprocess.run(["ip", "link", "set", device, state], check=True)
                    time.sleep(seconds)
                ended = running.result()
            judge.require(ended)
            ends[how(ended) if interrupted else "too late"] += 1
    tell("partition in a network namespace", ends)
