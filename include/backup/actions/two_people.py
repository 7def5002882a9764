"""Two people's word, for what nobody is to decide alone: holds, erasures, shorter promises.

By command nobody can look who it really was; the record says what was said.
"""

from __future__ import annotations

from dataclasses import dataclass

from include.backup.errors import ConfigurationInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoPeople:
    """Who wants something, who approved it, and why."""

    reason: str
    requested_by: str
    approved_by: str

    def require(self) -> None:
        """See that two people stand behind it, and a reason.

        Raises:
            ConfigurationInvalid.
        """
        if not self.reason.strip() or not self.requested_by.strip():
            raise ConfigurationInvalid("it needs a reason, and somebody who wants it")
        if self.approved_by.strip().casefold() in {"", self.requested_by.strip().casefold()}:
            raise ConfigurationInvalid(
                "it needs the approval of somebody else (four eyes)",
                hint="--requested-by and --approved-by name two people",
            )

    def to_json(self) -> dict[str, object]:
        """For the record."""
        return {
            "reason": self.reason,
            "requested_by": self.requested_by,
            "approved_by": self.approved_by,
        }
