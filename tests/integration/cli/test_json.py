"""``--json``: what is printed is what JSON.md says, and it is all that is printed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.cli.json_output import plan_json
from include.backup.vault.expiry import ExpiryPlan, Fate
from tests.integration.cli.shell import ENTRY, ROOT, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \|", re.MULTILINE)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_LIKE_A_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*( UTC)?")
PEOPLE = """
people:
  anna:
    name: Anna Example
    role: operations
    trainings:
      - {course: Restore, date: 2026-03-01, valid_for: 3650 days, certified_by: bob, evidence: "42"}
  carl: {name: Carl Example, role: operations}
"""
_PYTHON_TYPES = {
    "text": str,
    "time": str,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "object of texts": dict,
    "list of texts": list,
}


def documented(heading: str, *, below: str = "") -> dict[str, str]:
    """The fields of one section of JSON.md with their types."""
    sections = re.split(r"^#+ ", (ROOT / "JSON.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    [section] = [text for text in sections if text.startswith(heading)]
    return {f"{below}{field}": kind.strip() for field, kind in _ROW.findall(section)}


def outcome_of(details: str) -> dict[str, str]:
    """The fields of an outcome with its details."""
    return documented("Outcomes") | documented(details, below="details.")


def printed(value: Any, known: dict[str, str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Each field of a document with its value; a list of texts, and a map, is one value."""
    if known.get(path) in {"list of texts", "object of texts"}:
        yield path, value
    elif isinstance(value, list):
        for each in value:
            yield from printed(each, known, f"{path}[]")
    elif isinstance(value, dict):
        if path in known:
            yield path, value
        for name, inner in value.items():
            inside = f"{path}.{name}" if path else name
            yield from printed(inner, known, inside)
    else:
        yield path, value


@pytest.fixture
def documents(shell: Shell) -> dict[str, Any]:
    """What every command prints, for a dataset with recovery points of each kind."""
    shell.datasets(ENTRY, replica=True)
    first = shell.json("back-up", "crm")
    second = shell.json("back-up", "crm")
    restored = shell.json(
        *("restore", "crm", "--to", "out", "--path", "customers.csv", "--compare"),
        *("--ticket", "INC-7", "--incident-began", "2026-01-01T00:00"),
    )
    (shell.site / "config" / "people.yaml").write_text(PEOPLE)
    checked = shell.json("check", "crm", "--read-data")
    verified = verified_of(shell)
    points = shell.json("recovery-points", "crm")
    replicated = shell.json("replicate", "crm")
    status = shell.json("status")
    plan = shell.json("recovery-plan")
    restores, people = shell.json("restores"), shell.json("people")
    two = ("--reason", "a lawsuit", "--requested-by", "legal", "--approved-by", "cto")
    shell.out("holds", "add", "crm", "--recovery-point", points[0]["id"], *two)
    (shell.site / "patterns").write_text("customers.csv\n")
    dpo = ("--requested-by", "dpo", "--reason", "article 17")
    shell.out("erasures", "add", "crm", "--paths", "patterns", *dpo)
    erasures = shell.json("erasures")
    expiry, holds = shell.json("expire", "--dry-run"), shell.json("holds")
    doubts = json.loads(shell.out("suspicions", "--json", code=1))
    datasets = shell.json("datasets")
    shell.datasets(ENTRY + "  odd: {{class: critcal, owner: a@example.com}}\n")
    policy = json.loads(shell.out("policy", "--json", code=2))
    return {
        "back-up": [first, second],
        "restore": restored,
        "check": checked,
        "verify": verified,
        "recovery-points": points,
        "status": status,
        "recovery-plan": plan,
        "restores": restores,
        "people": people,
        "policy": policy,
        "expire": with_a_generation(expiry),
        "holds": holds,
        "keys": shell.json("keys", "list", "crm"),
        "suspicions": doubts,
        "replicate": replicated[0],
        "erasures": erasures,
        "vaults": shell.json("vault", "list"),
        "datasets": datasets,
    }


def with_a_generation(expiry: Any) -> Any:
    """With what becomes of a generation: none of a new dataset is to leave."""
    fate = Fate(generation="20260101T010000Z", dies=True, why="its last recovery point has expired")
    plan = ExpiryPlan(verdicts=(), snapshots={}, fates=(fate,))
    assert expiry[0]["generations"] == []
    return [expiry[0] | {"generations": plan_json("crm", plan)["generations"]}]


def verified_of(shell: Shell) -> Any:
    """A verification with expectations: one that is met, one that is not."""
    (shell.site / "scratch").mkdir()
    place = f"verification: {{filesystem: {shell.site}/scratch, encrypted: true}}\n"
    shell.datasets(ENTRY, place, replica=True)
    folder = shell.site / "config" / "expectations"
    folder.mkdir()
    (folder / "crm.yaml").write_text(
        "expectations:\n"
        "  - {file: customers.csv, expectation: expect_column_values_to_not_be_null, column: id}\n"
        "  - {file: gone.csv, expectation: expect_column_values_to_not_be_null, column: id}\n"
    )
    return json.loads(shell.out("verify", "crm", "--json", code=1))


def test_the_fields_are_those_of_the_document(documents: dict[str, Any]) -> None:
    """Neither more nor fewer, and of the types that it says."""
    documented_fields = {
        "back-up": outcome_of("`details` of `back-up`"),
        "restore": outcome_of("`details` of `restore`"),
        "check": documented("Outcomes") | documented("Besides, in `check`"),
        "verify": documented("Outcomes") | documented("`details` of `verify`"),
        "recovery-points": documented("`recovery-points DATASET --json`"),
        "status": documented("`status --json`"),
        "recovery-plan": documented("`recovery-plan --json`"),
        "restores": documented("`restores --json`"),
        "people": documented("`people --json`"),
        "policy": documented("`policy --json`"),
        "expire": documented("`expire --json`"),
        "holds": documented("`holds --json`"),
        "keys": documented("`keys list --json`"),
        "suspicions": documented("`suspicions --json`"),
        "erasures": documented("`erasures --json`"),
        "replicate": outcome_of("`replicate --json`"),
        "vaults": documented("`vault list --json`"),
        "datasets": documented("`datasets --json`"),
    }
    for command, known in documented_fields.items():
        runs = documents[command] if command == "back-up" else [documents[command]]
        for run in runs:
            found = list(printed(run, known))
            assert {path for path, _ in found} == set(known), command
            for path, value in found:
                kind = known[path].removesuffix(" or null")
                if value is None:
                    assert known[path].endswith(" or null"), (command, path)
                    continue
                assert isinstance(value, _PYTHON_TYPES[kind]), (command, path, value)
                assert isinstance(value, bool) == (kind == "boolean"), (command, path)
                if kind == "time":
                    assert _TIME.fullmatch(value), (command, path, value)
                elif isinstance(value, str):
                    assert not _LIKE_A_TIME.fullmatch(value), (command, path, value)


def test_a_restore_of_a_class_is_one_document(shell: Shell) -> None:
    """The outcome of each dataset, and why others are not there."""
    shell("back-up", "crm")
    command = ("restore", "--class", "critical", "--to", "out")
    told = shell.json(*command)
    assert {f"{name}[]" if name == "restored" else name for name in told} == set(
        documented("`restore --class CLASS --json`")
    )
    [restored] = told["restored"]
    assert set(restored) == set(documented("Outcomes"))
    again = json.loads(shell.out(*command, "--json", code=1))
    assert list(again["failed"]) == ["crm"]
    assert again["restored"] == []


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("back-up", "crm"), 1),
        (("back-up", "crn"), 2),
        (("recovery-points", "crn"), 2),
        (("restore", "crm", "--to", "out"), 2),
        (("check", "crn"), 2),
        (("verify", "crm"), 2),
    ],
)
def test_a_failure_is_one_object(shell: Shell, command: tuple[str, ...], code: int) -> None:
    """Error and hint on standard output and nothing else; the exit code as without --json."""
    (shell.site / "crm" / "customers.csv").unlink()
    (shell.site / "crm").rmdir()
    told = json.loads(shell.out(*command, "--json", code=code))
    assert set(told) == set(documented("Failures"))
    assert told["error"]
    assert "hint:" not in told["error"]
    assert told["hint"]


def test_damage_found_is_an_outcome_with_its_list(shell: Shell) -> None:
    """Exit code 1, and each damage in the list."""
    shell("back-up", "crm")
    for pack in (shell.site / "vault").rglob("data/*/*"):
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:-1])
    told = json.loads(shell.out("check", "crm", "--json", code=1))
    assert told["kind"] == "checked"
    assert told["damages"]
    unreadable = shell.json("policy")
    assert unreadable["bad_entries"] == {}
    (shell.site / "config" / "policy.yaml").write_text("classes: [")
    assert json.loads(shell.out("policy", "--json", code=2))["error"]


def test_a_review_prints_its_sentence(shell: Shell) -> None:
    """In the one document."""
    review = ("policy", "--json", "review", "--by", "Ada", "--note", "fine")
    assert json.loads(shell.out(*review))["sentence"].startswith("KEPT 8")
