"""Expectations that were found to be some, so that nobody has to look them up once more.

    <state folder>/expectations.json = [digest, …]      of kind, arguments and version

Great Expectations takes seconds to import. It is asked about what is new before anything is
restored; about the rest it is imported while the restore goes on. A memory, no evidence: where it
cannot be kept, everything is looked up each time.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from include.backup.policy.expectations import NEWEST
from include.backup.quality import gx

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from include.backup.policy.expectations import Expectation

log = logging.getLogger(__name__)
_MOST: Final = 10_000


def require_known(wanted: Iterable[Expectation], state_folder: Path) -> None:
    """Refuse what cannot be judged, before anything is restored for it.

    Raises:
        ConfigurationInvalid: there is no such expectation, or it takes other arguments.
    """
    path = state_folder / "expectations.json"
    asked = {_digest(one): one for one in wanted if one.kind != NEWEST}
    known = _read(path)
    new = [digest for digest in asked if digest not in known]
    for digest in new:
        gx.make(asked[digest])
    if new:
        _write(path, [*known, *new][-_MOST:])
    elif asked:
        threading.Thread(target=gx.import_it, name="import").start()


def _digest(one: Expectation) -> str:
    about = json.dumps([version("great_expectations"), one.kind, dict(one.arguments)], default=str)
    return sha256(about.encode()).hexdigest()[:24]


def _read(path: Path) -> list[str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def _write(path: Path, known: list[str]) -> None:
    """The file is replaced at once or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_text(json.dumps(known), encoding="utf-8")
        os.replace(temporary, path)  # noqa: PTH105  the atomic one, by its plain name
    except OSError as error:
        log.warning("%s: known expectations were not kept: %s", path, error.strerror)
