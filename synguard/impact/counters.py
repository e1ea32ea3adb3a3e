"""Reads what the TCP of this network namespace counts, and how it is set to send SYN cookies."""

from __future__ import annotations

import os
from pathlib import Path

#: Of the calling thread's namespace; /proc/net would be that of the process's first thread.
_NETSTAT = Path("/proc/thread-self/net/netstat")
_GROUP = b"TcpExt:"
#: Twice and more what the file has on any kernel so far.
_MOST_BYTES = 1 << 14
_SETTINGS = Path("/proc/sys/net/ipv4")

#: What is taken of the group ``TcpExt`` (Documentation/networking/snmp_counter.rst). A kernel may lack some.
NAMES = (
    #: SYNs, and last ACKs, that met a full accept queue; each counts as a drop, too.
    "ListenOverflows",
    #: SYNs that a listener dropped, whatever for.
    "ListenDrops",
    #: SYNs that met a full SYN queue, or any while cookies are forced: answered with a cookie, or dropped.
    #: The helper of our own cookie program has the stack count the first of them, too.
    "TCPReqQFullDoCookies",
    "TCPReqQFullDrop",
    #: Cookies sent by the stack itself, and those that came back, right and wrong.
    "SyncookiesSent",
    "SyncookiesRecv",
    "SyncookiesFailed",
)


class Counters:
    """The counters of the network namespace in which they were read first.

    The file stays open, and where in it the counters are is found out once: a read takes some 70 µs of a CPU
    that did something else meanwhile, where opening it anew took 210.
    """

    def __init__(self) -> None:
        self._fd: int | None = None
        self._places: dict[str, int] = {}

    def read(self) -> dict[str, int]:
        """Return those in ``NAMES`` that this kernel has, since the namespace was made.

        Raises OSError where the file cannot be read, and ValueError for one that says something else.
        """
        if self._fd is None:
            self._fd = os.open(_NETSTAT, os.O_RDONLY | os.O_CLOEXEC)
        text = os.pread(self._fd, _MOST_BYTES, 0)
        names, values = (line.split() for line in text.split(b"\n") if line.startswith(_GROUP))
        if not self._places:
            self._places = {name: names.index(name.encode()) for name in NAMES if name.encode() in names}
        return {name: int(values[place]) for name, place in self._places.items()}

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read_settings() -> dict[str, int]:
    """Return ``tcp_syncookies`` and ``tcp_max_syn_backlog`` as set in this namespace. Raises OSError."""
    cookies = _SETTINGS / "tcp_syncookies"
    return {
        # A kernel without cookies sends none.
        "tcp_syncookies": int(cookies.read_text("ascii")) if cookies.exists() else 0,
        "tcp_max_syn_backlog": int((_SETTINGS / "tcp_max_syn_backlog").read_text("ascii")),
    }
