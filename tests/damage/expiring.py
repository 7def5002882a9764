"""Vaults out of which something has to go, and what lies in them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.two_people import TwoPeople
from include.backup.policy.model import Method
from tests.damage.site import Site

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)
LOCKED = "s3://memory/vault', connection: 'none', object_lock: 'compliance"
TWO = TwoPeople(reason="a lawsuit", requested_by="legal", approved_by="cto")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """One dataset of class critical: 30 days."""
    return Site(tmp_path)


def back_up_daily(site: Site, days: int, *, method: Method = Method.INCREMENTAL) -> None:
    """A recovery point a day, each with a file of its own; the first by a method."""
    for day in range(days):
        site.write(**{f"day{site.now:%Y%m%d}": f"of {site.now}"})
        own = method if day == 0 else Method.INCREMENTAL
        outcome = back_up(site.setting(), "crm", method=own)
        assert outcome.kind == "recovery-point", outcome.sentence
        site.wait(days=1)


def a_point_leaves(site: Site) -> None:
    """The two oldest of five points have expired; their generation stays."""
    back_up_daily(site, 5)
    site.wait(days=26)


def a_generation_dies(site: Site) -> None:
    """An old generation of three points has expired, a new one has three."""
    back_up_daily(site, 3)
    site.wait(days=40)
    back_up_daily(site, 3, method=Method.FULL)


SCENES = (a_point_leaves, a_generation_dies)


def snapshots(site: Site) -> set[str]:
    """The snapshots that lie in the vault."""
    return {
        info.name.rsplit("/", 1)[1] for info in site.memory.list() if "/snapshots/" in info.name
    }


def generations(site: Site) -> set[str]:
    """The generations of which anything lies in the vault, envelopes included."""
    names = [info.name.split("/") for info in site.memory.list("datasets/crm/")]
    return {parts[3] for parts in names if parts[2] in {"generations", "keys"}}
