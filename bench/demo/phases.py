"""The demo's phases: what runs in each, and the figures that come out.

One daemon runs, with ``drop = "always"``. In ``off`` it sees ``baseline``, in which it learns how long
handshakes take here and must stay silent, and ``control``. Then it is told to enforce, and sees the rest.
What it does is left to its policy: the single source is dropped; the listener of the spoofed flood is
greylisted until a client has come back with a cookie, and then everybody is answered with one. ``after``
begins as soon as the last flood is over, while its alert is still closing.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.defences.guard import Guard, LogEvent, Setting, programs_held_by, synguard_command
from bench.demo.chronicle import Chronicle
from bench.flood.driver import FloodGenerator
from bench.flood.plan import ANY_IPV4, FloodPlan, FloodReport
from bench.net import links
from bench.net.enter import NAMESPACES, child_environment
from bench.net.far_end import far_end, load_far_end
from bench.net.namespaces import SILENT_IPV4, Topology, wait_until, write_sysctls
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
    #: With SYN cookies, by the probe.
    flood_packets_answered: int | None = None
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
SINGLE_SOURCE = Flooded("single-source", str(SILENT_IPV4), "the same flood; the daemon may act")
SPOOFED = Flooded("spoofed", str(ANY_IPV4), "every SYN claims another source; cookies are made by the probe")
#: Without the kernel's cookies the probe has none to answer with.
SPOOFED_SYSCTLS = {"ipv4/tcp_syncookies": 2, "ipv4/tcp_timestamps": 2}


class Watch:
    """A running daemon, and what its log tells of the flood that plays."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self.chronicle = Chronicle(tell)
        self.guard: Guard
        self._before: dict[str, int] = {}

    def heard(self, event: LogEvent) -> None:
        """Take in one event of the daemon's log."""
        self.chronicle.heard(event)

    def next_flood(self) -> None:
        """Follow another flood: what came before is told and done."""
        self._before = dict(self.guard.status()["totals"])
        self.chronicle = Chronicle(self._tell)

    def count(self, name: str) -> int:
        """Return how far one of the daemon's totals went since this flood began."""
        return int(self.guard.status()["totals"][name]) - self._before.get(name, 0)


class Stage:
    """Where all phases play: the topology, the generator, a folder for files, and who tells of it.

    Args:
        topology: its server has ``SERVER_SYSCTLS``.
        generator: between its attacker and its server.
        folder: for the daemon's files.
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
        #: Ids of the eBPF programs that the daemon loaded here.
        self.programs: set[int] = set()
        #: What went wrong beside the figures, in words.
        self.faults: list[str] = []

    def play(self) -> Iterator[PhaseFigures]:
        """Play all phases; yield the figures of each."""
        with self._watching() as watch:
            yield self._baseline(watch)
            with self._listening():
                flooded = self._flood(CONTROL, watch)
            yield self._settled(*flooded, watch)
            self._enforce(watch)
            watch.next_flood()
            with self._listening():
                flooded = self._flood(SINGLE_SOURCE, watch)
            yield self._settled(*flooded, watch)
            self._check_sources(SINGLE_SOURCE, watch, {SINGLE_SOURCE.source})
            watch.next_flood()
            # Cookies are for a listener that is there: it stays until the alert has closed.
            with self._answering(), self._listening():
                flooded = self._flood(SPOOFED, watch)
                self._tell("== after: the good client alone again")
                after = self._quiet("after")
                yield self._settled(*flooded, watch)
            self._check_sources(SPOOFED, watch, set())
        yield after

    def _enforce(self, watch: Watch) -> None:
        """Tell the daemon to act, as a person would."""
        self._tell("$ synguard respond enforce")
        argv = synguard_command("respond", "enforce", "--socket", str(watch.guard.socket))
        subprocess.run(argv, env=child_environment(), check=True, stdout=subprocess.DEVNULL)

    def _baseline(self, watch: Watch) -> PhaseFigures:
        self._tell("== baseline: the good client alone")
        with self._listening():
            figures = self._quiet("baseline")
        if watch.chronicle.has_alerts:
            self.faults.append("baseline: no alert")
        return figures

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        """Let the probe's answers reach the client, and the server's kernel make cookies for it."""
        with contextlib.closing(load_far_end(self._topology)) as loaded, far_end(self._topology, loaded):
            write_sysctls(self._topology.server.namespace, SPOOFED_SYSCTLS)
            yield

    def _check_sources(self, phase: Flooded, watch: Watch, allowed: set[str]) -> None:
        for source in sorted(watch.chronicle.answered_sources - allowed):
            self.faults.append(f"{phase.name}: nothing is done about {source}")

    @contextlib.contextmanager
    def _watching(self) -> Iterator[Watch]:
        """Run the daemon while the block lasts, and look at what it leaves behind."""
        watch = Watch(self._tell)
        settings: dict[str, dict[str, Setting]] = {
            "detect": {"close_after_s": CLOSE_AFTER_S},
            "respond": {"drop": "always"},
        }
        self._tell("daemon: starting, --respond off")
        with Guard(self._topology.server, self._folder, "off", settings, watch.heard) as watch.guard:
            watch.guard.wait_until_ready()
            self.programs |= programs_held_by(watch.guard.pid)
            yield watch
            exit_code = watch.guard.stop()
        if exit_code != 0:
            self.faults.append(f"the daemon stops with exit code 0, not {exit_code}")
        self._check_left()

    def _check_left(self) -> None:
        server = self._topology.server
        number = (NAMESPACES / server.namespace).stat().st_ino
        if list(CLAIMS.glob(f"netns-{number}-*")):
            self.faults.append("the daemon leaves no claim on the interface")
        if links.read_link(server.namespace, server.interface).xdp_attached:
            self.faults.append("the daemon leaves no XDP program")
        if "clsact" in links.qdisc_kinds(server.namespace, server.interface):
            self.faults.append("the daemon leaves no clsact qdisc")

    def _listening(self) -> contextlib.AbstractContextManager[object]:
        """Run a fresh listener, whose queues are empty."""
        return echo(self._topology.server, [self._address], PORT, QUEUE_ENTRIES)

    def _connecting(self, connects_per_s: float) -> GoodClient:
        """Return the good client, which connects while its ``with`` block lasts."""
        spec = ClientSpec(name="client", per_s=connects_per_s)
        return GoodClient(self._topology.client, spec, self._address, PORT)

    def _quiet(self, name: str) -> PhaseFigures:
        with self._connecting(QUIET_CONNECTS_PER_S) as client:
            wait_until(lambda: client.attempted >= QUIET_CONNECTS, name, _QUIET_TIMEOUT_S)
            return self._figures(name, client.finish())

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
            wait_until(lambda: client.succeeded > 0, "the good client", _QUIET_TIMEOUT_S)
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
        figures.flood_packets_dropped = watch.count("dropped_by_us")
        figures.flood_packets_answered = watch.count("cookies_sent")
        figures.alert_class = chronicle.alert_class
        figures.time_to_alert_ms = chronicle.time_to_alert_ms
        figures.time_to_act_ms = chronicle.time_to_act_ms
        figures.time_to_close_ms = chronicle.time_to_close_ms(report)
        figures.action = chronicle.action
        what = f"{figures.flood_packets_dropped} SYNs were dropped, {figures.flood_packets_answered} answered"
        self._tell(f"daemon: of {report.frames} flood packets and the client's, {what}")
        return figures

    def _figures(self, name: str, connections: Sequence[Connection]) -> PhaseFigures:
        succeeded = sum(connection.succeeded for connection in connections)
        self._tell(f"good client: {succeeded} of {len(connections)} connections succeeded")
        return PhaseFigures(phase=name, good_attempted=len(connections), good_succeeded=succeeded)
