"""What the options of several commands have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def as_sentence(text: str) -> str:
    """A help text as a description."""
    return f"{text[0].upper()}{text[1:]}."


def subcommands(
    parser: argparse.ArgumentParser, usage: str, *, required: bool
) -> argparse._SubParsersAction[argparse.ArgumentParser]:
    """Commands below a command; `usage` is shown instead of the dots of argparse."""
    inner = parser.add_subparsers(title="commands", metavar="COMMAND", required=required)
    parser.usage = f"%(prog)s [-h] {usage}"  # after: argparse would begin theirs with it
    return inner


def json_option(parser: argparse._ActionsContainer) -> None:
    """The option --json."""
    parser.add_argument("--json", action="store_true", help="print JSON, as JSON.md tells")


def dataset_argument(parser: argparse.ArgumentParser) -> None:
    """The argument DATASET."""
    parser.add_argument("dataset", metavar="DATASET", help="its name in datasets.yaml")
