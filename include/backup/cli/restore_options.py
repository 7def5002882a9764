"""The options of `restore`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.cli import replication_options
from include.backup.cli.arguments import beginning, given, jobs, moment
from include.backup.cli.parsing import json_option

if TYPE_CHECKING:
    import argparse


def restore(parser: argparse.ArgumentParser) -> None:
    """What is restored, to where, for whom, and how."""
    _what(parser)
    _where(parser)
    _for_whom(parser)
    parser.add_argument(
        "--keep-erased",
        action="store_true",
        help="let come back what was erased at the source (see `erasures`); recorded",
    )
    parser.add_argument(
        "--compare", action="store_true", help="read it again, and compare it, before the end"
    )
    json_option(parser)


def _what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help="its name in datasets.yaml")
    parser.add_argument(
        "--class",
        dest="data_class",
        type=given,
        metavar="CLASS",
        help="all datasets of a class instead, who has the least time first",
    )
    replication_options.read_from(parser)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--at", type=moment, metavar="TIME", help="the newest at or before (UTC)")
    which.add_argument("--recovery-point", type=given, metavar="ID")
    parser.add_argument("--path", type=given, metavar="GLOB", help="only what matches, relative")


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--to",
        type=given,
        required=True,
        action="append",
        metavar="DIR|connection:ID[/NAME]",
        help="an empty or new directory; or a server, and what the database is to be called there; "
        "of a class, a directory for all of them, and DATASET=connection:ID[/NAME] for some",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--into-source", default="", metavar="ID", help="name the source's own connection again"
    )
    owners = parser.add_mutually_exclusive_group()
    owners.add_argument("--owner", metavar="ROLE", help="of everything in the database")
    owners.add_argument("--no-owner", action="store_true", help="whoever restores owns everything")
    parser.add_argument("--jobs", type=jobs, default=2, help="streams to a server at a time")
    parser.add_argument(
        "--no-statistics", action="store_true", help="PostgreSQL: leave them to the server"
    )


def _for_whom(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--requested-by", default="", metavar="WHO", help="who asked for it (4.3)")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; it is documented (4.3)")
    parser.add_argument("--ticket", default="", metavar="ID", help="where more is written about it")
    parser.add_argument(
        "--break-glass",
        action="store_true",
        help="evidence waits: no signing key, and no right to write, is needed; wants --reason",
    )
    parser.add_argument(
        "--incident-began", type=beginning, metavar="TIME", help="when the RTO began to run (4.2)"
    )
