"""How hping3, nmap and trafgen are asked for a flood, and what they say of it afterwards.

Each sends SYNs of its own shape, steadily and each once:

* **hping3** (``-S``): IPv4; from one address or, for any address, ``--rand-source``; its pauses between
  packets last longer than asked, so it keeps no rate above some thousand a second; ``++1`` for random ports,
  which count up from 1.
* **nmap**: asks each of the ports 1, 2, 3, … once, in an order of its own, from the attacker's own address;
  ``random_ports`` has to be set, for one port is all that it would ask otherwise. The shape ``linux`` is a
  connect scan (``-sT``: the kernel's own SYNs), any other a half-open one (``-sS``).
* **trafgen**: one template a source, random port and ISN; without a rate by its memory-mapped ring.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Literal

from bench.flood.plan import ANY_IPV4, DEFAULT_TTL, FloodPlan, Shape
from bench.net.links import Endpoint
from synguard.errors import UsageError

Tool = Literal["hping3", "nmap", "trafgen"]

#: Which Debian package has each of them.
PACKAGES: dict[Tool, str] = {"hping3": "hping3", "nmap": "nmap", "trafgen": "netsniff-ng"}

_SENT: dict[Tool, re.Pattern[str]] = {
    "hping3": re.compile(r"(\d+) packets tra"),
    "nmap": re.compile(r"Raw packets sent: (\d+)"),
    "trafgen": re.compile(r"(\d+) packets outgoing"),
}
_PORTS = 65535


def sent_in(tool: Tool, output: str) -> int | None:
    """Return how many packets the tool says that it sent; None where it does not say."""
    match = _SENT[tool].search(output)
    return int(match[1]) if match else None


def is_connect_scan(tool: Tool, plan: FloodPlan) -> bool:
    """Return whether the SYNs are those of the attacker's kernel, which alone counts them."""
    return tool == "nmap" and plan.shape is Shape.LINUX


def command_of(
    tool: Tool, plan: FloodPlan, attacker: Endpoint, destination_mac: str, folder: Path
) -> list[str]:
    """Return the command line for a plan, bounded in count where the tool knows how.

    ``folder`` is for files that the tool reads. Raises UsageError for what the tool cannot do.
    """
    plan.check()
    plain = not (plan.acks_per_syn or plan.vlans or plan.payload_bytes) and set(plan.ttls) == {DEFAULT_TTL}
    if plan.pattern != "steady" or plan.copies > 1 or not plain:
        raise UsageError(
            f"{tool} sends steadily and each SYN once, with no ACKs, tags, data or hops: use the generator"
        )
    if tool == "hping3":
        return _hping3(plan, attacker)
    if tool == "nmap":
        return _nmap(plan, attacker)
    config = folder / "trafgen.cfg"
    config.write_text(trafgen_config(plan, attacker, destination_mac), encoding="ascii")
    return _trafgen(plan, attacker, config)


def _hping3(plan: FloodPlan, attacker: Endpoint) -> list[str]:
    if plan.version == 6:
        raise UsageError("hping3 has no IPv6: use the generator, nmap or trafgen")
    (network, *others) = plan.networks()
    if others or (network.num_addresses > 1 and network != ANY_IPV4):
        raise UsageError("hping3 sends from one address or from any: use the generator or trafgen")
    source = ["--rand-source"] if network == ANY_IPV4 else ["-a", str(network.network_address)]
    pace = ["--flood"]
    if plan.syn_per_s is not None:
        interval_s = 1 / plan.syn_per_s
        interval = f"u{max(round(interval_s * 1e6), 1)}" if interval_s < 1 else str(round(interval_s))
        pace = ["-i", interval, "-c", str(plan.frame_limit)]
    port = "++1" if plan.random_ports else str(plan.destination_port)
    return [
        "hping3",
        "-n",
        "-q",
        "-S",
        "-I",
        attacker.interface,
        *pace,
        *source,
        "-p",
        port,
        plan.destination,
    ]


def _nmap(plan: FloodPlan, attacker: Endpoint) -> list[str]:
    if not plan.random_ports:
        raise UsageError("nmap asks each port once: set random_ports")
    own = attacker.ipv4.ip if plan.version == 4 else attacker.ipv6.ip
    if plan.sources != (str(own),):
        raise UsageError(
            f"nmap scans from the attacker's own address: sources = ['attacker'], which is {own}"
        )
    scan = "-sT" if is_connect_scan("nmap", plan) else "-sS"
    # Without a limit nmap would slow down by what it takes for congestion.
    pace = ["--min-rate", "1000000"]
    if plan.syn_per_s is not None:
        pace = ["--min-rate", f"{plan.syn_per_s:g}", "--max-rate", f"{plan.syn_per_s:g}"]
    ports = f"1-{min(plan.frame_limit, _PORTS)}"
    family = ["-6"] if plan.version == 6 else []
    options = ["-n", "-Pn", "-v", "--max-retries", "0", "-p", ports]
    return ["nmap", *family, scan, *options, *pace, plan.destination]


def _trafgen(plan: FloodPlan, attacker: Endpoint, config: Path) -> list[str]:
    # It leaves the machine's socket buffers and interrupts as they are, and sends by one process.
    options = ["--no-sock-mem", "-Q", "-C", "-P", "1", "-n", str(plan.frame_limit)]
    # Its own rates (-b) are bursts, one a second.
    pace = [] if plan.syn_per_s is None else ["-t", f"{round(1e9 / plan.syn_per_s)}ns"]
    return ["trafgen", *options, *pace, "-i", str(config), "-o", attacker.interface]


def trafgen_config(plan: FloodPlan, attacker: Endpoint, destination_mac: str) -> str:
    """Return trafgen's templates for a plan, one for each source."""
    port = "drnd(1, 65535)" if plan.random_ports else str(plan.destination_port)
    tcp = f"tcp(sport=drnd(1024, 65535), dport={port}, seq=drnd(), win=512, syn)"
    macs = f"da={destination_mac}, sa={attacker.mac}"
    templates = []
    for network in plan.networks():
        first, last = network.network_address, network.broadcast_address
        if network == ANY_IPV4:
            first, last = IPv4Address("1.0.0.0"), IPv4Address("126.255.255.255")
        source = _trafgen_source(first, last)
        if plan.version == 4:
            ip = f"ipv4(df, id=drnd(), ttl=64, {source}, da={plan.destination})"
            templates.append(f"{{ eth({macs}, type=0x0800), {ip}, {tcp} }}")
        else:
            ip = f"ipv6(hl=64, nh=6, {source}, da={plan.destination})"
            templates.append(f"{{ eth({macs}, type=0x86dd), {ip}, {tcp} }}")
    return "\n".join(templates) + "\n"


def _trafgen_source(first: IPv4Address | IPv6Address, last: IPv4Address | IPv6Address) -> str:
    """Return the source's fields: constant, but for the bytes in which the addresses differ."""
    pairs = enumerate(zip(first.packed, last.packed, strict=True))
    drawn = [f"sa[{index}]=drnd({low}, {high})" for index, (low, high) in pairs if low != high]
    return ", ".join([f"sa={first}", *drawn])
