"""Adds many blocks to a running daemon at once, as a person would."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

from bench.cost.rungs import FIRST_BLOCKED
from bench.defences.commands import run_command
from bench.defences.detectors import SynguardRuns, synguard
from bench.defences.guard import synguard_command
from bench.defences.model import Target
from bench.drop.giving import giver, load_givers, settled, syn_frame
from bench.net.namespaces import Topology
from bench.results.model import Trial, now
from bench.scenario.model import BlocksScenario
from synguard import client
from synguard.endpoint import Network, source_text

ADDING = "adding them"
_PORT = 443
_SYNS = 23
_FIRST_IPV4 = IPv4Address("10.0.0.0") + FIRST_BLOCKED
_FIRST_IPV6 = IPv6Address("2001:db8::") + (FIRST_BLOCKED << 64)


def blocked(count: int) -> list[Network]:
    """Return so many sources, half of them IPv4 addresses, half IPv6 /64s: clients from FIRST_BLOCKED on."""
    ipv4 = (IPv4Network(_FIRST_IPV4 + number) for number in range(count - count // 2))
    ipv6 = (IPv6Network((_FIRST_IPV6 + (number << 64), 64)) for number in range(count // 2))
    return [*ipv4, *ipv6]


def add(scenario: BlocksScenario) -> Iterator[Trial]:
    """Add all blocks to a daemon that has none, in each repetition; yield a trial for each."""
    with ExitStack() as stack:
        topology = stack.enter_context(Topology())
        loaded = stack.enter_context(closing(load_givers()))
        for repetition in range(1, scenario.repetitions + 1):
            with tempfile.TemporaryDirectory(prefix="synguard-bench-blocks-") as folder:
                target = Target(topology.guarded, (), _PORT, "host", Path(folder))
                with synguard(target, "dry-run") as daemon, giver(topology, loaded, 0) as given:
                    assert isinstance(daemon, SynguardRuns)  # noqa: S101 - tells the type checker
                    trial = _added(scenario.blocks, daemon, target, repetition)
                    last = blocked(scenario.blocks)[(scenario.blocks - 1) // 2]
                    before = daemon.dropped_syns()
                    given.give(syn_frame(topology, str(last.network_address), _PORT), _SYNS)
                    dropped = settled(daemon.dropped_syns, before + _SYNS) - before
                    if dropped != _SYNS:
                        trial.invalid_because.append(f"{dropped} of {_SYNS} SYNs of one of them were dropped")
                    yield trial


def _added(count: int, daemon: SynguardRuns, target: Target, repetition: int) -> Trial:
    file = target.folder / "sources.txt"
    file.write_text("".join(f"{source_text(source)}\n" for source in blocked(count)), encoding="ascii")
    socket = daemon.guard.socket
    argv = synguard_command("block", "add", "--file", str(file), "--ttl", "1h", "--socket", str(socket))
    started_at, began_s = now(), time.monotonic()
    run_command(target.guarded.namespace, argv)
    lasted_s = time.monotonic() - began_s
    listed = len(client.request(socket, "block_list"))
    return Trial(
        labels={"blocks": count, "measured": ADDING},
        repetition=repetition,
        started_at=started_at,
        lasted_s=round(lasted_s, 3),
        invalid_because=[] if listed == count else [f"{listed} of {count} blocks are listed"],
        figures={"add_ms": lasted_s * 1e3},
    )
