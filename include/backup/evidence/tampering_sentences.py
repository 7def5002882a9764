"""The sentences about what somebody has done to files of a vault that keeps versions (3.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from include.backup.evidence.sentences import sentence
from include.backup.evidence.wording import Several, count, some_of
from include.backup.policy.objectives import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from include.backup.evidence.sentences import Subject
    from include.backup.storage.tampering import Remains, Tampering

_CLAUSES: Final = ("3.2",)
_MOST_NAMED: Final = 1000  # names in a record


@dataclass(slots=True)
class Found:
    """What lies over the files of a dataset: numbers, and the first names."""

    names: int = 0
    hidden: int = 0  # by delete markers, the file is under them
    overwritten: int = 0
    gone: int = 0  # nothing but a marker is there
    markers: int = 0
    versions: int = 0  # later than the oldest
    first: list[str] = field(default_factory=list)  # one text each

    @classmethod
    def of(cls, tampering: Iterable[Tampering]) -> Found:
        """All of it."""
        found = cls()
        for one in tampering:
            found.add(one)
        return found

    def add(self, one: Tampering) -> None:
        """Count one more name."""
        self.names += 1
        self.hidden += bool(one.markers and one.versions)
        self.overwritten += one.versions > 1
        self.gone += not one.versions
        self.markers += one.markers
        self.versions += max(0, one.versions - 1)
        if len(self.first) < _MOST_NAMED:
            self.first.append(one.told)

    def told(self) -> list[str]:
        """One text for each of the first names."""
        return [f"tampering: {one}" for one in self.first]

    def to_json(self) -> dict[str, object]:
        """As records hold it."""
        return {
            "names": self.names,
            "hidden": self.hidden,
            "overwritten": self.overwritten,
            "gone": self.gone,
            "markers": self.markers,
            "versions": self.versions,
            "first": list(self.first),
        }

    def __str__(self) -> str:
        """In a few words."""
        told = [
            f"{count(self.hidden, 'file')} hidden by delete markers" if self.hidden else "",
            f"{count(self.overwritten, 'file')} overwritten" if self.overwritten else "",
            f"of {count(self.gone, 'name')} only a delete marker" if self.gone else "",
        ]
        return ", ".join(one for one in told if one) or "nothing"


def tampered_with(subject: Subject, found: Found) -> tuple[str, ...]:
    """What a check says besides, if somebody has tampered with files."""
    vault = f" --vault {subject.replica}" if subject.replica else ""
    command = f"holdfast vault undelete {subject.dataset}{vault}"
    return (
        f"tampering: {found}, as {some_of(Several.of(found.first))}",
        "what was saved first is read still",
        f"hint: find out whose keys did it, then: {command}",
    )


def undeleted(
    subject: Subject, *, where: str, found: Found, left: Sequence[Remains], not_removed: int
) -> str:
    """What lay over files was removed.

    Args:
        left: what could not be, the first ones.
        not_removed: how many there are.
    """
    if not found.names:
        return sentence(Verdict.KEPT, _CLAUSES, subject, f"nothing lies over a file in {where}")
    hidden = [one for one in left if one.hidden]
    return sentence(
        Verdict.AT_RISK if hidden or found.gone else Verdict.KEPT,
        _CLAUSES,
        subject,
        f"tampering in {where} undone: {found}",
        _removed(found, not_removed),
        *(f"{one.name}: {one.why}" for one in left[:2]),
        f"and {not_removed - 2} more" if not_removed > 2 else "",  # noqa: PLR2004 as shown above
        "where only a marker was, a file of ours is gone, or there never was one"
        if found.gone
        else "",
        hint="run a check that reads all, and change the keys that could do it",
    )


def not_undeleted(subject: Subject, *, found: Found, reason: str, hint: str = "") -> str:
    """It could not be brought to its end, or not be recorded."""
    return sentence(
        Verdict.AT_RISK,
        _CLAUSES,
        subject,
        f"what lies over files could not be removed: {reason}",
        f"seen until then: {found}" if found.names else "",
        hint=hint,
    )


def _removed(found: Found, not_removed: int) -> str:
    told = (
        f"{count(found.markers, 'delete marker')} and "
        f"{count(found.versions, 'later version')} were over them"
    )
    if not not_removed:
        return f"{told}, all removed"
    return f"{told}; of {count(not_removed, 'name')} not all could be removed"
