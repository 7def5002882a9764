"""Without us: RESTORE.md followed to the letter. And what an incremental stores."""

from __future__ import annotations

import hashlib
import subprocess
from typing import TYPE_CHECKING

from tests.integration.mariadb import nasty
from tests.integration.mariadb.site import manifest
from tests.interop.test_restore_md import commands
from tests.servers.mariadb import PASSWORD

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.mariadb.site import MariadbSite
    from tests.interop.conftest import Restic
    from tests.servers.mariadb import Mariadb


def test_stock_tools_restore_it(
    site: MariadbSite, mariadb: Mariadb, database: str, restic: Restic, tmp_path: Path
) -> None:
    """Restic and mariadb alone bring back what the stock dump calls the same database."""
    nasty.fill(mariadb, database)
    before = mariadb.dump(database, "--dump-history")
    outcome = site.back_up()
    mariadb.run(f"DROP DATABASE {database}")
    page = site.restic(restic, outcome, "dump", "latest", "/.holdfast/RESTORE.md")
    home = tmp_path / "home"
    home.mkdir()
    password = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    (home / ".my.cnf").write_text(
        f"[client]\nsocket={mariadb.socket}\nuser=admin\npassword='{password}'\n"
    )
    script = "\n".join(commands(page)).replace("/where/there/is/room", str(tmp_path / "target"))
    done = subprocess.run(
        ["bash", "-euc", script],
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "RESTIC_PASSWORD": site.password(outcome)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout
    assert mariadb.dump(database, "--dump-history") == before


def test_an_unchanged_database_stores_nothing(
    site: MariadbSite, mariadb: Mariadb, database: str
) -> None:
    """Dumps are deterministic: the next recovery point refers to what is there."""
    nasty.fill(mariadb, database)
    mariadb.run(
        "CREATE TABLE large (id INT PRIMARY KEY, v CHAR(32))",
        "INSERT INTO large SELECT seq, MD5(seq) FROM seq_1_to_100000",
        database=database,
    )
    full = site.back_up()
    site.wait(hours=1)
    next_one = site.back_up()
    assert next_one.details["method"] == "incremental"
    assert next_one.details["bytes_read"] == full.details["bytes_read"]
    assert next_one.details["bytes_new"] == 0
    assert next_one.details["bytes_stored"] < full.details["bytes_stored"] / 100
    mariadb.run("UPDATE large SET v = 'changed' WHERE id = 50000", database=database)
    third = site.back_up()
    assert 0 < third.details["bytes_new"] < full.details["bytes_read"] * 3 / 4


def test_every_relation_is_in_the_manifest(
    site: MariadbSite, mariadb: Mariadb, database: str
) -> None:
    """With its engine, its rows counted and hashed, or why they were not read (I4)."""
    nasty.fill(mariadb, database)
    stored = site.stored(site.back_up())
    assert all(node.size == 0 for node in stored.list(b"") if node.type == "dir")
    [about] = manifest(stored)["databases"]
    found = {one["name"]: one for one in about["relations"]}
    assert found.keys() == {row[0] for row in mariadb.run("SHOW TABLES", database=database)}
    for name, one in found.items():
        if "rows_left_out" in one:
            assert one["kind"] in {"view", "sequence"}
            continue
        quoted = "`" + name.replace("`", "``") + "`"
        every = " FOR SYSTEM_TIME ALL" if one["kind"] == "versioned table" else ""
        [(rows,)] = mariadb.run(f"SELECT COUNT(*) FROM {quoted}{every}", database=database)
        assert one["rows"] == rows, name
        data = stored.load(one["file"].encode())
        assert (one["bytes"], one["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
