"""The entries of datasets.yaml and datasets.d as they are read: each stands or falls alone.

A name that is written twice is good nowhere, paths that lie inside one another are given to one of
them, and whatever is wrong is kept under the name, with its file, line, path and a hint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from yaml.nodes import MappingNode

from include.backup.errors import DatasetInvalid
from include.backup.policy.dataset_fields import ENTRY, RESERVED, Entries
from include.backup.policy.dataset_model import (
    Dataset,
    Retired,
    VaultSettings,
)
from include.backup.policy.document import (
    Problem,
    Problems,
    as_error,
    did_you_mean,
    line_of,
    quoted,
)
from include.backup.policy.overlap import Overlap, entangled, nested
from include.backup.policy.source_fields import READING, make_settings
from include.backup.policy.suspicion import TOLERANCE
from include.backup.policy.vault_fields import NAME, NAME_HINT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from yaml.nodes import Node

    from include.backup.policy.source_model import SourceSettings

_TURNED: Final = {"is the same as": "is the same as", "lies inside": "holds"}


class _Place:
    """One entry in a file, and what is wrong with it."""

    def __init__(self, name: str, node: Node, problems: Problems) -> None:
        self.path = f"datasets.{name if name.isprintable() else quoted(name)}"
        self.node = node
        self.problems = problems

    def add(self, key: str, message: str, hint: str) -> None:
        """Note what is wrong with a key of the entry, or with all of it."""
        self.problems.add(self.node, f"{self.path}.{key}" if key else self.path, message, hint)


@dataclass(slots=True)
class Listing:
    """The entries read so far.

    A name that is written twice is good nowhere: which of the two is meant nobody can say, and to
    back up the wrong one under that name would mix the data of two datasets in one vault.
    """

    classes: Collection[str]
    vaults: Mapping[str, VaultSettings]
    established: Callable[[], Collection[str]]
    good: dict[str, Dataset] = field(default_factory=dict)
    bad: dict[str, DatasetInvalid] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)  # name -> file and line
    class_of: dict[str, str] = field(default_factory=dict)  # also of entries that are wrong

    def add_all(self, entries: Entries, defaults: Mapping[str, Any], problems: Problems) -> None:
        """Read the entries of one file."""
        for name, (key_node, value_node) in entries.pairs.items():
            place = _Place(name, key_node, problems.beside())
            if name in self.seen:
                again = f"is written again in {problems.file}; first in {self.seen[name]}"
                place.add("", again, "one name, one entry: rename one of the two")
            if name in entries.repeated:
                line = line_of(entries.repeated[name])
                place.add("", f"is written twice, again in line {line}", "rename one of the two")
            self.seen.setdefault(name, f"{problems.file} line {line_of(key_node)}")
            _check_name(name, place)
            dataset = self._read(name, place, value_node, defaults)
            if dataset is None or place.problems.found:
                self.refuse(name, place.problems.found)
            else:
                self.good[name] = dataset

    def refuse(self, name: str, found: list[Problem]) -> None:
        """List a name as bad; the first reason stays when there are several."""
        self.good.pop(name, None)
        error = self.bad.setdefault(name, as_error(DatasetInvalid, found))
        error.data_class = self.class_of.get(name, "")

    def _read(
        self, name: str, place: _Place, value_node: Node, defaults: Mapping[str, Any]
    ) -> Dataset | None:
        self._note_class(name, _class_named(value_node) or defaults["class"])
        values = ENTRY.read(value_node, place.path, place.problems)
        if values is None:
            return None
        source = self._source(values, defaults, place)
        values["vault"] = first_of(values["vault"], defaults["vault"], next(iter(self.vaults)))
        # What is written for all may name the vault of one: it needs no copy of itself.
        usual = tuple(one for one in defaults["replicas"] or () if one != values["vault"])
        values["replicas"] = first_of(values["replicas"], usual)
        share = first_of(values["shrink_tolerance"], defaults["shrink_tolerance"], TOLERANCE)
        values["shrink_tolerance"] = share
        for key in ("class", "owner"):
            values[key] = first_of(values[key], defaults[key])
            if values[key] is None:
                place.add(key, "is missing", ENTRY.fields[key].meaning)
        data_class, retired = values.pop("class"), values.pop("retired")
        self._check(data_class, values["vault"], values["insecure_reason"], place)
        self._check_replicas(values["vault"], values["replicas"], values["insecure_reason"], place)
        if place.problems.found:
            return None
        return Dataset(
            name=name,
            data_class=data_class,
            source=source,
            retired=Retired(**retired) if retired else None,
            file=place.problems.file,
            line=line_of(place.node),
            **values,
        )

    def _note_class(self, name: str, data_class: str | None) -> None:
        """Remember whose a dataset is, unless two entries of one name disagree."""
        if data_class not in self.classes:
            data_class = ""
        known = self.class_of.setdefault(name, data_class or "")
        if known != data_class:
            self.class_of[name] = ""

    @staticmethod
    def _source(
        values: dict[str, Any], defaults: Mapping[str, Any], place: _Place
    ) -> SourceSettings | None:
        """Take out of an entry what belongs to its source, with defaults for what is left out."""
        source: dict[str, Any] = values.pop("source")
        kind = source.pop("type")
        for key in READING:
            beside = values.pop(key)
            if beside is None:
                continue
            if key not in source:
                place.add(key, f"has no meaning for a {kind} source", "leave it out")
            elif source[key] is not None:
                place.add(key, "stands here and in the source", "keep one of the two")
            source[key] = first_of(source.get(key), beside)
        for key in source.keys() & defaults.keys():
            source[key] = first_of(source[key], defaults[key])
        return None if place.problems.found else make_settings(kind, source)

    def _check(self, data_class: str | None, vault: str, reason: str, place: _Place) -> None:
        if data_class is not None and data_class not in self.classes:
            message = f"{quoted(data_class)} is no class of the policy"
            place.add("class", message, did_you_mean(data_class, self.classes))
        if vault not in self.vaults:
            place.add("vault", f"{quoted(vault)} is no vault", did_you_mean(vault, self.vaults))
        elif self._insecure(vault, reason):
            message = f"{vault} would receive it over plain http"
            place.add("vault", message, "use https, or state an insecure_reason")

    def _check_replicas(
        self, home: str, replicas: Sequence[str], reason: str, place: _Place
    ) -> None:
        for vault in replicas:
            if vault not in self.vaults:
                hint = did_you_mean(vault, self.vaults)
                place.add("replicas", f"{quoted(vault)} is no vault", hint)
            elif vault == home:
                place.add("replicas", f"{vault} is its vault", "name another one: a copy is a copy")
            elif replicas.count(vault) > 1:
                place.add("replicas", f"{vault} is written twice", "remove one of the two")
            elif self._insecure(vault, reason):
                message = f"{vault} would receive it over plain http"
                place.add("replicas", message, "use https, or state an insecure_reason")

    def _insecure(self, vault: str, reason: str) -> bool:
        settings = self.vaults[vault]
        return settings.insecure and not settings.insecure_reason and not reason

    def refuse_overlaps(self) -> None:
        """Take out what lies inside one another. Retired datasets are read no more."""
        for in_buckets in (False, True):
            vaults = {
                name: vault.place
                for name, vault in self.vaults.items()
                if bool(vault.local_path) != in_buckets
            }
            for overlap in list(entangled(self._places(in_buckets=in_buckets), vaults)):
                self._refuse_overlap(overlap, f"vault {overlap.other}", "move the vault elsewhere")
        for overlap in self._nested():
            self._refuse_nested(overlap)

    def _nested(self) -> list[Overlap]:
        """What lies inside another dataset. A new entry does not stop what has recovery points."""
        directories = list(self._places(in_buckets=False))
        found = [*nested(directories), *nested(list(self._places(in_buckets=True)))]
        if not found:
            return []
        old = self.established()
        newcomers = {one.other: one for one in found if one.name in old and one.other not in old}
        if not newcomers:
            return found
        for outer, one in newcomers.items():
            turned = Overlap(name=outer, other=one.name, relation=_TURNED[one.relation])
            self._refuse_nested(turned)
        return self._nested()

    def _refuse_nested(self, overlap: Overlap) -> None:
        other = self.good[overlap.other]
        where = f"dataset {other.name} ({other.address}, {other.file} line {other.line})"
        self._refuse_overlap(overlap, where, "a file belongs to one dataset: keep one of them")

    def _places(self, *, in_buckets: bool) -> Iterator[tuple[str, str]]:
        for name, dataset in self.good.items():
            if dataset.retired is None and dataset.place and bool(dataset.path) != in_buckets:
                yield name, dataset.place

    def _refuse_overlap(self, overlap: Overlap, other: str, hint: str) -> None:
        dataset = self.good[overlap.name]
        problem = Problem(
            path=f"datasets.{dataset.name}.source.{'path' if dataset.path else 'url'}",
            message=f"{dataset.address} {overlap.relation} {other}",
            file=dataset.file,
            line=dataset.line,
            hint=hint,
        )
        self.refuse(dataset.name, [problem])


def _class_named(node: Node) -> str | None:
    """The class that stands in an entry, whatever else is wrong with it."""
    pairs = node.value if isinstance(node, MappingNode) else ()
    found = [value.value for key, value in pairs if key.value == "class"]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else None


def _check_name(name: str, place: _Place) -> None:
    if not re.fullmatch(NAME, name):
        place.add("", f"{quoted(name)} cannot name a dataset", NAME_HINT)
    elif name in RESERVED:
        place.add("", f"{quoted(name)} is a reserved name", "choose another")


def first_of(*choices: object) -> Any:  # noqa: ANN401  # a value of a section
    """The first value that is written; None when none is."""
    return next((choice for choice in choices if choice is not None), None)
