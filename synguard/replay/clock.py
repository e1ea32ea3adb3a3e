"""Maps the times of a capture to those of the probe, which must be steady, and back to those of the wall."""

from __future__ import annotations

NS_PER_S = 10**9
#: The probe's time of the first packet. None may be 0, which would let the clock run, nor any ring of epochs
#: reach back to before it; and a host has been up for a while when something happens.
START_NS = 1 << 42
#: Packets that come later than others of a later time are merely out of order; after so long of it the
#: capture's clock was set back.
SET_BACK_NS = NS_PER_S
#: The probe's clock has 64 bits; a capture whose times leap ahead again and again must not overflow it.
LATEST_NS = 1 << 63


class Clock:
    """The probe's clock during a replay: it never runs backwards.

    A packet that is out of order has the time of the one before it. Once all packets of a second, by the
    capture's own time, were behind, its clock was set back, or another capture was appended: then time
    goes on from there.
    """

    def __init__(self) -> None:
        #: The time of the last packet, by the probe's clock.
        self.now_ns = START_NS
        #: What the wall's clock is ahead of the probe's.
        self.wall_ahead_ns = 0
        #: Packets that came later than others of a later time.
        self.out_of_order = 0
        #: How often the capture's clock was set back.
        self.set_back = 0
        self._first_time_ns: int | None = None
        self._behind_from_ns: int | None = None

    def at(self, time_ns: int | None) -> int:
        """Take the next packet's time since the Unix epoch, None if it has none; return the probe's."""
        if time_ns is None:
            return self.now_ns
        if self._first_time_ns is None:
            self._first_time_ns = time_ns
            self.wall_ahead_ns = time_ns - START_NS
        now_ns = time_ns - self.wall_ahead_ns
        if self.now_ns <= now_ns <= LATEST_NS:
            self.now_ns = now_ns
            self._behind_from_ns = None
        else:
            self._fall_behind(time_ns)
        return self.now_ns

    def _fall_behind(self, time_ns: int) -> None:
        self.out_of_order += 1
        if self._behind_from_ns is None:
            self._behind_from_ns = time_ns
        elif time_ns - self._behind_from_ns >= SET_BACK_NS:
            self.set_back += 1
            self.wall_ahead_ns = time_ns - self.now_ns
            self._behind_from_ns = None

    def wall_s(self, now_ns: int) -> float:
        """Return what the capture's clock shows at a time of the probe's, in seconds since the Unix epoch."""
        return (now_ns + self.wall_ahead_ns) / NS_PER_S
