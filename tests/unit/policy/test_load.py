"""policy.yaml: what is read from it, and every reason why it is refused."""

from __future__ import annotations

import json
import time as clock
from datetime import date, time, timedelta
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from include.backup.errors import PolicyInvalid
from include.backup.policy.document import parse_document
from include.backup.policy.load import (
    load_policy,
    parse_policy,
    policy_digest,
    policy_schema,
    policy_text,
)
from include.backup.policy.model import Method

GOOD = """\
policy: {name: Backups, organization: Example, effective: 2023-01-01}
classes:
  critical: {frequency: daily, method: incremental,
             retention: 30 days, rpo: 48 hours,
             rto: 48 hours, complete_within: 12 hours}
full_backups: monthly
restore_tests: quarterly
"""


def refusal(text: str) -> PolicyInvalid:
    with pytest.raises(PolicyInvalid) as caught:
        parse_policy(text.encode())
    return caught.value


def test_the_shipped_policy_is_the_written_one() -> None:
    """Every number of the written policy stands in the shipped file, beside its class."""
    policy = load_policy()
    assert policy.organization == "Cellsoft Technologies"
    assert policy.effective == date(2023, 1, 1)
    assert [
        (one.name, one.frequency.words, one.retention.days, one.method, one.rpo, one.rto)
        for one in policy.classes
    ] == [
        ("critical", "daily", 30, "incremental", timedelta(hours=48), timedelta(hours=48)),
        ("important", "weekly", 90, "incremental", timedelta(days=7), timedelta(hours=72)),
        ("non_essential", "monthly", 180, "full", timedelta(days=30), timedelta(days=7)),
    ]
    assert policy.full_backups.words == "monthly"
    assert policy.restore_tests.words == "quarterly"
    assert policy.review.words == "annually"


def test_the_smallest_complete_policy_has_documented_defaults() -> None:
    """The configuration of the README is enough; what it leaves out has its default."""
    policy = parse_policy(GOOD.encode())
    [critical] = policy.classes
    assert policy.grace == timedelta(days=7)
    assert policy.review.words == "annually"
    assert critical.start_at == time(1, 0)
    assert critical.schedule == ""
    assert critical.method is Method.INCREMENTAL
    assert policy.data_class("critical") is critical


@pytest.mark.parametrize(
    ("old", "new", "path", "message"),
    [
        ("rpo: 48 hours", "rpo: 48", "classes.critical.rpo", '"48" has no unit'),
        ("rpo: 48 hours", "rpo: 0 h", "classes.critical.rpo", "is no time at all"),
        ("rpo: 48 hours", "rpo: ~", "classes.critical.rpo", "is empty"),
        ("rpo: 48 hours", "rpo: [1]", "classes.critical.rpo", "is not one plain value"),
        ("rpo: 48 hours", "rpo: !!int 4", "classes.critical.rpo", "is not one plain value"),
        ("rpo: 48 hours", "rpo_: 48 hours", "classes.critical.rpo_", "hint: did you mean rpo?"),
        ("daily", "dayly", "classes.critical.frequency", "is no frequency"),
        ("incremental", "incremntal", "classes.critical.method", "did you mean incremental?"),
        (", rpo: 48 hours", "", "classes.critical.rpo", "is missing"),
        ("12 hours}", "12 hours, start_at: 25:00}", "classes.critical.start_at", "no time of day"),
        ("12 hours}", "12 hours, schedule: R 1 * * *}", "classes.critical.schedule", "letters"),
        ("12 hours}", "12 hours, schedule: 0 0 30 2 *}", "classes.critical.schedule", "never"),
        ("12 hours}", "12 hours, schedule: 0 25 * * *}", "classes.critical.schedule", "bad field"),
        ("12 hours}", "12 hours, rpo: 1 h}", "classes.critical.rpo", "is written twice"),
        ("2023-01-01", "01/01/2023", "policy.effective", "is no date"),
        ("critical:", "Critical!:", "classes.Critical!", "cannot name a class"),
        ("restore_tests", "restore_test", "restore_test", "did you mean restore_tests?"),
        ("full_backups: monthly", "full_backups: {}", "full_backups", "is not one plain value"),
        ("name: Backups, ", "<<: {name: x}, ", "policy", "merges another mapping"),
    ],
)
def test_an_error_carries_its_path(old: str, new: str, path: str, message: str) -> None:
    """Whatever is wrong, the error names the place in the file, the line and the reason."""
    assert GOOD.count(old) >= 1
    error = refusal(GOOD.replace(old, new, 1))
    assert error.path == path
    assert str(error).startswith(f"{path}: ")
    assert message in str(error)
    assert "(policy.yaml line " in str(error)


def test_all_errors_are_told_at_once_with_their_lines() -> None:
    """A person repairs a file once, not once for each error."""
    error = refusal(
        GOOD
        .replace("effective: 2023-01-01", "effective: soon")
        .replace("rpo: 48 hours", "rpo: 48")
        .replace("rto: 48 hours", "rot: 48 hours")
    )
    assert error.path == "policy.effective"
    lines = str(error).splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "policy.effective",
        "classes.critical.rpo",
        "classes.critical.rot",
    ]
    assert [line.split("line ")[1][0] for line in lines] == ["1", "4", "5"]
    assert 'hint: write "48 hours" or "48 days"' in lines[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "policy.yaml is empty"),
        ("# nothing\n", "policy.yaml is empty"),
        ("- a\n", "is a list, not the policy"),
        ("classes: {}\n", "classes: is empty"),
        ("a: [\n", "policy.yaml line 2 is not YAML"),
        ("a:\n\tb: 1\n", "hint: indent with spaces, never with tabs"),
        ("a: *b\n", "put quotes around a text that begins with * or &"),
        ("a: 1\n---\nb: 1\n", "one file holds one document"),
        ("\x01", "is not YAML"),
        ("[" * 100_000, "nested more than 30 levels deep"),
        ("&a {policy: *a, classes: *a}", "policy.name: is missing"),
    ],
)
def test_what_is_no_policy_at_all_is_refused(text: str, message: str) -> None:
    """Broken YAML, the wrong shape and hostile nesting end in an error of ours with a line."""
    assert message in str(refusal(text))


def test_bytes_that_are_no_text_are_refused() -> None:
    """A file in another encoding is an error, not a crash."""
    with pytest.raises(PolicyInvalid, match="is not YAML"):
        parse_policy(b"policy: \xff\xfe\xff")


def test_a_policy_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """An absent file and a folder in its place are told apart."""
    with pytest.raises(PolicyInvalid, match="does not exist"):
        load_policy(tmp_path / "policy.yaml")
    with pytest.raises(PolicyInvalid, match="cannot be read: Is a directory"):
        load_policy(tmp_path)


def test_a_time_of_day_is_no_number() -> None:
    """To YAML 1.1 an unquoted 13:30 is the number 810; to us it is half past one."""
    policy = parse_policy(GOOD.replace("12 hours}", "12 hours, start_at: 13:30}").encode())
    assert policy.classes[0].start_at == time(13, 30)


def test_the_canonical_text_reads_back() -> None:
    """What the vault keeps of a policy is the whole policy, and its hash tells policies apart."""
    shipped = load_policy()
    text = policy_text(shipped)
    assert parse_policy(text.encode()) == shipped
    other = parse_policy(text.replace('"2 days 0 s"', '"2 days 1 s"', 1).encode())
    assert other.classes[0].rpo == timedelta(days=2, seconds=1)
    assert policy_digest(other) != policy_digest(shipped)
    centuries = GOOD.replace("30 days", "36525 days").replace(
        "12 hours}", '12 hours, schedule: "0 1 * * SUN"}'
    )
    old = parse_policy(centuries.encode())
    assert parse_policy(policy_text(old).encode()) == old


def test_reading_is_quick_enough_for_a_dag_file() -> None:
    """Airflow reads the policy at every parse: a few milliseconds at most."""
    path = Path(load_policy.__code__.co_filename).parents[2] / "config" / "policy.yaml"
    load_policy(path)
    begin = clock.process_time()
    for _ in range(10):
        load_policy(path)
    assert (clock.process_time() - begin) / 10 < 0.02


def test_the_schema_takes_what_the_loader_takes() -> None:
    """An editor accepts the shipped policy and marks what the loader refuses."""
    validator = Draft202012Validator(policy_schema())
    Draft202012Validator.check_schema(policy_schema())
    good = json.loads(policy_text(load_policy()))
    assert not list(validator.iter_errors(good))
    for spoil in ("frequency", "method", "retention", "rpo", "rto", "complete_within"):
        bad = json.loads(policy_text(load_policy()))
        bad["classes"]["critical"]["misspelt"] = bad["classes"]["critical"].pop(spoil)
        assert len(list(validator.iter_errors(bad))) == 2
        refusal(json.dumps(bad))


def test_every_node_knows_its_line() -> None:
    """Lines count from 1, as editors do."""
    root = parse_document(b"a: 1\nb: 2\n", file="x.yaml", kind=PolicyInvalid)
    assert root is not None
    assert [key.start_mark.line + 1 for key, _ in root.value] == [1, 2]
