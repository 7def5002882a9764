"""Where a PostgreSQL server is and how it is reached: sessions, and the environment of programs.

The connection's extra takes libpq's names: ``sslmode``, ``sslrootcert``, ``sslcert``, ``sslkey``,
``options``; ``iam: true`` asks AWS for a token instead of a password, a fresh one for each session.
To another machine the connection is encrypted and the server's name verified, or it is refused.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import psycopg

from include.backup.errors import BackupError, ConfigurationInvalid, RestoreRefused, SourceError
from include.backup.hosts import is_loopback
from include.backup.sources.postgresql.programs import hint_about

if TYPE_CHECKING:
    from include.backup.sources.connection import Connection

DEFAULT_PORT: Final = 5432
_CONNECT_SECONDS: Final = 15
_TLS_KEYS: Final = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
# A client's own settings come before those of roles and databases: nobody's `statement_timeout` or
# `default_transaction_read_only` shall end a restore. Poolers may refuse them; those who read rows
# set what they need themselves.
_OLDEST: Final = 130_000  # with pg_current_snapshot()
_OPTIONS: Final = " ".join(
    f"-c {setting}"
    for setting in (
        "default_transaction_read_only=off",
        "statement_timeout=0",
        "idle_in_transaction_session_timeout=0",
    )
)
_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZDIR", "LD_LIBRARY_PATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One database of one server, with what is needed to reach it."""

    connection: Connection
    database: str
    insecure_reason: str = ""  # why an open line to another machine is accepted
    restoring: bool = False  # whether it is written to, whatever is set there
    application: str = "holdfast"  # what the server calls its sessions

    @classmethod
    def of(cls, connection: Connection, *, insecure_reason: str = "") -> Address:
        """The database that a connection names.

        Raises:
            ConfigurationInvalid: it would send data in the clear, or to whoever answers.
        """
        database = connection.schema or connection.login or "postgres"
        address = cls(connection=connection, database=database, insecure_reason=insecure_reason)
        address._require_safe()
        return address

    def of_database(self, name: str) -> Address:
        """Another database of the same server."""
        return replace(self, database=name)

    @property
    def host(self) -> str:
        """The name of the server; a directory for a socket on this machine."""
        return self.connection.host or "/var/run/postgresql"

    @property
    def port(self) -> int:
        """The port of the server."""
        return self.connection.port or DEFAULT_PORT

    @property
    def shown(self) -> str:
        """The address for people, without secrets."""
        return f"postgresql://{self.host}:{self.port}/{self.database}"

    @property
    def error(self) -> type[BackupError]:
        """Of what class it is that the server cannot be reached, or refuses."""
        return RestoreRefused if self.restoring else SourceError

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, where nobody listens in."""
        return self.host.startswith("/") or is_loopback(self.host)

    @property
    def sslmode(self) -> str:
        """Libpq's ``sslmode``."""
        given = str(self.connection.extra.get("sslmode", ""))
        if given or self.is_local:
            return given or "prefer"
        return "require" if self.insecure_reason else "verify-full"

    @property
    def _options(self) -> str:
        given = str(self.connection.extra.get("options", ""))
        return f"{_OPTIONS} {given}".strip() if self.restoring else given

    def _require_safe(self) -> None:
        if self.is_local or self.insecure_reason:
            return
        if self.sslmode != "verify-full":
            raise ConfigurationInvalid(
                f"sslmode {self.sslmode} to {self.host} would trust whoever answers there",
                hint='"sslmode": "verify-full" in the extra of the connection, or an '
                "insecure_reason in the dataset",
            )
        if not self.connection.extra.get("sslrootcert"):
            raise ConfigurationInvalid(
                f"nothing says which certificate {self.host} must have",
                hint='"sslrootcert": "/path/to/ca.pem" in the extra of the connection; managed '
                "services publish a bundle of theirs",
            )

    def password(self) -> str:
        """The password, or a fresh token.

        Raises:
            SourceError: no token can be made.
        """
        if not _is_true(self.connection.extra.get("iam")):
            return self.connection.password
        return _iam_token(self)

    def connect(self, **options: Any) -> psycopg.Connection[Any]:  # noqa: ANN401  of psycopg
        """Open a session in which each statement is its own transaction.

        Raises:
            SourceError: the server cannot be reached, or refuses; RestoreRefused in a restore.
        """
        extra = self.connection.extra
        tls = {key: str(extra[key]) for key in _TLS_KEYS if extra.get(key)}
        settings: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.connection.login or None,
            "password": self.password() or None,
            "sslmode": self.sslmode,
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": self.application,
            "client_encoding": "UTF8",
            "keepalives_idle": 30,  # a server whose machine is gone is noticed in 90 seconds
            "keepalives_interval": 10,
            "keepalives_count": 6,
            "options": self._options or None,
            "autocommit": True,
            **tls,
            **options,
        }
        try:
            session = psycopg.connect(**settings)
        except psycopg.Error as error:
            raise refused(error, self) from None
        if session.info.server_version < _OLDEST:
            version = session.info.server_version // 10_000
            session.close()
            raise self.error(
                f"{self.shown}: the server is of version {version}, and {_OLDEST // 10_000} is the "
                "oldest that can be backed up and restored to",
                hint="older ones get no fixes any more; dump it with its own pg_dump into a "
                "directory, and back that up",
            )
        return session

    def environment(self) -> dict[str, str]:
        """The environment of a client program. The password is nowhere else."""
        extra = self.connection.extra
        named = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGDATABASE": self.database,
            "PGUSER": self.connection.login,
            "PGPASSWORD": self.password(),
            "PGSSLMODE": self.sslmode,
            "PGCONNECT_TIMEOUT": str(_CONNECT_SECONDS),
            "PGAPPNAME": self.application,
            "PGOPTIONS": self._options,
            **{f"PG{key.upper()}": str(extra[key]) for key in _TLS_KEYS if extra.get(key)},
        }
        kept = {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
        return kept | {key: value for key, value in named.items() if value}


def as_argument(database: str) -> str:
    """The name of a database as programs take it, to whom ``a=b`` is a connection string."""
    if "=" not in database and not database.startswith(("postgres://", "postgresql://")):
        return database
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def refused(error: psycopg.Error, address: Address) -> BackupError:
    """What libpq or the server said, as an error of ours. It holds no password."""
    told = " ".join(str(error).split())
    hint = hint_about(f"{error.sqlstate} {told}")
    if "CONNECT privilege" in told:
        login = address.connection.login
        hint = f'GRANT CONNECT ON DATABASE "{address.database}" TO "{login}"'
    if not hint and ("certificate" in told or "SSL" in told):
        hint = 'see "sslmode" and "sslrootcert" in the extra of the connection'
    elif not hint and ("password" in told or "authentication" in told):
        hint = "look at login and password of the connection"
    elif not hint and isinstance(error, psycopg.OperationalError):
        hint = "does the server run, and do host, port and database fit?"
    return address.error(f"{address.shown}: {told}", hint=hint)


def _iam_token(address: Address) -> str:
    import boto3  # noqa: PLC0415  heavy, and rarely needed
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    extra = address.connection.extra
    try:
        client = boto3.Session(
            region_name=str(extra.get("region_name", "")) or None,
            profile_name=str(extra.get("profile_name", "")) or None,
        ).client("rds")
        return str(
            client.generate_db_auth_token(address.host, address.port, address.connection.login)
        )
    except (BotoCoreError, ValueError) as error:
        raise address.error(
            f"{address.shown}: no IAM token can be made: {type(error).__name__}",
            hint='"region_name" in the extra of the connection, and a role that may rds-db:connect',
        ) from None


def _is_true(value: object) -> bool:
    return str(value).lower() in {"true", "1", "yes"}
