"""The loaded generator with its maps, and the pace at which its frames leave.

Every call of BPF_PROG_TEST_RUN costs 20 µs, and some hundred where it leaves frames behind in the
receiver's ring: the kernel makes and destroys a pool of pages for it. So there are three ways to send:

* slowly: sleep, then send what is due in one small burst, at most 4,000 times a second;
* fast: in calls of some milliseconds, in which the program itself waits until each burst's time; this CPU
  then does nothing else;
* as fast as it can: in calls in which every frame is due.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from typing import Protocol

from bench.flood.layout import (
    PACED_FRAMES,
    State,
    decode_state,
    encode_plan,
    encode_sources,
    encode_state,
    frame_bytes,
)
from bench.flood.plan import FloodPlan, FloodReport
from synguard.probe.compiler import LoadedObject
from synguard.probe.syscall import BPF_F_TEST_XDP_LIVE_FRAMES, test_run

PROGRAM = "send_syn"
_FIRST = struct.pack("=I", 0)
#: Up to this rate it sleeps between bursts: each tick's frames, or those of the longest tick that has so few.
_SLEEPS_UP_TO_PER_S = 400_000
_TICK_S = (0.00025, 0.002)
_TICK_FRAMES = 64
#: What is sent at once after a delay; the receiver's ring has room for 256 frames.
_BURST_FRAMES_MAX = 192
#: Above it, a call is given work for this long; it takes a part of that for its tries.
_HORIZON_S = 0.025
_TRIES = 32_768
#: Frames that the kernel handles at once, at most. With fewer, pages that come back from the receiver find no
#: place to go to, and both sides are slower for it.
_BATCH_FRAMES = 256
#: A flood that was held up may catch up with twice its rate, and so much longer than it was to last.
_CATCH_UP = 2.0
_GRACE_S = 0.1


class Orders(Protocol):
    """Whoever may end a flood early."""

    ended: bool

    def next(self, timeout_s: float | None) -> bytes | None:
        """Return the next order; None when none came in time, or when ``ended``."""


class Sender:
    """Sends floods out of one interface of this process's network namespace.

    Args:
        loaded: ``generator.c``.
        interface_index: where frames leave.
        macs: destination and source.

    """

    def __init__(self, loaded: LoadedObject, interface_index: int, macs: tuple[str, str]) -> None:
        self._loaded = loaded
        self._index = interface_index
        self._macs = macs
        self._state = State()
        self._spent_ns = 0

    def send(self, plan: FloodPlan, orders: Orders, started: Callable[[], None]) -> FloodReport:
        """Send one flood, until its own bounds, another order, or the end of the orders.

        ``started`` is called once, as soon as the first frame has left.
        """
        self.begin(plan)
        start_s = time.monotonic()
        end_s = start_s + plan.duration_s + (_GRACE_S if plan.syn_per_s else 0.0)
        while self._state.frames < plan.frame_limit and not orders.ended and time.monotonic() < end_s:
            is_first = not self._state.frames
            next_s = start_s + self._turn(plan, time.monotonic() - start_s)
            if is_first and self._state.frames:
                started()
            if orders.next(max(min(next_s, end_s) - time.monotonic(), 0.0)) is not None:
                break
        return self.report()

    def begin(self, plan: FloodPlan) -> None:
        """Make the program ready for a flood; nothing has been sent of it."""
        seed = int.from_bytes(os.urandom(8), "little")
        maps = self._loaded.maps
        maps["plans"].update(_FIRST, encode_plan(plan, self._index, *self._macs, seed))
        for index, source in enumerate(encode_sources(plan)):
            maps["sources"].update(struct.pack("=I", index), source)
        self._state = State()
        self._spent_ns = 0

    def _turn(self, plan: FloodPlan, elapsed_s: float) -> float:
        """Send what is due; return when to look again, in seconds since the flood's start."""
        if plan.syn_per_s is None:
            pause_s = plan.pause_s(elapsed_s)
            if not pause_s:
                self._call(plan, _TRIES, min(_TRIES, plan.frame_limit - self._state.frames))
            return elapsed_s + pause_s
        horizon_s = min(_HORIZON_S, plan.phase_left_s(elapsed_s))
        due_frames, coming_frames = _due(plan, elapsed_s), _due(plan, elapsed_s + horizon_s)
        if coming_frames - due_frames > _SLEEPS_UP_TO_PER_S * horizon_s + 1:
            most = int(_CATCH_UP * plan.frames_per_syn * plan.syn_per_s * horizon_s) + 1
            frames = min(coming_frames - self._state.frames, most)
            self._call(plan, _TRIES, frames, round(PACED_FRAMES * horizon_s * 1e9 / frames))
            return elapsed_s
        burst = min(due_frames - self._state.frames, _BURST_FRAMES_MAX)
        if burst > 0:
            self._call(plan, burst, burst)
        tick_s = _TICK_FRAMES / (plan.syn_per_s * plan.frames_per_syn)
        tick_s = min(max(tick_s, _TICK_S[0]), _TICK_S[1])
        return max(elapsed_s + tick_s, plan.due_s(self._state.frames / plan.frames_per_syn))

    def _call(self, plan: FloodPlan, tries: int, frames: int, interval_ns: int = 0) -> None:
        """Have the program try so often to send at most so many frames."""
        state, states = self._state, self._loaded.maps["states"]
        before_ns = time.monotonic_ns()
        state.remaining, state.interval_ns = frames, interval_ns
        state.due_ns = state.clock_ns = before_ns
        states.update(_FIRST, encode_state(state))
        frame = bytes(frame_bytes(plan))
        program = self._loaded.programs[PROGRAM]
        batch_frames = _BATCH_FRAMES if tries > _BATCH_FRAMES else 0
        test_run(program, frame, repeat=tries, flags=BPF_F_TEST_XDP_LIVE_FRAMES, batch_frames=batch_frames)
        self._state = decode_state(states.lookup(_FIRST) or b"")
        self._spent_ns += time.monotonic_ns() - before_ns

    def report(self) -> FloodReport:
        """Return what this flood has done so far."""
        state = self._state
        return FloodReport(
            frames=state.frames,
            first_ns=state.first_ns,
            last_ns=state.last_ns,
            syns=state.syns,
            distinct_syns=state.distinct_syns,
            acks=state.acks,
            busy_ns=max(self._spent_ns - state.idle_ns, 0),
        )


def _due(plan: FloodPlan, elapsed_s: float) -> int:
    """Return how many frames are to have left by then: one at the start, and the last at its time."""
    return min(plan.frame_limit, int(plan.due_syns(elapsed_s) * plan.frames_per_syn) + 1)
