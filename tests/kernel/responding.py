"""Rules for packet vectors: greylists of a source, a prefix or a listener, by the wire's clock."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

from synguard.endpoint import Address, Network
from synguard.model import SourceReading
from synguard.probe import address_layout, layout
from synguard.probe.listener_rules import ListenerAction, ListenerRule, ListenerRules
from synguard.probe.source_rules import SourceAction, SourceRules
from tests.kernel.wire import NS_PER_MS, Connection, Wire

#: Of an IPv4 and of an IPv6 prefix.
PREFIX_LENGTHS = {4: 24, 6: 48}
MINUTE_MS = 60_000


def source_rules(wire: Wire) -> SourceRules:
    """Return the rules about sources, by the wire's clock."""
    return SourceRules(wire.probe, monotonic_ns=lambda: wire.now_ns)


def listener_rules(wire: Wire) -> ListenerRules:
    """Return the rules about listeners, by the wire's clock."""
    return ListenerRules(wire.probe, monotonic_ns=lambda: wire.now_ns)


def until(wire: Wire, ms: float) -> int:
    """Return the moment that is so far ahead."""
    return wire.now_ns + round(ms * NS_PER_MS)


def prefix_of(source: Address) -> Network:
    """Return the prefix that a source is in."""
    return ip_network((source, PREFIX_LENGTHS[source.version]), strict=False)


def known_prefix(wire: Wire, source: Address) -> SourceReading:
    """Return what the probe knows of a source's prefix."""
    prefix = prefix_of(source)
    raw = wire.probe.maps["prefixes"].lookup(address_layout.encode_address(prefix.network_address))
    assert raw is not None
    return layout.decode_prefix(raw, prefix, wire.now_ns)


class Greylisting:
    """A greylist that a connection's SYN meets, for a time."""

    until_ns: int

    def end(self) -> None:
        """Let it end."""
        raise NotImplementedError

    def tidy(self) -> None:
        """Take away what has lingered long enough."""
        raise NotImplementedError

    def held(self) -> bool:
        """Tell whether it is in force, as far as the daemon is told."""
        raise NotImplementedError


class OfNetwork(Greylisting):
    """A greylist of sources."""

    def __init__(self, wire: Wire, network: Network, ms: float) -> None:
        self.network = network
        self.rules = source_rules(wire)
        self.until_ns = until(wire, ms)
        self.rules.put({network: (SourceAction.GREYLIST, self.until_ns)})

    def end(self) -> None:
        """Let it end."""
        self.rules.end([self.network])

    def tidy(self) -> None:
        """Take away what has lingered long enough."""
        self.rules.tidy()

    def held(self) -> bool:
        """Tell whether it is in force, as far as the daemon is told."""
        return self.network in self.rules.read()


class OfListener(Greylisting):
    """A greylist of a listener."""

    def __init__(self, wire: Wire, connection: Connection, ms: float = MINUTE_MS) -> None:
        self.until_ns = until(wire, ms)
        self.listener = connection.listener
        self.rules = listener_rules(wire)
        self.rules.put(self.listener, ListenerRule(ListenerAction.GREYLIST, self.until_ns))

    def end(self) -> None:
        """Let it end."""
        self.rules.end(self.listener)

    def tidy(self) -> None:
        """Take away what has lingered long enough."""
        self.rules.tidy()

    def held(self) -> bool:
        """Tell whether it is in force, as far as the daemon is told."""
        return self.listener in self.rules.read()


def of_source(wire: Wire, connection: Connection, ms: float = MINUTE_MS) -> Greylisting:
    """Greylist the connection's very client."""
    return OfNetwork(wire, ip_network(connection.client), ms)


def of_prefix(wire: Wire, connection: Connection, ms: float = MINUTE_MS) -> Greylisting:
    """Greylist the prefix that its client is in."""
    return OfNetwork(wire, prefix_of(connection.client), ms)


MakeGreylisting = Callable[..., Greylisting]
#: Each kind of greylist, by its name.
KINDS: dict[str, MakeGreylisting] = {"source": of_source, "prefix": of_prefix, "listener": OfListener}
