"""The commands and their options; what each does stands in the modules beside this one.

Exit codes: 0 done; 1 the operation failed, or found damage; 2 wrong use or configuration.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from include.backup.actions.outcome import attached_outcome
from include.backup.cli import (
    commands,
    datasets,
    doctor,
    erasure_options,
    erasures,
    key_options,
    keys,
    ledger,
    policy,
    replication,
    replication_options,
    rescue_kit,
    restore_options,
    restoring,
    retention,
    retention_options,
    standing,
)
from include.backup.cli.arguments import given, public_key
from include.backup.cli.json_output import print_json
from include.backup.cli.parsing import as_sentence, dataset_argument, json_option, subcommands
from include.backup.cli.stopping import sigterm_stops
from include.backup.errors import BackupError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Run = Callable[[argparse.Namespace], int]

_DEBUG = bool(os.environ.get("HOLDFAST_DEBUG"))
_VAULT_ALONE = frozenset({
    commands.recovery_points,
    restoring.restore,
    commands.check,
    datasets.datasets,
    keys.export,
    ledger.verify,
})
_DESCRIPTION = "Customer data backups that prove themselves."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.vault_url and options.run not in _VAULT_ALONE:
        parser.error(
            "with --vault there are datasets, recovery-points, restore, check, "
            "keys export and ledger verify"
        )
    _log_to_stderr()
    run: Run = options.run
    try:
        with sigterm_stops():
            return run(options)
    except BackupError as error:
        _tell(options, error, error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has seen enough
        return 0
    except KeyboardInterrupt as stopped:
        kept = "; what was stored is kept and used by the next run"
        _tell(options, stopped, f"stopped{kept if options.run is commands.back_up else ''}")
        return 1
    except OSError as error:
        where = f"{error.filename!s}: " if error.filename else ""
        _tell(options, error, f"{where}{error.strerror or error}")
        return 1
    except Exception as error:
        if _DEBUG:
            raise
        what = f"an unexpected {type(error).__name__}, which is a fault of ours"
        _tell(
            options, error, what, "run it again with HOLDFAST_DEBUG=1 and report what that prints"
        )
        return 1


def _tell(options: argparse.Namespace, error: BaseException, message: str, hint: str = "") -> None:
    """Say why a command failed: a line for people, and a document where one was asked for."""
    as_json = getattr(options, "json", False)
    if (outcome := attached_outcome(error)) is not None:
        print(outcome.sentence, file=sys.stderr if as_json else sys.stdout)
    print(f"error: {message}; hint: {hint}" if hint else f"error: {message}", file=sys.stderr)
    if as_json:
        print_json({"error": message, "hint": hint})


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(_without_traceback)
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


def _without_traceback(record: logging.LogRecord) -> bool:
    """Tracebacks are for developers: who asks for them gets them."""
    if not _DEBUG:
        record.exc_info = record.exc_text = None
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="holdfast", description=_DESCRIPTION)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--config", metavar="DIR", help="folder of policy.yaml and datasets.yaml")
    text = "nothing but a vault is there: no configuration, no Airflow; the vault is only read"
    either.add_argument("--vault", dest="vault_url", type=given, metavar="URL", help=text)
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def verb(
        name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        made = verbs.add_parser(name, help=text, description=as_sentence(text))
        made.set_defaults(run=run)
        return made

    verb("init", keys.init, "make new keys: the two connections, and a recovery sheet to print")
    doctors = verb("doctor", doctor.doctor, "try out connections, keys, clock, vaults and tools")
    text = "for an auditor, or a restore: the vaults can be read, and not written"
    doctors.add_argument("--reader", action="store_true", help=text)
    text = (
        "show schedules with their proof, findings and datasets; `policy review` records a review"
    )
    _policy(verb("policy", policy.show, text))
    text = "what is protected, by which promises, and where it lies"
    json_option(verb("datasets", datasets.datasets, text))
    _back_up(verb("back-up", commands.back_up, "take a recovery point of a dataset"))
    _points(verb("recovery-points", commands.recovery_points, "list recovery points"))
    text = "put a recovery point back, or those of a whole class"
    restore_options.restore(verb("restore", restoring.restore, text))
    _check(verb("check", commands.check, "check what is stored of a dataset"))
    _verify(verb("verify", commands.verify, "restore recovery points on trial and look at them"))
    _report(verb("report", standing.report, "the page about a verification, for people"))
    status = verb("status", standing.status, "every dataset against its objectives")
    json_option(status)
    text = "what is restored first, how long each takes, and whom to call"
    json_option(verb("recovery-plan", standing.recovery_plan, text))
    text = "every restore, who asked for it and who approved it; or the document about one"
    _restores(verb("restores", standing.restores, text))
    json_option(verb("people", standing.people, "who may approve restores"))
    retention_options.expire(
        verb("expire", retention.expire, "remove what has expired; a verdict on everything")
    )
    retention_options.holds(
        verb("holds", retention.holds, "legal holds: what does not expire, and why")
    )
    text = "let recovery points expire by the shorter retention of today, on two people's word"
    retention_options.shorten(verb("shorten", retention.shorten, text))
    text = "suspicious runs: while one is unresolved nothing of its dataset expires"
    retention_options.suspicions(verb("suspicions", retention.suspicions, text))
    text = "what was erased at its source, and is erased again from whatever is restored"
    erasure_options.options(verb("erasures", erasures.listed, text))
    text = "which keys open what; rotate them; hand out one repository's password for stock restic"
    key_options.keys(verb("keys", keys.export, text))
    text = "bring the copies in other vaults up to date"
    replication_options.replicate(verb("replicate", replication.replicate, text))
    text = "where things lie, a new home for them, and undoing what somebody has deleted"
    replication_options.vault(verb("vault", replication.vaults, text))
    text = "one folder that restores without a network: wheels, restic, runbook, configuration"
    _rescue_kit(verb("rescue-kit", rescue_kit.rescue_kit, text))
    text = "the evidence: read it, accept it, adopt what waited elsewhere"
    _ledger(verb("ledger", ledger.verify, text))
    return parser


def _version() -> str:
    try:
        return version("holdfast")
    except PackageNotFoundError:
        return "of an unknown version: it is not installed; hint: make install"


def _policy(parser: argparse.ArgumentParser) -> None:
    either = parser.add_mutually_exclusive_group()
    json_option(either)
    either.add_argument(
        "--schemas", metavar="DIR", help="write the JSON schemas of these files for editors"
    )
    usage = "[--json | --schemas DIR] [review --by WHO --note TEXT]"
    inner = subcommands(parser, usage, required=False)
    text = "record that the policy was reviewed (8)"
    review = inner.add_parser("review", help=text, description=as_sentence(text))
    review.add_argument("--by", required=True, metavar="WHO")
    review.add_argument("--note", required=True, metavar="TEXT")
    review.set_defaults(run=policy.review)


def _back_up(parser: argparse.ArgumentParser) -> None:
    dataset_argument(parser)
    parser.add_argument("--full", action="store_true", help="open a new generation")
    parser.add_argument(
        "--new-key", action="store_true", help="which may have another master key than the last"
    )
    json_option(parser)


def _points(parser: argparse.ArgumentParser) -> None:
    dataset_argument(parser)
    replication_options.read_from(parser)
    json_option(parser)


def _check(parser: argparse.ArgumentParser) -> None:
    dataset_argument(parser)
    replication_options.read_from(parser)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--read-data", action="store_true", help="read every stored byte")
    either.add_argument(
        "--read-next",
        action="store_true",
        help="read a twelfth of each generation: what was not read for the longest time",
    )
    json_option(parser)


def _verify(parser: argparse.ArgumentParser) -> None:
    dataset_argument(parser)
    replication_options.read_from(parser)
    parser.add_argument(
        "--recovery-point", type=given, metavar="ID", help="only this one; else those that are due"
    )
    parser.add_argument("--seed", type=int, help="of a draw that is to be repeated")
    json_option(parser)


def _report(parser: argparse.ArgumentParser) -> None:
    dataset_argument(parser)
    parser.add_argument("--act", type=given, metavar="ID", help="else the newest verification")
    parser.add_argument("--to", metavar="FILE.html", help="a new file; else it is printed")


def _restores(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help="all of them, if left out")
    parser.add_argument("--act", type=given, metavar="ID", help="the document about this one")
    parser.add_argument("--to", metavar="FILE.html", help="as a page in a new file; else printed")
    json_option(parser)


def _rescue_kit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, metavar="DIR", help="a new folder")
    parser.add_argument(
        "--store", action="store_true", help="keep it in the vault as well, under its digest"
    )
    parser.add_argument(
        "--wheels",
        metavar="DIR",
        help="a folder of wheels, where no network can be asked",
    )


def _ledger(parser: argparse.ArgumentParser) -> None:
    inner = subcommands(
        parser, "{verify [DATASET] | accept DATASET | adopt DATASET --spool DIR}", required=True
    )
    text = "read all records; name the first that does not fit"
    verify = inner.add_parser("verify", help=text, description=as_sentence(text))
    left_out = "all of them, and the policy's, if left out"
    verify.add_argument("dataset", metavar="DATASET", nargs="?", help=left_out)
    verify.add_argument(
        "--public-key",
        action="append",
        type=public_key,
        metavar="HEX",
        help="who may have signed, as the recovery sheet has it; else the configuration says so",
    )
    text = "go on with a ledger that has less than this machine has seen of it"
    accept = inner.add_parser("accept", help=text, description=as_sentence(text))
    dataset_argument(accept)
    accept.set_defaults(run=ledger.accept)
    text = "record what another machine did while evidence had to wait: its spool, carried here"
    adopt = inner.add_parser("adopt", help=text, description=as_sentence(text))
    dataset_argument(adopt)
    adopt.add_argument("--spool", type=given, required=True, metavar="DIR")
    adopt.set_defaults(run=ledger.adopt)
