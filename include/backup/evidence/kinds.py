"""Every kind of record there is.

An act (back_up, restore, check, …) writes `begun` first and exactly one of the closing kinds at
its end; in between it may write the others. An act that was killed never writes its end: the next
one closes it as `interrupted`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What a record says happened."""

    BEGUN = "begun"

    # What happens to generations and points while an act is open.
    OPENED = "opened"  # a generation: its id, key and closing time, before any of its files exists
    ABANDONED = "abandoned"  # an unfinished generation that no run will finish
    REKEYED = "rekeyed"  # a generation opens with another master key: its new envelope was tried
    EXPIRING = "expiring"  # a generation, or single points: their files are about to be removed
    EXPIRED = "expired"  # nothing of them is left
    ADOPTED = "adopted"  # a snapshot found without its record, and checked, is a recovery point
    RESCUE = "rescue"  # RECOVERY.txt and unwrap.py are about to be saved: their digests
    DAMAGED = "damaged"  # generations found broken; nothing builds on them any more

    # What comes before a restore that asks for approval (4.3). They belong to a request, whose id
    # stands in the place of an act; the restore itself is an act of its own, and names the request.
    REQUESTED = "requested"  # what somebody wants restored, where to, and what that would take
    APPROVED = "approved"  # by another person, who is trained

    # What ends an act.
    RECOVERY_POINT = "recovery-point"  # completes the generation, if it is its first
    FAILED = "failed"
    REFUSED = "refused"  # another run holds the lease; or a restore was not to be, and was not done
    NOTHING_DUE = "nothing-due"  # there was nothing to do, for the reason that the body gives
    INTERRUPTED = "interrupted"  # written by the next act, on behalf of one that was killed
    RESTORED = "restored"
    CHECKED = "checked"
    VERIFIED = "verified"  # recovery points were restored and looked at, whatever was found
    KEY_EXPORTED = "key-exported"
    RETAINED = "retained"  # a verdict on every recovery point was given, and carried out (3.2)
    HELD = "held"  # nothing of what a hold covers expires any more
    LIFTED = "lifted"  # that hold is over
    ROTATED = "rotated"  # every generation of a dataset opens with the new master key
    ERASED = "erased"  # generations were removed before their time, on somebody's word
    SHORTENED = "shortened"  # points expire earlier than was promised, on two people's word
    ERASURE = "erasure"  # what was erased at the source is erased again from what is restored
    WITHDRAWN = "withdrawn"  # such a request was registered in error
    REPLICATED = "replicated"  # a copy in another vault is up to date, as far as it says (3.5)
    PROMOTED = "promoted"  # another vault is the home of the ledger from now on
    UNDELETED = "undeleted"  # what somebody had put over files of a vault was removed
    RESOLVED = "resolved"  # somebody has looked into suspicious runs, and says so

    # What only the ledger of the policy holds.
    REVIEWED = "reviewed"
    ESCROWED = "escrowed"  # somebody says that a key lies in a safe, and where
    KIT = "kit"  # a rescue kit was made


CLOSING: Final = frozenset({
    Kind.RECOVERY_POINT,
    Kind.FAILED,
    Kind.REFUSED,
    Kind.NOTHING_DUE,
    Kind.INTERRUPTED,
    Kind.RESTORED,
    Kind.CHECKED,
    Kind.VERIFIED,
    Kind.KEY_EXPORTED,
    Kind.RETAINED,
    Kind.HELD,
    Kind.LIFTED,
    Kind.RESOLVED,
    Kind.SHORTENED,
    Kind.ROTATED,
    Kind.ERASED,
    Kind.ERASURE,
    Kind.WITHDRAWN,
    Kind.REPLICATED,
    Kind.PROMOTED,
    Kind.UNDELETED,
})
