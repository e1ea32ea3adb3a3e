"""What the tests of the bench's network share: frames sent by XDP, and packets between hosts."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from bench.net import links
from bench.net.enter import call_in
from bench.net.links import Endpoint
from bench.net.namespaces import Topology
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.syscall import BPF_F_TEST_XDP_LIVE_FRAMES, test_run

#: Local experimental: no stack does anything with it.
_ETHERTYPE = 0x88B5
_FRAME_BYTES = 60
#: An address that a route alone makes one's own is bound to in IPv6 only with this.
_IPV6_FREEBIND = 78

_PROGRAMS = """
#include <uapi/linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
BPF_ARRAY(out, u32, 1);
int send(struct xdp_md *frame)
{
	u32 key = 0, *interface = out.lookup(&key);

	return interface ? bpf_redirect(*interface, 0) : XDP_DROP;
}
int nothing(struct xdp_md *frame) { return XDP_PASS; }
int reflect(struct xdp_md *frame)
{
	struct ethhdr *ethernet = (void *)(long)frame->data;
	struct iphdr *ip = (void *)(ethernet + 1);
	struct udphdr *udp = (void *)(ip + 1);
	u8 mac[ETH_ALEN];
	u32 address;
	u16 port;

	if ((void *)(udp + 1) > (void *)(long)frame->data_end || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	__builtin_memcpy(mac, ethernet->h_dest, ETH_ALEN);
	__builtin_memcpy(ethernet->h_dest, ethernet->h_source, ETH_ALEN);
	__builtin_memcpy(ethernet->h_source, mac, ETH_ALEN);
	address = ip->daddr;
	ip->daddr = ip->saddr;
	ip->saddr = address;
	port = udp->dest;
	udp->dest = udp->source;
	udp->source = port;
	/* The sender left its checksum to a network card that there is not. */
	udp->check = 0;
	return XDP_TX;
}
"""


def load_programs(folder: Path) -> LoadedObject:
    """Return three programs.

    ``send`` redirects to the interface in ``out``, ``nothing`` lets all pass, and ``reflect`` sends UDP over
    IPv4 back to whom it came from.
    """
    source = folder / "frames.c"
    source.write_text(_PROGRAMS)
    return load_object(source, dict.fromkeys(("send", "nothing", "reflect"), ProgramType.XDP))


def send_frames(programs: LoadedObject, topology: Topology, count: int) -> None:
    """Send frames of no meaning out of the guarded's port, as fast as the kernel can."""
    guarded = topology.guarded
    index = links.read_link(topology.switch, guarded.port).index
    programs.maps["out"].update(struct.pack("=I", 0), struct.pack("=I", index))
    header = bytes.fromhex(guarded.mac.replace(":", "") + "020000000009") + _ETHERTYPE.to_bytes(2, "big")
    frame = header.ljust(_FRAME_BYTES, b"\0")

    def send() -> None:
        test_run(programs.programs["send"], frame, repeat=count, flags=BPF_F_TEST_XDP_LIVE_FRAMES)

    call_in(topology.switch, send)


def datagram_socket(endpoint: Endpoint, address: str, port: int = 0) -> socket.socket:
    """Return a UDP socket in the endpoint's namespace, bound to an address."""
    family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
    opened = call_in(endpoint.namespace, lambda: socket.socket(family, socket.SOCK_DGRAM))
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    opened.settimeout(5.0)
    try:
        opened.bind((address, port))
    except OSError:
        opened.close()
        raise
    return opened


def settled(read: Callable[[], object]) -> None:
    """Return once two readings, 50 ms apart, are the same; fails after 5 s."""
    deadline_s = time.monotonic() + 5
    before = read()
    while True:
        time.sleep(0.05)
        after = read()
        if after == before:
            return
        assert time.monotonic() < deadline_s, f"still moving: {after}"
        before = after
