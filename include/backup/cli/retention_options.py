"""The options of the commands about retention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.cli import retention
from include.backup.cli.arguments import given
from include.backup.cli.parsing import as_sentence, dataset_argument, json_option, subcommands

if TYPE_CHECKING:
    import argparse


def expire(parser: argparse.ArgumentParser) -> None:
    """Of `expire`."""
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help="all of them, if left out")
    parser.add_argument("--dry-run", action="store_true", help="show the plan; touch nothing")
    json_option(parser)


def holds(parser: argparse.ArgumentParser) -> None:
    """Of `holds`."""
    parser.add_argument("--dataset", metavar="DATASET", help="else those of all")
    json_option(parser)
    inner = subcommands(
        parser, "[--dataset DATASET] [--json] [add DATASET … | lift DATASET HOLD …]", required=False
    )
    text = "keep everything of a dataset, or some recovery points, until the hold is lifted"
    add = inner.add_parser("add", help=text, description=as_sentence(text))
    dataset_argument(add)
    add.add_argument(
        "--recovery-point",
        action="append",
        default=[],
        type=given,
        metavar="ID",
        help="only this one; may be given several times",
    )
    two_people(add)
    add.set_defaults(run=retention.add_hold)
    text = "end a hold"
    lift = inner.add_parser("lift", help=text, description=as_sentence(text))
    dataset_argument(lift)
    lift.add_argument("hold", metavar="HOLD", help="its id, as `holds` lists it")
    two_people(lift)
    lift.set_defaults(run=retention.lift_hold)


def two_people(parser: argparse.ArgumentParser) -> None:
    """Who wants it, who approves it, and why."""
    parser.add_argument("--reason", type=given, required=True, metavar="TEXT")
    parser.add_argument("--requested-by", type=given, required=True, metavar="WHO")
    parser.add_argument(
        "--approved-by", type=given, required=True, metavar="WHO", help="somebody else"
    )


def shorten(parser: argparse.ArgumentParser) -> None:
    """Of `shorten`."""
    dataset_argument(parser)
    parser.add_argument("--dry-run", action="store_true", help="show old and new expiry only")
    two_people(parser)


def suspicions(parser: argparse.ArgumentParser) -> None:
    """Of `suspicions`."""
    parser.add_argument("--dataset", metavar="DATASET", help="else those of all")
    json_option(parser)
    inner = subcommands(parser, "[--dataset DATASET] [--json] [resolve DATASET …]", required=False)
    text = "say that somebody has looked into them: the dataset may expire again"
    settle = inner.add_parser("resolve", help=text, description=as_sentence(text))
    dataset_argument(settle)
    settle.add_argument("--by", type=given, required=True, metavar="WHO")
    settle.add_argument("--reason", type=given, required=True, metavar="TEXT")
    settle.set_defaults(run=retention.resolve)
