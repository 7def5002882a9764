"""Asking for restores: each is planned to the last detail and recorded, and nothing is touched.

choose the point → look at the destination → what would be replaced → how long
→ record requested, or refused
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from include.backup.actions.acts import Act
from include.backup.actions.choosing import PATTERNS, Order, find_point, matching
from include.backup.actions.dataset_vault import DatasetVault
from include.backup.actions.open_acts import RESTORE
from include.backup.actions.open_destination import open_destination
from include.backup.actions.open_server import PREFIX
from include.backup.actions.outcome import hint_of, reason_of
from include.backup.actions.put_back import open_point, opened_files
from include.backup.actions.request import Request, request_id
from include.backup.actions.tested import forecast_of
from include.backup.errors import BackupError, ConfigurationInvalid
from include.backup.evidence import rescue_sentences as sentences
from include.backup.evidence.kinds import Kind
from include.backup.evidence.sentences import Subject, with_evidence
from include.backup.format.times import text_of_datetime
from include.backup.format.tree import NodeType

if TYPE_CHECKING:
    from datetime import datetime

    from include.backup.actions.open_destination import Place
    from include.backup.actions.request import Form
    from include.backup.actions.setting import Setting
    from include.backup.errors import DatasetInvalid
    from include.backup.sources.base import StoredFiles


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Who asks, when, and from where."""

    user: str  # empty: nobody knows
    at: datetime
    run: str  # what the request comes from, as in airflow/holdfast_restore/<run id>


@dataclass(slots=True, kw_only=True)
class Requested:
    """What came of asking."""

    requests: list[Request] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)  # of the requests
    refused: list[str] = field(default_factory=list)  # the sentences of the others


def request_restores(setting: Setting, form: Form, asker: Asker) -> Requested:
    """Plan and record what somebody wants restored; what cannot be is refused, each for itself.

    Raises:
        ConfigurationInvalid: there is no such dataset or class, or no place for several.
    """
    names = names_of(setting, form)
    places = {name: form.place(name, several=len(names) > 1) for name in names}
    if twice := [one for one, number in Counter(p.address for p in places.values()).items()
                 if number > 1 and not one.startswith(PREFIX)]:  # fmt: skip
        raise ConfigurationInvalid(f"several datasets cannot all be restored to {twice[0]}")
    found = Requested()
    for name, place in places.items():
        _request(setting, form, asker, name, place, found)
    for name, error in _bad(setting, form).items():
        subject = Subject(data_class=form.data_class, dataset=name)
        found.refused.append(
            sentences.restore_refused(
                subject,
                destination=form.destination,
                reason=error.message,
                by=asker.user or "somebody unknown",
                hint=error.hint,
            )
        )
    return found


def _bad(setting: Setting, form: Form) -> dict[str, DatasetInvalid]:
    """Entries that cannot be used, of a class that is wanted whole; or of one nobody can read."""
    return {
        name: error
        for name, error in setting.datasets.bad.items()
        if form.data_class and error.data_class in {"", form.data_class}
    }


def names_of(setting: Setting, form: Form) -> list[str]:
    """The datasets that are asked for, those left out that have no valid entry.

    Raises:
        ConfigurationInvalid: there is no such dataset or class.
    """
    if form.datasets:
        for name in form.datasets:
            DatasetVault.open_for_reading(setting, name)  # raises if there is none
        return list(form.datasets)
    setting.policy.data_class(form.data_class)  # raises if there is none
    datasets = setting.datasets.good.values()
    names = sorted(
        one.name for one in datasets if one.data_class == form.data_class and one.retired is None
    )
    if not names and not _bad(setting, form):
        raise ConfigurationInvalid(f"no dataset has the class {form.data_class}")
    return names


def _request(
    setting: Setting, form: Form, asker: Asker, name: str, place: Place, found: Requested
) -> None:
    vault = DatasetVault.open_for_reading(setting, name)
    order = Order(
        replica=form.replica,
        at=form.at,
        recovery_point=form.recovery_point,
        path=form.path,
        address=place.address,
        requested_by=asker.user,
        reason=form.reason,
        ticket=form.ticket,
        requested_at=asker.at,
        incident_began=form.incident_began,
        request=request_id(asker.run, name),
    )
    act = Act(vault, RESTORE, id=order.request, about=order.evidence())
    try:
        act.place = _read_from(vault, form)
        request = _planned(act, form, order, place)
        told = sentences.restore_requested(
            act.place.subject,
            sentences.Asked(
                taken_at=request.taken_at,
                destination=order.address,
                size_bytes=request.size_bytes,
                forecast=request.forecast,
                due_at=request.due_at,
                by=asker.user or "somebody unknown",
                reason=form.reason,
            ),
        )
        body = {
            **order.evidence(),
            "snapshot": request.snapshot,
            "taken_at": text_of_datetime(request.taken_at),
            "limit_seconds": round(request.limit.total_seconds()),
            "asked": request.to_json(),
            "digest": request.digest(),
        }
        record = act.record(Kind.REQUESTED, body, say=lambda _: told)
    except BackupError as error:
        found.refused.append(_refused(act, order, error))
    else:
        found.requests.append(replace(request, sequence=record.sequence))
        found.sentences.append(with_evidence(record.sentence, record))


def _read_from(home: DatasetVault, form: Form) -> DatasetVault:
    """The home, or the copy that is wanted; what is asked for is recorded at home all the same.

    Raises:
        ConfigurationInvalid: there is no such vault, or it holds no copy.
    """
    return home if form.replica in {"", home.vault.name} else home.as_replica(form.replica)


def _planned(act: Act, form: Form, order: Order, place: Place) -> Request:
    """What would be done: the very recovery point, what stands in its way, how long it takes.

    Raises:
        ConfigurationInvalid, RestoreRefused: it cannot be done.
        DamageFound, KeyUnusable, StorageError: the recovery point cannot be read.
    """
    vault = act.place
    state = vault.state()
    point = find_point(state, order, now=act.now())
    destination = open_destination(vault.setting, vault.dataset.name, place)
    opened = open_point(act, point)
    size_bytes = opened.size_bytes
    with opened_files(opened) as files:
        if form.path:
            size_bytes = _wanted_bytes(files, form.path, point.snapshot)
        replaces = destination.standing(files)
    measured = state.verification.restores if state.verification else ()
    asked_at = order.requested_at
    assert asked_at is not None
    return Request(
        id=order.request,
        dataset=vault.dataset.name,
        data_class=vault.data_class.name,
        snapshot=point.snapshot,
        taken_at=point.taken_at,
        size_bytes=size_bytes,
        forecast=forecast_of(measured, size_bytes=size_bytes),
        limit=vault.data_class.rto,
        place=place,
        replaces=tuple(replaces),
        compare=form.compare,
        requested_by=order.requested_by,
        requested_at=asked_at,
        reason=form.reason,
        ticket=form.ticket,
        incident_began=form.incident_began,
        replica=form.replica,
    )


def _wanted_bytes(files: StoredFiles, pattern: str, snapshot: str) -> int:
    """How large what a pattern fits is.

    Raises:
        ConfigurationInvalid: it fits nothing.
        DamageFound, StorageError.
    """
    wanted, total, fits_any = matching(pattern), 0, False
    waiting = [b""]
    while waiting:
        folder = waiting.pop()
        for node in files.list(folder):
            path = folder + b"/" + node.name if folder else node.name
            if node.type == NodeType.DIR:
                waiting.append(path)
            if wanted(path):
                fits_any = True
                total += node.size
    if not fits_any:
        raise ConfigurationInvalid(
            f"nothing in recovery point {snapshot[:8]} matches {pattern!r}", hint=PATTERNS
        )
    return total


def _refused(act: Act, order: Order, error: BackupError) -> str:
    """Record that it cannot be done; the sentence."""
    told = sentences.restore_refused(
        act.place.subject,
        destination=order.address,
        reason=reason_of(error),
        by=order.requested_by or "somebody unknown",
        hint=hint_of(error),
    )
    return act.refuse(reason_of(error), sentence=told).sentence
