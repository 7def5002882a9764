"""The options of the commands about keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.cli import key_commands, rescue_kit
from include.backup.cli import keys as own_keys
from include.backup.cli.arguments import given
from include.backup.cli.parsing import as_sentence, dataset_argument, json_option, subcommands
from include.backup.cli.retention_options import two_people

if TYPE_CHECKING:
    import argparse


def keys(parser: argparse.ArgumentParser) -> None:
    """Of `keys`."""
    usage = (
        "{export DATASET GENERATION | list | rotate --old CONNECTION|ARN | erase DATASET … | "
        "offline | escrowed --by WHO}"
    )
    inner = subcommands(parser, usage, required=True)
    text = "print the repository password for stock restic, alone on the last line; it is recorded"
    export = inner.add_parser("export", help=text, description=as_sentence(text))
    dataset_argument(export)
    export.add_argument(
        "generation", metavar="GENERATION", help="its id, as `recovery-points` lists it"
    )
    text = "make a key for paper, which opens new envelopes as well as the master key does"
    offline = inner.add_parser("offline", help=text, description=as_sentence(text))
    offline.set_defaults(run=own_keys.offline)
    text = "say that the recovery sheet with the key of today lies in a safe; it is recorded"
    escrowed = inner.add_parser("escrowed", help=text, description=as_sentence(text))
    escrowed.add_argument("--by", type=given, required=True, metavar="WHO")
    escrowed.add_argument("--where", default="", metavar="TEXT", help="as in: the safe in Bonn")
    escrowed.set_defaults(run=rescue_kit.escrowed)
    text = "which master key opens which generation, how old it is, which envelopes there are"
    listed = inner.add_parser("list", help=text, description=as_sentence(text))
    listed.add_argument("dataset", metavar="DATASET", nargs="?", help="all of them, if left out")
    json_option(listed)
    listed.set_defaults(run=key_commands.listed)
    text = "let everything open with the master key that is configured now; no data moves"
    rotate = inner.add_parser("rotate", help=text, description=as_sentence(text))
    rotate.add_argument("dataset", metavar="DATASET", nargs="?", help="all of them, if left out")
    rotate.add_argument(
        "--old",
        type=given,
        required=True,
        metavar="CONNECTION|ARN",
        help="the connection that holds the master key of before; or its ARN in the same KMS",
    )
    rotate.set_defaults(run=key_commands.rotate)
    text = "remove a generation before its time, the key first, or all that is stored of a dataset"
    erase = inner.add_parser("erase", help=text, description=as_sentence(text))
    dataset_argument(erase)
    which = erase.add_mutually_exclusive_group(required=True)
    which.add_argument("--generation", type=given, metavar="ID")
    which.add_argument("--everything", action="store_true", help="but the evidence")
    text = "remove the key before its lock in governance ends; the role needs the right to"
    erase.add_argument("--bypass-governance", action="store_true", help=text)
    two_people(erase)
    erase.set_defaults(run=key_commands.erase)
