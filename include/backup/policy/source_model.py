"""What is read: one frozen value for each type of source, as datasets.yaml names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

if TYPE_CHECKING:
    from datetime import timedelta

EVERY: str = "*"  # among databases: all that the server has when the backup begins


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemSettings:
    """A directory with all that is below it."""

    kind: ClassVar[str] = "filesystem"
    path: str  # absolute, without "." and ".." and without a "/" at its end
    exclude: tuple[str, ...] = ()
    one_file_system: bool = False
    exclude_caches: bool = False  # leave out what a CACHEDIR.TAG marks
    changing: str = "error"  # or "keep": a file that changes while it is read, three times over
    unreadable: str = "error"  # or "skip"

    @property
    def address(self) -> str:
        """Where the data lies, for people."""
        return self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresqlSettings:
    """Databases of one PostgreSQL server."""

    kind: ClassVar[str] = "postgresql"
    connection: str
    databases: tuple[str, ...] = ()  # empty: that of the connection; EVERY: all of them
    schema_only: tuple[str, ...] = ()  # patterns of schema.table: the rows are left out
    unlogged: str = "rows"  # or "schema_only"
    full_read: bool = False  # read every page each time; unchanged ones are still stored once
    jobs: int = 2  # streams at a time
    max_snapshot_age: timedelta | None = None  # a backup that holds its snapshot longer fails

    @property
    def address(self) -> str:
        """Where the data lies, for people."""
        return f"connection {self.connection} ({_list(self.databases)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MariadbSettings:
    """Databases of one MariaDB or MySQL server."""

    kind: ClassVar[str] = "mariadb"
    connection: str
    databases: tuple[str, ...] = ()  # as above
    schema_only: tuple[str, ...] = ()  # patterns of database.table: the rows are left out
    non_transactional: str = "refuse"  # or "lock": such tables are dumped while writers wait
    jobs: int = 2

    @property
    def address(self) -> str:
        """Where the data lies, for people."""
        return f"connection {self.connection} ({_list(self.databases)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """The objects of a bucket below a prefix."""

    kind: ClassVar[str] = "s3"
    url: str  # s3://bucket/prefix
    connection: str
    region: str = ""
    endpoint_url: str = ""  # empty: that of the connection, or of AWS
    exclude: tuple[str, ...] = ()  # patterns of keys, relative to the prefix
    tags: str = "read"  # or "skip": one request less for each object that has some
    jobs: int = 8  # requests at a time

    @property
    def bucket(self) -> str:
        """The name of the bucket."""
        return self.url.removeprefix("s3://").partition("/")[0]

    @property
    def prefix(self) -> str:
        """What the keys begin with, without a "/" at its end."""
        return self.url.removeprefix("s3://").partition("/")[2]

    @property
    def address(self) -> str:
        """Where the data lies, for people."""
        return self.url


SourceSettings: TypeAlias = FilesystemSettings | PostgresqlSettings | MariadbSettings | S3Settings


def _list(databases: tuple[str, ...]) -> str:
    if not databases:
        return "its database"
    return "every database" if EVERY in databases else ", ".join(databases)
