"""Ceph on loopback: a monitor, an object store in memory or in a file, and the S3 gateway.

The three run as whatever user runs the tests, below one folder, and die with the process that
started them. Their settings are for tests only: one copy of everything, nothing authenticated but
the S3 requests.
"""

from __future__ import annotations

import base64
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.servers.daemon import free_ports
from tests.servers.rgw_tree import library_folder
from tests.servers.tls import make_certificate

if TYPE_CHECKING:
    from pathlib import Path

START_SECONDS = 60
OSD_PORTS = 24
_IN_MEMORY = "osd_objectstore = memstore\nmemstore_device_bytes = 6442450944"
_IN_A_FILE = "osd_objectstore = bluestore\nbluestore_block_size = 2147483648"

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody with an account on the server."""

    name: str
    access_key: str = field(default_factory=lambda: secrets.token_hex(10).upper())
    secret_key: str = field(default_factory=lambda: secrets.token_hex(20), repr=False)

    def command(self) -> tuple[str, ...]:
        """What radosgw-admin must be told to make the account."""
        names = (f"--uid={self.name}", f"--display-name={self.name}")
        keys = (f"--access-key={self.access_key}", f"--secret={self.secret_key}")
        return ("-n", "client.rgw", "user", "create", *names, *keys)


class Cluster:
    """One attempt to start the three processes. After a failure, `kill` it."""

    def __init__(self, tree: Path, folder: Path, *, durable: bool = False) -> None:
        """Say where everything is.

        Args:
            durable: objects lie in a file and outlive a `restart`, at three times the start.
        """
        for part in ("mon", "osd", "rgw"):
            (folder / part).mkdir(parents=True)
        self._folder = folder
        self._store = _IN_A_FILE if durable else _IN_MEMORY
        self._libraries = library_folder(tree)
        self._programs = tree / "usr/bin"
        self._config = folder / "ceph.conf"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._monitor_port, self.http_port, self.https_port = free_ports(3)
        self.certificate, key = make_certificate(folder)
        self.users = tuple(User(name=name) for name in ("owner", "role", "reader"))
        self._fsid = str(uuid.uuid4())
        self._config.write_text(self._settings(key))

    def start(self) -> None:
        """Start everything; return when the gateway answers.

        Raises:
            RuntimeError: something did not start; carries the end of its log.
        """
        monitor_map, monitor = self._folder / "monmap", f"[v1:127.0.0.1:{self._monitor_port}]"
        self._run(
            "monmaptool", "--create", "--clobber", "--fsid", self._fsid,
            "--addv", "a", monitor, str(monitor_map), configured=False,
        )  # fmt: skip
        self._run("ceph-mon", "-i", "a", "--mkfs", "--monmap", str(monitor_map))
        self._spawn("ceph-mon", "-i", "a", "-f")
        self._run("rados", "-n", "client.rgw", "lspools")  # answers when the monitor is ready
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", str(uuid.uuid4()))
        owner, *others = self.users
        self._run_on_object_store("radosgw-admin", *owner.command())
        self._spawn("radosgw", "-n", "client.rgw", "-f")
        for user in others:
            self._run("radosgw-admin", *user.command())
        self._await_answer()

    def restart(self) -> None:
        """Kill everything with SIGKILL and start it again on what it had stored durably.

        Raises:
            RuntimeError: it does not answer again.
        """
        self.kill()
        self._processes.clear()
        self._spawn("ceph-mon", "-i", "a", "-f")
        self._run("rados", "-n", "client.rgw", "lspools")
        self._spawn("ceph-osd", "-i", "0", "-f")
        self._spawn("radosgw", "-n", "client.rgw", "-f")
        self._await_answer()

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes that run now."""
        return tuple(process.pid for process in self._processes)

    def kill(self) -> None:
        """Kill what was started; nothing of it is worth keeping."""
        for process in self._processes:
            process.kill()
            process.wait()

    def _settings(self, key: Path) -> str:
        """The configuration: everything in memory, on loopback, and quick to settle.

        Without paxos_propose_interval the start takes twelve seconds, without
        objecter_tick_interval one or six.
        """
        here, libraries, port = self._folder, self._libraries, self._monitor_port
        kms_key = base64.b64encode(secrets.token_bytes(32)).decode()
        osd_port = _free_range(OSD_PORTS)
        return f"""[global]
fsid = {self._fsid}
mon_host = v1:127.0.0.1:{port}
mon_initial_members = a
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
ms_bind_port_min = {osd_port}
ms_bind_port_max = {osd_port + OSD_PORTS - 1}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
osd_crush_chooseleaf_type = 0
osd_class_update_on_start = false
bluestore_compression_algorithm = snappy
plugin_dir = {libraries}/ceph
erasure_code_dir = {libraries}/ceph/erasure-code
osd_class_dir = {libraries}/rados-classes
run_dir = {here}
admin_socket =
log_file = {here}/$name.log
pid_file = {here}/$name.pid
keyring = {here}/keyring
crash_dir = {here}
paxos_propose_interval = 0.02
paxos_min_wait = 0.01
objecter_tick_interval = 0.2
mon_client_hunt_interval = 0.3
mon_tick_interval = 1
mon_lease = 2
[mon.a]
mon_data = {here}/mon
mon_addr = v1:127.0.0.1:{port}
[osd.0]
osd_data = {here}/osd
{self._store}
[client.rgw]
rgw_frontends = beast tcp_nodelay=1 endpoint=127.0.0.1:{self.http_port} \
ssl_endpoint=127.0.0.1:{self.https_port} \
ssl_certificate={self.certificate} ssl_private_key={key}
rgw_data = {here}/rgw
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = testkey-1={kms_key}
"""

    def _command(self, program: str, *arguments: str, configured: bool = True) -> list[str]:
        """The program under its own loader, so that it needs nothing of this machine's libc."""
        [loader] = self._libraries.glob("ld-linux-*.so.*")
        search = f"{self._libraries}:{self._libraries}/ceph"
        config = ["-c", str(self._config)] if configured else []
        binary = str(self._programs / program)
        return [str(loader), "--library-path", search, binary, *config, *arguments]

    def _run(self, program: str, *arguments: str, configured: bool = True) -> None:
        done = subprocess.run(
            self._command(program, *arguments, configured=configured),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=_environment(),
            timeout=START_SECONDS,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')[-500:]}")

    def _run_on_object_store(self, program: str, *arguments: str) -> None:
        """Run a program that ends when the object store is up, which may take several starts.

        The store gives up ("wrong fsid") when it asks the monitor for its number before the
        monitor has told it the map of the cluster.
        """
        store = self._spawn("ceph-osd", "-i", "0", "-f")
        client = self._spawn(program, *arguments)
        until = time.monotonic() + START_SECONDS
        while client.poll() is None:
            if time.monotonic() > until:
                raise RuntimeError(f"{program} hangs; {self._said()}")
            if store.poll() is not None:
                self._processes.remove(store)
                store = self._spawn("ceph-osd", "-i", "0", "-f")
            time.sleep(0.01)
        self._processes.remove(client)
        if client.returncode:
            raise RuntimeError(self._said())

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{program}.out").open("wb") as output:
            process = subprocess.Popen(
                self._command(program, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                cwd=self._folder,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 one C call, and a kill -9 of pytest
            )
        self._processes.append(process)
        return process

    def _await_answer(self) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            for process in self._processes:
                if process.poll() is not None:
                    raise RuntimeError(self._said())
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.02)
        raise RuntimeError(f"no answer in {START_SECONDS} s; {self._said()}")

    def _said(self) -> str:
        outputs = sorted(self._folder.glob("*.out"))
        return "; ".join(f"{path.stem}: {path.read_text()[-300:].strip()}" for path in outputs)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"}


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _free_range(count: int) -> int:
    """The first of so many free ports in a row, below those the system hands out itself."""
    while True:
        first = 12_000 + secrets.randbelow(18_000)
        sockets = [socket.socket() for _ in range(count)]
        try:
            for number, each in enumerate(sockets):
                each.bind(("127.0.0.1", first + number))
        except OSError:
            continue
        else:
            return first
        finally:
            for each in sockets:
                each.close()
