"""The options of the commands about erasure requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.backup.cli import erasures
from include.backup.cli.arguments import beginning, given
from include.backup.cli.parsing import as_sentence, dataset_argument, json_option, subcommands
from include.backup.cli.retention_options import two_people

if TYPE_CHECKING:
    import argparse


def options(parser: argparse.ArgumentParser) -> None:
    """Of `erasures`."""
    parser.add_argument("--dataset", metavar="DATASET", help="else those of all")
    json_option(parser)
    usage = "[--dataset DATASET] [--json] [add DATASET … | show DATASET ID | withdraw DATASET ID …]"
    inner = subcommands(parser, usage, required=False)
    text = "erase something again from whatever is restored from now on"
    add = inner.add_parser("add", help=text, description=as_sentence(text))
    dataset_argument(add)
    what = add.add_mutually_exclusive_group(required=True)
    told = "a pattern a line, as for `restore --path`; -: standard input"
    what.add_argument("--paths", metavar="FILE", help=told)
    what.add_argument("--statements", metavar="FILE", help="SQL; -: standard input")
    add.add_argument("--database", type=given, metavar="NAME", help="of several: where they run")
    told = "when it was erased at the source (UTC); else now"
    add.add_argument("--erased-at", type=beginning, metavar="TIME", help=told)
    add.add_argument("--requested-by", type=given, required=True, metavar="WHO")
    told = "it stands in records and logs: name nobody whose data it is"
    add.add_argument("--reason", type=given, required=True, metavar="TEXT", help=told)
    add.add_argument("--ticket", default="", metavar="ID", help="where more is written about it")
    add.set_defaults(run=erasures.add)
    text = "print what a request is about, for who carries it out by hand"
    show = inner.add_parser("show", help=text, description=as_sentence(text))
    dataset_argument(show)
    show.add_argument("erasure", metavar="ID", help="as `erasures` lists it")
    show.set_defaults(run=erasures.show)
    text = "take a request back that was registered in error"
    back = inner.add_parser("withdraw", help=text, description=as_sentence(text))
    dataset_argument(back)
    back.add_argument("erasure", metavar="ID", help="as `erasures` lists it")
    two_people(back)
    back.set_defaults(run=erasures.withdraw)
