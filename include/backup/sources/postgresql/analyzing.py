"""Statistics for the planner: nobody's queries are fast on rows that were just put back.

Without them nothing is lost: the server gathers them in its own time.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

import psycopg

from include.backup.errors import BackupError
from include.backup.sources.postgresql.catalog import qualified
from include.backup.sources.postgresql.loading import told

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.backup.sources.postgresql.address import Address

# Partitioned ones too, and with them their partitions: of all their rows together the server
# gathers none by itself.
_TABLES: Final = """
SELECT n.nspname::text, c.relname::text
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema' AND NOT c.relispartition
 ORDER BY c.relkind = 'p' DESC, c.relpages DESC
"""


def analyze(address: Address, *, jobs: int, only: Iterable[str] = ()) -> list[str]:
    """Gather statistics of tables, several at a time.

    Args:
        only: tables, in SQL; none: all of the database.

    Returns:
        What the server said of those that it gathered none of.
    """
    tables: SimpleQueue[str] = SimpleQueue()
    said: list[str] = []
    lock = threading.Lock()

    def work() -> None:
        with address.connect() as session:
            while True:
                try:
                    table = tables.get_nowait()
                except Empty:
                    return
                try:
                    session.execute(f"ANALYZE {table}")
                except psycopg.Error as error:
                    with lock:
                        said.append(f"{table}: {told(error)}")
                    if session.closed:
                        return

    try:
        for one in only or _all(address):
            tables.put(one)
        with ThreadPoolExecutor(jobs, thread_name_prefix="analyze") as pool:
            for future in [pool.submit(work) for _ in range(jobs)]:
                future.result()
    except BackupError as error:
        said.append(error.message)
    except psycopg.Error as error:
        said.append(told(error))
    return said


def _all(address: Address) -> list[str]:
    with address.connect() as session:
        return [qualified(schema, name) for schema, name in session.execute(_TABLES)]
