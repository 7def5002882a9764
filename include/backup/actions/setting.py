"""What an act needs from the world outside: configuration, connections, storage, clock.

Airflow and the command line each make one of these; nothing below them reads the environment, a
secret or a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from include.backup.policy.dataset_model import KeySettings, VaultSettings
    from include.backup.policy.datasets import Datasets
    from include.backup.policy.expectations import Expectation
    from include.backup.policy.model import Policy
    from include.backup.policy.people import Person
    from include.backup.sources.connection import Connection
    from include.backup.storage.base import Storage
    from include.backup.storage.s3_client import S3Client, S3Place
    from include.backup.vault.kms import Encrypts


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The world as one act sees it."""

    policy: Policy
    datasets: Datasets
    connection: Callable[[str], Connection]  # raises ConfigurationInvalid when there is none
    open_storage: Callable[[VaultSettings], Storage]
    s3_client: Callable[[S3Place], S3Client]  # same; of a bucket that is read, or restored to
    kms: Callable[[KeySettings], Encrypts]  # raises ConfigurationInvalid likewise
    state_folder: Path  # on this machine: records that wait for the vault
    clock: Callable[[], datetime]  # aware, UTC
    owner: str  # who acts, as in "cli/anna" or "airflow/holdfast_back_up_critical_full/…"
    warnings: tuple[str, ...] = ()  # what every sentence of this run has to say besides
    break_glass: str = ""  # why evidence waits: no vault is written to, no signing key needed
    # What users expect of a dataset; raises ConfigurationInvalid when it cannot be understood.
    expectations: Callable[[str], tuple[Expectation, ...]] = lambda _: ()
    # Who may approve restores, by user (4.3); raises ConfigurationInvalid likewise.
    people: Callable[[], Mapping[str, Person]] = dict
