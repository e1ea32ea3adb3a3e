"""Plays packets to the probe, one by one, and gives what it read to the detector."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence

from synguard.detect import Detector
from synguard.model import Action, Alert
from synguard.probe.probe import Probe
from synguard.probe.programs import TC_EGRESS_PROGRAM, XDP_PROGRAM
from synguard.probe.reader import ProbeReader
from synguard.probe.repeating import RepeatedRun
from synguard.replay import pace
from synguard.replay.clock import START_NS, Clock
from synguard.replay.formats import INCOMING, OUTGOING, Packet
from synguard.replay.frames import FRAME_BYTES_MAX, FRAMERS
from synguard.replay.ways import NOWHERE, Ways


class Player:
    """Holds a replay's clock, its alerts by their ids, and what became of the packets."""

    def __init__(self, probe: Probe, detector: Detector, ways: Ways, close_after_s: float) -> None:
        self.reader = ProbeReader(probe)
        self.clock = Clock()
        self.alerts: dict[int, Alert] = {}
        self.snapshots = 0
        #: Packets of which neither address is ours, and those of link types that cannot be read.
        self.not_ours = self.not_readable = 0
        self._probe = probe
        self._detector = detector
        self._ways = ways
        self._close_after_s = close_after_s
        self._ingress = RepeatedRun(probe.programs[XDP_PROGRAM], FRAME_BYTES_MAX)
        self._egress = RepeatedRun(probe.programs[TC_EGRESS_PROGRAM], FRAME_BYTES_MAX)
        self._read_ns = self._packet_ns = START_NS
        self._packets = 0
        probe.set_clock(START_NS)

    def play(self, batches: Iterable[Sequence[Packet]]) -> None:
        """Play all packets, and go on until every alert is closed or would never be."""
        for batch in batches:
            self._take(batch)
        self._wait(None)
        self._carry_out(self._detector.stop(self.clock.wall_s(self._read_ns)))

    def _take(self, batch: Sequence[Packet]) -> None:
        way_of, clock_at, set_clock, ingress = (
            self._ways.of,
            self.clock.at,
            self._probe.set_clock,
            self._ingress,
        )
        for time_ns, link_type, direction, data in batch:
            framer = FRAMERS.get(link_type)
            if framer is None:
                self.not_readable += 1
                continue
            frame, told = framer(data)
            way = way_of(frame, direction or told)
            if way == NOWHERE:
                self.not_ours += 1
                continue
            now_ns = clock_at(time_ns)
            if now_ns - self._read_ns >= pace.SHORTEST_NS:
                self._keep_pace(now_ns)
            if now_ns != self._packet_ns:
                set_clock(now_ns)
                self._packet_ns = now_ns
            self._packets += 1
            if way & OUTGOING:
                self._leave(frame)
            if way & INCOMING:
                ingress(frame)

    def _leave(self, frame: bytes) -> None:
        try:
            self._egress(frame)
        except OSError as error:
            # Kernels refuse frames that end in the IP header; the probe counts none of those on egress.
            if error.errno != errno.EINVAL:
                raise

    def _keep_pace(self, now_ns: int) -> None:
        """Read if it is due before the packet of that time."""
        if now_ns - self._packet_ns >= pace.SILENCE_NS:
            self._wait(now_ns)
        elif pace.is_due(now_ns - self._read_ns, self._packets):
            self._read(now_ns)

    def _wait(self, until_ns: int | None) -> None:
        """Read through the silence after the last packet."""
        moments = pace.through_silence(
            self._packet_ns, until_ns, self._close_after_s, lambda: bool(self._detector.open_alerts())
        )
        for now_ns in moments:
            self._read(now_ns)

    def _read(self, now_ns: int) -> None:
        self.snapshots += 1
        self._read_ns, self._packets = now_ns, 0
        snapshot = self.reader.read(now_ns, self.clock.wall_s(now_ns))
        self._carry_out(self._detector.observe(snapshot))

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            self.alerts[action.alert.id] = action.alert
