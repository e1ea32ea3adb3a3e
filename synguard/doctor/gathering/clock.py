"""Reads what the kernel says of its clocks."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

from synguard.doctor.gathering.files import text

_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
#: More than ``struct timex`` has on any machine.
_TIMEX_BYTES = 512
#: ``modes``, ``offset``, ``freq``, ``maxerror``, ``esterror``, ``status``; all modes zero only asks.
_TIMEX = struct.Struct("@I4li")
# include/uapi/linux/timex.h
_STA_UNSYNC = 0x40
_TIME_ERROR = 5


def is_synchronised() -> bool | None:
    """Return whether somebody keeps the wall clock right; None when the kernel may not be asked."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    state = ctypes.CDLL(None).adjtimex(timex)
    if state < 0:
        return None
    *_, status = _TIMEX.unpack_from(timex)
    return state != _TIME_ERROR and not status & _STA_UNSYNC


def source() -> str | None:
    """Return what the kernel counts time by; None when it does not say."""
    return (text(_SOURCE) or "").strip() or None
