"""Says which of the probe's programs gets a packet, and whether a capture shows both directions at all."""

from __future__ import annotations

from dataclasses import dataclass

from synguard.detect.senses import egress_hidden
from synguard.replay.clock import START_NS
from synguard.replay.formats import INCOMING, OUTGOING
from synguard.replay.frames import addresses
from synguard.replay.sides import Members
from synguard.replay.survey import Survey
from synguard.sight import FlowReading

#: Neither side is ours.
NOWHERE = 0
#: What passes ``lo``: it leaves, and then comes in.
BOTH = INCOMING | OUTGOING
#: The capture's own word counts if it agrees with the addresses in so many packets: half of them do where a
#: router is seen from both its sides, none where the capture was made at the other end.
MARKS_AGREE = 0.25
#: So few packets that pretend to be ours among those that come in do not show that anything leaves.
FORGED = 0.001


class Ways:
    """Finds the way of each packet by whose its addresses are, and by the capture's own word."""

    def __init__(self, members: Members, survey: Survey) -> None:
        self._holds = members.holds
        marks = sum(survey.marked_in.values()) + sum(survey.marked_out.values())
        agreeing = survey.marked_in.of(members.of(survey.marked_in))
        agreeing += survey.marked_out.of(members.of(survey.marked_out))
        self._believes_marks = agreeing > 0 and agreeing >= MARKS_AGREE * marks

    def of(self, frame: bytes, direction: int) -> int:
        """Return ``INCOMING``, ``OUTGOING``, ``BOTH`` or ``NOWHERE``.

        What has no IP addresses, or was cut before them, comes in unless the capture says that it leaves: the
        probe counts by its reason why it is not parsed.
        """
        found = addresses(frame)
        if found is None:
            return direction or INCOMING
        source, destination = self._holds(found[0]), self._holds(found[1])
        way = (INCOMING if destination else NOWHERE) | (OUTGOING if source else NOWHERE)
        if not direction or not self._believes_marks or way == NOWHERE:
            return way
        # Of what stays on the host only one passing is captured, as incoming.
        return way if way == BOTH and direction == INCOMING else direction


@dataclass(frozen=True, slots=True)
class Visible:
    """Which directions a capture shows."""

    incoming: int
    outgoing: int
    #: Why answers are taken to be missing; None where they would be seen.
    one_way_because: str | None

    @property
    def direction(self) -> str:
        """Return ``both``, ``incoming``, ``outgoing`` or ``none``."""
        if self.one_way_because is not None:
            return "incoming"
        if self.incoming and self.outgoing:
            return "both"
        return "incoming" if self.incoming else "outgoing" if self.outgoing else "none"


def judge(survey: Survey, members: Members) -> Visible:
    """Tell which directions of our traffic a capture shows."""
    outgoing = survey.sent.of(members.of(survey.sent))
    incoming = survey.received.of(members.of(survey.received))
    answers = survey.answering.of(members.of(survey.answering))
    asked = survey.asked.of(members.of(survey.asked))
    forged = survey.asking.of(members.of(survey.asking))
    because = None
    if not survey.marked_out and outgoing == forged <= FORGED * incoming and (asked or survey.segments):
        because = "nothing that leaves was captured"
    elif not answers:
        because = _hidden(survey, members)
    return Visible(incoming, outgoing, because)


def _hidden(survey: Survey, members: Members) -> str | None:
    """Return in words that of live connections only what comes in shows, as a daemon would find it."""
    shown = [back for destination, back in survey.flows() if members.holds(destination)]
    if not egress_hidden(FlowReading(START_NS, len(shown), sum(shown))):
        return None
    return f"of {len(shown):,} live connections only {sum(shown):,} show what leaves"
