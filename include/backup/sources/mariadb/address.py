"""How a MariaDB server is reached: a connection of Airflow's type `mysql`, and what TLS it gets.

    extra: {"ssl_ca": "/etc/ssl/ca.pem",      the CA of the server; left out: those of this machine
            "ssl_cert": …, "ssl_key": …,      a certificate of the client
            "ssl_mode": "required",           on loopback only: TLS, whoever answers
            "unix_socket": …,
            "iam": true, "region_name": …, "profile_name": …}    a fresh AWS token for each session

`{"ssl": {"ca": …, "cert": …, "key": …}}`, as Airflow's own hook has it, means the same. To another
machine data travels only over TLS whose certificate bears the name of the host, unless the dataset
has an `insecure_reason`: then whoever answers is trusted, and with `"ssl_mode": "disabled"` nothing
is encrypted.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from include.backup.errors import ConfigurationInvalid
from include.backup.hosts import is_loopback

if TYPE_CHECKING:
    from collections.abc import Mapping

    from include.backup.sources.connection import Connection

PORT: Final = 3306
CA_HINT: Final = (
    "name the CA's certificates in the extra of the connection, as in "
    '{"ssl_ca": "/etc/ssl/ca.pem"}; managed services publish a bundle of theirs'
)
_VERIFYING: Final = frozenset({"verify_identity", "verify-full", "verify_ca", "verify-ca"})
_PLAIN: Final = frozenset({"disabled", "disable"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """One server, one account. `repr` shows no secret."""

    name: str  # of the connection
    host: str
    port: int
    unix_socket: str = ""
    user: str
    database: str = ""
    ca: str = ""
    certificate: str = ""
    key: str = ""
    mode: str = ""
    iam: bool = False
    region: str = ""
    profile: str = ""
    password: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """For people."""
        return self.unix_socket or f"{self.host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether nothing leaves this machine."""
        return bool(self.unix_socket) or is_loopback(self.host)

    @property
    def _wants_tls(self) -> bool:
        return self.mode not in _PLAIN and bool(not self.local or self.ca or self.mode)

    @property
    def _verifies(self) -> bool:
        """Whether the server has to prove that it bears the name of the host."""
        return self.mode in _VERIFYING or (self.local and bool(self.ca))

    def secret(self) -> str:
        """The password, or a token that was made just now.

        Raises:
            ConfigurationInvalid: AWS gives none.
        """
        return self._token() if self.iam else self.password

    def _token(self) -> str:
        import boto3  # noqa: PLC0415  heavy, and few need it
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            session = boto3.Session(
                profile_name=self.profile or None, region_name=self.region or None
            )
            client = session.client("rds")
            return str(
                client.generate_db_auth_token(
                    DBHostname=self.host, Port=self.port, DBUsername=self.user
                )
            )
        except (BotoCoreError, ClientError) as error:
            raise ConfigurationInvalid(
                f"connection {self.name}: AWS gives no token for {self.user}@{self.shown} "
                f"({type(error).__name__})",
                hint="does this machine have AWS credentials, and the extra a region_name?",
            ) from None

    def tls(self) -> ssl.SSLContext | None:
        """What the session is wrapped in; None: nothing, which is for this machine alone.

        Raises:
            ConfigurationInvalid: a file of certificates cannot be used.
        """
        if self.unix_socket or not (self._wants_tls or self.iam):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key or None)
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationInvalid(
                f"connection {self.name}: its certificates cannot be used ({error})", hint=CA_HINT
            ) from error
        if not self._verifies:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def address_of(name: str, connection: Connection, *, insecure_reason: str = "") -> Address:
    """The address that a connection gives.

    Args:
        insecure_reason: why less than full TLS to another machine is accepted.

    Raises:
        ConfigurationInvalid: no server, or less than full TLS to another machine.
    """
    extra = connection.extra
    nested = _mapping(extra.get("ssl"))

    def of(*keys: str) -> str:
        found = [str(extra[key]) for key in keys if extra.get(key)]
        return found[0] if found else ""

    ca = of("ssl_ca") or str(nested.get("ca") or "")
    # A reason excuses what is missing; it does not take away what is there.
    unless_said = "required" if insecure_reason and not ca else "verify_identity"
    mode = of("ssl_mode", "sslmode").lower()
    address = Address(
        name=name,
        host=connection.host or "localhost",
        port=connection.port or PORT,
        unix_socket=of("unix_socket"),
        user=connection.login,
        password=connection.password,
        database=connection.schema,
        ca=ca,
        certificate=of("ssl_cert") or str(nested.get("cert") or ""),
        key=of("ssl_key") or str(nested.get("key") or ""),
        mode=mode,
        iam=of("iam").lower() == "true",
        region=of("region_name", "region"),
        profile=of("profile_name"),
    )
    if connection.conn_type not in {"", "mysql", "mariadb"}:
        raise ConfigurationInvalid(
            f"connection {name} is of type {connection.conn_type}", hint="its type is to be mysql"
        )
    if not address.user:
        raise ConfigurationInvalid(f"connection {name} names no login")
    if address.local:
        return address
    if mode and mode not in _VERIFYING and not insecure_reason:
        raise ConfigurationInvalid(
            f"connection {name}: ssl_mode {mode} does not verify {address.host}, which is another "
            "machine",
            hint=f"leave ssl_mode out, and {CA_HINT}; or an insecure_reason in the dataset",
        )
    return replace(address, mode=mode or unless_said)


def _mapping(value: object) -> Mapping[str, object]:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = json.loads(value)
    return value if isinstance(value, dict) else {}
