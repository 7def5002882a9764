"""How a server is reached: a connection of Airflow, or of the environment of the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach something, and the secret for it. `repr` shows no secret."""

    conn_type: str = ""
    host: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    port: int | None = None
    schema: str = ""
    extra: Mapping[str, object] = field(default_factory=dict, repr=False)
