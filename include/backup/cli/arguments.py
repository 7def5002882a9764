"""What the arguments of commands may be."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from include.backup.actions.choosing import end_of, time_of
from include.backup.actions.two_people import TwoPeople
from include.backup.errors import ConfigurationInvalid
from include.backup.evidence.signing import KEY_SIZE
from include.backup.policy.source_fields import MOST_JOBS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


def moment(text: str) -> datetime:
    """See choosing.end_of.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    return _parsed(end_of, text)


def beginning(text: str) -> datetime:
    """A time as people write it, in UTC unless it says otherwise.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    return _parsed(time_of, text)


def order_of(options: argparse.Namespace) -> TwoPeople:
    """The two people of a command, and why; see retention_options.two_people."""
    return TwoPeople(
        reason=options.reason, requested_by=options.requested_by, approved_by=options.approved_by
    )


def _parsed(parse: Callable[[str], datetime], text: str) -> datetime:
    try:
        return parse(text)
    except ConfigurationInvalid as error:
        raise argparse.ArgumentTypeError(f"{error.message}; {error.hint}") from error


def given(text: str) -> str:
    """An argument that must not be empty, as that of a variable that was never set.

    Raises:
        argparse.ArgumentTypeError: it is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; is a variable not set?")
    return text


def public_key(text: str) -> bytes:
    """A public key: 32 bytes in hex.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no public key in hex")
    return key


def jobs(text: str) -> int:
    """A number of streams.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    if not text.isdigit() or not 1 <= int(text) <= MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_JOBS}")
    return int(text)
