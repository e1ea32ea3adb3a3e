"""Segments by the hundred thousand: one frame, whose tuple and numbers a program of its own steps through."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from synguard.probe.bpfcall import address, attributes, bpf, filled
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.probe import Probe
from synguard.probe.programs import TC_EGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.syscall import test_run as run_program
from tests.kernel.cpus import on_two_cpus
from tests.kernel.wire import ONLY_KEY, Connection

_BPF_MAP_UPDATE_BATCH = 26
_PLAN = struct.Struct("=QQ" + 3 * "IIII")
_PASSED = {"series_xdp": 2, "series_tc": 0xFFFFFFFF}
#: Where TCP begins, and where the last four bytes of source and destination address lie.
_TCP_AT = {4: 34, 6: 54}
_ADDRESS_AT = {4: (26, 30), 6: (34, 50)}


@dataclass(frozen=True, slots=True)
class Steps:
    """By how much each segment's tuple differs from that of the one before; the ISN stays, or follows."""

    #: Of the last four bytes of the client's address.
    address: int = 0
    client_port: int = 0
    #: Carried over to the client's port at 65,536, as in a sweep of all ports.
    server_port: int = 0
    isn: int = 0


class Series:
    """Plays a segment of each of many connections that differ by steps, on one CPU or on two at once."""

    def __init__(self, loaded: LoadedObject, probe: Probe) -> None:
        self._loaded = loaded
        for target, program in (("xdp_target", XDP_PROGRAM), ("tc_target", TC_EGRESS_PROGRAM)):
            loaded.maps[target].update(ONLY_KEY, struct.pack("=I", probe.programs[program]))

    @classmethod
    @contextmanager
    def of(cls, probe: Probe) -> Iterator[Self]:
        """Yield the series through a probe."""
        programs = {"series_xdp": ProgramType.XDP, "series_tc": ProgramType.SCHED_CLS}
        loaded = load_object(Path(__file__).parent / "series.c", programs)
        try:
            yield cls(loaded, probe)
        finally:
            loaded.close()

    def play(
        self, first: Connection, steps: Steps, number: int, flags: str = "S", *, both_cpus: bool = False
    ) -> None:
        """Play the segment of so many connections; with both CPUs each one twice, at almost the same moment.

        A segment with SYN and ACK, or RST and ACK without a sequence number, is ours and leaves.
        """
        outgoing = flags in {"SA", "RA"}
        frame = first.frame(first.segment(flags, outgoing=outgoing), outgoing=outgoing)
        self._loaded.maps["plan"].update(ONLY_KEY, _plan(first, steps, flags, share=both_cpus))
        program = "series_tc" if outgoing else "series_xdp"

        def run(_: int) -> None:
            answer = run_program(self._loaded.programs[program], frame, repeat=number)
            assert answer.return_value == _PASSED[program]

        if both_cpus:
            on_two_cpus(run)
        else:
            run(0)


def _plan(first: Connection, steps: Steps, flags: str, *, share: bool) -> bytes:
    """Return what the program is told: which bytes of the frame to step, from where, by how much."""
    version, outgoing = first.server.version, flags in {"SA", "RA"}
    tcp_at = _TCP_AT[version]
    low_address = int(first.client) % 2**32
    ports = first.client_port << 16 | first.server_port
    ports_step = (steps.client_port << 16) + steps.server_port
    if outgoing:
        assert not steps.server_port, "of ours only the client's port can be stepped"
        ports, ports_step = first.server_port << 16 | first.client_port, steps.client_port
    number_at = tcp_at + (8 if outgoing else 4)
    number = first.isn + (1 if outgoing or "S" not in flags else 0)
    fields = (
        (_ADDRESS_AT[version][outgoing], low_address, steps.address, 0),
        (tcp_at, ports, ports_step % 2**32, 0),
        (number_at, number % 2**32, steps.isn, 0),
    )
    return _PLAN.pack(0, share, *(value for field in fields for value in field))


def wipe(probe: Probe, name: str = "handshakes") -> None:
    """Empty an array of the probe's: what earlier tests left there may look young, for its times wrap."""
    bpf_map = probe.maps[name]
    entries = bpf_map.info.max_entries
    keys = filled(b"".join(index.to_bytes(4, "little") for index in range(entries)))
    values = filled(bytes(bpf_map.value_bytes * entries))
    request = attributes("=QQQQIIQQ", 0, 0, address(keys), address(values), entries, bpf_map.fd, 0, 0)
    bpf(_BPF_MAP_UPDATE_BATCH, request)
