"""What strangers follow in need: it is there before the first recovery point, and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions.back_up import back_up
from include.backup.actions.check import Reading, check
from include.backup.actions.kept_kits import store_kit
from include.backup.actions.replicate import replicate
from include.backup.actions.rescuing import strangers
from include.backup.actions.rotate_key import rotate_key
from include.backup.errors import AccessRefused, ConfigurationInvalid, FileLocked
from include.backup.policy.model import Method
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.keyring import Envelope, LocalKey
from include.backup.vault.offline import new_pair, open_offline
from include.backup.vault.rescue import keep_rescue_files, unwrap_script, unwrap_sha256
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.outcome import Outcome

BOTH = ["RECOVERY.txt", "unwrap.py"]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A dataset, and an empty vault."""
    made = Site(tmp_path)
    made.write(a="a")
    return made


def taken(site: Site, method: Method = Method.INCREMENTAL) -> Outcome:
    """A recovery point."""
    return back_up(site.setting(), "crm", method=method)


def at_root(storage: MemoryStorage) -> list[str]:
    """The files of a vault that lie in no folder."""
    return [info.name for info in storage.list() if "/" not in info.name]


def die_beside(site: Site, name: str, *, after: bool) -> None:
    """Let the first backup die before or after it saves a file at the root of the vault."""
    counting = Crashing(site.memory)
    rewind = site.rewinding()
    back_up(site.setting(counting), "crm", method=Method.FULL)
    at = counting.changes.index(f"save {name}") + 1
    rewind()
    with pytest.raises(Crash):
        back_up(site.setting(Crashing(site.memory, at=at, after=after)), "crm", method=Method.FULL)


def test_a_name_that_another_takes_meanwhile_is_not_the_one_in_the_text(site: Site) -> None:
    """Between the look and the save: RECOVERY.txt names the script that is ours."""

    def taken_by_another(_: dict[str, str]) -> None:
        site.memory.save("unwrap.py", b"a stranger's")

    keep_rescue_files(site.memory, url="s3://memory/vault", announce=taken_by_another)
    [ours] = [name for name in at_root(site.memory) if name.startswith("unwrap-")]
    assert ours in site.memory.load("RECOVERY.txt").decode()


@pytest.mark.parametrize("name", BOTH)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_beside_them_leaves_no_point_without_them(
    site: Site, name: str, *, after: bool
) -> None:
    """No recovery point is there before both are; the next run saves what is missing, once."""
    die_beside(site, name, after=after)
    assert site.place().state().points == ()
    site.wait(minutes=31)
    assert taken(site).ok
    assert at_root(site.memory) == BOTH


@pytest.mark.parametrize("name", BOTH)
def test_what_a_run_that_died_has_left_is_nobodys_attack(site: Site, name: str) -> None:
    """By whatever address the vault is reached: a record answers for it before it is there."""
    die_beside(site, name, after=True)
    vault = replace(site.setting().datasets.vaults["primary"], url="s3://elsewhere/vault")
    assert strangers(site.setting(), vault) == []


def test_the_record_names_their_digests(site: Site) -> None:
    """Signed, by vault: of the home in each recovery point, of a copy in its replication."""
    site.second = MemoryStorage(site.clock)
    assert taken(site).ok
    replicate(site.setting(), "crm", "second")
    assert at_root(site.second) == BOTH
    bodies: dict[str, Any] = {r.kind: r.body.get("rescue") for r in site.place().ledger.read()}
    for kind, url in (
        ("recovery-point", "s3://memory/vault"),
        ("replicated", "s3://second/vault"),
    ):
        assert bodies[kind]["vault"] == url
        assert bodies[kind]["files"]["unwrap.py"] == unwrap_sha256()


def test_a_vault_that_does_not_take_them_is_backed_up_to_all_the_same(site: Site) -> None:
    """An older policy of the bucket may not know of them: it is told, and no backup is lost."""

    class Refusing(Crashing):
        def save(self, name: str, data: Any, **options: Any) -> None:
            if name in BOTH:
                raise AccessRefused(f"{name} was refused")
            super().save(name, data, **options)

    outcome = back_up(site.setting(Refusing(site.memory)), "crm", method=Method.FULL)
    assert outcome.ok
    assert (
        "RECOVERY.txt and unwrap.py are not kept in s3://memory/vault: unwrap.py was refused"
        in (outcome.sentence)
    )
    assert site.restored() == site.content()


def test_a_script_that_somebody_left_is_named(site: Site) -> None:
    """By `check`, with the reason; and in the ledger nothing answers for it."""
    assert taken(site).ok
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []
    site.memory.save("unwrap-2.py", unwrap_script() + b"\nsteal(given)\n")
    outcome, damages = check(site.setting(), "crm", reading=Reading.ALL)
    assert [one[:33] for one in damages] == ["unwrap-2.py of s3://memory/vault "]
    assert "may give the master key away" in outcome.sentence
    assert outcome.sentence.startswith("BROKEN")
    assert not site.place().state().generations[0].damaged
    assert taken(site).ok


def test_what_another_release_has_saved_is_nobodys_attack(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record names it; this release adds its own, and neither is written again."""
    with monkeypatch.context() as patched:
        patched.setattr(
            "include.backup.vault.rescue.unwrap_script", lambda: unwrap_script() + b"# later\n"
        )
        assert taken(site).ok
    site.wait(days=1)
    for _ in range(2):
        assert taken(site).ok
    assert at_root(site.memory) == ["RECOVERY-2.txt", "RECOVERY.txt", "unwrap-2.py", "unwrap.py"]
    assert check(site.setting(), "crm", reading=Reading.ALL)[1] == []


def test_a_second_recipient_is_in_every_envelope_from_then_on(site: Site) -> None:
    """In those of new generations, of rotated ones, and in their copies; gone with the envelope."""
    private, public = new_pair()
    site.second = MemoryStorage(site.clock)
    assert taken(site).ok
    site.key = site.key.replace("}", f", offline_recipient: '{public.hex()}'}}")
    site.wait(days=1)
    assert taken(site, Method.FULL).ok
    assert [one.offline is not None for one in envelopes(site, site.memory)] == [False, True]
    old = LocalKey.of_text(site.keys["backup_master_key"])
    site.keys["backup_master_key"] = "bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmV3bmU="
    rotate_key(site.setting(), "crm", old)
    replicate(site.setting(), "crm", "second")
    assert envelopes(site, site.second) == envelopes(site, site.memory)
    new = LocalKey.of_text(site.keys["backup_master_key"])
    for one in envelopes(site, site.memory):
        assert one.offline is not None
        assert one.master_key_id == new.master_key_id
        where = f"crm/{one.generation}"
        secret = open_offline(one.offline, private, where)
        assert secret == new.unwrap(one.wrapped, None)  # type: ignore[arg-type]
    assert site.restored() == site.content()


def envelopes(site: Site, storage: MemoryStorage) -> list[Envelope]:
    """Those of the dataset, in order of their generations."""
    return [Envelope.parse(storage.load(info.name)) for info in storage.list("datasets/crm/keys/")]


def test_it_is_kept_once_under_its_digest(site: Site) -> None:
    """A rescue kit that is kept again is the same file; what is too large is refused."""
    site.home_options = ", object_lock: 'compliance'"
    names = {store_kit(site.setting(), b"the very kit") for _ in range(2)}
    assert names == {f"rescue-kits/{sha256(b'the very kit').hexdigest()}.tar"}
    assert [info.name for info in site.memory.list("rescue-kits/")] == list(names)
    with pytest.raises(FileLocked):
        site.memory.delete(list(names))
    with pytest.raises(ConfigurationInvalid, match="the limit is 512 MiB"):
        store_kit(site.setting(), bytes((512 << 20) + 1))
