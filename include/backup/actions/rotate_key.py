"""Another master key for all that is stored of a dataset. No data moves (design: envelopes).

    for each generation:   old envelope opened → new one saved beside it, loaded again and opened
                           → rekeyed → old envelope removed
    rotated

A crash anywhere leaves each generation with one envelope at least that opens; the next run goes on.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from include.backup.actions.acts import Act
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.generation import locked_until
from include.backup.actions.open_acts import EXPIRE, ROTATE
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.errors import BackupError, DamageFound, FileLocked, KeyUnusable, NameTaken
from include.backup.evidence import key_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.vault import bodies
from include.backup.vault.erasures import ERASURES, file_name, load_erased, reseal
from include.backup.vault.generations import GenerationState
from include.backup.vault.keyring import Envelope, KeyContext, envelope_of, load_secret
from include.backup.vault.layout import envelope_folder, envelope_name
from include.backup.vault.leases import Lease

if TYPE_CHECKING:
    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting
    from include.backup.vault.generations import Generation
    from include.backup.vault.keyring import KeyProvider, RepositorySecret

log = logging.getLogger(__name__)

_MOST_ROUNDS: Final = 3  # over generations that others open meanwhile


def rotate_key(setting: Setting, name: str, old: KeyProvider) -> Outcome:
    """Let every generation of a dataset open with the configured master key, and with no other.

    Args:
        old: the provider of the master key that generations open with now.

    Raises:
        KeyUnusable: a generation opens with neither of the two.
        StorageError, DamageFound, AlreadyRunning: not all is done; what is done stays.
    """
    place = DatasetVault.open_for_reading(setting, name, expiring=True)
    act = Act(place, ROTATE)
    new = place.provider()

    def failed(error: BaseException) -> str:
        return sentences.not_rotated(
            place.subject, key=new.master_key_id, reason=reason_of(error), hint=hint_of(error)
        )

    # The lease of expiry: nothing is removed while its envelope is made.
    with (
        act.ending(failed),
        Lease.acquire(place.folder, EXPIRE, owner=act.owner, now=act.now()) as lease,
    ):
        act.begin(held=EXPIRE)
        rewrapped = _rewrap_all(act, lease, old, new)
        left = [
            told
            for generation in _living(act)
            for told in _remove_old(act, lease, generation.id, old, new)
        ]
        left += _reseal_erasures(act, lease, old, new)
        replicas = [one.vault for one in act.place.state().replicas]
        told = sentences.rotated(
            place.subject, key=new.master_key_id, rewrapped=rewrapped, left=left, replicas=replicas
        )
        body: dict[str, object] = {
            "key": new.master_key_id,
            "generations": rewrapped,
            "left": left,
        }
        what = f"opens with master key {new.master_key_id}"
        return act.end(Kind.ROTATED, body, say=lambda _: told, what=what, details=body)


def _rewrap_all(act: Act, lease: Lease, old: KeyProvider, new: KeyProvider) -> list[str]:
    """Wrap anew what does not open with the new key; one that cannot be does not stop the others.

    Raises:
        KeyUnusable, DamageFound: the first that could not be; also when others keep opening
            generations with another key.
    """
    done: list[str] = []
    failures: dict[str, BackupError] = {}
    for _ in range(_MOST_ROUNDS):
        waiting = [
            one
            for one in _living(act)
            if one.key != new.master_key_id and one.id not in failures and _has_envelopes(act, one)
        ]
        for generation in waiting:
            lease.check()
            try:
                _rewrap(act, generation, old, new)
            except (KeyUnusable, DamageFound) as error:
                failures[generation.id] = error
            else:
                done.append(generation.id)
        if not waiting:
            break
    else:
        raise KeyUnusable(
            "runs with another master key keep opening generations",
            hint="configure the new key everywhere first",
        )
    if failures:
        raise next(iter(failures.values()))
    return done


def _reseal_erasures(act: Act, lease: Lease, old: KeyProvider, new: KeyProvider) -> list[str]:
    """Seal requests for erasure with the new key; return what opens with the old one all the same.

    Raises:
        KeyUnusable, DamageFound: one opens with neither, or is not what the ledger names.
    """
    folder, dataset = act.place.folder, act.place.dataset.name
    left = []
    for one in act.place.state().erasures:
        lease.check()
        name = file_name(one.id, new.master_key_id)
        there = {info.name for info in folder.list(f"{ERASURES}{one.id}/")}
        if name not in there:
            folder.save(name, reseal(folder, old, new, one, dataset=dataset))
        load_erased(folder, new, one, dataset=dataset)
        try:
            folder.delete(sorted(there - {name}))
        except FileLocked as error:
            left.append(f"erasure {one.id}: {error.message}")
    return left


def _living(act: Act) -> list[Generation]:
    """The generations that have files."""
    state = act.place.state()
    return [one for one in state.generations if one.state is not GenerationState.EXPIRED]


def _rewrap(act: Act, generation: Generation, old: KeyProvider, new: KeyProvider) -> None:
    place = act.place
    context = KeyContext(dataset=place.dataset.name, generation=generation.id)
    secret = load_secret(place.folder, old, context, envelope_sha256=generation.envelope_sha256)
    offline = place.setting.datasets.key.offline
    envelope = envelope_of(secret, new, context, now=act.now(), offline=offline)
    with suppress(NameTaken):  # an earlier run had saved its own: that one counts
        until = locked_until(place, generation, act.now())
        place.folder.save(envelope.name, envelope.to_bytes(), locked_until=until)
    saved = Envelope.parse(place.folder.load(envelope.name))
    _require_same(load_secret(place.folder, new, context), secret, generation)
    act.record(
        Kind.REKEYED,
        bodies.rekeyed(
            generation=generation.id, key=new.master_key_id, envelope_sha256=saved.sha256
        ),
    )


def _require_same(
    found: RepositorySecret, secret: RepositorySecret, generation: Generation
) -> None:
    if found.secret != secret.secret:
        raise DamageFound(
            f"the new envelope of {generation.id} holds another password than the old one",
            hint="remove it by hand: the old one still opens this generation",
        )


def _has_envelopes(act: Act, generation: Generation) -> bool:
    return any(True for _ in act.place.folder.list(envelope_folder(generation.id)))


def _remove_old(
    act: Act, lease: Lease, generation: str, old: KeyProvider, new: KeyProvider
) -> list[str]:
    """Remove the envelope of the old key, if by the ledger the new one opens; return what is left.

    Nothing but the ledger of this moment says which envelope is the old one: another rotation may
    have gone the other way, or a run with the old key have opened a generation.
    """
    folder = act.place.folder
    context = KeyContext(dataset=act.place.dataset.name, generation=generation)
    name = envelope_name(generation, old.master_key_id)
    if name not in {info.name for info in folder.list(envelope_folder(generation))}:
        return []
    lease.check()
    found = act.place.state().generation(generation)
    if found is None or found.key != new.master_key_id or old.master_key_id == found.key:
        return [f"{generation}: opened with the old key meanwhile"]
    load_secret(folder, new, context, envelope_sha256=found.envelope_sha256)
    try:
        folder.delete([name])
    except FileLocked as error:
        return [f"{generation}: {error.message}"]
    return []
