"""Which code puts a dataset back into which kind of server: ``connection:ID/PLACE``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from include.backup.actions.choosing import matching
from include.backup.errors import ConfigurationInvalid
from include.backup.policy.source_model import MariadbSettings

if TYPE_CHECKING:
    from include.backup.actions.dataset_vault import DatasetVault
    from include.backup.sources.base import Server
    from include.backup.sources.connection import Connection

PREFIX: Final = "connection:"
_POSTGRESQL: Final = frozenset({"postgres", "postgresql", "pgsql"})
_MARIADB: Final = frozenset({"mysql", "mariadb"})
_S3: Final = frozenset({"aws", "s3"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOrder:
    """Where a dataset is put back to, and what may be done there."""

    connection: str
    place: str = ""  # a database; empty: called as it was. Of a bucket: its name, and a prefix
    pattern: str = ""
    overwrite: bool = False
    into_source: str = ""  # the connection once more, if it is the one that the data is from
    owner: str | None = None  # of everything; "": whoever restores; None: as it was
    jobs: int = 2
    statistics: bool = True  # gathered for the planner at the end

    @classmethod
    def parse(cls, text: str) -> ServerOrder:
        """Read ``connection:ID`` or ``connection:ID/PLACE``.

        Raises:
            ConfigurationInvalid.
        """
        name, _, place = text.removeprefix(PREFIX).partition("/")
        if not name:
            raise ConfigurationInvalid(
                f"{text!r} names no connection",
                hint=f"--to {PREFIX}ID, {PREFIX}ID/DATABASE or {PREFIX}ID/BUCKET/PREFIX",
            )
        return cls(connection=name, place=place)


def open_server(place: DatasetVault, order: ServerOrder) -> Server:
    """A server to put a dataset back into. Nothing is done there yet.

    Raises:
        ConfigurationInvalid: it is of no kind that can be restored to; it is not safe; or it is
            the source of the data, and was not named twice.
    """
    if order.connection == place.dataset.connection != order.into_source:
        raise ConfigurationInvalid(
            f"{order.connection} is the connection that {place.dataset.name} is backed up from",
            hint="restore through another connection, or name it twice: "
            f"--into-source {order.connection}",
        )
    if order.into_source not in {"", place.dataset.connection}:
        raise ConfigurationInvalid(
            f"{place.dataset.name} is not backed up from {order.into_source}",
            hint=f"--into-source {place.dataset.connection}, if that is what is to be overwritten",
        )
    connection = place.setting.connection(order.connection)
    if connection.conn_type in _POSTGRESQL:
        return _postgresql(place, connection, order)
    if connection.conn_type in _MARIADB:
        return _mariadb(place, connection, order)
    if connection.conn_type in _S3:
        return _s3(place, order)
    raise ConfigurationInvalid(
        f"nothing can be restored to connection {order.connection} of type "
        f"{connection.conn_type or 'unknown'}",
        hint='its conn_type must be "postgres", "mysql" or "aws"',
    )


def _postgresql(place: DatasetVault, connection: Connection, order: ServerOrder) -> Server:
    from include.backup.sources.postgresql.address import Address  # noqa: PLC0415  heavy
    from include.backup.sources.postgresql.target import PostgresTarget  # noqa: PLC0415  heavy
    from include.backup.sources.postgresql.wanted import Rules  # noqa: PLC0415  heavy

    address = Address.of(connection, insecure_reason=place.dataset.insecure_reason)
    return PostgresTarget(
        address,
        Rules(
            database=order.place,
            overwrite=order.overwrite,
            into_source=bool(order.into_source),
            owner=order.owner,
            jobs=order.jobs,
            statistics=order.statistics,
            wanted=matching(order.pattern),
        ),
    )


def _mariadb(place: DatasetVault, connection: Connection, order: ServerOrder) -> Server:
    from include.backup.sources.mariadb.address import address_of  # noqa: PLC0415  PyMySQL
    from include.backup.sources.mariadb.target import MariadbTarget  # noqa: PLC0415  PyMySQL

    _refuse_what_only_postgresql_knows(order, "MariaDB and MySQL")
    source, reason = place.dataset.source, place.dataset.insecure_reason
    return MariadbTarget(
        address_of(order.connection, connection, insecure_reason=reason),
        database=order.place,
        overwrite=order.overwrite,
        source=address_of(
            source.connection, place.setting.connection(source.connection), insecure_reason=reason
        )
        if isinstance(source, MariadbSettings)
        else None,
        into_source=bool(order.into_source),
        wanted=matching(order.pattern),
        jobs=order.jobs,
    )


def _refuse_what_only_postgresql_knows(order: ServerOrder, what: str) -> None:
    if order.owner is not None or not order.statistics:
        raise ConfigurationInvalid(
            f"--owner, --no-owner and --no-statistics have no meaning for {what}"
        )


class BucketOf(NamedTuple):
    """See storage.s3_client.S3Place."""

    connection: str
    region: str = ""
    endpoint_url: str = ""


def _s3(place: DatasetVault, order: ServerOrder) -> Server:
    from include.backup.sources.s3.target import S3Target  # noqa: PLC0415  heavy

    bucket, _, prefix = order.place.partition("/")
    if not bucket:
        raise ConfigurationInvalid(
            "a bucket to restore to has to be named",
            hint=f"--to {PREFIX}{order.connection}/BUCKET/PREFIX",
        )
    _refuse_what_only_postgresql_knows(order, "a bucket")
    return S3Target(
        place.setting.s3_client(BucketOf(order.connection)),
        bucket,
        prefix,
        overwrite=order.overwrite,
        into_source=bool(order.into_source),
        wanted=matching(order.pattern),
        jobs=order.jobs,
        insecure_reason=place.dataset.insecure_reason,
    )
