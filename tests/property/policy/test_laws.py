"""Laws of durations, slots, due dates and overlapping paths."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from include.backup.errors import ConfigurationInvalid
from include.backup.policy.due import due
from include.backup.policy.durations import format_duration, parse_duration, parse_frequency
from include.backup.policy.findings import findings
from include.backup.policy.load import parse_policy, policy_text
from include.backup.policy.model import DataClass, Policy
from include.backup.policy.overlap import entangled, nested
from include.backup.policy.slots import Cron, grid, parse_schedule
from tests.property.policy.classes import classes, crons, explicit, keepable

QUICK = settings(max_examples=60, deadline=None)
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # Hypothesis adds the zone
PATHS = st.lists(st.sampled_from(["a", "b", "ab", "a.b"]), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


@given(minutes=st.integers(60, 60 * 24 * 36_000))
def test_durations_read_back_as_written(minutes: int) -> None:
    """From an hour on, whole minutes survive being shown to a person and typed in again."""
    length = timedelta(minutes=minutes)
    assert parse_duration(format_duration(length)) == length


@given(seconds=st.integers(3600, 10_000_000))
def test_durations_are_never_shown_shorter(seconds: int) -> None:
    """An age just past its limit never reads as the limit."""
    shown = parse_duration(format_duration(timedelta(seconds=seconds)))
    assert timedelta(seconds=seconds) <= shown < timedelta(seconds=seconds + 60)


@given(text=st.text(max_size=30))
def test_any_text_is_understood_or_refused(text: str) -> None:
    """No text makes the parsers fail otherwise than by saying what is wrong."""
    for parse in (parse_duration, parse_frequency, lambda it: parse_schedule(it, start_at=time())):
        try:
            parse(text)
        except ConfigurationInvalid as error:
            assert error.message  # noqa: PT017  # either outcome is fine, but not an empty reason


@given(text=explicit(), moment=MOMENTS, at=st.times().map(lambda it: time(it.hour, it.minute)))
@QUICK
def test_newest_and_next_slot_are_neighbours(text: str, moment: datetime, at: time) -> None:
    """The newest slot is not after the moment, the next one is, and none lies between."""
    schedule = parse_schedule(text, start_at=at)
    newest, following = schedule.newest_slot(moment), schedule.next_slot(moment)
    assert newest <= moment < following
    assert schedule.newest_slot(newest) == newest
    assert schedule.next_slot(newest) == following
    assert list(schedule.slots(newest, following + timedelta.resolution)) == [newest, following]


@given(text=crons(), moment=MOMENTS)
@settings(QUICK, max_examples=30)
def test_cron_slots_are_those_of_croniter(text: str, moment: datetime) -> None:
    """Combining days and times gives what Airflow's own library gives, one by one."""
    schedule = parse_schedule(text, start_at=time())
    assert isinstance(schedule, Cron)
    each = croniter(schedule.expression, moment)
    expected = [each.get_next(datetime) for _ in range(60)]
    until = expected[-1] + timedelta.resolution
    assert list(schedule.slots(moment + timedelta.resolution, until)) == expected


@given(
    text=explicit(),
    tick=MOMENTS,
    back=st.integers(0, 5000),
    within=st.timedeltas(timedelta(minutes=1), timedelta(days=3)),
)
@QUICK
def test_a_completed_slot_is_never_due_again(
    text: str, tick: datetime, back: int, within: timedelta
) -> None:
    """Due until the newest slot is completed; then waiting for a later tick, and due at that."""
    schedule = parse_schedule(text, start_at=time(1))

    def at(moment: datetime, last: datetime | None) -> tuple[bool, datetime, datetime]:
        found = due(
            schedule, last_completed_slot=last, tick=moment, complete_within=within, now=moment
        )
        assert found.deadline == moment + within
        return found.due, found.slot, found.next_due_at

    assert at(tick, None)[0]
    _, slot, following = at(tick, None)
    assert at(tick, slot) == (False, slot, following)
    assert at(following, slot)[0]
    older = slot - timedelta(hours=back + 1)
    assert at(tick, older)[0]


@given(paths=st.lists(PATHS, max_size=12))
def test_nested_paths_are_found_like_by_hand(paths: list[str]) -> None:
    """Sorting finds what comparing each with each finds: the inner one of two, or the later."""
    named = [(f"d{rank}", path) for rank, path in enumerate(paths)]

    def inside(rank: int, other: int) -> bool:
        inner, outer = paths[rank].rstrip("/") + "/", paths[other].rstrip("/") + "/"
        return inner.startswith(outer) and (inner != outer or other < rank)

    ranks = range(len(paths))
    expected = {f"d{one}" for one in ranks if any(inside(one, two) for two in ranks)}
    assert {overlap.name for overlap in nested(named)} == expected
    assert all(overlap.other not in expected for overlap in nested(named))


@given(paths=st.lists(PATHS, max_size=8), vaults=st.lists(PATHS, max_size=3))
def test_vaults_and_sources_stay_apart(paths: list[str], vaults: list[str]) -> None:
    """A dataset is refused exactly if a vault lies in it or it lies in a vault."""
    named = [(f"d{rank}", path) for rank, path in enumerate(paths)]

    def related(path: str, vault: str) -> bool:
        one, two = path.rstrip("/") + "/", vault.rstrip("/") + "/"
        return one.startswith(two) or two.startswith(one)

    found = [overlap.name for overlap in entangled(named, {f"v{v}": v for v in vaults})]
    assert found == [name for name, path in named if any(related(path, v) for v in vaults)]


@given(start_at=st.times().map(lambda it: time(it.hour, it.minute)), days=st.integers(1, 60))
def test_grids_of_days_begin_at_the_time_of_day(start_at: time, days: int) -> None:
    """A grid of whole days has all its slots at the time that the class starts at."""
    schedule = grid(timedelta(days=days), start_at=start_at, days_later=days // 2)
    begin = datetime(2026, 11, 24, tzinfo=UTC)
    slots = list(schedule.slots(begin, begin + timedelta(days=3 * days)))
    assert len(slots) == 3
    assert {slot.time() for slot in slots} == {start_at}


@given(data_class=st.one_of(keepable(), classes(schedules=explicit())), often=explicit())
@settings(QUICK, max_examples=40)
def test_any_policy_reads_back_and_has_findings(data_class: DataClass, often: str) -> None:
    """Whatever the promises, the vault's copy is the same policy, and its findings can be told."""
    frequency = parse_frequency(often if often.startswith("every") else "monthly")
    policy = Policy(
        name="Drawn",
        organization="Example",
        effective=date(2026, 1, 1),
        classes=(data_class,),
        full_backups=frequency,
        restore_tests=frequency,
        review=parse_frequency("annually"),
    )
    again = parse_policy(policy_text(policy).encode())
    written = replace(data_class, schedule=data_class.schedule.lower())
    assert again == replace(policy, classes=(written,))
    told = findings(again, last_review=None, now=datetime(2026, 11, 24, tzinfo=UTC))
    assert all(one.words and one.reality and one.reading and one.clauses for one in told)
