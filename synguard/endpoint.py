"""Who talks to whom: addresses, prefixes and listeners, and how people write them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from synguard.errors import UsageError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FORMS = "192.0.2.7:443 or [2001:db8::5]:443 for a listener, 198.51.100.7 or 198.51.100.0/24 for a source"


@dataclass(frozen=True, slots=True)
class Listener:
    """A destination that answers SYNs with SYN-ACK.

    Port 0 stands for the *closed* bucket: all ports of that address that have not answered.
    """

    address: Address
    port: int

    def __str__(self) -> str:
        """Return ``203.0.113.5:443``, ``[2001:db8::5]:443``, or the address alone for closed ports."""
        if self.port == 0:
            return str(self.address)
        if self.address.version == 6:
            return f"[{self.address}]:{self.port}"
        return f"{self.address}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Listener:
        """Read what ``str()`` wrote. Raises ValueError with the offending text."""
        host, port = text, "0"
        if text.startswith("["):
            host, closed, rest = text[1:].partition("]")
            if rest or not closed:
                port = rest.removeprefix(":")
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        if not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not ADDR:PORT, [ADDR6]:PORT or an address")
        return cls(ip_address(host), int(port))


#: A listener; or a source, which as a single address stands for all ports of that address, too.
Target = Listener | Network


@dataclass(frozen=True, slots=True)
class ListenerPattern:
    """Which listeners a person means: one, all of an address, or a port wherever it is."""

    #: None: any.
    address: Address | None
    #: 1..65535; None: every port of the address, the closed ones with them.
    port: int | None

    def __str__(self) -> str:
        """Return ``203.0.113.5:443``, ``[2001:db8::5]:443``, ``203.0.113.5`` or ``*:443``."""
        if self.address is None:
            return f"*:{self.port}"
        return str(Listener(self.address, self.port or 0))

    @classmethod
    def parse(cls, text: str) -> ListenerPattern:
        """Read what ``str()`` wrote. Raises ValueError saying what is wrong, without the text."""
        anywhere = text.startswith("*:")
        try:
            listener = Listener.parse(f"[::1]{text[1:]}" if anywhere else text)
        except ValueError as error:
            raise ValueError("is not ADDR:PORT, [ADDR6]:PORT, ADDR or *:PORT") from error
        if listener.port == 0 and ("]:" in text or text.count(":") == 1):
            raise ValueError("names port 0, on which nothing listens")
        if anywhere:
            return cls(None, listener.port)
        _check_carried(listener.address)
        return cls(listener.address, listener.port or None)


def _check_carried(address: Address) -> None:
    """Raise ValueError for what a socket may be bound to and no packet is sent to."""
    if address.is_unspecified:
        raise ValueError("is no address that packets go to; write *:PORT for a port at any address")
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError("names an interface; leave out what follows the %")
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        raise ValueError(f"is how a socket writes {address.ipv4_mapped}; write that")


def patterns_of(listener: Listener) -> tuple[ListenerPattern, ...]:
    """Return every pattern that means this listener, the least exact first."""
    address = ListenerPattern(listener.address, None)
    if listener.port == 0:
        return (address,)
    anywhere = ListenerPattern(None, listener.port)
    return address, anywhere, ListenerPattern(listener.address, listener.port)


def source_text(source: Network) -> str:
    """Return a source as people write it: a single address without its prefix length."""
    if source.prefixlen == source.max_prefixlen:
        return str(source.network_address)
    return str(source)


def unmapped(network: Network) -> Network:
    """Return an IPv4 network that is written in IPv6 (``::ffff:192.0.2.7``) as IPv4; others as they are.

    The probe holds IPv4 addresses that way, so both forms name the same packets.
    """
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < 96:
        return network
    return IPv4Network((mapped, network.prefixlen - 96))


def target_text(target: Target) -> str:
    """Return a target as people write it."""
    return str(target) if isinstance(target, Listener) else source_text(target)


def parse_target(text: str) -> Target:
    """Read a target. Raises UsageError with the nearest right form."""
    host, port = _split(text)
    try:
        _check_zone(host)
        network = unmapped(ip_network(host))
    except ValueError as error:
        raise UsageError(f"{text!r} is no target: {_nearest(host, port)}") from error
    if port is None:
        return network
    is_address = network.prefixlen == network.max_prefixlen
    if not is_address or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"{text!r} is no target: {_nearest(host, port)}")
    return Listener(network.network_address, int(port))


def _check_zone(host: str) -> None:
    """Raise ValueError for ``fe80::1%eth0``: no packet says which interface it means."""
    if "%" in host:
        raise ValueError(f"{host} names an interface")


def _split(text: str) -> tuple[str, str | None]:
    """Return the part before a port, and the port if one is written."""
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or rest[:1] not in ("", ":"):
            return text, None
        return host, rest[1:] if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, port
    return text, None


def _nearest(host: str, port: str | None) -> str:
    """Say what may have been meant."""
    host, names_interface, _ = host.partition("%")
    if names_interface:
        return f"leave out what follows the %: {host}"
    try:
        address = ip_address(host)
    except ValueError:
        try:
            network = ip_network(host, strict=False)
        except ValueError:
            return f"write {FORMS}; names are not looked up"
        return f"did you mean {source_text(network)}?" if port is None else f"a prefix has no port: {network}"
    return f"a port is 1 to 65535; for all ports of it write {address}"
