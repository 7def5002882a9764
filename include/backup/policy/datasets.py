"""datasets.yaml and datasets.d/*.yaml into datasets, each of which stands or falls alone.

    datasets.yaml      key, signing_key, vaults, verification, defaults, datasets
    datasets.d/*.yaml  defaults, datasets                     one file per team, read by name

A wrong entry is listed as bad under its name, with its file, line, path and a hint; an unreadable
file of a team is listed under the file's name. What concerns every dataset is an error at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from include.backup.errors import ConfigurationInvalid, DatasetInvalid
from include.backup.policy.dataset_fields import MAIN_FILE, TEAM_FILE
from include.backup.policy.dataset_model import (
    Dataset,
    KeySettings,
    OffsiteWaiver,
    VaultSettings,
)
from include.backup.policy.document import (
    Problems,
    as_error,
    did_you_mean,
    quoted,
    read_document,
    reading_hint,
)
from include.backup.policy.listing import Listing, first_of
from include.backup.policy.recovery_fields import RecoverySettings, recovery_of
from include.backup.policy.verification_fields import VerificationSettings, verification_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

DEFAULT_PATH: Final = Path(__file__).parents[2] / "config" / "datasets.yaml"
TEAM_FOLDER: Final = "datasets.d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Datasets:
    """Everything that the user listed, good and bad."""

    key: KeySettings
    signing_key: str  # the connection
    trusted_keys: tuple[bytes, ...] = ()  # public, 32 bytes each: former signing keys
    vaults: Mapping[str, VaultSettings]  # the first is the default
    verification: VerificationSettings
    recovery: RecoverySettings = field(default_factory=RecoverySettings)
    offsite_waiver: OffsiteWaiver | None = None
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


def load_datasets(
    classes: Collection[str],
    path: Path | None = None,
    *,
    established: Callable[[], Collection[str]] = tuple,
) -> Datasets:
    """Every dataset of a datasets.yaml and of the datasets.d beside it.

    Args:
        classes: the names of the policy's classes.
        path: by default that of the project, include/config/datasets.yaml.
        established: tells, when two overlap, which datasets have recovery points already.

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
    _require_key_id(values["key"])
    listing = Listing(classes, values["vaults"], established)
    listing.add_all(values["datasets"], values["defaults"], problems)
    for team_file in _team_files(path.parent / TEAM_FOLDER):
        _add_team_file(team_file, values["defaults"], listing)
    listing.refuse_overlaps()
    return Datasets(
        key=KeySettings(**values["key"]),
        signing_key=values["signing_key"]["connection"],
        trusted_keys=tuple(map(bytes.fromhex, values["signing_key"]["trusted"] or ())),
        vaults=listing.vaults,
        verification=verification_of(values["verification"]),
        recovery=recovery_of(values["recovery"]),
        offsite_waiver=OffsiteWaiver(**waiver) if (waiver := values["offsite_waiver"]) else None,
        good=listing.good,
        bad=listing.bad,
    )


def _require_key_id(key: Mapping[str, str]) -> None:
    if bool(key["key_id"]) == (key["provider"] == "aws_kms"):
        return
    message = "has no meaning for a local key" if key["key_id"] else "is missing: the key's ARN"
    raise ConfigurationInvalid(message, path="key.key_id", hint="aws_kms needs it, local does not")


def datasets_schema() -> dict[str, Any]:
    """The JSON schema of datasets.yaml, for editors."""
    return _titled("Holdfast datasets", MAIN_FILE.schema())


def team_file_schema() -> dict[str, Any]:
    """The JSON schema of the files in datasets.d."""
    return _titled("Holdfast datasets of one team", TEAM_FILE.schema())


def _titled(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


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


def _add_team_file(path: Path, defaults: Mapping[str, Any], listing: Listing) -> None:
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
    both = {key: first_of(values["defaults"][key], value) for key, value in defaults.items()}
    listing.add_all(values["datasets"], both, problems)
