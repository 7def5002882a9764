"""The demo's PostgreSQL: every flight out of New York in 2013, in a server of its own.

It is used where a server's programs are on the machine (`apt-get install postgresql`); it listens
on loopback, lies in a temporary directory, and ends with the demo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.servers.postgresql import Postgres, debian_binaries, make_server

if TYPE_CHECKING:
    from pathlib import Path

NAME: Final = "flights"
CONNECTION: Final = "flights_db"
SCRATCH: Final = "scratch_db"  # the same server, as a place to restore to
_TABLES: Final = ("airlines", "airports", "planes", "weather", "flights")
_SCHEMA: Final = """
CREATE TABLE airlines (carrier text PRIMARY KEY, name text NOT NULL);
CREATE TABLE airports (faa text PRIMARY KEY, name text, lat float8, lon float8, alt int, tz int,
  dst text, tzone text);
CREATE TABLE planes (tailnum text PRIMARY KEY, year int, type text, manufacturer text, model text,
  engines int, seats int, speed int, engine text);
CREATE TABLE weather (origin text REFERENCES airports, year int, month int, day int, hour int,
  temp float8, dewp float8, humid float8, wind_dir int, wind_speed float8, wind_gust float8,
  precip float8, pressure float8, visib float8, time_hour timestamptz);
CREATE TABLE flights (year int, month int, day int, dep_time int, sched_dep_time int,
  dep_delay int, arr_time int, sched_arr_time int, arr_delay int, carrier text REFERENCES airlines,
  flight int, tailnum text, origin text REFERENCES airports, dest text, air_time int, distance int,
  hour int, minute int, time_hour timestamptz, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE INDEX ON flights (dest, time_hour);
CREATE VIEW late AS SELECT carrier, avg(dep_delay) FROM flights GROUP BY carrier;
"""


class FlightsDatabase:
    """A server with one database."""

    def __init__(self, server: Postgres) -> None:
        self._server = server

    @classmethod
    def start(cls) -> FlightsDatabase | None:
        """Start a server; None where there is none on the machine."""
        binaries = debian_binaries()
        return None if binaries is None else cls(make_server(binaries, fsync="on"))

    def fill(self, tables: Path) -> None:
        """Make the tables and load them from the CSV files of a folder."""
        server = self._server
        server.make_database(NAME)
        server.run(_SCHEMA, database=NAME)
        for name in _TABLES:
            path = tables / f"{name}.csv"
            columns = path.read_text(encoding="utf-8").partition("\n")[0]
            load = f"\\copy {name} ({columns}) FROM '{path}' CSV HEADER NULL 'NA'"
            server.tool("psql", "-Xqc", load, database=NAME)

    def change(self) -> str:
        """A day passes."""
        server = self._server
        server.run(
            "INSERT INTO flights SELECT 2014, 1, 1, dep_time, sched_dep_time, dep_delay, arr_time, "
            "sched_arr_time, arr_delay, carrier, flight, tailnum, origin, dest, air_time, "
            "distance, hour, minute, time_hour + interval '1 day' "
            "FROM flights WHERE month = 12 AND day = 31",
            "DELETE FROM planes WHERE tailnum IN (SELECT tailnum FROM planes ORDER BY 1 LIMIT 100)",
            database=NAME,
        )
        [(added,)] = server.run("SELECT count(*) FROM flights WHERE year = 2014", database=NAME)
        return f"{added} flights added, 100 planes sold"

    def variables(self) -> dict[str, str]:
        """The connections, for the environment."""
        return {
            f"AIRFLOW_CONN_{CONNECTION.upper()}": self._server.variable(NAME),
            f"AIRFLOW_CONN_{SCRATCH.upper()}": self._server.variable("postgres"),
        }

    def rows(self, database: str = NAME) -> dict[str, bytes]:
        """Every table as the text of COPY, by the name of its file in a recovery point."""
        return {
            f"public.{name}.copy": self._server.tool(
                "psql", "-Xqc", f"COPY {name} TO STDOUT", database=database
            ).encode()
            for name in _TABLES
        }

    def version(self) -> str:
        """The server's version."""
        [(version,)] = self._server.run("SHOW server_version")
        return str(version).split(" ")[0]

    def remove(self) -> None:
        """End the server."""
        self._server.remove()
