"""kill -9 of backups of a database and of restores into a server, at any moment, by our commands.

HOLDFAST_KILLS says how many, as `make torture` does.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.damage.tally import tell
from tests.integration.cli.shell import Shell
from tests.integration.postgresql.bed import streams
from tests.integration.verification.test_killed import configure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.interop.conftest import Restic
    from tests.servers.postgresql import Postgres

KILLS = int(os.environ.get("HOLDFAST_KILLS", "1"))
pytestmark = [pytest.mark.integration, pytest.mark.interop, pytest.mark.timeout(300 + 90 * KILLS)]
NAME, AGAIN = "killed_acts", "killed_acts_again"
ROWS = 40_000
TO = (
    *("--to", f"connection:place/{AGAIN}", "--overwrite"),
    *("--reason", "tests", "--requested-by", "tests"),
)


class Bed:
    """A database, and a vault with a backup of it."""

    def __init__(self, server: Postgres, folder: Path) -> None:
        self.server, self.shell = server, Shell(folder)
        server.make_database(NAME)
        server.run(
            f"CREATE TABLE t AS SELECT i, md5(i::text) AS m FROM generate_series(1, {ROWS}) i",
            "ALTER TABLE t ADD PRIMARY KEY (i)",
            "CREATE TABLE small AS SELECT 1 AS one",
            database=NAME,
        )
        self.shell.environment["AIRFLOW_CONN_SOURCE"] = server.variable(NAME)
        self.shell.environment["AIRFLOW_CONN_PLACE"] = server.variable()
        configure(self.shell, "type: postgresql, connection: source", "")
        self.back_up()

    def back_up(self) -> None:
        """A backup that nobody kills; how long it takes now, and what the database holds."""
        began = time.monotonic()
        self.shell("back-up", "crm")
        self.backup_seconds = time.monotonic() - began  # now: the machine may be busier later
        self.held = streams(self.server, NAME)

    def change(self, number: int) -> None:
        """Other rows than before, some of a range of them."""
        at = number * 977 % ROWS
        self.server.run(
            f"UPDATE t SET m = md5(m) WHERE i BETWEEN {at} AND {at + 500}",
            f"INSERT INTO small VALUES ({number})",
            database=NAME,
        )

    def kill(self, after: float, *arguments: str) -> bool:
        """Begin a command, and kill it; whether it had not ended before."""
        process = subprocess.Popen(
            [sys.executable, "-m", "include.backup", *arguments],
            env=self.shell.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(after)
        process.kill()
        return process.wait() < 0

    def restored(self) -> dict[str, tuple[int, int, str]]:
        """What a restore brings back; what earlier ones have left is in nobody's way."""
        self.shell("restore", "crm", *TO)
        return streams(self.server, AGAIN)

    def tidy(self) -> None:
        """Drop what killed restores have left; a restore names it, and leaves it to people."""
        left = "SELECT datname FROM pg_database WHERE starts_with(datname, 'killed_acts_again_')"
        for (name,) in self.server.run(left):
            self.server.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def points(self) -> dict[str, bool]:
        """The snapshots of all recovery points, the oldest first, and whether it was adopted."""
        points = self.shell.json("recovery-points", "crm")[::-1]
        return {one["snapshot"]: one["adopted"] for one in points}


@pytest.fixture
def bed(postgres: Postgres, tmp_path: Path) -> Iterator[Bed]:
    """A bed; its databases go with it."""
    yield Bed(postgres, tmp_path)
    left = "SELECT datname FROM pg_database WHERE starts_with(datname, 'killed_acts')"
    for (name,) in postgres.run(left):
        postgres.run(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_a_backup_that_is_killed(bed: Bed, restic: Restic) -> None:
    """Earlier points restore, the next run succeeds, stock restic finds nothing."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice, in_time = random.Random(seed), 0
    for number in range(KILLS):
        where = f"seed {seed}, kill {number}"
        before = bed.points()
        bed.change(number)
        method = dice.choice([("--full",), ()])
        in_time += bed.kill(dice.uniform(0.3, 1) * bed.backup_seconds, "back-up", "crm", *method)
        now = bed.points()
        assert [one for one in now if one in before] == [*before], where
        # A full may adopt what an earlier one had completed when it was killed, in its place.
        assert all(now[one] for one in [*now][:-1] if one not in before), where
        if [*now][-1] != [*before][-1]:  # it had ended before
            bed.held = streams(bed.server, NAME)
        assert bed.restored() == bed.held, where
        bed.back_up()
        assert bed.restored() == bed.held, where
    tell("kill -9, backup of PostgreSQL", {"in time": in_time, "too late": KILLS - in_time})
    bed.shell("check", "crm", "--read-data")
    bed.shell("ledger", "verify", "crm")
    for generation in {one["generation"] for one in bed.shell.json("recovery-points", "crm")}:
        password = bed.shell("keys", "export", "crm", generation).split()[-1]
        folder = bed.shell.site / "vault/datasets/crm/generations" / generation
        restic.run("check", "--read-data", repository=folder, password=password)


def test_a_restore_that_is_killed(bed: Bed) -> None:
    """No half of a database has the name; the next one succeeds, whatever is left."""
    seed = int.from_bytes(os.urandom(4), "big")
    dice, in_time = random.Random(seed), 0
    for number in range(KILLS):
        if number % 10 == 0:  # how long it takes now: the machine may be busier later
            began = time.monotonic()
            assert bed.restored() == bed.held
            seconds = time.monotonic() - began
        in_time += bed.kill(dice.uniform(0.2, 1) * seconds, "restore", "crm", *TO)
        assert streams(bed.server, AGAIN) == bed.held, f"seed {seed}, kill {number}: half of it"
        bed.tidy()
    assert bed.restored() == bed.held
    tell("kill -9, restore of PostgreSQL", {"in time": in_time, "too late": KILLS - in_time})
    bed.shell("ledger", "verify", "crm")
