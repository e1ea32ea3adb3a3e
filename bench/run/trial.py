"""Plays one trial of a flood scenario: everything up, the floods, and all counters read in quiet."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.defences.follow import LogEvent
from bench.defences.registry import Deployed, Target, chosen, deploy
from bench.flood.plan import FloodPlan, FloodReport
from bench.flood.resolve import address_of, source_of
from bench.measure.alerts import stories
from bench.measure.observation import Busy, Earlier, Flood, Observation
from bench.measure.usage import Mark, UsageMeter
from bench.net.counters import read_wire
from bench.net.namespaces import wait_until, write_sysctls
from bench.net.promptness import before_all
from bench.peers.clients import GoodClient
from bench.peers.servers import serve
from bench.run.arena import Arena
from bench.run.counters import Counters, counted, read_counters, read_in_quiet
from bench.run.earlier import Search, seek, steady
from bench.run.floods import Floods, span_ns
from bench.run.timeline import Reading, Sampler
from bench.scenario.model import ClientSpec, FloodScenario, Premise
from synguard.endpoint import Listener
from synguard.errors import SynguardError

_CLIENTS_TIMEOUT_S = 2.0
#: tcp_max_syn_backlog stands so far above the queue, or the kernel would turn strangers away from three
#: quarters of it on.
_SYN_BACKLOG_FACTOR = 8
_RECEIVER, _DETECTOR = "receiver", "detector"


class FloodTrial:
    """One trial.

    Args:
        scenario: one cell's.
        arena: with the hosts that it needs.
        folder: for the files of its servers and daemons.
        repetition: which of the scenario's it is, from 1 on.

    """

    def __init__(self, scenario: FloodScenario, arena: Arena, folder: Path, repetition: int) -> None:
        self._scenario = scenario
        self._repetition = repetition
        self._arena = arena
        self._topology = arena.topology
        self._folder = folder
        self._events: list[LogEvent] = []
        self._deployed: Deployed
        self._clients: dict[str, GoodClient] = {}
        self._overrun_before: dict[str, int] = {}
        self._search: Search | None = None

    def play(self) -> Observation:
        """Play it and return what was seen.

        Raises UnsupportedError for what is missing here, SynguardError for what failed.
        """
        scenario = self._scenario
        self._set_sysctls()
        self._arena.check_clean()
        with contextlib.ExitStack() as stack:
            if self._seeks_capacity:
                stack.enter_context(before_all(self._topology.receiver_threads))
            floods = stack.enter_context(Floods(scenario, self._arena))
            if scenario.answers_vanish or any(one.answers_by_xdp for one in chosen(scenario.defence)):
                stack.enter_context(self._arena.far_end())
            target = self._target()
            self._deployed = stack.enter_context(deploy(scenario.defence, target))
            stack.enter_context(serve(scenario.server, self._topology.server, target.addresses))
            before = read_counters(self._topology, self._deployed)
            lines = self._topology.lines.items()
            self._overrun_before = {name: line.read().overrun_frames for name, line in lines}
            for spec in scenario.clients:
                self._clients[spec.name] = stack.enter_context(self._client(spec))
            floods.wait_until_ready()
            self._learn()
            self._change_phase()
            earlier = self._prepare(floods)
            return self._flood(floods, before, earlier)

    @property
    def _seeks_capacity(self) -> bool:
        return any(spec.of_capacity is not None for spec in self._scenario.floods)

    def _prepare(self, floods: Floods) -> Earlier:
        """Flood until a response stands, and until it is known how much it takes."""
        earlier = self._prelude(floods)
        if self._seeks_capacity:
            self._search, sent = seek(floods.plans[0], partial(self._send_first, floods))
            floods.know_capacity(self._search.capacity_per_s)
            # A flood beyond all limits may have broken what stood.
            earlier += sent + self._prelude(floods)
        return earlier

    def _prelude(self, floods: Floods) -> Earlier:
        scenario = self._scenario
        if not scenario.prelude_s:
            return Earlier()
        plan = steady(floods.plans[0], scenario.prelude_syn_per_s, scenario.prelude_s)
        return Earlier.of(*self._send_first(floods, plan))

    def _send_first(self, floods: Floods, plan: FloodPlan) -> tuple[FloodReport, int]:
        before = read_wire(self._topology)
        report = floods.prelude(plan)
        return report, (read_wire(self._topology) - before).refused_frames

    def _flood(self, floods: Floods, before: Counters, earlier: Earlier) -> Observation:
        scenario = self._scenario
        with self._sampling() as sampler, self._metering() as meter:
            began_ns, ended_ns, done, marks = self._send(floods, meter)
        self._rest()
        connections = {name: client.finish() for name, client in self._clients.items()}
        after = read_in_quiet(self._topology, self._deployed)
        everyone = (one for client in connections.values() for one in client)
        return Observation(
            scenario=scenario,
            targets=frozenset(self._targets()),
            expected_source=self._expected_source(),
            innocent=frozenset(self._innocent()),
            began_ns=began_ns,
            ended_ns=ended_ns,
            floods=done,
            earlier=earlier,
            capacity_per_s=self._search.capacity_per_s if self._search else None,
            capacity_limited_by=self._search.limited_by if self._search else None,
            wire=after.wire - before.wire,
            good_syns=after.good_syns - before.good_syns,
            other_frames_lost=after.lost_frames - before.lost_frames,
            counted=counted(self._deployed, before, after),
            busy=self._busy(meter, *marks),
            connections=connections,
            broken_ns=[moment_ns for client in self._clients.values() for moment_ns in client.broken_ns],
            hindered=list(self._hindered()),
            events=tuple(self._events),
            timeline=sampler.columns(began_ns, everyone) if sampler else {},
            cpus=self._arena.cpus,
            receiver_pinned=bool(self._topology.receiver_threads),
        )

    def _set_sysctls(self) -> None:
        queue = self._scenario.server.queue_entries
        values = {
            "ipv4/tcp_syncookies": self._scenario.server.syncookies,
            "core/somaxconn": queue,
            "ipv4/tcp_max_syn_backlog": _SYN_BACKLOG_FACTOR * queue,
        }
        write_sysctls(self._topology.server.namespace, values)

    def _target(self) -> Target:
        topology, scenario = self._topology, self._scenario
        return Target(
            guarded=topology.guarded,
            addresses=(address_of(topology.server, 4), address_of(topology.server, 6)),
            port=scenario.server.port,
            role=scenario.role,
            folder=self._folder,
            settings=scenario.settings,
            flooding=tuple(self._sources()),
            heard=self._events.append,
        )

    def _sources(self) -> Iterator[str]:
        for flood in self._scenario.floods:
            yield from (source_of(word, flood.family, self._topology) for word in flood.sources)

    def _client(self, spec: ClientSpec) -> GoodClient:
        server = self._scenario.server
        address = address_of(self._topology.server, spec.family)
        client = self._topology.clients[spec.name]
        return GoodClient(client, spec, address, server.port, server.kind, cpu=self._far_cpu())

    def _far_cpu(self) -> int | None:
        """Return the CPU of those beyond the wire; None where the generator leaves nothing of it.

        Clients beside the receiving thread would send just when it does not run: into a full ring.
        """
        if not self._topology.receiver_threads or any(
            one.syn_per_s == "max" for one in self._scenario.floods
        ):
            return None
        return max(os.sched_getaffinity(0))

    def _learn(self) -> None:
        """Let the good clients be alone for a while. Raises SynguardError when one is not served."""
        if not self._scenario.learn_s:
            return
        threading.Event().wait(self._scenario.learn_s)
        if Premise.CLIENTS_UP in self._scenario.premises:
            for name, client in self._clients.items():
                what = f"{Premise.CLIENTS_UP}: the good client {name!r}"
                wait_until(partial(_is_served, client), what, _CLIENTS_TIMEOUT_S)

    def _change_phase(self) -> None:
        """Let each repetition's flood begin in another phase of what detectors do once a second."""
        if self._deployed.detects and self._scenario.floods:
            threading.Event().wait((self._repetition - 1) / self._scenario.repetitions)

    def _send(self, floods: Floods, meter: UsageMeter) -> tuple[int, int, list[Flood], tuple[Mark, Mark]]:
        """Flood, or let the time of a flood pass; return its first and last moment, and the CPU time."""
        if not self._scenario.floods:
            began = meter.mark()
            threading.Event().wait(self._scenario.flood_s)
            ended = meter.mark()
            return began.at_ns, ended.at_ns, [], (began, ended)
        # The first packet leaves some milliseconds later.
        began = meter.mark()
        floods.start()
        done = floods.finish()
        marks = began, meter.mark()
        return *span_ns([flood.report for flood in done]), done, marks

    def _busy(self, meter: UsageMeter, began: Mark, ended: Mark) -> Busy:
        def spent_ns(group: str) -> int:
            return ended.cpu_ns[group] - began.cpu_ns[group]

        detects = self._deployed.detects
        return Busy(
            span_ns=ended.at_ns - began.at_ns,
            receiver_cpu_ns=spent_ns(_RECEIVER) if self._topology.receiver_threads else None,
            detector_cpu_ns=spent_ns(_DETECTOR) if detects else None,
            detector_peak_rss_bytes=meter.peak_resident_bytes(_DETECTOR) if detects else None,
        )

    def _rest(self) -> None:
        """Wait until every alert has closed, and let the good clients go on alone."""
        if self._scenario.close_timeout_s:
            # An alert that does not close in time is told by its missing figure.
            with contextlib.suppress(SynguardError):
                wait_until(self._all_closed, "every alert's end", self._scenario.close_timeout_s)
        threading.Event().wait(self._scenario.after_s)

    def _all_closed(self) -> bool:
        return all(story.closed for story in stories(list(self._events)))

    def _sampling(self) -> contextlib.AbstractContextManager[Sampler | None]:
        # Asking costs the detector time, which is measured too: one repetition's time line is enough.
        wanted = self._scenario.timeline and self._repetition == 1
        return Sampler(self._sample) if wanted else contextlib.nullcontext()

    def _sample(self) -> Reading:
        # A firewall's tool reads its whole table for one counter: that would be part of what is measured.
        totals = (self._deployed.totals() or {}) if self._deployed.detects else {}
        return {
            "received": read_wire(self._topology).received_frames,
            "dropped": totals.get("dropped_by_us"),
            "counted": totals.get("attempts"),
        }

    def _metering(self) -> UsageMeter:
        groups = {_DETECTOR: self._deployed.pids, _RECEIVER: self._topology.receiver_threads}
        return UsageMeter(groups)

    def _hindered(self) -> Iterator[str]:
        """Yield what the bench itself kept from the good clients."""
        for name, client in self._clients.items():
            if client.skipped:
                yield f"the good client {name!r} had no CPU for {client.skipped} of its attempts"
        for name, line in self._topology.lines.items():
            if overrun := line.read().overrun_frames - self._overrun_before[name]:
                yield f"the line to {name!r} was overrun by {overrun} frames"

    def _targets(self) -> set[str]:
        server = self._topology.server
        addresses = (server.ipv4.ip, server.ipv6.ip)
        ports = (self._scenario.server.port, 0)
        return {str(Listener(address, port)) for address in addresses for port in ports}

    def _innocent(self) -> Iterator[str]:
        for client in self._topology.clients.values():
            yield str(client.ipv4.network)
            yield str(client.ipv6.network)

    def _expected_source(self) -> str | None:
        expected = self._scenario.expect
        if expected is None or expected.source is None:
            return None
        family = min(flood.family for flood in self._scenario.floods)
        return source_of(expected.source, family, self._topology)


def _is_served(client: GoodClient) -> bool:
    return client.succeeded > 0
