"""The options of the commands about copies in other vaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.cli import replication, undeletion
from include.backup.cli.arguments import given
from include.backup.cli.parsing import as_sentence, json_option, subcommands
from include.backup.cli.retention_options import two_people

if TYPE_CHECKING:
    import argparse


def replicate(parser: argparse.ArgumentParser) -> None:
    """Of `replicate`."""
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help="all of them, if left out")
    parser.add_argument("--to", type=given, metavar="VAULT", help="only this replica; else all")
    json_option(parser)


def read_from(parser: argparse.ArgumentParser) -> None:
    """The option --from, of commands that read what is stored."""
    parser.add_argument(
        "--from",
        dest="replica",
        type=given,
        metavar="VAULT",
        help="read the replica in this vault; also when the home is lost",
    )


def vault(parser: argparse.ArgumentParser) -> None:
    """Of `vault`."""
    inner = subcommands(
        parser, "{list | promote VAULT … | undelete {DATASET | --all} …}", required=True
    )
    text = "where the vaults are, which lie offsite, what has its home in them, how replicas stand"
    listed = inner.add_parser("list", help=text, description=as_sentence(text))
    json_option(listed)
    listed.set_defaults(run=replication.vaults)
    text = "make a vault that holds replicas the home: ledgers go on there, on two people's word"
    promote = inner.add_parser("promote", help=text, description=as_sentence(text))
    promote.add_argument("vault", metavar="VAULT", help="its name in datasets.yaml")
    promote.add_argument(
        "--dataset", type=given, metavar="DATASET", help="else every one that has a replica there"
    )
    promote.add_argument(
        "--lost",
        action="store_true",
        help="the home is lost for good: what it had recorded last is lost with it",
    )
    two_people(promote)
    promote.set_defaults(run=replication.promote)
    text = "remove what somebody has put over files of a bucket: delete markers, later versions"
    undelete = inner.add_parser("undelete", help=text, description=as_sentence(text))
    which = undelete.add_mutually_exclusive_group(required=True)
    which.add_argument("dataset", metavar="DATASET", nargs="?", type=given, help="its name")
    which.add_argument("--all", action="store_true", help="every dataset that the vault holds")
    undelete.add_argument(
        "--vault", type=given, metavar="VAULT", help="its name in datasets.yaml; else the homes"
    )
    undelete.add_argument("--dry-run", action="store_true", help="only tell what is there")
    undelete.set_defaults(run=undeletion.undelete)
