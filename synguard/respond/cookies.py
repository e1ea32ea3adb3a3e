"""One listener's SYN cookies, from the first canaries to their end: pure, no clock, no I/O.

    state      what is seen                                                  then
    ---------  ------------------------------------------------------------  -------------------------------
    canary     none answered, or fewer than 4 and no valid ACK               canary: no good client came yet
    canary     all that were granted are answered, for 1 s                   canary: twice as many, up to 16
    canary     a connection, or each valid ACK taken by the kernel           everybody
    canary     4 answered, and 3 s later no valid ACK                        withdrawn
    canary     a valid ACK, and 3 s later no connection                      withdrawn
    everybody  a connection, or half of the valid ACKs taken by the kernel   everybody
    everybody  4 valid ACKs, 0.7 s since the first, and neither of these     withdrawn
    withdrawn  whatever                                                      withdrawn

An ACK is *valid* when it bears one of our cookies as it comes in, before the firewall. That the kernel took
it (SyncookiesRecv) shows that it got through, though whoever sent it may never say a word.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Canaries in all, answered before anything came of one.
CANARIES_MAX = 16
#: What may be answered of SYNs, in a ``Step`` and in the kernel's rule: no limit.
EVERYBODY = -1
#: A course wants to be looked at this often, in seconds, to end within 1 s of what ends it.
LOOK_EVERY_S = 0.1

_FIRST_CANARIES = 2
_MORE_AFTER_S = 1.0
_ANSWERED_ENOUGH = 4
_VALID_ENOUGH = 4
_CANARY_PATIENCE_S = 3.0
_PATIENCE_S = 0.7


@dataclass(frozen=True, slots=True)
class CookieFigures:
    """What came of a listener's cookies; all cumulative, from whenever on."""

    sent: int
    valid: int
    connected: int
    #: SyncookiesRecv of the network namespace; None: the kernel does not tell.
    kernel_received: int | None = None

    def since(self, before: CookieFigures) -> CookieFigures:
        """Return what came of them after ``before``."""
        mine, other = self.kernel_received, before.kernel_received
        return CookieFigures(
            self.sent - before.sent,
            self.valid - before.valid,
            self.connected - before.connected,
            None if mine is None or other is None else mine - other,
        )

    @property
    def is_backwards(self) -> bool:
        """Whether these, which ought to be differences, show that somebody began to count anew."""
        return min(self.sent, self.valid, self.connected, self.kernel_received or 0) < 0


@dataclass(frozen=True, slots=True)
class Step:
    """What to do with a listener's rule now."""

    #: How many cookies the kernel may send from now on, to be put into it in the place of those it has left;
    #: ``EVERYBODY``: no limit.
    canaries: int
    #: Why cookies end for this listener; None: they go on.
    withdrawn: str | None = None


class CookieCourse:
    """One listener's cookies, while a flood lasts.

    Never are more than ``CANARIES_MAX`` answered before anything came of one, however the kernel's sending
    falls between a reading of the figures and the rule that is put after it.
    """

    def __init__(self, figures: CookieFigures, now_s: float) -> None:
        self._start = self._last = figures
        self._now_s = now_s
        self._granted = self._put = self._sent_before = 0
        #: Until when all that were granted had not been answered; when the fourth had not, nor one come back.
        self._unused_s = self._too_few_s = self._none_valid_s = now_s
        self._is_for_all = False
        #: The figures when all was well for the last time, and when a valid ACK was first seen since.
        self._well = figures
        self._first_valid_s: float | None = None
        self._withdrawn: str | None = None

    def look(self, figures: CookieFigures, now_s: float) -> Step:
        """Return what to do by figures that were read just now; ``now_s`` is monotonic.

        Each step's canaries are to be put into the kernel before the next look, or are as those before.
        """
        if figures.since(self._last).is_backwards:
            self._sent_before += self._last.sent - self._start.sent
            self._start = self._well = figures
            self._first_valid_s = None
        self._last, self._now_s = figures, now_s
        if self._withdrawn is None:
            if self._is_for_all:
                self._judge_everybody(figures)
            else:
                self._judge_canaries(figures.since(self._start))
        if self._withdrawn is not None:
            return Step(0, self._withdrawn)
        sent = self._sent_before + figures.sent - self._start.sent
        return Step(EVERYBODY if self._is_for_all else self._grant(sent))

    def _judge_canaries(self, so_far: CookieFigures) -> None:
        now_s = self._now_s
        if so_far.connected > 0 or (so_far.valid > 0 and (so_far.kernel_received or 0) >= so_far.valid):
            self._is_for_all, self._well = True, self._last
            return
        if so_far.sent < _ANSWERED_ENOUGH:
            self._too_few_s = now_s
        if so_far.valid == 0:
            self._none_valid_s = now_s
            if now_s - self._too_few_s >= _CANARY_PATIENCE_S:
                self._withdrawn = f"none of {so_far.sent} clients that were sent a cookie came back with it"
        elif now_s - self._none_valid_s >= _CANARY_PATIENCE_S:
            self._withdrawn = _not_through(so_far)

    def _grant(self, sent: int) -> int:
        """Return how many to put into the kernel.

        It may have sent all that were put last after ``sent`` was read, and before these are put.
        """
        if sent < self._granted:
            self._unused_s = self._now_s
        elif self._granted == 0 or self._now_s - self._unused_s >= _MORE_AFTER_S:
            self._granted = min(max(2 * self._granted, _FIRST_CANARIES, sent + 1), CANARIES_MAX)
            self._unused_s = self._now_s
        wanted = max(self._granted - sent, 0)
        self._put = max(min(wanted, CANARIES_MAX - sent - self._put), 0)
        return self._put

    def _judge_everybody(self, figures: CookieFigures) -> None:
        lately = figures.since(self._well)
        if lately.connected > 0:
            self._well, self._first_valid_s = figures, None
        elif lately.valid > 0:
            self._judge_unconnected(figures, lately)
        else:
            self._well = figures

    def _judge_unconnected(self, figures: CookieFigures, lately: CookieFigures) -> None:
        if self._first_valid_s is None:
            self._first_valid_s = self._now_s
        if self._now_s - self._first_valid_s < _PATIENCE_S:
            return
        if 2 * (lately.kernel_received or 0) >= lately.valid:
            self._well, self._first_valid_s = figures, None
        elif lately.valid >= _VALID_ENOUGH:
            self._withdrawn = _not_through(lately)


def _not_through(figures: CookieFigures) -> str:
    return (
        f"{figures.valid} clients came back with a cookie, and none got a connection: something between XDP "
        "and the listener drops them"
    )
