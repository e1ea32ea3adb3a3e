"""What processes cost: CPU time in nanoseconds and resident memory, from outside and at little expense.

CPU time is asked of each process's own CPU clock, clock_getcpuclockid(3): exact to the nanosecond, with
threads that have ended, and for kernel threads too. The schedstat files of its threads tell neither:
a thread takes its time with it when it ends, and a running one's is as old as the last tick.

Where the kernel handles packets in softirq on behalf of nobody in particular, that time is charged to
whoever was running, or as idle (no CONFIG_IRQ_TIME_ACCOUNTING): measure a receiver in a thread of its own.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

SAMPLE_EVERY_S = 0.2

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
#: The 16th and 17th words of /proc/PID/stat, counted after the name: what awaited children took.
_CUTIME, _CSTIME = 13, 14
_GONE = (FileNotFoundError, ProcessLookupError)


def _cpu_clock(pid: int) -> int:
    """Return the id of a process's CPU clock, as clock_getcpuclockid(3) forms it."""
    return (~pid << 3) | 2


def process_cpu_ns(pid: int) -> int:
    """Return the CPU time of a process or kernel thread, all its threads together.

    Raises ProcessLookupError when there is no such process.
    """
    try:
        return time.clock_gettime_ns(_cpu_clock(pid))
    except OSError as error:
        raise ProcessLookupError(f"there is no process {pid}") from error


def children(pid: int) -> list[int]:
    """Return the children of a process that have not been waited for; of one that is gone, none."""
    found: list[int] = []
    with contextlib.suppress(*_GONE):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (task / "children").read_text(encoding="ascii").split())
    return found


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    return [pid, *(one for child in children(pid) for one in family(child))]


def _awaited_cpu_ns(pid: int) -> int:
    """Return the CPU time of a process's ended children and theirs, in whole ticks."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(words[_CUTIME]) + int(words[_CSTIME])) * _TICK_NS


def cpu_ns(pids: Iterable[int]) -> int:
    """Return the CPU time of processes with all that descends from them, ended ones included.

    What ended children took is known to the tick (10 ms). A process that is gone counts nothing.
    """
    total_ns = 0
    for root in pids:
        for pid in family(root):
            with contextlib.suppress(*_GONE):
                total_ns += process_cpu_ns(pid) + _awaited_cpu_ns(pid)
    return total_ns


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the resident memory of processes and their descendants; kernel threads have none.

    Memory that several share counts for each. The kernel may be behind by some hundred KiB.
    """
    total_pages = 0
    for root in pids:
        for pid in family(root):
            with contextlib.suppress(*_GONE):
                total_pages += int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return total_pages * _PAGE_BYTES


@dataclass(frozen=True, slots=True)
class Mark:
    """One moment: CLOCK_MONOTONIC, and the readings of then."""

    at_ns: int
    #: By the groups' names.
    cpu_ns: dict[str, int]


class UsageMeter:
    """Meters groups of processes while the ``with`` block lasts.

    CPU time is read at marks only; memory several times a second, for its peak.

    Args:
        groups: pids by a name of the caller's; the descendants of each count too. A process should
            outlive the last mark: its CPU time ends with it.

    """

    def __init__(self, groups: Mapping[str, Iterable[int]]) -> None:
        self._groups = {name: tuple(pids) for name, pids in groups.items()}
        self._peak_bytes = dict.fromkeys(self._groups, 0)
        self._ending = threading.Event()
        self._sampling = threading.Thread(target=self._sample, name="usage", daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._sampling.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._sampling.join()
        self._look()

    def _sample(self) -> None:
        while not self._ending.wait(SAMPLE_EVERY_S):
            self._look()

    def _look(self) -> None:
        for name, pids in self._groups.items():
            self._peak_bytes[name] = max(self._peak_bytes[name], resident_bytes(pids))

    def mark(self) -> Mark:
        """Return the readings of now."""
        readings = {name: cpu_ns(pids) for name, pids in self._groups.items()}
        return Mark(time.monotonic_ns(), readings)

    def peak_resident_bytes(self, group: str) -> int:
        """Return the most resident memory that a group was seen with since the block began."""
        return self._peak_bytes[group]
