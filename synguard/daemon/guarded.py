"""One interface that is to be guarded: how the probe sits on it, and what troubles it had there."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from synguard.history.records import time_to_json
from synguard.probe.attach import Attachment
from synguard.probe.claim import Claim
from synguard.probe.presence import Presence
from synguard.sight import BlindCause, InterfaceReading, Trouble

#: What is not seen while a part of the probe is missing, and how it may have gone.
_LOST = {
    "xdp": "what comes in: somebody took the XDP program off",
    "ingress": "what comes in: somebody removed the tc ingress filter",
    "egress": "what leaves: somebody removed the tc egress filter",
}
GONE = "everything: the interface is not there any more"


@dataclass(slots=True)
class GuardedInterface:
    """An interface that the operator wants guarded, whether it is there or not."""

    name: str
    claim: Claim
    attachment: Attachment | None = None
    #: What is wrong with it now, for ``status``.
    problem: str | None = None
    is_up: bool = True
    #: The last trouble, also when it is over.
    trouble: Trouble | None = None
    #: How often in a row the probe could not be put here.
    failures: int = 0
    _mended_at_s: float | None = None

    @property
    def in_trouble(self) -> bool:
        """Whether the last trouble still goes on."""
        return self.trouble is not None and self.trouble.until_ns is None

    @property
    def displaced(self) -> bool:
        """Whether the probe only observes because somebody else's XDP program has its place."""
        attachment = self.attachment
        return (
            attachment is not None
            and not attachment.can_drop
            and (attachment.interface.xdp_program_id is not None)
        )

    def lose(self, cause: BlindCause, found: str) -> None:
        """Note that from now on the probe does not sit here as it should."""
        self.attachment = None
        if self.trouble is None or not self.in_trouble or self.trouble.cause is not cause:
            self.trouble = Trouble(cause, time.monotonic_ns(), found, "it is tried again every second")

    def lose_to(self, presence: Presence) -> None:
        """Note what a look at the interface found to be missing."""
        if "xdp" in presence.missing and presence.other_xdp is not None:
            other = f"another XDP program ({presence.other_xdp})"
            self.lose(BlindCause.REPLACED, f"what comes in: somebody put {other} into the probe's place")
        else:
            self.lose(BlindCause.DETACHED, "; ".join(_LOST[part] for part in sorted(presence.missing)))

    def fail(self, why: str) -> None:
        """Note that the probe cannot be put here; what fails twice is a trouble, whatever came before it."""
        self.failures += 1
        self.problem = why
        if not self.in_trouble and self.failures > 1:
            self.lose(BlindCause.DETACHED, "everything: the probe cannot be put onto it")
        if self.trouble is not None and self.in_trouble:
            self.trouble = replace(self.trouble, outcome=why)

    def mend(self, attachment: Attachment) -> None:
        """Note how the probe sits here again, or for the first time."""
        self.attachment, self.problem, self.failures = attachment, None, 0
        if self.trouble is None or not self.in_trouble:
            return
        outcome = f"put back as {attachment.ingress}"
        if self.displaced:
            outcome = (
                f"observed from tc since: blocks are not enforced on {self.name}, and what the other program "
                "drops is not seen"
            )
        elif self.trouble.cause is BlindCause.MISSING:
            outcome = f"it is there again, and guarded as {attachment.ingress}"
        self.trouble = replace(self.trouble, until_ns=time.monotonic_ns(), outcome=outcome)
        self._mended_at_s = time.time()

    def reading(self, presence: Presence | None, probed_packets: int | None) -> InterfaceReading:
        """Return what a snapshot tells of this interface; ``presence`` is None where the probe is not."""
        attachment = self.attachment
        if attachment is None or presence is None:
            return InterfaceReading(self.name, time.monotonic_ns(), self.trouble)
        return InterfaceReading(
            self.name,
            time.monotonic_ns(),
            self.trouble,
            attachment.ingress,
            presence.received_packets,
            probed_packets,
        )

    def describe(self) -> dict[str, Any]:
        """Return what ``status`` shows of it."""
        attachment = self.attachment
        return {
            "name": self.name,
            "index": attachment.interface.index if attachment else None,
            "attached": attachment is not None,
            "ingress": attachment.ingress if attachment else None,
            "egress": attachment.egress if attachment else None,
            "note": "; ".join(self._notes()) or None,
        }

    def _notes(self) -> list[str]:
        if self.problem is not None or self.attachment is None:
            return [self.problem] if self.problem else []
        notes = [] if self.is_up else ["the interface is down: nothing passes"]
        if self.attachment.note is not None:
            notes.append(self.attachment.note)
        if self.trouble is not None and self._mended_at_s is not None:
            notes.append(f"until {time_to_json(self._mended_at_s)} not seen was {self.trouble.found}")
        return notes
