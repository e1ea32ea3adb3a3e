"""Gives SYNs to a guarded interface's driver hook, on one CPU and with no wire before it."""

from __future__ import annotations

import contextlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from bench.cost.resident import resident
from bench.defences.xdp import attached
from bench.net import links
from bench.net.enter import call_in
from bench.net.namespaces import Topology
from bench.net.promptness import put_first
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.syscall import BPF_F_TEST_XDP_LIVE_FRAMES, program_fd_by_id, test_run

_FIRST = bytes(4)
_SETTLED_S, _LOOK_EVERY_S = 1.0, 0.02
_TCP, _SYN, _WINDOW, _PORT = 6, 0x02, 64240, 1024
_OPTIONS = bytes.fromhex("020405b40402080a000000010000000001030307")


def syn_frame(topology: Topology, source: str, port: int) -> bytes:
    """Return a SYN from that source to the server's port, with no TCP checksum."""
    guarded, server, address = topology.guarded, topology.server, ip_address(source)
    segment = struct.pack("!HHIIBBHHH", _PORT, port, 0, 0, 10 << 4, _SYN, _WINDOW, 0, 0) + _OPTIONS
    macs = bytes.fromhex((guarded.mac + topology.attacker.mac).replace(":", ""))
    if address.version == 6:
        fixed = struct.pack("!IHBB", 6 << 28, len(segment), _TCP, 64)
        return bytes(macs + b"\x86\xdd" + fixed + address.packed + server.ipv6.ip.packed + segment)
    fixed = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0x4000, 64, _TCP, 0)
    header = fixed + address.packed + server.ipv4.ip.packed
    total = sum(struct.unpack("!10H", header))
    check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return bytes(macs + b"\x08\x00" + header[:10] + check.to_bytes(2, "big") + header[12:] + segment)


@dataclass(frozen=True, slots=True)
class Giver:
    """Gives frames to the guarded interface of a topology as it stands."""

    topology: Topology
    loaded: LoadedObject
    cpu: int

    def give(self, frame: bytes, count: int) -> float:
        """Give so many frames; return the CPU time of each, in nanoseconds."""
        guarded = self.topology.guarded
        index = links.read_link(guarded.namespace, guarded.interface).index
        # struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        context = struct.pack("=6I", 0, len(frame), 0, index, 0, 0)

        def run() -> float:
            # Of this thread alone, which ends with the call.
            os.sched_setaffinity(0, {self.cpu})
            put_first(0)
            before_ns = time.thread_time_ns()
            program = self.loaded.programs["give"]
            test_run(program, frame, repeat=count, context=context, flags=BPF_F_TEST_XDP_LIVE_FRAMES)
            return (time.thread_time_ns() - before_ns) / count

        return call_in(guarded.namespace, run)


def settled(read: Callable[[], int], expected: int) -> int:
    """Return what was counted once it is what was expected, or after a second: some count in batches."""
    deadline_s = time.monotonic() + _SETTLED_S
    while (count := read()) < expected and time.monotonic() < deadline_s:
        time.sleep(_LOOK_EVERY_S)
    return count


@contextlib.contextmanager
def giver(topology: Topology, loaded: LoadedObject, cpu: int) -> Iterator[Giver]:
    """Yield who gives frames to whatever program is on the guarded interface now; without one all pass."""
    guarded = topology.guarded
    with contextlib.ExitStack() as stack:
        program = links.read_link(guarded.namespace, guarded.interface).xdp_program
        if program is None:
            # Only an interface with a program takes frames given to it by name.
            stack.enter_context(attached(guarded, loaded.programs["pass"]))
            target = loaded.programs["pass"]
        else:
            target = program_fd_by_id(program)
            stack.callback(os.close, target)
        loaded.maps["attached"].update(_FIRST, struct.pack("=I", target))
        stack.callback(loaded.maps["attached"].delete, _FIRST)
        stack.enter_context(resident([loaded.programs["give"]]))
        yield Giver(topology, loaded, cpu)


def load_givers() -> LoadedObject:
    """Compile and load. Raises as :func:`synguard.probe.compiler.load_object` does."""
    return load_object(Path(__file__).with_name("give.c"), {"give": ProgramType.XDP, "pass": ProgramType.XDP})
