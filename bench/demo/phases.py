"""The demo's phases: what runs in each, and the figures that come out.

Two daemons run, one after the other. The first, in ``off``, sees ``baseline``, in which it learns how long
handshakes take here and must stay silent, and ``control``. The second, in ``enforce`` with
``drop = "always"``, sees the rest; ``after`` begins as soon as the last flood is over, while its alert is
still closing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.defences.guard import Guard, LogEvent, Setting, programs_held_by
from bench.demo.chronicle import Chronicle
from bench.flood.driver import FloodGenerator
from bench.flood.plan import ANY_IPV4, FloodPlan, FloodReport
from bench.net import links
from bench.net.enter import NAMESPACES
from bench.net.namespaces import SILENT_IPV4, Topology, wait_until
from bench.peers.clients import Connection, GoodClient
from bench.peers.listener import echo
from bench.scenario.model import ClientSpec
from synguard.errors import SynguardError
from synguard.probe.claim import CLAIMS

PORT = 443
CONNECTS_PER_S = 80.0
#: Connections attempted in a phase without a flood, and their pace.
QUIET_CONNECTS = 220
QUIET_CONNECTS_PER_S = 110.0
#: The daemon learns how long handshakes take here from this long a time's connections, about 100.
LEARNING_S = 1.25

FLOOD_SYN_PER_S = 60_000.0
FLOOD_S = 4.05
#: The server's queues. At 60,000 SYN/s they are full after 0.41 s, a multiple of what the daemon
#: needs to act, and a tenth of the flood. tcp_max_syn_backlog is far above, or the kernel would
#: turn strangers away from three quarters of that on.
QUEUE_ENTRIES = 24_576
SERVER_SYSCTLS = {
    "ipv4/tcp_syncookies": 0,
    "core/somaxconn": QUEUE_ENTRIES,
    "ipv4/tcp_max_syn_backlog": 8 * QUEUE_ENTRIES,
}

CLOSE_AFTER_S = 1.0
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
    """A phase with a flood."""

    name: str
    source: str
    #: What the phase shows, for the person who watches.
    purpose: str


CONTROL = Flooded("control", str(SILENT_IPV4), "one flooding address; the daemon only watches")
SINGLE_SOURCE = Flooded("single-source", str(SILENT_IPV4), "the same flood; the daemon may drop")
SPOOFED = Flooded("spoofed", str(ANY_IPV4), "every SYN claims another source; nothing answers that yet")


class Watch:
    """A running daemon, and what its log tells of the flood that plays."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.chronicle = Chronicle(tell)
        self.guard: Guard
        self._dropped_before = 0

    def heard(self, event: LogEvent) -> None:
        """Take in one event of the daemon's log."""
        self.chronicle.heard(event)

    def next_flood(self) -> None:
        """Follow another flood: what came before is told and done."""
        self._dropped_before += self.dropped()
        self.chronicle = Chronicle(self._tell)

    def dropped(self) -> int:
        """Return how many SYNs the daemon dropped since this flood began."""
        return int(self.guard.status()["totals"]["dropped_by_us"]) - self._dropped_before


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
        with self._watching("off") as watch:
            self._tell("== baseline: the good client alone")
            yield self._quiet("baseline")
            if watch.chronicle.has_alerts:
                self.faults.append("baseline: no alert")
            yield self._settled(*self._flood(CONTROL, watch), watch)
        with self._watching("enforce") as watch:
            yield self._settled(*self._flood(SINGLE_SOURCE, watch, LEARNING_S), watch)
            self._check_blocks(SINGLE_SOURCE, watch, {SINGLE_SOURCE.source})
            watch.next_flood()
            flooded = self._flood(SPOOFED, watch)
            self._tell("== after: the good client alone again")
            after = self._quiet("after")
            yield self._settled(*flooded, watch)
            self._check_blocks(SPOOFED, watch, set())
        yield after

    def _check_blocks(self, phase: Flooded, watch: Watch, allowed: set[str]) -> None:
        for source in sorted(watch.chronicle.blocked - allowed):
            self.faults.append(f"{phase.name}: {source} is not blocked")

    @contextlib.contextmanager
    def _watching(self, respond: str) -> Iterator[Watch]:
        """Run a daemon in that mode while the block lasts, and look at what it leaves behind."""
        watch = Watch(self._tell)
        settings: dict[str, dict[str, Setting]] = {
            "detect": {"close_after_s": CLOSE_AFTER_S},
            "respond": {"drop": "always"},
        }
        self._tell(f"daemon: starting, --respond {respond}")
        with Guard(self._topology.server, self._folder, respond, settings, watch.heard) as watch.guard:
            watch.guard.wait_until_ready()
            self.programs |= programs_held_by(watch.guard.pid)
            yield watch
            exit_code = watch.guard.stop()
        if exit_code != 0:
            self.faults.append(f"the daemon in {respond} stops with exit code 0, not {exit_code}")
        self._check_left(respond)

    def _check_left(self, respond: str) -> None:
        server = self._topology.server
        number = (NAMESPACES / server.namespace).stat().st_ino
        if list(CLAIMS.glob(f"netns-{number}-*")):
            self.faults.append(f"the daemon in {respond} leaves no claim on the interface")
        if links.read_link(server.namespace, server.interface).xdp_attached:
            self.faults.append(f"the daemon in {respond} leaves no XDP program")
        if "clsact" in links.qdisc_kinds(server.namespace, server.interface):
            self.faults.append(f"the daemon in {respond} leaves no clsact qdisc")

    @contextlib.contextmanager
    def _connecting(self, connects_per_s: float) -> Iterator[GoodClient]:
        """Run a fresh listener, and the good client that connects to it."""
        spec = ClientSpec(name="client", per_s=connects_per_s)
        with (
            echo(self._topology.server, [self._address], PORT, QUEUE_ENTRIES),
            GoodClient(self._topology.client, spec, self._address, PORT) as client,
        ):
            yield client

    def _quiet(self, name: str) -> PhaseFigures:
        with self._connecting(QUIET_CONNECTS_PER_S) as client:
            wait_until(lambda: client.attempted >= QUIET_CONNECTS, name, _QUIET_TIMEOUT_S)
            return self._figures(name, client.finish())

    def _flood(
        self, phase: Flooded, watch: Watch, learning_s: float = 0.0
    ) -> tuple[PhaseFigures, FloodReport]:
        """Flood the server while the good client goes on; count the connections begun meanwhile.

        The client begins ``learning_s`` earlier, for a daemon that has never seen this listener.
        """
        self._tell(f"== {phase.name}: {phase.purpose}")
        plan = FloodPlan(
            destination=self._address,
            destination_port=PORT,
            sources=(phase.source,),
            syn_per_s=FLOOD_SYN_PER_S,
            duration_s=FLOOD_S,
        )
        with self._connecting(CONNECTS_PER_S) as client:
            learnt_s = time.monotonic() + learning_s
            expected = 0.9 * CONNECTS_PER_S * learning_s
            wait_until(
                lambda: time.monotonic() >= learnt_s and client.attempted >= expected,
                "the good client",
                _QUIET_TIMEOUT_S,
            )
            watch.chronicle.flood_began(self._generator.start(plan).first_ns)
            report = self._generator.finish(plan)
            self._tell(f"flood: over, {report.frames} SYNs at {report.syn_per_s:.0f}/s")
            connections = client.finish()
        during = [c for c in connections if report.first_ns <= c.start_ns <= report.last_ns]
        return self._figures(phase.name, during), report

    def _settled(self, figures: PhaseFigures, report: FloodReport, watch: Watch) -> PhaseFigures:
        """Wait until every alert has closed; return the figures with what the daemon did."""
        chronicle = watch.chronicle
        # An alert that never closes is told by the figures; the story goes on.
        with contextlib.suppress(SynguardError):
            watch.guard.wait_for(lambda: chronicle.all_closed, "closing every alert", _CLOSE_TIMEOUT_S)
        figures.flood_packets_sent = report.frames
        figures.flood_packets_dropped = watch.dropped()
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
