"""Crypto-erasure of what is locked: envelopes in governance, all else in compliance (3.2, 3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from include.backup.actions.erase import erase
from include.backup.actions.expire import expire
from include.backup.actions.hold import add_hold
from include.backup.actions.outcome import sentence_of
from include.backup.actions.replicas import findings_of
from include.backup.actions.replicate import replicate
from include.backup.errors import BackupError, ConfigurationInvalid, FileLocked
from include.backup.policy.model import Method
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.generations import GenerationState
from include.backup.vault.layout import is_envelope
from tests.damage.expiring import TWO, back_up_daily
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

LOCKED = ", object_lock: 'compliance', envelope_lock: 'governance'"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Two vaults that lock, with envelopes that may be erased; two generations, both copied."""
    site = Site(tmp_path)
    site.memory = site.storage = MemoryStorage(site.clock, governed=is_envelope)
    site.second = MemoryStorage(site.clock, governed=is_envelope)
    site.vault_url = "s3://memory/vault', connection: 'none"
    site.home_options = site.second_options = LOCKED
    site.write(a="a", b="b")
    back_up_daily(site, 2)
    back_up_daily(site, 2, method=Method.FULL)
    replicate(site.setting(), "crm", "second")
    return site


def envelopes(storage: MemoryStorage, generation: str) -> list[str]:
    """The envelopes of a generation that are there."""
    return [info.name for info in storage.list(f"datasets/crm/keys/{generation}/")]


def packs(storage: MemoryStorage, generation: str) -> list[str]:
    """Its packs."""
    return [info.name for info in storage.list(f"datasets/crm/generations/{generation}/data/")]


def test_the_key_goes_at_once_and_the_rest_when_its_locks_end(site: Site) -> None:
    """In every copy; no recovery point of it counts any more, and the others stay."""
    old, new = (one.id for one in site.place().state().generations)
    with pytest.raises(ConfigurationInvalid, match="is locked until") as refused:
        erase(site.setting(), "crm", TWO, generation=old)
    assert "--bypass-governance" in str(refused.value)
    outcome = erase(site.setting(), "crm", TWO, generation=old, bypass_governance=True)
    assert "no key opens what a lock keeps" in outcome.sentence
    assert envelopes(site.memory, old) == []
    assert packs(site.memory, old)
    assert envelopes(site.memory, new)
    assert {point.generation for point in site.place().state().points} == {new}
    assert envelopes(site.second, old)
    replicate(site.setting(), "crm", "second")
    assert envelopes(site.second, old) == []
    assert packs(site.second, old)
    assert site.restored() == site.restored(replica="second") == site.content()
    site.wait(days=70)
    back_up_daily(site, 3, method=Method.FULL)
    expire(site.setting(), "crm")
    replicate(site.setting(), "crm", "second")
    assert not packs(site.memory, old)
    assert not packs(site.second, old)
    state = site.place().state()
    assert next(one for one in state.generations if one.id == old).state is GenerationState.EXPIRED
    site.place().ledger.verify()


def test_what_a_hold_keeps_no_right_erases(site: Site) -> None:
    """A hold is stronger than a right to bypass."""
    old = site.place().state().generations[0].id
    add_hold(site.setting(), "crm", TWO)
    with pytest.raises(BackupError, match="on hold"):
        erase(site.setting(), "crm", TWO, generation=old, bypass_governance=True)
    assert envelopes(site.memory, old)


def test_an_envelope_in_compliance_is_named_and_stays(site: Site) -> None:
    """It was saved before the vault had envelope_lock: the lock is told, and no success."""
    old = site.place().state().generations[0].id
    site.memory._governed = None
    with pytest.raises(FileLocked, match=r"keys/.*is locked until") as refused:
        erase(site.setting(), "crm", TWO, generation=old, bypass_governance=True)
    assert "not all that was to be erased is" in sentence_of(refused.value, "")
    assert envelopes(site.memory, old)


def test_in_compliance_alone_nothing_is_bypassed(site: Site) -> None:
    """The option gives no right that the vault has not."""
    site.home_options = ", object_lock: 'compliance'"
    old = site.place().state().generations[0].id
    with pytest.raises(ConfigurationInvalid, match="is locked until") as refused:
        erase(site.setting(), "crm", TWO, generation=old, bypass_governance=True)
    assert "in compliance" in str(refused.value)
    assert envelopes(site.memory, old)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(12))
def test_an_erasure_that_dies_is_gone_on_with(site: Site, at: int, *, after: bool) -> None:
    """Whatever is left, the next one ends it; nothing else is touched."""
    old, new = (one.id for one in site.place().state().generations)
    dying = Crashing(site.memory, at=at, after=after)
    try:
        erase(site.setting(dying), "crm", TWO, generation=old, bypass_governance=True)
    except Crash:
        site.wait(minutes=31)
        erase(site.setting(), "crm", TWO, generation=old, bypass_governance=True)
    assert envelopes(site.memory, old) == []
    assert envelopes(site.memory, new)
    assert site.restored() == site.content()
    site.place().ledger.verify()


def test_the_right_to_erase_is_a_finding(site: Site) -> None:
    """That role can destroy backups; it stands where findings are read."""
    told = list(findings_of(site.setting(), site.now))
    assert sum("who may bypass governance" in one for one in told) == len(("primary", "second"))
