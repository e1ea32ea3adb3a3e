"""Rules that somebody removes from the kernel, or puts there, beside a daemon that keeps its own."""

from __future__ import annotations

import asyncio
from ipaddress import ip_network
from typing import Any

import pytest
import structlog

from synguard.block import Block
from synguard.endpoint import Listener
from synguard.errors import UsageError
from synguard.probe.layout import BLOCK_LENGTHS_MAX
from synguard.probe.listener_rules import EVERYBODY, ListenerRules
from synguard.probe.source_rules import SourceRules
from synguard.respond.blocks import Blocks
from synguard.respond.kernel import Rule
from synguard.respond.probe_kernel import ProbeKernel
from synguard.respond.reconcile import Reconciler
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]

SOURCE = ip_network("198.51.100.7")
PREFIX = ip_network("2001:db8:7::/48")
LISTENER = Listener.parse("203.0.113.5:443")
STRANGE = ip_network("192.0.2.77")


class Kept:
    """Blocks in a real kernel, with somebody else at the same maps."""

    def __init__(self, wire: Wire) -> None:
        clock: Any = {"monotonic_ns": lambda: wire.now_ns}
        self.kernel = ProbeKernel(SourceRules(wire.probe, **clock), ListenerRules(wire.probe, **clock))
        self.blocks = Blocks(self.kernel, 100, wall_s=lambda: wire.now_ns / 1e9, **clock)
        self.reconciler = Reconciler(self.blocks, structlog.get_logger(), **clock)
        self.intruder = ProbeKernel(SourceRules(wire.probe, **clock), ListenerRules(wire.probe, **clock))
        now_s = wire.now_ns / 1e9
        wanted = [
            Block(SOURCE, now_s + 60, "", "manual", created_at_s=now_s),
            Block(PREFIX, now_s + 60, "", "alert", 1, now_s, response="greylist"),
            Block(LISTENER, now_s + 60, "", "alert", 1, now_s, response="cookie"),
        ]
        asyncio.run(self.blocks.put(wanted))

    def held(self) -> dict[str, str]:
        """Return what the kernel holds."""
        return {str(target): rule.response for target, rule in asyncio.run(self.blocks.there()).items()}


WHOLE = {"198.51.100.7/32": "drop", "2001:db8:7::/48": "greylist", "203.0.113.5:443": "cookie"}


def test_what_is_flushed_comes_back_and_what_is_strange_goes(xdp_wire: Wire) -> None:
    """After one look the kernel holds what it is to hold, and nothing else."""
    kept = Kept(xdp_wire)
    assert kept.held() == WHOLE
    for name in ("blocks", "listener_rules"):
        for key, _ in [*xdp_wire.probe.maps[name].items()]:
            xdp_wire.probe.maps[name].delete(bytes(key))
    strange = Rule("drop", xdp_wire.now_ns + 60 * 10**9)
    kept.intruder.put({STRANGE: strange})
    assert kept.held() == {"192.0.2.77/32": "drop"}
    asyncio.run(kept.reconciler.look())
    assert kept.held() == WHOLE
    mended = kept.reconciler.mended
    assert (mended.restored, mended.unknown_ended) == (3, 1)
    asyncio.run(kept.reconciler.look())
    assert (mended.restored, mended.unknown_ended) == (3, 1)


def test_a_flushed_drop_drops_again(xdp_wire: Wire) -> None:
    """It is the packets that count, not the list."""
    wire = xdp_wire
    kept = Kept(wire)
    client = wire.client()
    now_s = wire.now_ns / 1e9
    asyncio.run(kept.blocks.put([Block(ip_network(client), now_s + 60, "", "manual", created_at_s=now_s)]))
    assert wire.syn(wire.connection(client=client)) == "drop"
    kept.intruder.end([ip_network(client)])
    assert wire.syn(wire.connection(client=client)) == "pass"
    asyncio.run(kept.reconciler.look())
    assert wire.syn(wire.connection(client=client)) == "drop"


def test_a_lease_ends_without_its_daemon_and_goes_on_with_it(xdp_wire: Wire) -> None:
    """A listener's rule is in force for 10 s at most; renewed in time it is never gone."""
    wire = xdp_wire
    kept = Kept(wire)
    asyncio.run(kept.blocks.set_rule(LISTENER, Rule("cookie", 0, canaries=EVERYBODY)))
    for _ in range(6):
        wire.wait(5_000)
        asyncio.run(kept.blocks.renew())
        rule = asyncio.run(kept.blocks.there())[LISTENER]
        assert wire.now_ns < rule.until_ns <= wire.now_ns + 10 * 10**9
        assert rule.canaries == EVERYBODY


def test_what_nftables_drops_the_probe_counts(xdp_wire: Wire) -> None:
    """Where something behind it drops, the probe lets pass and books; both hold the rule, and both end it."""
    wire = xdp_wire
    behind = FakeSet()
    kernel = ProbeKernel(SourceRules(wire.probe), ListenerRules(wire.probe), behind)
    client = ip_network(wire.client())
    rule = Rule("drop", wire.now_ns + 60 * 10**9, comment="by hand")
    kernel.put({client: rule})
    assert behind.rules == {client: (rule.until_ns, "by hand")}
    assert wire.syn(wire.connection(client=client.network_address)) == "pass"
    assert kernel.hits(client) == 1
    kernel.put({client: rule._replace(response="greylist")})
    assert behind.rules == {}
    kernel.end([client])
    assert kernel.sources() == {}


def test_what_the_probe_does_not_take_nftables_does_not_drop(xdp_wire: Wire) -> None:
    """A rule is in force in both, or was refused and is in neither; what was there before goes on."""
    behind = FakeSet()
    sources = SourceRules(xdp_wire.probe)
    kernel = ProbeKernel(sources, ListenerRules(xdp_wire.probe), behind)
    rule = Rule("drop", xdp_wire.now_ns + 60 * 10**9, comment="by hand")
    held = [ip_network(f"10.0.0.0/{32 - index}") for index in range(BLOCK_LENGTHS_MAX)]
    kernel.put(dict.fromkeys(held, rule))
    with pytest.raises(UsageError, match="prefix lengths"):
        kernel.put(dict.fromkeys([held[0], PREFIX], rule))
    assert behind.rules.keys() == sources.read().keys() == set(held)
    kernel.end(held)


class FakeSet:
    """What nftables would hold."""

    def __init__(self) -> None:
        self.rules: dict[Any, tuple[int, str]] = {}

    def put(self, rules: Any) -> None:
        """Hold these."""
        self.rules.update(rules)

    def end(self, targets: Any) -> None:
        """Hold these no more."""
        for target in targets:
            self.rules.pop(target, None)

    def read(self) -> dict[Any, Any]:
        """Return nothing."""
        return {}

    def remove(self) -> None:
        """Hold nothing."""
        self.rules.clear()
