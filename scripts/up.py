"""`make up`: an Airflow with your own configuration, in ./.up. A laptop trial, not production."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

from include.backup.cli.airflow_pools import pool_of
from include.backup.cli.doctor_vaults import keys_of
from include.backup.cli.environment import config_folder, load_setting, open_storage
from include.backup.errors import BackupError, ConfigurationInvalid, KeyUnusable
from include.backup.evidence.ledger import Ledger
from include.backup.policy.load import load_policy
from include.backup.policy.people import load_people
from include.backup.vault.layout import POLICY, dataset_names, policy_folder
from scripts.airflow_api import ApiError
from scripts.airflow_site import COMPONENTS, ROOT, USER, Site, SiteError, only_one, running
from scripts.demo import FOLDER as DEMO_FOLDER
from scripts.demo import demo_site
from scripts.keys_file import keys

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.setting import Setting
    from include.backup.policy.dataset_model import VaultSettings
    from scripts.airflow_api import AirflowApi

FOLDER: Final = ROOT / ".up"
_POOL_SLOTS: Final = 2
_MOST_LEDGERS: Final = 20  # that are looked into, in each vault


def main() -> int:
    """Keep an Airflow running until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="make up", description=__doc__)
    parser.add_argument("--demo", action="store_true", help="that of the last `make demo`")
    options = parser.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    if options.demo and not (DEMO_FOLDER / "config").exists():
        print("error: there was no demo yet; hint: make demo", file=sys.stderr)
        return 2
    try:
        with only_one(DEMO_FOLDER if options.demo else FOLDER):
            _keep_running(ended, demo=options.demo)
    except (SiteError, ApiError, BackupError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _keep_running(ended: threading.Event, *, demo: bool) -> None:
    site = demo_site() if demo else own_site()
    policy = load_policy(site.config / "policy.yaml")
    print("starting Airflow; the first time takes half a minute", flush=True)
    with running(site) as api:
        for data_class in policy.classes:
            api.make_pool(pool_of(data_class.name), _POOL_SLOTS, f"{data_class.name} backups")
        _tell(site, api, demo=demo)
        ended.wait()
        print("\nending Airflow", flush=True)


def own_site() -> Site:
    """The user's configuration; keys and connections from the environment, or else our own keys.

    Raises:
        KeyUnusable: there are none, and a vault was written with some.
        BackupError: that cannot be found out.
    """
    config = config_folder(None).absolute()
    given = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_")}
    setting = load_setting(config)
    made = {} if _has_keys(setting, given) else _own_keys(FOLDER / "keys.env", config, setting)
    return Site(
        home=FOLDER / "airflow",
        config=config,
        state=FOLDER / "state",
        variables={**made, **given},
        components=(*COMPONENTS, "triggerer"),
        people=_people(config),
    )


def _people(config: Path) -> tuple[str, ...]:
    """The users of people.yaml: they ask for restores and approve them."""
    try:
        return tuple(user for user in sorted(load_people(config)) if user != USER)
    except ConfigurationInvalid as error:
        print(f"people.yaml: {error}", file=sys.stderr)
        return ()


def _has_keys(setting: Setting, given: dict[str, str]) -> bool:
    return f"AIRFLOW_CONN_{setting.datasets.key.connection.upper()}" in given


def _own_keys(path: Path, config: Path, setting: Setting) -> dict[str, str]:
    """The keys of an earlier `make up`, or new ones, which only new vaults may have."""
    if path.exists():
        return keys(path, config=config)
    for vault in setting.datasets.vaults.values():
        require_unwritten(vault, path)
    found = keys(path, config=config)
    print(
        f"NEW KEYS WERE MADE: {path}, with a recovery sheet to print.\n"
        "Without them nobody can open the backups that this Airflow takes.",
        flush=True,
    )
    return found


def require_unwritten(vault: VaultSettings, path: Path) -> None:
    """Refuse new keys for a vault that holds records: they would open nothing of it.

    Raises:
        KeyUnusable: names the keys that it was written with.
        BackupError: it cannot be looked at.
    """
    storage = open_storage(vault, hurried=True)
    signers, masters = keys_of(storage, dataset_names(storage)[:_MOST_LEDGERS])
    if (head := Ledger(policy_folder(storage), subject=POLICY).head()) is not None:
        signers.setdefault(head.key, []).append(POLICY)
    if signers:
        opened = f" and has generations of master key {' and '.join(masters)}" if masters else ""
        raise KeyUnusable(
            f"no keys are given, and the vault {vault.url} holds records signed with key "
            f"{' and '.join(signers)}{opened}; new keys would not fit it",
            hint="read the file that holds its keys into the environment (. ./keys.env) before "
            f"`make up`, or copy it to {path}",
        )


def _tell(site: Site, api: AirflowApi, *, demo: bool) -> None:
    print(f"""
    {api.address}
{_users(site)}

This is a trial on one machine: SQLite, users with passwords in a file, and keys as well.
Production: README.md.
configuration  {site.config}
logs           {site.airflow_logs}""")
    if not demo and (FOLDER / "keys.env").exists():
        print(f"keys           {FOLDER / 'keys.env'}: keep it; without it the backups are lost")
    if not demo:
        print(
            "Switch a DAG on (left of its name) and its ticks begin. Backups are not running yet."
        )
    print("Ctrl-C ends it.", flush=True)


def _users(site: Site) -> str:
    names = (USER, *site.people)
    return "\n".join(f"    user {name}, password {site.password_of(name)}" for name in names)


if __name__ == "__main__":
    raise SystemExit(main())
