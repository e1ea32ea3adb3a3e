"""The demo's phases: what runs in each, and the figures that come out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import links
from bench.clients import Connection, GoodClient
from bench.flood.driver import FloodGenerator
from bench.flood.plan import ANY_IPV4, FloodPlan, FloodReport
from bench.guard import Guard, LogEvent, Setting, programs_held_by
from bench.listener import listen
from bench.namespaces import SILENT_IPV4, Topology, wait_until

PORT = 443
CONNECTS_PER_S = 80.0
#: Connections attempted in a phase without a flood.
QUIET_CONNECTS = 220
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

CLOSE_AFTER_S = 3.0
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


CONTROL = Flooded("control", "off", str(SILENT_IPV4), "one flooding address, the daemon only watches")
SINGLE_SOURCE = Flooded("single-source", "enforce", str(SILENT_IPV4), "the same flood, the daemon may drop")
SPOOFED = Flooded("spoofed", "enforce", str(ANY_IPV4), "every SYN claims another source")


class Stage:
    """Where all phases play: the topology, the generator, a folder for files, and who tells of it.

    Args:
        topology: its server has ``SERVER_SYSCTLS``.
        generator: between its attacker and its server.
        folder: for the daemon's files; the database there is shared by the phases.
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
        #: What daemons left behind on the server's interface, in words.
        self.leftovers: list[str] = []

    def quiet(self, name: str) -> PhaseFigures:
        """Let the good client connect, with neither flood nor daemon."""
        with (
            listen(self._topology.server, self._address, PORT, QUEUE_ENTRIES),
            self._good_client() as client,
        ):
            wait_until(lambda: len(client.connections) >= QUIET_CONNECTS, name, _QUIET_TIMEOUT_S)
            connections = client.finish()
        return self._figures(name, connections)

    def flooded(self, phase: Flooded) -> PhaseFigures:
        """Flood the server under a daemon's eyes until every alert has closed again."""
        chronicle = _Chronicle(self._tell)
        with (
            listen(self._topology.server, self._address, PORT, QUEUE_ENTRIES),
            self._guard(phase, chronicle) as guard,
        ):
            guard.wait_until_ready()
            self.programs |= programs_held_by(guard.pid)
            connections, report = self._flood(phase, chronicle)
            guard.wait_for(lambda: chronicle.all_closed, "closing every alert", _CLOSE_TIMEOUT_S)
            dropped = guard.status()["totals"]["dropped_by_us"]
        self._note_leftovers(phase.name)
        during = [c for c in connections if report.first_ns <= c.start_ns <= report.last_ns]
        figures = self._figures(phase.name, during)
        figures.flood_packets_sent = report.frames
        figures.flood_packets_dropped = dropped
        self._tell(
            f"flood: {report.frames} SYNs at {report.syn_per_s:.0f}/s, {dropped} dropped by the daemon"
        )
        chronicle.fill(figures, report)
        return figures

    def _flood(self, phase: Flooded, chronicle: _Chronicle) -> tuple[list[Connection], FloodReport]:
        plan = FloodPlan(
            destination=self._address,
            destination_port=PORT,
            sources=(phase.source,),
            syn_per_s=FLOOD_SYN_PER_S,
            duration_s=FLOOD_S,
        )
        with self._good_client() as client:
            learnt_s = time.monotonic() + LEARNING_S
            wait_until(
                lambda: len(client.connections) >= LEARNING_CONNECTS and time.monotonic() >= learnt_s,
                "the good client",
                _QUIET_TIMEOUT_S,
            )
            chronicle.flood_began(self._generator.start(plan).first_ns)
            report = self._generator.finish(plan)
            chronicle.flood_ended()
            return client.finish(), report

    def _good_client(self) -> GoodClient:
        return GoodClient(self._topology.client, self._address, PORT, CONNECTS_PER_S)

    def _guard(self, phase: Flooded, chronicle: _Chronicle) -> Guard:
        settings: dict[str, dict[str, Setting]] = {
            "detect": {"close_after_s": CLOSE_AFTER_S},
            "respond": {"drop": "always"},
        }
        return Guard(self._topology.server, self._folder, phase.respond, settings, chronicle.heard)

    def _note_leftovers(self, phase: str) -> None:
        server = self._topology.server
        if links.read_link(server.namespace, server.interface).xdp_attached:
            self.leftovers.append(f"an XDP program after {phase}")
        kinds = links.qdisc_kinds(server.namespace, server.interface)
        if "clsact" in kinds:
            self.leftovers.append(f"a clsact qdisc after {phase}")

    def _figures(self, name: str, connections: Sequence[Connection]) -> PhaseFigures:
        succeeded = sum(connection.succeeded for connection in connections)
        self._tell(f"good client: {succeeded} of {len(connections)} connections succeeded")
        return PhaseFigures(phase=name, good_attempted=len(connections), good_succeeded=succeeded)


class _Chronicle:
    """What the daemon's log said of one flood, told as it came."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._first_ns = 0
        self._flooding = threading.Event()
        self._raised: dict[int, LogEvent] = {}
        self._closed: dict[int, LogEvent] = {}
        self._acted: list[LogEvent] = []

    def flood_began(self, first_ns: int) -> None:
        """Count times from this moment on."""
        self._first_ns = first_ns
        self._tell("flood: the first packet has left")
        self._flooding.set()

    def flood_ended(self) -> None:
        """Tell so."""
        self._tell("flood: over")

    def heard(self, event: LogEvent) -> None:
        """Take in one event of the daemon's log."""
        fields = event.fields
        match event.name:
            case "alert.raised":
                self._raised[fields["alert_id"]] = event
                what = f"alert {fields['alert_id']} raised: {fields['kind']} {fields['class']}"
                self._tell(f"daemon: {what}, {self._since_first(event)}")
            case "source.blocked":
                self._acted.append(event)
                self._tell(f"daemon: {fields['source']} blocked, {self._since_first(event)}")
            case "alert.closed":
                self._closed[fields["alert_id"]] = event
                self._tell(f"daemon: alert {fields['alert_id']} closed")

    def _since_first(self, event: LogEvent) -> str:
        # The alert may come before the generator's word that it has begun.
        self._flooding.wait(1.0)
        return f"{self._ms_since_first(event):.0f} ms after the first packet"

    def _ms_since_first(self, event: LogEvent) -> float:
        return (event.seen_ns - self._first_ns) / 1e6

    @property
    def all_closed(self) -> bool:
        """Whether there was an alert and none is open."""
        return bool(self._raised) and self._raised.keys() <= self._closed.keys()

    def fill(self, figures: PhaseFigures, report: FloodReport) -> None:
        """Enter the first alert, the first action and the last close."""
        first = next(iter(self._raised.values()))
        figures.time_to_alert_ms = round(self._ms_since_first(first), 1)
        figures.alert_class = first.fields["class"]
        last_closed_ns = max(event.seen_ns for event in self._closed.values())
        figures.time_to_close_ms = round((last_closed_ns - report.last_ns) / 1e6, 1)
        if self._acted:
            figures.time_to_act_ms = round(self._ms_since_first(self._acted[0]), 1)
            figures.action = "drop"
