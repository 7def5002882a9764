"""`make up`: an Airflow with your own configuration, in ./.up. A laptop trial, not production."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Final

from include.backup.cli.airflow_pools import pool_of
from include.backup.cli.environment import config_folder
from include.backup.errors import BackupError
from include.backup.policy.load import load_policy
from scripts.airflow_api import ApiError
from scripts.airflow_site import COMPONENTS, ROOT, USER, Site, SiteError, only_one, running
from scripts.demo import FOLDER as DEMO_FOLDER
from scripts.demo import demo_site
from scripts.keys_file import keys

if TYPE_CHECKING:
    from scripts.airflow_api import AirflowApi

FOLDER: Final = ROOT / ".up"
_POOL_SLOTS: Final = 2


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
    """The user's configuration; keys and connections from the environment, or else new keys."""
    config = config_folder(None).absolute()
    given = {name: value for name, value in os.environ.items() if name.startswith("AIRFLOW_CONN_")}
    made = keys(FOLDER / "keys.env", config=config) if not _has_keys(given) else {}
    return Site(
        home=FOLDER / "airflow",
        config=config,
        state=FOLDER / "state",
        variables={**made, **given},
        components=(*COMPONENTS, "triggerer"),
    )


def _has_keys(given: dict[str, str]) -> bool:
    return "AIRFLOW_CONN_BACKUP_MASTER_KEY" in given


def _tell(site: Site, api: AirflowApi, *, demo: bool) -> None:
    print(f"""
    {api.address}
    user {USER}, password {site.password}

This is a trial on one machine: SQLite, one user, keys in a file. Production: README.md.
configuration  {site.config}
logs           {site.airflow_logs}""")
    if not demo and (FOLDER / "keys.env").exists():
        print(f"keys           {FOLDER / 'keys.env'}: keep it; without it the backups are lost")
    if not demo:
        print(
            "Switch a DAG on (left of its name) and its ticks begin. Backups are not running yet."
        )
    print("Ctrl-C ends it.", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
