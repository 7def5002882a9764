"""Erasure requests: registered, listed, withdrawn, and carried out again on what is restored.

    registered   the file, sealed → record `erasure` with its keyed digest
    re-applied   after a restore was compared, before it is handed over
    fulfilled    by the expiry that finds that no generation holds it any more: the file goes

What is to be erased may name people: it is in no log, record or error.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from include.backup.actions.acts import Act
from include.backup.actions.choosing import checked_pattern, matching
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.put_back import opened_files
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence import erasure_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.wording import count
from include.backup.format.times import text_of_datetime
from include.backup.policy.source_model import FilesystemSettings, S3Settings
from include.backup.sources.erasing import ToErase
from include.backup.vault.erasures import (
    ERASURES,
    LARGEST_BYTES,
    Erased,
    file_name,
    load_erased,
    new_file,
    still_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.put_back import OpenPoint
    from include.backup.actions.setting import Setting
    from include.backup.actions.two_people import TwoPeople
    from include.backup.sources.base import Destination, Server
    from include.backup.vault.erasures import Erasure
    from include.backup.vault.generations import Point
    from include.backup.vault.state import DatasetState

_REGISTER: Final = "erasure"
_WITHDRAW: Final = "withdraw"
_ORPHANED: Final = timedelta(days=1)  # a file without a record: who registered it has died


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasureOrder:
    """What somebody has the right to have erased, and who registers it. No names of people."""

    erased: Erased
    requested_by: str
    reason: str
    ticket: str = ""
    erased_at: datetime | None = None  # at the source; None: now


@dataclass(frozen=True, slots=True, kw_only=True)
class Reapplied:
    """A request that was carried out on what was restored."""

    id: str
    removed: int  # files, objects or rows


def register(setting: Setting, name: str, order: ErasureOrder) -> Outcome:
    """Register what is erased again from whatever is restored.

    Raises:
        ConfigurationInvalid: there is nothing to erase, or not in such a dataset.
        KeyUnusable, StorageError, RecordRefused.
    """
    place = DatasetVault.open_for_reading(setting, name)
    _require_fitting(place, order.erased)
    act = Act(place, _REGISTER)
    erased_at = order.erased_at or act.now()
    if erased_at > act.now():
        raise ConfigurationInvalid(
            "it was erased at the source in the future", hint="times are UTC"
        )

    def told(error: BaseException) -> str:
        return sentences.not_registered(place.subject, reason=reason_of(error), hint=hint_of(error))

    with act.ending(told):
        state = act.begin()
        provider = place.provider()
        data, digest = new_file(order.erased, provider, dataset=name, act=act.id)
        place.home.save(file_name(act.id, provider.master_key_id), data)
        body = {
            "erased_at": text_of_datetime(erased_at),
            "digest": digest,
            "requested_by": order.requested_by,
            "reason": order.reason,
            "ticket": order.ticket,
            "patterns": len(order.erased.paths),
        }
        held = [one for one in state.points if one.taken_at <= erased_at]
        sentence = sentences.registered(
            place.subject,
            request=act.id,
            points=len(held),
            until=max((one.expires_at for one in held), default=None),
            by=order.requested_by,
        )
        what = f"erasure {act.id} registered"
        return act.end(
            Kind.ERASURE, body, say=lambda _: sentence, what=what, details={"erasure": act.id}
        )


def withdraw(setting: Setting, name: str, request: str, order: TwoPeople) -> Outcome:
    """Take a request back: it was registered in error.

    Raises:
        ConfigurationInvalid: nobody approved it, or there is none of that id.
        StorageError, RecordRefused.
    """
    order.require()
    place = DatasetVault.open_for_reading(setting, name, expiring=True)
    found = named(place.state(), request)
    act = Act(place, _WITHDRAW)

    def told(error: BaseException) -> str:
        return sentences.not_registered(place.subject, reason=reason_of(error), hint=hint_of(error))

    with act.ending(told):
        act.begin()
        sentence = sentences.withdrawn(
            place.subject, request=found.id, reason=order.reason, by=order.approved_by
        )
        body = order.to_json() | {"erasure": found.id}
        what = f"erasure {found.id} withdrawn"
        return act.end(Kind.WITHDRAWN, body, say=lambda _: sentence, what=what, details=dict(body))


def named(state: DatasetState, request: str) -> Erasure:
    """The request whose id begins so.

    Raises:
        ConfigurationInvalid: there is none, or more than one.
    """
    found = [one for one in state.erasures if one.id.startswith(request)]
    if len(found) != 1:
        raise ConfigurationInvalid(
            f"{len(found) or 'no'} erasures begin with {request[:40]!r}",
            hint="`erasures` lists them",
        )
    return found[0]


def content_of(setting: Setting, name: str, request: str) -> Erased:
    """What a request is about, for who carries it out by hand.

    Raises:
        ConfigurationInvalid, DamageFound, KeyUnusable, StorageError.
    """
    place = DatasetVault.open_for_reading(setting, name)
    found = named(place.state(), request)
    return load_erased(place.home, place.provider(), found, dataset=name)


def reapply(
    act: Act, opened: OpenPoint, destination: Destination | Server, point: Point
) -> list[Reapplied]:
    """Erase again from what was restored; nothing is handed over if that cannot be done.

    Raises:
        DamageFound: a request cannot be read.
        RestoreRefused: the destination did not let something be erased.
        KeyUnusable, StorageError.
    """
    place = act.place
    wanted = [one for one in place.state().erasures if one.concerns(point)]
    if not wanted:
        return []
    provider = place.provider()
    requests = []
    for one in wanted:
        erased = load_erased(place.home, provider, one, dataset=place.dataset.name)
        requests.append(_to_erase(one.id, erased))
    with opened_files(opened) as files:
        removed = destination.erase(files, requests)
    return [
        Reapplied(id=one.id, removed=number) for one, number in zip(wanted, removed, strict=True)
    ]


def fulfilled(place: DatasetVault, state: DatasetState) -> list[str]:
    """The requests of which no generation, here or in a replica, holds anything any more."""
    vaults = place.setting.datasets.vaults
    named = {vaults[name].url for name in place.dataset.replicas}
    lagging = any(
        one.left or (state.retained_at is not None and one.at <= state.retained_at)
        for one in state.replicas
        if one.url in named
    )
    if lagging:
        return []
    return [one.id for one in state.erasures if not still_in(state, one)]


def sweep(place: DatasetVault, now: datetime) -> None:
    """Remove files of requests that no record names.

    Raises:
        AccessRefused, StorageUnreachable.
    """
    known = {one.id for one in place.state().erasures}
    orphans = [
        info.name
        for info in place.folder.list(ERASURES)
        if info.name.removeprefix(ERASURES).partition("/")[0] not in known
        and now - info.modified_at > _ORPHANED
    ]
    if orphans:
        place.folder.delete(orphans)


def _require_fitting(place: DatasetVault, erased: Erased) -> None:
    if bool(erased.paths) == bool(erased.statements):
        raise ConfigurationInvalid("an erasure has either paths or statements, and not nothing")
    if len(erased.statements) + sum(map(len, erased.paths)) > LARGEST_BYTES:
        raise ConfigurationInvalid(f"an erasure has at most {LARGEST_BYTES:,} bytes")
    for pattern in erased.paths:
        if not checked_pattern(pattern):
            raise ConfigurationInvalid("a pattern of an erasure matches the whole dataset")
    source = place.dataset.source
    if source is None:
        return
    files = isinstance(source, FilesystemSettings | S3Settings)
    if files != bool(erased.paths):
        kind = "files" if files else "a database"
        raise ConfigurationInvalid(
            f"{place.dataset.name} is {kind}",
            hint="--paths FILE" if files else "--statements FILE",
        )


def _to_erase(request: str, erased: Erased) -> ToErase:
    return ToErase(
        id=request,
        matches=_matching_any(erased.paths) if erased.paths else None,
        statements=erased.statements,
        database=erased.database,
    )


def _matching_any(patterns: Sequence[str]) -> Callable[[bytes], bool]:
    each = [matching(pattern) for pattern in patterns]
    return lambda path: any(one(path) for one in each)


def told_of(done: Sequence[Reapplied]) -> str:
    """For the sentence of a restore."""
    if not done:
        return ""
    total = sum(one.removed for one in done)
    return f"{count(len(done), 'erasure')} carried out again: {total:,} removed"
