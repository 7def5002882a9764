"""A second vault that holds a copy, and what becomes of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.expire import expire
from include.backup.actions.replicate import replicate
from include.backup.errors import AccessRefused, StorageUnreachable
from include.backup.policy.model import Method
from include.backup.storage.memory import MemoryStorage
from tests.damage.expiring import back_up_daily
from tests.damage.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from include.backup.actions.setting import Setting

SECOND = "s3://second/vault"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One dataset with a vault, and a second one that holds a replica."""
    made = Site(tmp_path)
    made.second = MemoryStorage(made.clock)
    return made


def files(storage: MemoryStorage) -> dict[str, bytes]:
    """What a vault holds of the dataset, but for who works on it."""
    names = [info.name for info in storage.list("datasets/crm/")]
    passing = ("/leases/", "/locks/", "/replica.json")
    return {name: storage.load(name) for name in names if not any(one in name for one in passing)}


class Lost:
    """A vault that nobody reaches any more."""

    url = "s3://memory/vault"
    restic_address = "s3:memory/vault"
    transport = "sent over nothing"

    def __getattr__(self, name: str) -> Callable[..., object]:
        def lost(*_: object, **__: object) -> object:
            raise StorageUnreachable("no answer")

        return lost


class WriteOnly:
    """A vault as who writes may use it: nothing is deleted but leases and locks."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def delete(self, names: Sequence[str], *, bypass_governance: bool = False) -> None:
        """See Storage."""
        if any("/leases/" not in name and "/locks/" not in name for name in names):
            raise AccessRefused(f"{names[0]}: no right")
        self._storage.delete(names, bypass_governance=bypass_governance)


def with_roles(site: Site) -> Callable[[], Setting]:
    """The second vault with a connection that writes, and one that may delete."""
    site.second_url = f"{SECOND}', connection: 'writer', expirer: 'expirer"
    roles = {"writer": WriteOnly(site.second), "expirer": site.second, "none": site.memory}
    return lambda: replace(site.setting(), open_storage=lambda vault: roles[vault.connection])


def spoil(site: Site, part: str) -> str:
    """Change one file of the copy, as no writer would."""
    name = next(info.name for info in site.second.list() if part in info.name)
    site.second.damage(name, b"wrong")
    return name


def a_generation_has_died(site: Site) -> None:
    """The second vault has a generation that is gone since, and lacks its successor."""
    back_up_daily(site, 3)
    replicate(site.setting(), "crm", "second")
    site.wait(days=40)
    back_up_daily(site, 3, method=Method.FULL)
    expire(site.setting(), "crm")
