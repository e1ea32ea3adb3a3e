"""What a case of detection is: what is played, what it should be called, and what has to be named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bench.measure.alerts import SILENCE
from bench.net.line import Line
from bench.run.arena import Wanted

if TYPE_CHECKING:
    from bench.detection.stage import Stage

#: What of the attack an alert must name, as ``Stage.truth`` knows it at the end: the listeners and no source,
#: the one source, or the prefix; a source or prefix with the listeners where the alert is on listeners.
Names = Literal["listener", "source", "prefix", "nothing"]

#: One server and one client beside it.
HOST = Wanted("host", (("client", Line()),))


@dataclass(frozen=True, slots=True)
class Expected:
    """What the daemon should say of a case."""

    #: None: no alert at all.
    kind: str | None = None
    alert_class: str | None = None
    names: Names = "nothing"
    #: What it should say that the attack does to the server; None: whatever it says.
    impact: str | None = None

    @property
    def called(self) -> str:
        """The row of the confusion matrix: the class, the kind where it has none, ``(none)`` for silence."""
        return self.alert_class or self.kind or SILENCE


#: What harmless things should be called.
NOTHING = Expected()


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One situation that the daemon has to call by its name.

    ``play`` does everything: it starts servers and clients, lets the listener be learned where that belongs
    to it, attacks, and notes in ``Stage.truth`` what an alert must name and whom none may. It ends by itself,
    in seconds where the physics allow. What it started on the stage is ended after it.
    """

    name: str
    #: One sentence for whoever reads the list.
    purpose: str
    expected: Expected
    play: Callable[[Stage], None]
    #: The hosts that it needs; alike cases share them.
    hosts: Wanted = HOST
    #: How long to watch after ``play``: another alert may come.
    settle_s: float = 1.0
    #: Wait for the alert's end in the first repetition, which must come within 30 s of the attack's.
    closes: bool = False
    #: The alert must come so long after the attack's first packet; None: at any time.
    within_s: float | None = None
    #: Sysctls of the server, by path below /proc/sys/net, over those of the stage.
    sysctls: Mapping[str, int | str] = field(default_factory=dict)
    #: Settings of the daemon beside its defaults, by section and name: only where the case is about them.
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
