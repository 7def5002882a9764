"""Where things lie in a vault.

    <vault>/RECOVERY.txt, unwrap.py                          how it opens without us; see rescue.py
    <vault>/rescue-kits/<sha256>.tar                         installs and restores without a network
    <vault>/policy/config/<sha256>.json                      each policy that was in force
    <vault>/policy/datasets/<sha256>.json                    keys, vaults, datasets: see inventory
    <vault>/policy/ledger/<0000000042>.json                  records of the policy itself
    <vault>/datasets/<dataset>/generations/<generation>/     a restic v2 repository as it is
    <vault>/datasets/<dataset>/keys/<generation>/<master key id>.json      envelope
    <vault>/datasets/<dataset>/ledger/<0000000042>.json      records of the dataset
    <vault>/datasets/<dataset>/leases/<kind>/…               who writes now
    <vault>/datasets/<dataset>/replica.json                  it is a copy, and of what

    generation = the second (UTC) in which it was opened, as in 20261101T010000Z

The name of a generation is for people; what came first is said by the ledger.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from include.backup.errors import ConfigurationInvalid
from include.backup.storage.base import Folder

if TYPE_CHECKING:
    from collections.abc import Collection

    from include.backup.storage.base import Storage

POLICY: Final = "policy"  # the folder of the policy, and the subject of its ledger
CONFIGS: Final = "config/"  # in the folder of the policy
INVENTORIES: Final = "datasets/"  # the same
KITS: Final = "rescue-kits/"
# What is given once and for good outside the datasets; of the second and third the names go on.
OUTSIDE_DATASETS: Final = (f"{POLICY}/", "RECOVERY", "unwrap", KITS)
DATASETS: Final = "datasets/"
GENERATIONS: Final = "generations/"
REPLICA: Final = "replica.json"  # in the folder of a dataset whose ledger has its home elsewhere

_GENERATION: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z", re.ASCII)
_FORM: Final = "%Y%m%dT%H%M%SZ"
_DATASET: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_COMES_AND_GOES: Final = re.compile(rf"leases/|{GENERATIONS}[^/]+/locks/")
_KEY_ID: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_ENVELOPE: Final = re.compile(
    rf"{DATASETS}{_DATASET.pattern}/keys/{_GENERATION.pattern}/{_KEY_ID.pattern}\.json", re.ASCII
)
_SECOND: Final = timedelta(seconds=1)


def policy_folder(vault: Storage) -> Folder:
    """The folder of the policy's own ledger."""
    return Folder(vault, f"{POLICY}/")


def config_name(sha256: str) -> str:
    """The name, in the folder of the policy, of a configuration that was in force."""
    return f"{CONFIGS}{sha256}.json"


def dataset_folder(vault: Storage, dataset: str) -> Folder:
    """The folder of one dataset: its ledger, leases, keys and generations.

    Raises:
        ConfigurationInvalid: no name of a dataset.
    """
    if not _DATASET.fullmatch(dataset):
        raise ConfigurationInvalid(
            f"{dataset[:80]!r} is no name of a dataset",
            hint="small letters, digits, - and _; at most 63, beginning with a letter or digit",
        )
    return Folder(vault, f"{DATASETS}{dataset}/")


def dataset_names(vault: Storage) -> list[str]:
    """The datasets that a vault holds, in order of their names.

    Raises:
        StorageError.
    """
    return [name for name in vault.folders(DATASETS) if _DATASET.fullmatch(name)]


def generation_folder(dataset: Storage, generation: str) -> Folder:
    """The repository of a generation, in the folder of its dataset.

    Raises:
        ConfigurationInvalid: no id of a generation.
    """
    opened_at_of(generation)
    return Folder(dataset, f"{GENERATIONS}{generation}/")


def envelope_folder(generation: str) -> str:
    """Where the envelopes of a generation are, in the folder of its dataset.

    Raises:
        ConfigurationInvalid: no id of a generation.
    """
    opened_at_of(generation)
    return f"keys/{generation}/"


def envelope_name(generation: str, master_key_id: str) -> str:
    """The name of an envelope in the folder of its dataset.

    Raises:
        ConfigurationInvalid: no id of a generation or of a key.
    """
    if not _KEY_ID.fullmatch(master_key_id):
        raise ConfigurationInvalid(f"{master_key_id[:80]!r} is no id of a master key")
    return f"{envelope_folder(generation)}{master_key_id}.json"


def is_write_once(name: str) -> bool:
    """Whether a name, in the folder of a dataset, is given to one file only, once and for good.

    Leases come and go under the same names, and so may restic's locks.
    """
    return not _COMES_AND_GOES.match(name)


def is_envelope(name: str) -> bool:
    """Whether a name, in a vault, is that of an envelope."""
    return _ENVELOPE.fullmatch(name) is not None


def new_generation(opened_at: datetime, taken: Collection[str]) -> str:
    """The id of a generation opened at that moment; the next free second if it is taken."""
    moment = opened_at.astimezone(UTC)
    while (name := moment.strftime(_FORM)) in taken:
        moment += _SECOND
    return name


def opened_at_of(generation: str) -> datetime:
    """The second in the id of a generation.

    Raises:
        ConfigurationInvalid: no id of a generation.
    """
    try:
        if _GENERATION.fullmatch(generation):
            return datetime.strptime(generation, _FORM).replace(tzinfo=UTC)
    except ValueError:
        pass  # digits, but no date
    raise ConfigurationInvalid(
        f"{generation[:80]!r} is no generation", hint="generations are named like 20261101T010000Z"
    )


def is_generation(name: str) -> bool:
    """Whether `name` is the id of a generation."""
    try:
        opened_at_of(name)
    except ConfigurationInvalid:
        return False
    return True
