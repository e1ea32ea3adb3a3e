"""Faults of the machine, of rights and of the running daemon, found by the real command."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.defences.guard import synguard_command
from bench.net.namespaces import Topology

from . import commands
from .conftest import StartDaemon
from .places import Examined, Place, python_within

pytestmark = [pytest.mark.root, pytest.mark.netns]

_libc = ctypes.CDLL(None, use_errno=True)
#: ``modes``, ``offset``, ``freq``, ``maxerror``, ``esterror``, ``status`` of ``struct timex``.
TIMEX = struct.Struct("@I4li")
ADJ_MAXERROR, ADJ_ESTERROR, ADJ_STATUS, STA_UNSYNC = 0x4, 0x8, 0x10, 0x40

#: Fills the table of connections of its network namespace up to a share, with one UDP datagram for each,
#: and keeps the one socket that all of them reach.
FILL = """
import pathlib, socket, sys
folder = pathlib.Path("/proc/sys/net/netfilter")
wanted = int(int((folder / "nf_conntrack_max").read_text()) * float(sys.argv[1]))
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(("0.0.0.0", 9))
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("127.0.0.1", 0))
for number in range(1, wanted + 1):
    sender.sendto(b"", (f"127.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}", 9))
"""
TRACK = """
nft add table inet track
nft add chain inet track output '{ type filter hook output priority 0; }'
nft add rule inet track output ct state new accept
"""
#: Forbids sockets of netlink to itself and what it runs, as a container's seccomp profile may: EPERM.
NO_NETLINK = """
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
numbers = {"x86_64": 41, "aarch64": 198}
steps = [
    (0x20, 0, 0, 0),  # load the system call's number
    (0x15, 0, 3, numbers[os.uname().machine]),  # socket?
    (0x20, 0, 0, 16),  # load its first argument
    (0x15, 0, 1, 16),  # AF_NETLINK?
    (0x06, 0, 0, 0x00050001),  # EPERM
    (0x06, 0, 0, 0x7FFF0000),  # allow
]
code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, program, 0, 0) == 0
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a place with nothing wrong that a test has not seeded."""
    return Place(tmp_path)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("dropped", "missing"),
    [
        ("net_admin", ["CAP_NET_ADMIN, to attach"]),
        ("sys_admin,-bpf", ["CAP_BPF, to load"]),
        ("sys_admin,-perfmon", ["CAP_PERFMON, to have"]),
        ("sys_admin,-bpf,-perfmon", ["CAP_PERFMON, to have", "CAP_BPF, to load"]),
    ],
)
def test_missing_capability(place: Place, dropped: str, missing: list[str]) -> None:
    """Root without a capability is told its name and what it is for; a daemon does not start there."""
    within = ("setpriv", f"--bounding-set=-{dropped}", "--inh-caps=-all", "--")
    examined = place.examine(within=within)
    finding = examined.one("capabilities")
    assert (examined.exit_code, finding["status"]) == (1, "error")
    assert all(one in finding["what"] for one in missing), finding
    assert finding["what"].count("CAP_") == len(missing)
    assert place.run("", ("run", "--interface", "v0"), within).returncode == 3
    assert place.examine().one("capabilities")["status"] == "ok"


@pytest.mark.parametrize("dropped", ["bpf,-perfmon", "sys_admin"])
def test_capabilities_that_others_stand_for(place: Place, dropped: str) -> None:
    """With CAP_SYS_ADMIN nobody needs CAP_BPF and CAP_PERFMON, and with these nobody needs that."""
    within = ("setpriv", f"--bounding-set=-{dropped}", "--inh-caps=-all", "--")
    assert place.examine(within=within).one("capabilities")["status"] == "ok"


def test_nearly_full_table_of_connections(place: Place) -> None:
    """A real table of this namespace is told from 80 % on; filled to a quarter it is in order."""
    full = place.examine(TRACK, within=python_within(FILL, "0.81")).one("conntrack")
    assert (full["status"], "nearly full" in full["what"], "(81%)" in full["what"]) == ("warning", True, True)
    assert "nf_conntrack_max=" in full["remedy"]
    quarter = place.examine(TRACK, within=python_within(FILL, "0.25")).one("conntrack")
    assert (quarter["status"], "(25%)" in quarter["what"]) == ("ok", True)


def _adjust(modes: int, max_error_us: int, estimate_us: int, status: int) -> tuple[int, int, int]:
    """Set what the modes choose of the clock's state; return the state: both errors, and the status."""
    timex = ctypes.create_string_buffer(TIMEX.pack(modes, 0, 0, max_error_us, estimate_us, status), 512)
    if _libc.adjtimex(timex) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    _, _, _, max_error_us, estimate_us, status = TIMEX.unpack_from(timex)
    return max_error_us, estimate_us, status


@contextlib.contextmanager
def _clock(*, synchronised: bool) -> Iterator[None]:
    """Let the kernel believe, or not, that somebody keeps its clock, which goes on as before."""
    before = _adjust(0, 0, 0, 0)
    chosen = ADJ_MAXERROR | ADJ_ESTERROR | ADJ_STATUS
    status = before[2] & ~STA_UNSYNC if synchronised else before[2] | STA_UNSYNC
    _adjust(chosen, 1000, 1000, status)
    try:
        yield
    finally:
        _adjust(chosen, *before)


def test_clock_not_steady(place: Place) -> None:
    """A clock that nobody keeps is a warning with the daemon to start; one that is kept is in order."""
    with _clock(synchronised=False):
        finding = place.examine().one("clock")
    assert (finding["status"], "not steady" in finding["what"]) == ("warning", True)
    assert "chrony" in finding["remedy"]
    with _clock(synchronised=True):
        assert place.examine().one("clock")["status"] == "ok"


def test_container_without_netlink(place: Place) -> None:
    """Where netlink is forbidden, interfaces and listeners are unknown, and the rest is looked at."""
    examined = place.examine(within=python_within(NO_NETLINK))
    assert {examined.one(name)["status"] for name in ("interface", "accept_queues")} == {"unknown"}
    assert examined.one("tcp_syncookies")["status"] == "ok"


@pytest.mark.kernel
def test_running_daemon(start_daemon: StartDaemon, topology: Topology) -> None:
    """Doctor looks at what the daemon guards, and finds its programs; from another namespace it says so."""
    guard = start_daemon()
    doctor = ("doctor", "--format", "json", "--socket", str(guard.socket))
    here = Examined.read(commands.run(topology.server, *synguard_command(*doctor), check=False))
    assert here.one("attachment")["status"] == "ok"
    assert "net0" in here.one("attachment")["what"]
    assert "synguard_" in here.one("xdp")["what"]
    assert (here.one("native_xdp")["status"], here.one("daemon")["status"]) == ("ok", "ok")
    there = Examined.read(commands.run(topology.client, *synguard_command(*doctor), check=False))
    assert "another network namespace" in there.one("attachment")["what"]


@pytest.mark.kernel
def test_interface_that_the_daemon_does_not_guard(start_daemon: StartDaemon, topology: Topology) -> None:
    """An interface that was asked for, and that the running daemon leaves alone, is a warning."""
    guard = start_daemon()
    doctor = ("doctor", "--socket", str(guard.socket), "--interface", "lo", "--interface", "net0")
    said = commands.run(topology.server, *synguard_command(*doctor), check=False).stdout
    assert "attachment           the daemon does not guard lo" in said
    assert "attachment           the probe is attached to net0 (xdp-" in said
