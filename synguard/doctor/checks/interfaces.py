"""Whether the probe sees all that passes the interfaces, and at what cost."""

from __future__ import annotations

from collections.abc import Iterator

from synguard.doctor.finding import Finding, error, ok, unknown, warning
from synguard.doctor.machine import XDP_BASIC, InterfaceFacts, Machine
from synguard.probe.ethtool import Offload
from synguard.probe.interfaces import ETHERNET_TYPES, NETWORK_TYPES, type_words

#: What the names of our own programs in the kernel begin with.
OUR_PREFIX = "synguard"
#: Values of ``probe.xdp_mode`` with which the daemon does not start where it cannot have them.
DEMANDED_MODES = frozenset({"native", "generic"})
ALLOW_ANOTHER_WAY = 'allow another way with probe.xdp_mode = "auto"'
#: Drivers want a frame, and what XDP adds, within one page: the bound of veth and virtio_net at 4 KiB.
MAX_NATIVE_MTU = 3506


def interface(machine: Machine) -> Iterator[Finding]:
    """Judge the interfaces that would be guarded."""
    why = "what the probe does not see is not guarded"
    name_one = "name the interface with --interface or probe.interfaces"
    if machine.interfaces is None:
        yield unknown("interface", "netlink cannot be asked", why, "run doctor as root")
    elif not machine.interfaces:
        yield error("interface", "there is no default route to take the interface from", why, name_one)
    for one in machine.interfaces or ():
        yield _interface(one, machine.xdp_mode, why)
    if machine.overlap is not None:
        yield error("interface", machine.overlap, "every SYN would count twice", "name one of them alone")


def _interface(one: InterfaceFacts, wanted: str, why: str) -> Finding:
    name = one.name
    if not one.exists:
        return error("interface", f"{name} does not exist", why, "compare `ip link` with probe.interfaces")
    what = f"{name} is {type_words(one.hardware_type, one.kind)} without Ethernet header"
    if one.hardware_type not in ETHERNET_TYPES | NETWORK_TYPES:
        return error("interface", f"{what}: not supported", why, "guard another one, with Ethernet frames")
    if not one.is_up:
        return warning("interface", f"{name} is down", why, f"ip link set {name} up")
    if one.hardware_type in NETWORK_TYPES:
        if wanted in DEMANDED_MODES:
            what = f'{what}: the daemon does not start with probe.xdp_mode = "{wanted}"'
            return error("interface", what, why, ALLOW_ANOTHER_WAY)
        what = f"{what}: no XDP there, so it is observed, and nothing is dropped"
        return warning("interface", what, why, "nothing to mend; to drop, guard what its packets come in by")
    return ok("interface", f"{name} has Ethernet frames and is up", why)


def xdp(machine: Machine) -> Iterator[Finding]:
    """Judge whose XDP program is on the interfaces."""
    why = "an interface has room for one XDP program, and somebody else's is never displaced"
    for one in _guardable(machine):
        program = one.xdp
        if program is None:
            yield ok("xdp", f"{one.name} has room for our XDP program", why)
            continue
        what = f"{one.name} has the XDP program {program.name or 'of unknown name'} (id {program.id})"
        if program.name is None and machine.daemon.pid is None:
            yield unknown("xdp", f"{what}, whose it is", why, "run doctor as root")
        elif program.name is not None and not program.name.startswith(OUR_PREFIX):
            remedy = f"without it (`ip link set {one.name} xdp off`) synguard could also drop packets"
            if machine.xdp_mode in DEMANDED_MODES:
                what = f'{what}: the daemon does not start with probe.xdp_mode = "{machine.xdp_mode}"'
                yield error("xdp", what, why, f"{ALLOW_ANOTHER_WAY}; {remedy}")
            else:
                yield warning("xdp", what, why, remedy)
        elif machine.daemon.pid is None and machine.daemon.problem is None:
            yield warning("xdp", f"{what}, left behind by a daemon that is gone", why, "synguard detach")
        else:
            yield ok("xdp", what, why)


def native_xdp(machine: Machine) -> Iterator[Finding]:
    """Judge whether the driver runs XDP programs itself."""
    for one in _guardable(machine):
        yield _native_xdp(one, machine.xdp_mode)


def _native_xdp(one: InterfaceFacts, wanted: str) -> Finding:
    why = "in generic mode the kernel makes a packet buffer of every SYN first: a flood costs more of the CPU"
    driven = f"{one.name} ({one.driver})" if one.driver else one.name
    if wanted in ("generic", "tc"):
        return ok("native_xdp", f'{driven}: native XDP is not wanted (probe.xdp_mode = "{wanted}")', why)
    if one.xdp is not None and one.xdp.mode == "native":
        return ok("native_xdp", f"{driven} runs its XDP program natively", why)
    if one.xdp_features is None:
        remedy = "`synguard status` shows as INGRESS how the probe was attached"
        return unknown("native_xdp", f"what {driven} can do; kernels before 6.3 do not tell", why, remedy)
    hindrance = _hindrance(one)
    if hindrance is not None and wanted == "native":
        return error("native_xdp", f"{driven} {hindrance[0]}, which is demanded", why, ALLOW_ANOTHER_WAY)
    if hindrance is not None:
        return warning("native_xdp", f"{driven} {hindrance[0]}", why, hindrance[1])
    return ok("native_xdp", f"{driven} has native XDP", why)


def _hindrance(one: InterfaceFacts) -> tuple[str, str] | None:
    """Return what keeps the probe from native XDP, and what to do about it; None if nothing is known to."""
    if not (one.xdp_features or 0) & XDP_BASIC:
        mend = "nothing, if the floods are small; else guard a network card whose driver knows XDP"
        return "has no native XDP", mend
    if one.mtu is not None and one.mtu > MAX_NATIVE_MTU:
        mend = f"ip link set {one.name} mtu {MAX_NATIVE_MTU}, or less, and its peer's"
        return f"has an MTU of {one.mtu}, too large for native XDP (about {MAX_NATIVE_MTU})", mend
    if one.driver == "virtio_net" and one.gro_hw is not None and one.gro_hw.is_on and one.gro_hw.is_fixed:
        mend = "switch hardware GRO off at the virtual machine's host (guest_tso4, guest_tso6)"
        return "refuses native XDP while its host merges what it receives (hardware GRO, fixed)", mend
    if one.xdp is not None and (one.xdp.name or "").startswith(OUR_PREFIX):
        mend = "`synguard status` tells why; after mending it, restart the daemon"
        return f"has native XDP, but the probe was attached in {one.xdp.mode} mode", mend
    return None


def lro(machine: Machine) -> Iterator[Finding]:
    """Judge whether received segments are merged before the probe sees them."""
    why = (
        "several drivers refuse native XDP meanwhile, and a flood costs more of the CPU; SYNs are never "
        "merged, so what is counted stays right"
    )
    for one in _guardable(machine):
        if one.lro is None or one.gro_hw is None:
            remedy = f"`ethtool -k {one.name}`, lines large-receive-offload and rx-gro-hw"
            yield unknown("lro", f"{one.name} does not tell its offloads", why, remedy)
        elif one.lro.is_on:
            yield _merging(one.name, "large receive offload (LRO)", "lro", one.lro, why)
        elif one.gro_hw.is_on and (one.xdp is None or one.xdp.mode != "native"):
            yield _merging(one.name, "hardware GRO", "rx-gro-hw", one.gro_hw, why)
        else:
            yield ok("lro", f"{one.name} merges no received segments in hardware", why)


def _merging(interface_name: str, words: str, feature: str, offload: Offload, why: str) -> Finding:
    remedy = f"ethtool -K {interface_name} {feature} off"
    if offload.is_fixed:
        remedy = "it is fixed here: switch it off at the virtual machine's host (guest_tso4, guest_tso6)"
    return warning("lro", f"{interface_name} has {words} on", why, remedy)


def rp_filter(machine: Machine) -> Iterator[Finding]:
    """Judge whether the kernel drops packets whose source cannot be where they come from."""
    name, why = "rp_filter", "without it, who sends by one network may take the addresses of another one"
    for one in _guardable(machine):
        ways = len({*machine.routed_interfaces, one.name}) if machine.routed_interfaces is not None else None
        setting = f"{one.name}: reverse path filtering (rp_filter)"
        if one.rp_filter is None or ways is None:
            remedy = f"sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.{one.name}.rp_filter"
            yield unknown(name, f"{setting} cannot be read", why, remedy)
        elif one.rp_filter:
            mode = "loose" if one.rp_filter == 2 else "strict"
            yield ok(name, f"{setting} is {one.rp_filter}, {mode}", why)
        elif ways == 1 and not one.forwards:
            yield ok(name, f"{setting} is off, and this machine has no other network to mix up", why)
        else:
            reason = "it forwards" if one.forwards else f"there are routes by {ways} interfaces"
            remedy = (
                f"sysctl -w net.ipv4.conf.{one.name}.rp_filter=1, and the same in /etc/sysctl.d; 2 (loose) "
                "where answers may leave by another interface: 1 (strict) would drop good clients there"
            )
            yield warning(name, f"{setting} is off, and {reason}: spoofed sources pass", why, remedy)


def _guardable(machine: Machine) -> Iterator[InterfaceFacts]:
    """Yield the interfaces that take an XDP program at all."""
    for one in machine.interfaces or ():
        if one.exists and one.hardware_type in ETHERNET_TYPES:
            yield one
