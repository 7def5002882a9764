"""An installation in memory: one dataset, a vault whose clock the test sets, and crashes on order.

A crash is a `BaseException` raised by the storage, which from then on answers nothing any more: no
clean-up of the dying run reaches it, as none would after kill -9.
"""

from __future__ import annotations

import base64
import copy
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.backup.actions.choosing import Order
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.restore import restore
from include.backup.actions.setting import Setting
from include.backup.policy.datasets import load_datasets
from include.backup.policy.expectations import load_expectations
from include.backup.policy.load import parse_policy
from include.backup.sources.connection import Connection
from include.backup.sources.directory import Directory
from include.backup.storage.memory import MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from include.backup.actions.outcome import Outcome
    from include.backup.storage.base import FileInfo, Storage

ROOT = Path(__file__).resolve().parents[2]
MASTER_KEY = base64.b64encode(b"m" * 32).decode()
SIGNING_KEY = base64.b64encode(b"s" * 32).decode()


class Crash(BaseException):
    """The process is gone."""


class Site:
    """One dataset, crm, with its vault."""

    def __init__(self, folder: Path, storage: Storage | None = None) -> None:
        self.folder = folder
        self.now = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
        self.data = folder / "crm"
        self.data.mkdir(parents=True, exist_ok=True)
        self.memory = MemoryStorage(self.clock)
        self.storage: Storage = storage or self.memory
        self.keys = {"backup_master_key": MASTER_KEY, "backup_signing_key": SIGNING_KEY}
        self.kms: Any = None
        self.key = "{provider: local, connection: backup_master_key}"
        self.s3: Any = None  # a client for datasets in buckets
        self.source_text = f"type: filesystem, path: {self.data}"
        self.source_options = ""
        self.entry_options = ""
        self.verification = ""
        self.expectations = ""  # of the dataset crm, as YAML
        self.policy_text = (ROOT / "include" / "config" / "policy.yaml").read_text("utf-8")
        self.policy_change = ("rpo:", "rpo:")
        self.data_class = "critical"
        self.vault_url = "s3://memory/vault', connection: 'none"
        self.second: Storage | None = None  # another vault, which holds a replica
        self.second_url = "s3://second/vault', connection: 'none"
        self.second_options = ""
        self.home_options = ""
        self.waiver = ""
        self.moved = False  # the second vault is the home, and this one the replica
        self.restores = 0  # how many there were: the last one is in restored-<restores>

    def clock(self) -> datetime:
        """The time, of this machine and of the vault; each look takes a millisecond."""
        self.now += timedelta(milliseconds=1)
        return self.now

    def wait(self, **length: float) -> None:
        """Let time pass."""
        self.now += timedelta(**length)

    def setting(self, storage: Storage | None = None, second: Storage | None = None) -> Setting:
        """The setting of one act, over the site's storages or others."""
        config = self.folder / "config"
        config.mkdir(exist_ok=True)
        text = (
            f"key: {self.key}\n"
            "signing_key: {connection: backup_signing_key}\n"
            f"vaults: {self._vaults()}\n"
            f"{self.verification}{self.waiver}"
            "datasets:\n"
            "  crm:\n"
            f"    class: {self.data_class}\n"
            "    owner: crm-team@example.com\n"
            f"    source: {{{self.source_text}{self.source_options}}}\n"
            f"{self.entry_options}{self._replicas()}"
        )
        path = config / "datasets.yaml"
        if not path.exists() or path.read_text() != text:  # another process may be reading it
            path.write_text(text)
        if self.expectations:
            (config / "expectations").mkdir(exist_ok=True)
            (config / "expectations" / "crm.yaml").write_text(self.expectations)
        text = self.policy_text.replace(*self.policy_change)
        policy = parse_policy(text.encode(), file="policy.yaml")
        names = [data_class.name for data_class in policy.classes]
        return Setting(
            policy=policy,
            datasets=load_datasets(names, config / "datasets.yaml"),
            connection=lambda name: Connection(password=self.keys[name]),
            open_storage=lambda vault: (
                second or self.second if vault.name == "second" else storage or self.storage
            ),
            s3_client=lambda _: self.s3,
            kms=lambda _: self.kms,
            state_folder=self.folder / "state",
            clock=self.clock,
            owner="tests",
            expectations=partial(load_expectations, config / "expectations"),
        )

    def _vaults(self) -> str:
        primary = f"primary: {{url: '{self.vault_url}'{self.home_options}}}"
        if self.second is None:
            return f"{{{primary}}}"
        second = f"second: {{url: '{self.second_url}'{self.second_options}}}"
        return "{" + ", ".join([second, primary] if self.moved else [primary, second]) + "}"

    def _replicas(self) -> str:
        if self.second is None:
            return ""
        return f"    replicas: [{'primary' if self.moved else 'second'}]\n"

    def write(self, **files: bytes | str) -> None:
        """Write files into the dataset; "__" in a name stands for "/"."""
        for name, content in files.items():
            path = self.data / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def content(self, folder: Path | None = None) -> dict[str, bytes]:
        """Every file below a folder, the dataset's own by default."""
        root = folder or self.data
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }

    def place(self) -> DatasetVault:
        """The dataset and its vault."""
        return DatasetVault.open(self.setting(), "crm")

    def restored(self, point: str = "", *, replica: str = "") -> dict[str, bytes]:
        """What a restore of a recovery point brings back."""
        self.restores += 1
        target = self.folder / f"restored-{self.restores}"
        order = Order(
            recovery_point=point, address=str(target), requested_by="tests", replica=replica
        )
        restore(self.setting(), "crm", Directory(target), order)
        return self.content(target)

    def rewinding(self) -> Callable[[], None]:
        """What puts vault, clock and the state of this machine back to how they are now."""
        vaults = [one for one in (self.memory, self.second) if isinstance(one, MemoryStorage)]
        names, now = [copy.deepcopy(vault._names) for vault in vaults], self.now
        state, kept = self.folder / "state", self.folder / "state-kept"
        if state.exists():
            shutil.copytree(state, kept)

        def rewind() -> None:
            for vault, own in zip(vaults, names, strict=True):
                vault._names = copy.deepcopy(own)
            self.now = now
            shutil.rmtree(state, ignore_errors=True)
            if kept.exists():
                shutil.copytree(kept, state)
            for restored in self.folder.glob("restored-*"):
                shutil.rmtree(restored)

        return rewind

    def dump(self, target: Path, storage: Storage | None = None) -> Path:
        """Write the vault to a directory, for stock restic."""
        storage = storage or self.memory
        for info in storage.list():
            path = target / info.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(storage.load(info.name))
        return target


class Crashing:
    """A storage whose process dies at the n-th change, before or after it is made.

    Args:
        at: which save or delete; 0 never crashes and only counts.
        after: whether the change is made.
        error: what happens then instead of a crash.
        beside: the same process, at work with another storage: it dies there as well.
        once: whether everything goes on as usual after it.
    """

    def __init__(
        self,
        storage: Storage,
        *,
        at: int = 0,
        after: bool = False,
        error: BaseException | None = None,
        once: bool = False,
        beside: Crashing | None = None,
    ) -> None:
        self._storage = storage
        self._at = at
        self._after = after
        self._error = error or Crash()
        self._once = once
        self._fate = beside._fate if beside else {"dead": False}
        self.changes: list[str] = beside.changes if beside else []

    @property
    def url(self) -> str:
        """See Storage."""
        return self._storage.url

    @property
    def restic_address(self) -> str:
        """See Storage."""
        return self._storage.restic_address

    @property
    def transport(self) -> str:
        """See Storage."""
        return self._storage.transport

    def save(self, name: str, data: Any, **options: Any) -> None:
        """See Storage."""
        self._change(f"save {name}", lambda: self._storage.save(name, data, **options))

    def extend_lock(self, names: Sequence[str], until: datetime) -> None:
        """See Storage."""
        self._change(f"lock {' '.join(names)}", lambda: self._storage.extend_lock(names, until))

    def hold(self, names: Sequence[str], *, on: bool) -> None:
        """See Storage."""
        self._change(f"hold {' '.join(names)}", lambda: self._storage.hold(names, on=on))

    def delete(self, names: Sequence[str], *, bypass_governance: bool = False) -> None:
        """See Storage."""
        bypass = {"bypass_governance": True} if bypass_governance else {}
        told = f"delete {' '.join(names)}"
        self._change(told, lambda: self._storage.delete(names, **bypass))

    def load(self, name: str, **options: Any) -> bytes:
        """See Storage."""
        self._live()
        return self._storage.load(name, **options)

    def stat(self, name: str) -> FileInfo:
        """See Storage."""
        self._live()
        return self._storage.stat(name)

    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """See Storage."""
        self._live()
        return self._storage.list(prefix)

    def folders(self, prefix: str = "") -> Any:
        """See Storage."""
        self._live()
        return self._storage.folders(prefix)

    def tampering(self, prefix: str = "") -> Iterator[Any]:
        """See Storage."""
        self._live()
        return self._storage.tampering(prefix)

    def undelete(self, names: Sequence[str]) -> Any:
        """See Storage."""
        left: list[Any] = []

        def change() -> None:
            left.extend(self._storage.undelete(names))

        self._change(f"undelete {' '.join(names)}", change)
        return left

    def _live(self) -> None:
        if self._fate["dead"]:
            raise self._error

    def _change(self, what: str, make: Callable[[], None]) -> None:
        self._live()
        self.changes.append(what)
        if len(self.changes) == self._at:
            if self._after:
                make()
            self._fate["dead"] = not self._once
            raise self._error
        make()


def kept(outcome: Outcome) -> bool:
    """Whether an outcome is a recovery point that keeps the policy."""
    return outcome.kind == "recovery-point" and outcome.sentence.startswith("KEPT")
