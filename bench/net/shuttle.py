"""The process between the two ends of a delay line: carries frames, later, and loses some."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from functools import partial

import msgspec

from bench.net.enter import call_in
from bench.talk import Parent

_STDIN = 0
TUN = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_TUN_EXCL = 0x8000
_SIOCSIFTXQLEN = 0x8943
#: How many frames wait in the kernel while this process is kept from its CPU.
_QUEUE_FRAMES = 4096
_FRAME_BYTES = 1 << 16
#: Frames taken from one end before the other has its turn.
_TURN_FRAMES = 64
_PR_SET_TIMERSLACK = 29


class Span(msgspec.Struct, frozen=True):
    """What a line joins: two ends, each a namespace and the interface to make there."""

    ends: tuple[tuple[str, str], tuple[str, str]]
    delay_ns: int
    #: The share of frames lost in each direction.
    loss: float


class Carried(msgspec.Struct):
    """One direction's frames so far."""

    carried_frames: int = 0
    #: At random, as asked for.
    lost_frames: int = 0
    #: By the far end, which was down.
    refused_frames: int = 0
    #: How long past its time the most belated frame was delivered.
    latest_us: float = 0.0


class Said(msgspec.Struct):
    """Both directions so far, from the first end to the second and back; or what went wrong."""

    up: Carried
    down: Carried
    fault: str = ""


class Direction:
    """From one end to the other: frames wait here in the order in which they came."""

    def __init__(self, source: int, target: int, span: Span) -> None:
        self._source = source
        self._target = target
        self._delay_ns = span.delay_ns
        self._loss = span.loss
        self._waiting: deque[tuple[int, bytes]] = deque()
        self.carried = Carried()

    @property
    def due_ns(self) -> int | None:
        """When the next frame is to be delivered, None when none waits."""
        return self._waiting[0][0] if self._waiting else None

    def take(self) -> None:
        """Take in what has arrived, no more than a turn."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(_TURN_FRAMES):
                frame = os.read(self._source, _FRAME_BYTES)
                if self._loss and random.random() < self._loss:
                    self.carried.lost_frames += 1
                else:
                    self._waiting.append((time.monotonic_ns() + self._delay_ns, frame))

    def deliver(self, now_ns: int) -> None:
        """Deliver the frames whose time has come, no more than a turn."""
        waiting, carried = self._waiting, self.carried
        for _ in range(_TURN_FRAMES):
            if not waiting or waiting[0][0] > now_ns:
                return
            due_ns, frame = waiting.popleft()
            carried.latest_us = max(carried.latest_us, (time.monotonic_ns() - due_ns) / 1000)
            try:
                os.write(self._target, frame)
                carried.carried_frames += 1
            except OSError:
                carried.refused_frames += 1


def open_tap(interface: str) -> int:
    """Return a descriptor of a new TAP device in the calling thread's namespace; both end together."""
    fd = os.open(TUN, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_TUN_EXCL
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", interface.encode(), flags))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            fcntl.ioctl(control, _SIOCSIFTXQLEN, struct.pack("16si20x", interface.encode(), _QUEUE_FRAMES))
    except OSError:
        os.close(fd)
        raise
    return fd


@contextlib.contextmanager
def _taps(span: Span) -> Iterator[tuple[int, int]]:
    with contextlib.ExitStack() as stack:
        fds = []
        for namespace, interface in span.ends:
            fds.append(call_in(namespace, partial(open_tap, interface)))
            stack.callback(os.close, fds[-1])
        yield fds[0], fds[1]


def _pause_s(up: Direction, down: Direction) -> float | None:
    due = [due_ns for due_ns in (up.due_ns, down.due_ns) if due_ns is not None]
    if not due:
        return None
    pause_s = max(min(due) - time.monotonic_ns(), 0) / 1e9
    # select(2) may oversleep by a thousandth of what it is asked for: wake early, and sleep again.
    return pause_s if pause_s < 0.001 else pause_s * 0.998


def _shuttle(taps: tuple[int, int], span: Span, parent: Parent) -> None:
    near, far = taps
    up, down = Direction(near, far, span), Direction(far, near, span)
    by_source = {near: up, far: down}
    while not parent.ended:
        ready, _, _ = select.select([near, far, _STDIN], [], [], _pause_s(up, down))
        for fd in ready:
            if fd == _STDIN:
                _answer(up, down, parent)
            else:
                by_source[fd].take()
        now_ns = time.monotonic_ns()
        up.deliver(now_ns)
        down.deliver(now_ns)


def _answer(up: Direction, down: Direction, parent: Parent) -> None:
    if parent.next(None) is not None:
        parent.say(Said(up.carried, down.carried))


def _be_punctual() -> None:
    """Run before whatever else wants this CPU: it sleeps nearly always, and what it does late is a fault."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:  # a control group without real-time share
        os.nice(-15)


def main(argument: str) -> None:
    """Shuttle until the parent ends, or has no more questions."""
    span = msgspec.json.decode(argument, type=Span)
    parent = Parent()
    _be_punctual()
    try:
        with _taps(span) as taps:
            parent.say(Said(Carried(), Carried()))
            _shuttle(taps, span, parent)
    except OSError as error:
        parent.say(Said(Carried(), Carried(), f"the delay line to {span.ends[0][0]}: {error}"))


if __name__ == "__main__":
    main(sys.argv[1])
