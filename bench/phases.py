"""The demo's phases: what runs in each, and the figures that come out.

Two phases need no daemon of their own. In ``baseline`` the daemon of ``control`` is watching already, learns
how long handshakes take here, and must stay silent. ``after`` begins as soon as the last flood is over, while
its alert is still closing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import links
from bench.chronicle import Chronicle
from bench.clients import Connection, GoodClient
from bench.flood.driver import FloodGenerator
from bench.flood.plan import ANY_IPV4, FloodPlan, FloodReport
from bench.guard import Guard, Setting, programs_held_by
from bench.listener import listen
from bench.namespaces import SILENT_IPV4, Topology, wait_until
from synguard.errors import SynguardError

PORT = 443
CONNECTS_PER_S = 80.0
#: Connections attempted in a phase without a flood, and their pace.
QUIET_CONNECTS = 220
QUIET_CONNECTS_PER_S = 110.0
#: The daemon learns how long handshakes take here from this many, over at least this long.
LEARNING_CONNECTS = 100
LEARNING_S = 1.25

FLOOD_SYN_PER_S = 60_000.0
FLOOD_S = 4.2
#: The server's queues. At 60,000 SYN/s they are full after half a second, several times what the daemon
#: needs to act, and a tenth of the flood. tcp_max_syn_backlog is far above, or the kernel would
#: turn strangers away from three quarters of that on.
QUEUE_ENTRIES = 32_768
SERVER_SYSCTLS = {
    "ipv4/tcp_syncookies": 0,
    "core/somaxconn": QUEUE_ENTRIES,
    "ipv4/tcp_max_syn_backlog": 8 * QUEUE_ENTRIES,
}

CLOSE_AFTER_S = 0.5
_CLOSE_TIMEOUT_S = 10.0
_QUIET_TIMEOUT_S = 15.0


class PhaseFigures(msgspec.Struct, kw_only=True):
    """One phase in figures; null is what does not apply to it.

    Times count from the first flood packet, ``time_to_close_ms`` from the last.
    """

    phase: str
    good_attempted: int
    good_succeeded: int
    flood_packets_sent: int | None = None
    flood_packets_dropped: int | None = None
    time_to_alert_ms: float | None = None
    time_to_act_ms: float | None = None
    time_to_close_ms: float | None = None
    alert_class: str | None = None
    action: str | None = None


@dataclass(frozen=True, slots=True)
class Flooded:
    """A phase with a daemon and a flood."""

    name: str
    respond: str
    source: str
    #: What the phase shows, for the person who watches.
    purpose: str


CONTROL = Flooded("control", "off", str(SILENT_IPV4), "one flooding address; the daemon only watches")
SINGLE_SOURCE = Flooded("single-source", "enforce", str(SILENT_IPV4), "the same flood; the daemon may drop")
SPOOFED = Flooded(
    "spoofed", "enforce", str(ANY_IPV4), "every SYN claims another source; nothing may answer that yet"
)


@dataclass(frozen=True, slots=True)
class Watch:
    """A running daemon and what its log tells."""

    guard: Guard
    chronicle: Chronicle


class Stage:
    """Where all phases play: the topology, the generator, a folder for files, and who tells of it.

    Args:
        topology: its server has ``SERVER_SYSCTLS``.
        generator: between its attacker and its server.
        folder: for the daemons' files; they share the database there, one after another.
        tell: called with each line for the person who watches, from several threads.

    """

    def __init__(
        self, topology: Topology, generator: FloodGenerator, folder: Path, tell: Callable[[str], None]
    ) -> None:
        self._topology = topology
        self._generator = generator
        self._folder = folder
        self._tell = tell
        self._address = str(topology.server.ipv4.ip)
        #: Ids of the eBPF programs that daemons loaded here.
        self.programs: set[int] = set()
        #: What went wrong beside the figures, in words.
        self.faults: list[str] = []

    def play(self) -> Iterator[PhaseFigures]:
        """Play all phases; yield the figures of each."""
        with self._watching(CONTROL) as watch:
            self._tell("== baseline: the good client alone")
            yield self._quiet("baseline")
            if watch.chronicle.has_alerts:
                self.faults.append("baseline: no alert")
            yield self._settled(*self._flood(CONTROL, watch), watch)
        with self._watching(SINGLE_SOURCE) as watch:
            self._learn()
            yield self._settled(*self._flood(SINGLE_SOURCE, watch), watch)
            if watch.chronicle.blocked - {SINGLE_SOURCE.source}:
                self.faults.append("single-source: nobody but the flooding address is blocked")
        with self._watching(SPOOFED) as watch:
            self._learn()
            flooded = self._flood(SPOOFED, watch)
            self._tell("== after: the good client alone again")
            after = self._quiet("after")
            yield self._settled(*flooded, watch)
            if watch.chronicle.blocked:
                self.faults.append("spoofed: nobody is blocked")
        yield after

    @contextlib.contextmanager
    def _watching(self, phase: Flooded) -> Iterator[Watch]:
        """Run a daemon in the phase's mode while the block lasts, and look at what it leaves behind."""
        chronicle = Chronicle(self._tell)
        settings: dict[str, dict[str, Setting]] = {
            "detect": {"close_after_s": CLOSE_AFTER_S},
            "respond": {"drop": "always"},
        }
        self._tell(f"daemon: starting, --respond {phase.respond}")
        server = self._topology.server
        with Guard(server, self._folder, phase.respond, settings, chronicle.heard) as guard:
            guard.wait_until_ready()
            self.programs |= programs_held_by(guard.pid)
            yield Watch(guard, chronicle)
            exit_code = guard.stop()
        if exit_code != 0:
            self.faults.append(f"{phase.name}: the daemon stops with exit code 0, not {exit_code}")
        if links.read_link(server.namespace, server.interface).xdp_attached:
            self.faults.append(f"{phase.name}: no XDP program is left")
        if "clsact" in links.qdisc_kinds(server.namespace, server.interface):
            self.faults.append(f"{phase.name}: no clsact qdisc is left")

    @contextlib.contextmanager
    def _connecting(self, connects_per_s: float) -> Iterator[GoodClient]:
        """Run a fresh listener, and the good client that connects to it."""
        with (
            listen(self._topology.server, self._address, PORT, QUEUE_ENTRIES),
            GoodClient(self._topology.client, self._address, PORT, connects_per_s) as client,
        ):
            yield client

    def _quiet(self, name: str) -> PhaseFigures:
        with self._connecting(QUIET_CONNECTS_PER_S) as client:
            wait_until(lambda: len(client.connections) >= QUIET_CONNECTS, name, _QUIET_TIMEOUT_S)
            return self._figures(name, client.finish())

    def _learn(self) -> None:
        learnt_s = time.monotonic() + LEARNING_S
        with self._connecting(CONNECTS_PER_S) as client:
            wait_until(
                lambda: len(client.connections) >= LEARNING_CONNECTS and time.monotonic() >= learnt_s,
                "the good client",
                _QUIET_TIMEOUT_S,
            )

    def _flood(self, phase: Flooded, watch: Watch) -> tuple[PhaseFigures, FloodReport]:
        """Flood the server while the good client goes on; count the connections begun meanwhile."""
        self._tell(f"== {phase.name}: {phase.purpose}")
        plan = FloodPlan(
            destination=self._address,
            destination_port=PORT,
            sources=(phase.source,),
            syn_per_s=FLOOD_SYN_PER_S,
            duration_s=FLOOD_S,
        )
        with self._connecting(CONNECTS_PER_S) as client:
            watch.chronicle.flood_began(self._generator.start(plan).first_ns)
            report = self._generator.finish(plan)
            self._tell(f"flood: over, {report.frames} SYNs at {report.syn_per_s:.0f}/s")
            connections = client.finish()
        during = [c for c in connections if report.first_ns <= c.start_ns <= report.last_ns]
        return self._figures(phase.name, during), report

    def _settled(self, figures: PhaseFigures, report: FloodReport, watch: Watch) -> PhaseFigures:
        """Wait until every alert has closed; return the figures with what the daemon did."""
        chronicle, guard = watch.chronicle, watch.guard
        # An alert that never closes is told by the figures; the story goes on.
        with contextlib.suppress(SynguardError):
            guard.wait_for(lambda: chronicle.all_closed, "closing every alert", _CLOSE_TIMEOUT_S)
        figures.flood_packets_sent = report.frames
        figures.flood_packets_dropped = guard.status()["totals"]["dropped_by_us"]
        figures.alert_class = chronicle.alert_class
        figures.time_to_alert_ms = chronicle.time_to_alert_ms
        figures.time_to_act_ms = chronicle.time_to_act_ms
        figures.time_to_close_ms = chronicle.time_to_close_ms(report)
        figures.action = "drop" if chronicle.blocked else None
        self._tell(f"daemon: {figures.flood_packets_dropped} of {report.frames} flood packets were dropped")
        return figures

    def _figures(self, name: str, connections: Sequence[Connection]) -> PhaseFigures:
        succeeded = sum(connection.succeeded for connection in connections)
        self._tell(f"good client: {succeeded} of {len(connections)} connections succeeded")
        return PhaseFigures(phase=name, good_attempted=len(connections), good_succeeded=succeeded)
