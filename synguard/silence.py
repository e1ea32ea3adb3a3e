"""The frozen record of a silence, which command line, daemon and history speak, and what it covers."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from synguard.endpoint import Listener, Network, source_text, unmapped
from synguard.errors import UsageError

FORMS = "192.0.2.7:443 or [2001:db8::5]:443 for a listener, 198.51.100.7 or 198.51.100.0/24 for a source"

#: A listener; or a source, which as a single address stands for all ports of that address, too.
Target = Listener | Network


@dataclass(frozen=True, slots=True)
class Silence:
    """A listener or source whose alerts are recorded, but neither announced nor answered, until a moment."""

    target: Target
    until_s: float
    reason: str
    #: Whose word it is: ``uid 1000``.
    asked_by: str
    created_at_s: float = 0.0


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
