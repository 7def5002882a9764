"""datasets.yaml and datasets.d/*.yaml into datasets, each of which stands or falls alone.

    datasets.yaml      key, signing_key, vaults, defaults, datasets
    datasets.d/*.yaml  defaults, datasets                     one file per team, read by name

A wrong entry is listed as bad under its name, with its file, line, path and a hint; an unreadable
file of a team is listed under the file's name. What concerns every dataset is an error at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import ConfigurationInvalid, DatasetInvalid
from include.backup.policy.dataset_fields import (
    ENTRY,
    MAIN_FILE,
    READING,
    RESERVED,
    TEAM_FILE,
    Entries,
)
from include.backup.policy.dataset_model import (
    Dataset,
    FilesystemSource,
    KeySettings,
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
    read_document,
    reading_hint,
)
from include.backup.policy.overlap import Overlap, entangled, nested
from include.backup.policy.vault_fields import NAME, NAME_HINT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from yaml.nodes import Node

DEFAULT_PATH: Final = Path(__file__).parents[2] / "config" / "datasets.yaml"
TEAM_FOLDER: Final = "datasets.d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasets:
    """Everything that the user listed, good and bad."""

    key: KeySettings
    signing_key: str  # the connection
    trusted_keys: tuple[bytes, ...] = ()  # public, 32 bytes each: former signing keys
    vaults: Mapping[str, VaultSettings]  # the first is the default
    good: Mapping[str, Dataset]  # in the order of the files
    bad: Mapping[str, DatasetInvalid]

    def dataset(self, name: str) -> Dataset:
        """The dataset of that name.

        Raises:
            DatasetInvalid: its entry is wrong, or there is none.
        """
        if name in self.good:
            return self.good[name]
        if name in self.bad:
            raise self.bad[name]
        raise DatasetInvalid(
            f"no dataset is called {quoted(name)}", hint=did_you_mean(name, self.good)
        )


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
class _Listing:
    """The entries read so far.

    A name that is written twice is good nowhere: which of the two is meant nobody can say, and to
    back up the wrong one under that name would mix the data of two datasets in one vault.
    """

    classes: Collection[str]
    vaults: Mapping[str, VaultSettings]
    good: dict[str, Dataset] = field(default_factory=dict)
    bad: dict[str, DatasetInvalid] = field(default_factory=dict)
    seen: dict[str, str] = field(default_factory=dict)  # name -> file and line

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
        self.bad.setdefault(name, as_error(DatasetInvalid, found))

    def _read(
        self, name: str, place: _Place, value_node: Node, defaults: Mapping[str, Any]
    ) -> Dataset | None:
        values = ENTRY.read(value_node, place.path, place.problems)
        if values is None:
            return None
        source = self._source(values, defaults, place)
        values["vault"] = _first(values["vault"], defaults["vault"], next(iter(self.vaults)))
        for key in ("class", "owner"):
            values[key] = _first(values[key], defaults[key])
            if values[key] is None:
                place.add(key, "is missing", ENTRY.fields[key].meaning)
        data_class, retired = values.pop("class"), values.pop("retired")
        self._check(data_class, values["vault"], values["insecure_reason"], place)
        if place.problems.found:
            return None
        return Dataset(
            name=name,
            data_class=data_class,
            source=FilesystemSource(**source),
            retired=Retired(**retired) if retired else None,
            file=place.problems.file,
            line=line_of(place.node),
            **values,
        )

    @staticmethod
    def _source(
        values: dict[str, Any], defaults: Mapping[str, Any], place: _Place
    ) -> dict[str, Any]:
        """Take out of an entry what belongs to its source, with defaults for what is left out."""
        source: dict[str, Any] = values.pop("source")
        source.pop("type")
        for key in READING:
            beside = values.pop(key)
            if beside is not None and source[key] is not None:
                place.add(key, "stands here and in the source", "keep one of the two")
            source[key] = _first(source[key], beside)
        for key in (*READING, "changing", "unreadable"):
            source[key] = _first(source[key], defaults[key])
        return {key: value for key, value in source.items() if value is not None}

    def _check(self, data_class: str | None, vault: str, reason: str, place: _Place) -> None:
        if data_class is not None and data_class not in self.classes:
            message = f"{quoted(data_class)} is no class of the policy"
            place.add("class", message, did_you_mean(data_class, self.classes))
        if vault not in self.vaults:
            place.add("vault", f"{quoted(vault)} is no vault", did_you_mean(vault, self.vaults))
        elif self._insecure(vault, reason):
            message = f"{vault} would receive it over plain http"
            place.add("vault", message, "use https, or state an insecure_reason")

    def _insecure(self, vault: str, reason: str) -> bool:
        settings = self.vaults[vault]
        return settings.insecure and not settings.insecure_reason and not reason

    def refuse_overlaps(self) -> None:
        """Take out what lies inside one another. Retired datasets are read no more."""
        local = {name: vault.local_path for name, vault in self.vaults.items() if vault.local_path}
        for overlap in list(entangled(self._paths(), local)):
            self._refuse_overlap(overlap, f"vault {overlap.other}", "move the vault elsewhere")
        for overlap in list(nested(list(self._paths()))):
            other = self.good[overlap.other]
            where = f"dataset {other.name} ({other.source.path}, {other.file} line {other.line})"
            self._refuse_overlap(overlap, where, "a file belongs to one dataset: keep one of them")

    def _paths(self) -> Iterator[tuple[str, str]]:
        for name, dataset in self.good.items():
            if dataset.retired is None:
                yield name, dataset.source.path

    def _refuse_overlap(self, overlap: Overlap, other: str, hint: str) -> None:
        dataset = self.good[overlap.name]
        problem = Problem(
            path=f"datasets.{dataset.name}.source.path",
            message=f"{dataset.source.path} {overlap.relation} {other}",
            file=dataset.file,
            line=dataset.line,
            hint=hint,
        )
        self.refuse(dataset.name, [problem])


def load_datasets(classes: Collection[str], path: Path | None = None) -> Datasets:
    """Every dataset of a datasets.yaml and of the datasets.d beside it.

    Args:
        classes: the names of the policy's classes.
        path: by default that of the project, include/config/datasets.yaml.

    Raises:
        ConfigurationInvalid: datasets.yaml cannot be read, or keys or vaults are wrong in it.
    """
    path = DEFAULT_PATH if path is None else path
    problems = Problems(path.name)
    root = read_document(path, file=path.name, kind=ConfigurationInvalid)
    if root is None:
        raise ConfigurationInvalid(f"{path.name} is empty", hint="copy the one that Holdfast ships")
    values = MAIN_FILE.read(root, "", problems)
    if values is None:
        raise as_error(ConfigurationInvalid, sorted(problems.found, key=lambda one: one.line))
    listing = _Listing(classes, values["vaults"])
    listing.add_all(values["datasets"], values["defaults"], problems)
    for team_file in _team_files(path.parent / TEAM_FOLDER):
        _add_team_file(team_file, values["defaults"], listing)
    listing.refuse_overlaps()
    return Datasets(
        key=KeySettings(**values["key"]),
        signing_key=values["signing_key"]["connection"],
        trusted_keys=tuple(map(bytes.fromhex, values["signing_key"]["trusted"] or ())),
        vaults=listing.vaults,
        good=listing.good,
        bad=listing.bad,
    )


def datasets_schema() -> dict[str, Any]:
    """The JSON schema of datasets.yaml, for editors."""
    return _titled("Holdfast datasets", MAIN_FILE.schema())


def team_file_schema() -> dict[str, Any]:
    """The JSON schema of the files in datasets.d."""
    return _titled("Holdfast datasets of one team", TEAM_FILE.schema())


def _titled(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


def _check_name(name: str, place: _Place) -> None:
    if not re.fullmatch(NAME, name):
        place.add("", f"{quoted(name)} cannot name a dataset", NAME_HINT)
    elif name in RESERVED:
        place.add("", f"{quoted(name)} is a reserved name", "choose another")


def _team_files(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"}]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigurationInvalid(
            f"{folder} cannot be read: {error.strerror}", hint=reading_hint(error)
        ) from error
    return sorted(path for path in found if not path.name.startswith("."))


def _add_team_file(path: Path, defaults: Mapping[str, Any], listing: _Listing) -> None:
    file = f"{TEAM_FOLDER}/{path.name}"
    problems = Problems(file)
    try:
        if (root := read_document(path, file=file, kind=DatasetInvalid)) is None:
            return  # a team without datasets yet
        values = TEAM_FILE.read(root, "", problems)
    except DatasetInvalid as error:
        listing.bad[file] = error
        return
    if values is None:
        listing.bad[file] = as_error(DatasetInvalid, problems.found)
        return
    both = {key: _first(values["defaults"][key], value) for key, value in defaults.items()}
    listing.add_all(values["datasets"], both, problems)


def _first(*choices: object) -> Any:  # noqa: ANN401  # a value of a section
    """The first value that is written; None when none is."""
    return next((choice for choice in choices if choice is not None), None)
