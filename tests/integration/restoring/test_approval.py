"""A restore with approval: asked for, judged, carried out once, and documented whatever happens."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from include.backup.actions import approving
from include.backup.actions.back_up import back_up
from include.backup.actions.outcome import sentence_of
from include.backup.actions.replicate import replicate
from include.backup.actions.request import Form, Request
from include.backup.actions.requesting import Asker, request_restores
from include.backup.actions.restores import restoration, restores
from include.backup.errors import ConfigurationInvalid, RestoreRefused, StorageUnreachable
from include.backup.evidence.restoration import as_page, as_text
from include.backup.policy.approval import Answer, Approval, Refusal, judge_answer
from include.backup.policy.model import Method
from include.backup.policy.people import Person, Training
from include.backup.quality import handed_over
from include.backup.repository.progress import Progress
from include.backup.storage.memory import MemoryStorage
from include.backup.vault.owners import Owner
from include.orchestration.restore_words import body
from tests.damage.site import Crash, Crashing, Site

if TYPE_CHECKING:
    from pathlib import Path

    from include.backup.actions.outcome import Outcome
    from include.backup.actions.setting import Setting

BOB = Person(
    user="bob",
    name="Bob Example",
    role="operations",
    trainings=(
        Training(
            course="Restore with Holdfast",
            on=date(2026, 3, 1),
            valid_for=timedelta(days=365),
            certified_by="dora",
            evidence="intranet",
        ),
    ),
)


class Desk(Site):
    """A dataset with a recovery point, and somebody who asks for its restore."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.write(customers__csv="id,name\n1,Ann\n", contracts__a="first", contracts__b="second")
        back_up(self.setting(), "crm", method=Method.FULL)
        self.wait(hours=1)
        self.runs = 0
        self.target = folder / "back"

    def ask(self, **values: Any) -> Request:
        """Ask, as anna."""
        found = self.asked(**values)
        assert not found.refused
        [request] = found.requests
        return request

    def asked(self, **values: Any) -> Any:
        """The same, whatever comes of it."""
        self.runs += 1
        filled = {"datasets": ["crm"], "destination": str(self.target), "reason": "the disk died"}
        asker = Asker(user="anna", at=self.now, run=f"airflow/holdfast_restore/{self.runs}")
        return request_restores(self.setting(), Form.of(filled | values, now=self.now), asker)

    def judge(self, request: Request, *, by: str = "bob", approved: bool = True) -> str:
        """Answer, and record what that means."""
        self.wait(minutes=3)
        judged = judge_answer(
            Answer(approved=approved, by=by, at=self.now),
            requested_by=request.requested_by,
            people={"bob": BOB},
            waited=timedelta(hours=4),
        )
        if isinstance(judged, Approval):
            return approving.approve(self.setting(), request, judged)
        assert isinstance(judged, Refusal)
        return approving.refuse(self.setting(), request, judged)

    def carry_out(self, request: Request, setting: Setting | None = None) -> Outcome:
        """Restore."""
        self.wait(minutes=1)
        return approving.carry_out(setting or self.setting(), request, Progress())

    def kinds(self) -> list[str]:
        """The kinds of all records after the backup."""
        return [record.kind for record in self.place().ledger.read()][4:]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A recovery point of an hour ago."""
    return Desk(tmp_path)


def test_what_was_approved_is_restored_compared_and_documented(desk: Desk) -> None:
    """Who, when, what, how long from the incident on: in the sentence and on one page."""
    began = desk.now - timedelta(minutes=30)
    request = desk.ask(incident_began=began.isoformat(), ticket="INC-7")
    assert not desk.target.exists()
    request = Request.of_json(json.loads(json.dumps(request.to_json())))  # as XCom does
    assert "approved by" not in desk.judge(request, by="bob", approved=False)
    request = desk.ask(incident_began=began.isoformat(), ticket="INC-7")
    desk.judge(request)
    outcome = desk.carry_out(request)
    assert desk.content(desk.target) == desk.content()
    assert outcome.sentence.startswith("KEPT 4.2 4.3 · critical/crm · recovery point ")
    for told in (
        "3 files read again, and as they were",
        "handed over 37 min after the incident began (limit 48 h)",
        "requested by anna (the disk died), approved by Bob Example (bob), trained until 2027-",
    ):
        assert told in outcome.sentence.replace(" 1 s ", " "), outcome.sentence
    one = restoration(desk.setting(), "crm", act=request.id)
    assert (one.result, one.approved_by) == ("restored", "bob")
    text, page = as_text(one), as_page(one)
    for told in ("INC-7", "Bob", "anna", "Incident began", request.snapshot, "RTO clock"):
        assert told in text
        assert told in page
    assert [record.kind for record in one.records] == ["requested", "approved", "begun", "restored"]
    for record in one.records:
        assert record.sha256 in text


@pytest.mark.parametrize(
    ("by", "approved", "verdict", "why"),
    [
        ("bob", False, "KEPT 4.3", "bob rejected it"),
        ("anna", True, "KEPT 4.3", "anna asked for it, and may not approve it as well"),
        ("carl", True, "KEPT 4.3", "carl is not in people.yaml"),
        ("", True, "AT RISK 4.2", "nobody answered within 4 h"),
    ],
)
def test_what_was_not_approved_is_not_restored(
    desk: Desk, by: str, approved: bool, verdict: str, why: str
) -> None:
    """The refusal is recorded with its reason, and nobody gets past it."""
    request = desk.ask()
    told = desk.judge(request, by=by, approved=approved)
    assert told.startswith(f"{verdict} · critical/crm · restore to {desk.target} not done: ")
    assert why in told
    assert "nothing was touched" in told
    with pytest.raises(RestoreRefused, match="was refused"):
        desk.carry_out(request)
    with pytest.raises(RestoreRefused, match="was answered before"):
        desk.judge(request)  # an approval that comes afterwards is none
    with pytest.raises(RestoreRefused, match="was refused"):
        desk.carry_out(request)
    assert not desk.target.exists()
    one = restoration(desk.setting(), "crm", act=request.id)
    assert one.result == "refused"
    assert why in one.records[1].sentence


def test_a_task_that_somebody_marked_as_successful_has_approved_nothing(desk: Desk) -> None:
    """Only the ledger says what was approved; the attempt is recorded."""
    request = desk.ask()
    with pytest.raises(RestoreRefused, match="no approval of this very request"):
        desk.carry_out(request)
    assert not desk.target.exists()
    assert desk.kinds() == ["requested", "failed"]
    desk.judge(request)  # and it may still be approved
    desk.carry_out(request)


@pytest.mark.parametrize(
    "change", [{"requested_by": "eve"}, {"compare": False}, {"limit": timedelta(days=9)}]
)
def test_what_was_approved_is_what_is_restored(desk: Desk, change: dict[str, Any]) -> None:
    """An approval counts for the very request, to the last field."""
    request = desk.ask()
    desk.judge(request)
    with pytest.raises(RestoreRefused, match="the ledger has no such request"):
        desk.carry_out(replace(request, **change))
    for sequence in (0, 1, request.sequence + 1, 99):
        with pytest.raises(RestoreRefused, match="the ledger has no such request"):
            desk.carry_out(replace(request, sequence=sequence))
    other = replace(request, place=replace(request.place, to=str(desk.folder / "elsewhere")))
    with pytest.raises(RestoreRefused):
        desk.carry_out(other)
    assert not (desk.folder / "elsewhere").exists()


def test_an_approval_counts_once_and_for_a_day(desk: Desk) -> None:
    """A task that is cleared a month later writes over nothing."""
    request = desk.ask()
    desk.judge(request)
    desk.carry_out(request)
    with pytest.raises(RestoreRefused, match="was carried out at"):
        desk.carry_out(request)
    desk.target = desk.folder / "another"
    late = desk.ask()
    desk.judge(late)
    desk.wait(days=2)
    with pytest.raises(RestoreRefused, match="too long ago"):
        desk.carry_out(late)
    assert not desk.target.exists()


def test_the_recovery_point_is_the_one_that_was_planned(desk: Desk) -> None:
    """Not one that was taken while somebody thought about it."""
    request = desk.ask()
    before = desk.content()
    desk.judge(request)
    desk.write(customers__csv="id,name\n1,Eve\n")
    back_up(desk.setting(), "crm", method=Method.INCREMENTAL)
    desk.carry_out(request)
    assert desk.content(desk.target) == before


def test_a_plan_touches_nothing_and_tells_what_would_be_replaced(desk: Desk) -> None:
    """A directory with something in it is refused, or said to be replaced."""
    desk.target.mkdir()
    (desk.target / "kept").write_text("kept")
    [told] = desk.asked().refused
    assert "is not empty" in told
    assert "NOT TESTED 4.2" in told
    request = desk.ask(overwrite=True)
    [replaced] = request.replaces
    assert "has 1 entry: files of the same names are replaced" in replaced
    assert desk.content(desk.target) == {"kept": b"kept"}
    desk.judge(request)
    desk.carry_out(request)
    assert desk.content(desk.target) == {"kept": b"kept", **desk.content()}


def test_what_is_mistyped_is_told_at_once(desk: Desk) -> None:
    """A dataset that is none, a class without one, a point that is none."""
    with pytest.raises(ConfigurationInvalid, match="no dataset is called"):
        desk.asked(datasets=["crn"])
    with pytest.raises(ConfigurationInvalid, match="no class"):
        desk.asked(datasets=[], data_class="urgent")
    with pytest.raises(ConfigurationInvalid, match="no dataset has the class important"):
        desk.asked(datasets=[], data_class="important")
    [told] = desk.asked(path="nosuch*").refused
    assert "matches 'nosuch*'" in told
    [told] = desk.asked(recovery_point="beef").refused
    assert "no recovery points begin with 'beef'" in told


def test_the_data_of_a_part_is_compared_with_that_part(desk: Desk) -> None:
    """What the pattern leaves out is not missed."""
    request = desk.ask(path="contracts/a")
    assert request.size_bytes == len("first")
    desk.judge(request)
    assert "1 file read again" in desk.carry_out(request).sentence
    assert desk.content(desk.target) == {"contracts/a": b"first"}


@pytest.mark.parametrize("path", ["", "contracts"])
def test_what_somebody_changes_meanwhile_is_not_handed_over(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """It is compared before the hand-over, and what differs is named."""
    compare = handed_over.compare_folder

    def meddled(*arguments: Any) -> Any:
        (desk.target / "contracts" / "b").write_text("sec0nd")
        (desk.target / "contracts" / "a").unlink()
        return compare(*arguments)

    monkeypatch.setattr(handed_over, "compare_folder", meddled)
    request = desk.ask(path=path)
    desk.judge(request)
    with pytest.raises(RestoreRefused, match=r"4 differences: .*contracts/a: missing and 2 more"):
        desk.carry_out(request)
    one = restoration(desk.setting(), "crm", act=request.id)
    assert one.result == "failed"
    assert one.verdict == "BROKEN"


def test_a_restore_that_was_killed_is_ended_by_the_summary(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its request does not stay open, and may be carried out again while the approval counts."""
    request = desk.ask()
    desk.judge(request)
    storage = Crashing(desk.memory, at=2, after=False)
    with pytest.raises(Crash):
        desk.carry_out(request, desk.setting(storage))
    record, told = approving.end_of(desk.setting(), request)
    assert record is None
    assert "its task ended without a word" in told
    assert approving.end_of(desk.setting(), request)[0] is not None
    with pytest.raises(RestoreRefused, match="is being carried out"):
        desk.carry_out(request)  # for its process lives: it is this one
    monkeypatch.setattr(Owner, "is_dead", lambda _: True)
    again = desk.setting()
    (desk.target).rename(desk.folder / "half")
    desk.carry_out(request, again)
    assert desk.content(desk.target) == desk.content()
    assert restoration(desk.setting(), "crm", act=request.id).result == "restored"


def test_a_refusal_is_kept_when_the_vault_does_not_answer(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """In the spool; an approval that cannot be recorded is none."""
    request = desk.ask()
    down = desk.setting(
        Crashing(desk.memory, at=1, error=StorageUnreachable("no answer"), once=False)
    )
    refusal = Refusal(why="bob rejected it")
    with caplog.at_level(logging.ERROR):
        told = approving.refuse(down, request, refusal)
    assert "waits in the spool" in told
    approval = judge_answer(
        Answer(approved=True, by="bob", at=desk.now),
        requested_by="anna",
        people={"bob": BOB},
        waited=timedelta(),
    )
    assert isinstance(approval, Approval)
    down = desk.setting(Crashing(desk.memory, at=1, error=StorageUnreachable("no answer")))
    with pytest.raises(StorageUnreachable):
        approving.approve(down, request, approval)
    with pytest.raises(RestoreRefused, match="no approval"):
        desk.carry_out(request)


def test_all_of_them_are_listed_those_by_command_too(desk: Desk) -> None:
    """The newest first; what was restored by command is outside approval."""
    request = desk.ask()
    desk.judge(request, by="carl")
    desk.restored()
    waiting = desk.ask()
    found, silent = restores(desk.setting(), ["crm"])
    assert not silent
    assert [(one.result, one.approved_by) for one in found] == [
        ("open", ""),
        ("restored", "outside approval"),
        ("refused", ""),
    ]
    assert found[0].id == waiting.id
    with pytest.raises(ConfigurationInvalid, match="no restores of crm begin with"):
        restoration(desk.setting(), "crm", act="ffff0000ffff")


def test_names_are_only_text_on_the_page(desk: Desk) -> None:
    """Whatever somebody types as a reason."""
    desk.ask(reason="<script>alert(1)</script>")
    [one], _ = restores(desk.setting(), ["crm"])
    assert "<script>" not in as_page(one)
    assert "&lt;script&gt;" in as_page(one)


def test_a_restore_that_comes_too_late_is_broken(desk: Desk) -> None:
    """The clock runs from the incident, not from the moment that somebody presses a button."""
    began = desk.now - timedelta(hours=49)
    request = desk.ask(incident_began=began.isoformat())
    desk.judge(request)
    outcome = desk.carry_out(request)
    assert outcome.sentence.startswith("BROKEN 4.2 · ")
    assert "(limit 48 h)" in outcome.sentence
    assert "approved by Bob Example" in outcome.sentence


def test_one_that_cannot_be_restored_does_not_stop_the_others(desk: Desk) -> None:
    """It is refused for itself, and recorded; who approves is told."""
    more = "  empty:\n    class: critical\n    owner: a@example.com\n"
    more += f"    source: {{type: filesystem, path: {desk.folder}/empty}}\n"
    desk.entry_options = more
    to = f"{desk.folder}/all/{{dataset}}"
    found = desk.asked(datasets=[], data_class="critical", destination=to)
    assert [one.dataset for one in found.requests] == ["crm"]
    [told] = found.refused
    assert told.startswith("NOT TESTED 4.2 · critical/empty · restore to ")
    assert "this dataset has no recovery point" in told
    [one], _ = restores(desk.setting(), ["empty"])
    assert one.result == "refused"


def test_only_what_was_asked_for_can_be_approved(desk: Desk) -> None:
    """Not what somebody wrote into the results of the plan."""
    request = desk.ask()
    for forged in (
        replace(request, id="f" * 16),
        replace(request, place=replace(request.place, to="/stolen")),
        replace(request, requested_by="carla"),
        replace(request, sequence=0),
    ):
        with pytest.raises(RestoreRefused, match="the ledger has no such request"):
            desk.judge(forged)
    assert desk.kinds() == ["requested"]


def test_it_is_carried_out_by_one_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second task of the same request finds the first at work."""
    request = desk.ask(overwrite=True)
    desk.judge(request)
    compare = handed_over.compare_folder
    told: list[str] = []

    def meanwhile(*arguments: Any) -> Any:
        with pytest.raises(RestoreRefused) as refused:
            desk.carry_out(replace(request))
        told.append(refused.value.message)
        return compare(*arguments)

    monkeypatch.setattr(handed_over, "compare_folder", meanwhile)
    desk.target.mkdir()
    desk.carry_out(request)
    assert told == ["this request is being carried out"]
    assert "failed" not in desk.kinds()  # nobody ends what another has begun
    assert restoration(desk.setting(), "crm", act=request.id).result == "restored"


def test_an_approval_is_not_used_where_its_use_cannot_be_recorded(desk: Desk) -> None:
    """Else it could be used twice. In the shell the same restore goes on."""
    request = desk.ask()
    desk.judge(request)
    desk.memory.capacity_bytes = desk.memory.stored_bytes()
    with pytest.raises(RestoreRefused, match="takes no records") as caught:
        desk.carry_out(request)
    assert "waits in the spool" in sentence_of(caught.value, "")
    assert not desk.target.exists()
    assert desk.restored() == desk.content()


def test_a_destination_that_has_changed_meanwhile_is_not_overwritten(desk: Desk) -> None:
    """Somebody approved that nothing is replaced; once it is as it was, it goes on."""
    request = desk.ask(overwrite=True)
    desk.judge(request)
    desk.target.mkdir()
    (desk.target / "mine").write_text("mine")
    with pytest.raises(RestoreRefused, match="is not as it was when this was asked for"):
        desk.carry_out(request)
    assert desk.content(desk.target) == {"mine": b"mine"}
    (desk.target / "mine").unlink()
    desk.carry_out(request)
    assert desk.content(desk.target) == desk.content()


def test_a_record_stays_that_of_a_restore(desk: Desk) -> None:
    """Whatever somebody tries with the same request afterwards."""
    request = desk.ask()
    desk.judge(request)
    done = desk.carry_out(request)
    with pytest.raises(RestoreRefused):
        desk.carry_out(request)
    approving.refuse(desk.setting(), request, Refusal(why="too late"))
    one = restoration(desk.setting(), "crm", act=request.id)
    assert (one.result, one.sentence) == ("restored", done.sentence.partition(" · evidence")[0])
    assert one.clock is not None
    record, _ = approving.end_of(desk.setting(), request)
    assert record is not None
    assert record.kind == "restored"


@pytest.mark.parametrize("hours", [-7000, -1])
def test_a_clock_that_is_set_back(desk: Desk, hours: int) -> None:
    """An approval of the future is none; nothing is called kept by such a clock."""
    request = desk.ask()
    desk.judge(request)
    desk.wait(hours=hours)
    with pytest.raises(RestoreRefused, match="a clock was set back"):
        desk.carry_out(request)


def test_a_clock_that_is_set_back_while_it_is_restored(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows how long it took: it is not called kept, and no time is negative."""
    compare = handed_over.compare_folder

    def meanwhile(*arguments: Any) -> Any:
        desk.wait(days=-3)
        return compare(*arguments)

    monkeypatch.setattr(handed_over, "compare_folder", meanwhile)
    request = desk.ask()
    desk.judge(request)
    outcome = desk.carry_out(request)
    assert outcome.sentence.startswith("NOT TESTED 4.2 · ")
    assert "a clock was set back meanwhile" in outcome.sentence
    assert outcome.details["seconds"] >= 1
    assert outcome.details["clock_seconds"] >= 1


def test_an_entry_that_is_wrong_is_not_left_out_in_silence(desk: Desk) -> None:
    """Of a class that is wanted whole."""
    desk.entry_options = "  odd: {class: critical, owner: a@example.com, source: {type: x}}\n"
    found = desk.asked(
        datasets=[], data_class="critical", destination=f"{desk.folder}/all/{{dataset}}"
    )
    assert [one.dataset for one in found.requests] == ["crm"]
    [told] = found.refused
    assert "critical/odd" in told
    assert "not done" in told


def test_no_line_of_the_document_is_forged(desk: Desk) -> None:
    """A reason is one line, whatever it holds."""
    request = desk.ask(reason="disk\n\nWho\n  Approved by   Carla\x1b[31m")
    text = as_text(restoration(desk.setting(), "crm", act=request.id))
    assert [line for line in text.splitlines() if line.startswith("  Approved by")] == [
        "  Approved by   nobody"
    ]
    assert "\x1b" not in text


def test_a_copy_is_read_where_the_home_lacks_what_is_wanted(desk: Desk) -> None:
    """Who approves is told; each record says which vault was read; the home need hold no pack."""
    desk.second = MemoryStorage(desk.clock)
    replicate(desk.setting(), "crm", "second")
    packs = [info.name for info in desk.memory.list() if "/data/" in info.name]
    desk.memory.delete(packs)
    [refused] = desk.asked().refused
    assert "cannot be" in refused or "gone" in refused or "missing" in refused
    request = Request.of_json(json.loads(json.dumps(desk.ask(**{"from": "second"}).to_json())))
    assert request.replica == "second"
    assert "**From** the copies in second" in body([request], [], timedelta(hours=4))
    desk.judge(request)
    outcome = desk.carry_out(request)
    assert desk.content(desk.target) == desk.content()
    assert "crm (replica in second)" in outcome.sentence
    read = [one.body.get("vault") for one in desk.place().ledger.read() if one.kind == "restored"]
    assert read == ["second"]


def test_a_vault_without_copies_is_refused(desk: Desk) -> None:
    """By its name; the home by its own name is no copy, and read."""
    [refused] = desk.asked(**{"from": "elsewhere"}).refused
    assert "'elsewhere' is no vault that may hold a replica of crm" in refused
    assert not desk.asked(**{"from": "primary"}).refused
