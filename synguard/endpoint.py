"""Who talks to whom: addresses, prefixes and listeners, and how people write them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


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
            host, _, rest = text[1:].partition("]")
            if rest:
                port = rest.removeprefix(":")
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
        if not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not ADDR:PORT, [ADDR6]:PORT or an address")
        return cls(ip_address(host), int(port))


def source_text(source: Network) -> str:
    """Return a source as people write it: a single address without its prefix length."""
    if source.prefixlen == source.max_prefixlen:
        return str(source.network_address)
    return str(source)
