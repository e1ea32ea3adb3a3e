"""A delay line: distance and loss between a client and the switch, over real stacks.

    client net0 (TAP) ── shuttle ── port-client (TAP) ── bridge

A child process carries every frame from one TAP device to the other, in order, half a round trip later,
and loses some on the way. The devices are the child's: they go when it ends, and it ends with its parent.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from bench.net import links
from bench.net.links import Endpoint
from bench.net.shuttle import TUN, Carried, Said, Span
from bench.talk import Child
from synguard.errors import SynguardError, UnsupportedError, UsageError

MAX_RTT_MS = 500.0
MAX_LOSS = 0.3
_READY_TIMEOUT_S = 20.0
_ANSWER_TIMEOUT_S = 5.0


class Line(msgspec.Struct, frozen=True):
    """How far away a client is. ``rtt_ms``: 0 to 500; ``loss``: of the frames in each direction, 0 to 0.3."""

    rtt_ms: float = 0.0
    loss: float = 0.0

    @property
    def is_null(self) -> bool:
        """Whether it is a plain wire."""
        return not self.rtt_ms and not self.loss

    def check(self) -> None:
        """Raise UsageError for a distance or loss out of bounds."""
        if not 0 <= self.rtt_ms <= MAX_RTT_MS or not 0 <= self.loss <= MAX_LOSS:
            raise UsageError(f"a line has 0 to {MAX_RTT_MS:g} ms and loses 0 to {MAX_LOSS:g}, not {self}")


class LineReading(msgspec.Struct, frozen=True):
    """What a line has done since it was made."""

    #: From the client to the switch, and back.
    up: Carried
    down: Carried
    #: Frames that came faster than the line took them, and that it never saw: a fault of the bench.
    overrun_frames: int

    @property
    def latest_ms(self) -> float:
        """How long past its time the most belated frame was delivered."""
        return max(self.up.latest_us, self.down.latest_us) / 1000


class DelayLine:
    """One client's line, while the ``with`` block lasts.

    Delay is constant and frames stay in order; measured, a round trip takes 0.1 to 0.7 ms longer than asked
    for. It carries over 100,000 frames a second where it has a CPU to itself.

    Args:
        line: how far.
        client: who is joined by it.
        switch: the namespace of its other end.

    """

    def __init__(self, line: Line, client: Endpoint, switch: str) -> None:
        line.check()
        self._ends = ((client.namespace, client.interface), (switch, client.port))
        span = Span(self._ends, round(line.rtt_ms / 2 * 1e6), line.loss)
        self._child = Child("bench.net.shuttle", span, Said)

    def __enter__(self) -> Self:
        """Start it; its devices are there after :meth:`wait_until_ready`.

        Raises UnsupportedError in a kernel without TUN.
        """
        if not Path(TUN).exists():
            raise UnsupportedError(f"a delay line needs {TUN}; try: modprobe tun")
        self._child.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._child.end()

    @property
    def pid(self) -> int:
        """The shuttling process's id."""
        return self._child.pid

    def wait_until_ready(self) -> None:
        """Wait until both devices are there; raises SynguardError with the kernel's words."""
        self._heard(_READY_TIMEOUT_S)

    def read(self) -> LineReading:
        """Return what it has done so far."""
        self._child.order("read")
        said = self._heard(_ANSWER_TIMEOUT_S)
        overrun = sum(links.read_link(*end).send_dropped_frames for end in self._ends)
        return LineReading(said.up, said.down, overrun)

    def _heard(self, timeout_s: float) -> Said:
        said = self._child.hear(timeout_s)
        if said.fault:
            raise SynguardError(said.fault)
        return said
