"""Who holds a lease: one process, described so that its own machine can tell whether it lives.

A process is named by the machine's boot, its pid namespace, its pid and the tick it was started
at. On the same boot and in the same namespace the kernel can be asked; from anywhere else, or
where there is no /proc, nobody can tell, and only time shows (see leases.py).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from include.backup.errors import LedgerBroken
from include.backup.evidence.fields import Fields, JsonObject

_STATE_FIELD = 0  # of /proc/<pid>/stat, counted behind the name of the program
_STARTED_FIELD = 19
_GONE_STATES = ("Z", "X")  # ended; only the parent has not asked yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """One process."""

    name: str  # for people, as in "airflow/holdfast_back_up_critical"; no real host name
    boot: str = ""  # empty: unknown
    namespace: str = ""
    pid: int = 0
    started: int = 0  # clock ticks since boot; 0: unknown

    def to_json(self) -> dict[str, object]:
        """The owner as lease files and `begun` records hold it."""
        return {
            "name": self.name,
            "boot": self.boot,
            "namespace": self.namespace,
            "pid": self.pid,
            "started": self.started,
        }

    @classmethod
    def of_json(cls, document: JsonObject) -> Owner | None:
        """Read an owner; None when it is none."""
        fields = Fields(document, what="the owner")
        try:
            return cls(
                name=fields.text("name"),
                boot=fields.text("boot"),
                namespace=fields.text("namespace"),
                pid=fields.number("pid"),
                started=fields.number("started"),
            )
        except LedgerBroken:
            return None

    def is_dead(self) -> bool:
        """Whether it certainly does not run any more. False when it runs, or nobody can tell."""
        here = this_process("")
        known = self.boot and self.namespace and self.pid and self.started
        if not known or (self.boot, self.namespace) != (here.boot, here.namespace):
            return False
        try:
            # Not /proc alone: a machine may hide there what belongs to other users.
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OverflowError:  # no process has such a number: whoever wrote this is no owner
            return False
        except OSError:
            pass
        stat = _stat(self.pid)
        return stat is not None and (stat[0] in _GONE_STATES or stat[1] != self.started)


def this_process(name: str) -> Owner:
    """The process that asks.

    Args:
        name: for people; appears in "already running since …".
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return Owner(name=name, pid=os.getpid())
    stat = _stat(os.getpid())
    return Owner(
        name=name,
        boot=boot,
        namespace=namespace,
        pid=os.getpid(),
        started=stat[1] if stat else 0,
    )


def _stat(pid: int) -> tuple[str, int] | None:
    """State and start of a process of this namespace; None when they cannot be read."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may hold anything, so one counts behind the last one.
    fields = text.rpartition(")")[2].split()
    return fields[_STATE_FIELD], int(fields[_STARTED_FIELD])
