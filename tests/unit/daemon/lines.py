"""Traffic that passes for a while, as an :class:`Egress` is shown it."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from synguard.daemon.egress import Egress, Visibility

POLL_MS = 50


@dataclass
class Line:
    """What passes in a second, and how many connections are alive in it."""

    acks: float = 0.0
    segments: float = 0.0
    answered: float = 0.0
    attempts: float = 0.0
    refused: float = 0.0
    repeated: float = 0.0
    live: int = 0
    shown: int = 0


@dataclass
class Stage:
    """Feeds an :class:`Egress` from lines, and notes what it asks of the probe."""

    visibility: Visibility = "auto"
    now_ms: int = 0
    passed: Line = field(default_factory=Line)
    #: (milliseconds, what was asked)
    asked: list[tuple[int, str]] = field(default_factory=list)
    line: Line = field(default_factory=Line)
    doubted_ms: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make what is tested."""
        self.egress = Egress(
            self.visibility,
            lambda on: self.asked.append((self.now_ms, "look" if on else "stop")),
            lambda: (self.line.live, self.line.shown),
            lambda on: self.asked.append((self.now_ms, "one way" if on else "both ways")),
            structlog.get_logger(),
        )

    def run(self, seconds: float, line: Line) -> Stage:
        """Let a line's traffic pass for a time; returns itself."""
        self.line = line
        for _ in range(round(seconds * 1000 / POLL_MS)):
            self.now_ms += POLL_MS
            share = POLL_MS / 1000
            self.passed.acks += line.acks * share
            self.passed.segments += line.segments * share
            for name in ("answered", "attempts", "refused", "repeated"):
                setattr(self.passed, name, getattr(self.passed, name) + getattr(line, name) * share)
            totals = {
                "ack_segments": int(self.passed.acks),
                "egress_tcp": int(self.passed.segments),
                "attempts": int(self.passed.attempts),
                "answered": int(self.passed.answered),
                "refused": int(self.passed.refused),
                "synack_retransmits": int(self.passed.repeated),
            }
            self.egress.look(self.now_ms * 1_000_000, totals)
            if self.egress.in_doubt:
                self.doubted_ms.append(self.now_ms)
        return self

    def times(self, what: str) -> list[int]:
        """Return when something was asked of the probe."""
        return [ms for ms, asked in self.asked if asked == what]


BOTH_WAYS = Line(acks=1000, segments=1000, answered=20, attempts=20, live=200, shown=200)
HIDDEN = Line(acks=1000, segments=0, attempts=20, live=200, shown=0)
#: Large files: one merged segment leaves for more than twenty acknowledgements.
FILES = Line(acks=10_000, segments=450, answered=5, attempts=5, live=50, shown=50)
#: Nobody is answered, and a storm of ACKs belongs to no connection.
STORM = Line(acks=5000, segments=0, live=0, shown=0)
