"""The phases that every incident goes through, as one table.

Phases move by what is said of what happens, and by nothing else::

    SUSPECTED ──confirmed──► OPEN ──quiet──► CLOSING ──expired──► CLOSED
     ▲   │ │                  ▲ └─seen─┐        │ └─quiet─┐          ▲
     └seen └──quiet──► CLOSED └────────┴──seen──┘─────────┘          │
                       OPEN, CLOSING ─────────stopped────────────────┘

Of what is only suspected nobody is told. A flood that pauses for less than the closing time is one incident.
It is *seen* by half of what raises an alert, so that one near its threshold does not flicker.
"""

from __future__ import annotations

from enum import Enum

from synguard.detect.thresholds import NS_PER_S


class Phase(Enum):
    """Where an incident is on its way."""

    SUSPECTED = "suspected"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Word(Enum):
    """What a snapshot, or the caller, says of an incident."""

    SEEN = "seen"
    CONFIRMED = "confirmed"
    QUIET = "quiet"
    EXPIRED = "expired"
    STOPPED = "stopped"


#: An alert whose figures have moved is told of again after this long, a flood at once when its class changes.
UPDATE_EVERY_NS = NS_PER_S
#: The phases of which people were told.
TOLD = frozenset({Phase.OPEN, Phase.CLOSING})

TRANSITIONS = {
    (Phase.SUSPECTED, Word.SEEN): Phase.SUSPECTED,
    (Phase.SUSPECTED, Word.CONFIRMED): Phase.OPEN,
    (Phase.SUSPECTED, Word.QUIET): Phase.CLOSED,
    (Phase.OPEN, Word.SEEN): Phase.OPEN,
    (Phase.OPEN, Word.QUIET): Phase.CLOSING,
    (Phase.OPEN, Word.STOPPED): Phase.CLOSED,
    (Phase.CLOSING, Word.SEEN): Phase.OPEN,
    (Phase.CLOSING, Word.QUIET): Phase.CLOSING,
    (Phase.CLOSING, Word.EXPIRED): Phase.CLOSED,
    (Phase.CLOSING, Word.STOPPED): Phase.CLOSED,
}


def moved(phase: Phase, word: Word) -> Phase:
    """Return the phase that a word leads to; KeyError where none does, which is our own fault."""
    return TRANSITIONS[phase, word]
