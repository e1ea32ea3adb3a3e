"""Faults seeded into a real host, each found by the real command, and not found where it is not seeded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from .places import Place, python_within

pytestmark = [pytest.mark.root, pytest.mark.netns]

#: Listens as an application does, on the address and with the backlog of the test, while doctor looks.
LISTEN = """
import socket, sys
family, address, only, backlog = sys.argv[1:5]
listener = socket.socket(getattr(socket, family), socket.SOCK_STREAM)
if family == "AF_INET6":
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(only))
listener.bind((address, 8080))
listener.listen(int(backlog))
"""
#: A second network beside the first.
SECOND = "ip address add 198.51.100.1/24 dev v1"


def hide(path: str) -> str:
    """Return shell that lays an empty folder over one."""
    return f"mount -t tmpfs none {path}"


def show(path: str, text: str) -> str:
    """Return shell that lets a file say something else to the commands after it."""
    return f'echo {text} > "$0/shown"; mount --bind "$0/shown" {path}'


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Return a place with nothing wrong that a test has not seeded."""
    return Place(tmp_path)


CLOCKSOURCE = "/sys/devices/system/clocksource/clocksource0/current_clocksource"


@pytest.mark.parametrize(
    ("name", "fault", "said", "mended"),
    [
        ("tcp_syncookies", "echo 0 > ipv4/tcp_syncookies", "cookies are off", ""),
        ("tcp_syncookies", "echo 2 > ipv4/tcp_syncookies", "every connection", ""),
        ("somaxconn", "echo 8 > core/somaxconn", "net.core.somaxconn is 8", ""),
        (
            "tcp_max_syn_backlog",
            "echo 0 > ipv4/tcp_syncookies; echo 64 > ipv4/tcp_max_syn_backlog",
            "net.ipv4.tcp_max_syn_backlog is 64",
            "echo 64 > ipv4/tcp_max_syn_backlog",
        ),
        ("tcp_synack_retries", "echo 9 > ipv4/tcp_synack_retries", "repeated 9 times", ""),
        ("rp_filter", f"{SECOND}; echo 0 > ipv4/conf/v0/rp_filter", "v0: reverse path", SECOND),
        (
            "rp_filter",
            "echo 0 > ipv4/conf/v0/rp_filter; echo 1 > ipv4/conf/v0/forwarding",
            "it forwards",
            "echo 0 > ipv4/conf/v0/rp_filter",
        ),
        (
            "rp_filter",
            f"{SECOND}; echo 0 > ipv4/conf/v0/rp_filter",
            "routes by 2 interfaces",
            f"{SECOND}; echo 0 > ipv4/conf/v0/rp_filter; echo 2 > ipv4/conf/all/rp_filter",
        ),
        ("native_xdp", "ip link set v0 mtu 9000", "MTU of 9000", "ip link set v0 mtu 1400"),
        ("interface", "ip link set v0 down", "v0 is down", ""),
        # Global settings of the machine, shown otherwise to this command alone.
        ("clocksource", show(CLOCKSOURCE, "jiffies"), "jiffies, which is not steady", ""),
        ("clocksource", show(CLOCKSOURCE, "acpi_pm"), "acpi_pm", show(CLOCKSOURCE, "kvm-clock")),
        (
            "bpf_stats",
            show("/proc/sys/kernel/bpf_stats_enabled", "1"),
            "bpf_stats_enabled is 1",
            show("/proc/sys/kernel/bpf_stats_enabled", "0"),
        ),
    ],
)
def test_seeded_fault(place: Place, name: str, fault: str, said: str, mended: str) -> None:
    """The fault is a warning that says what, why and how to mend it; mended, it is in order."""
    finding = place.examine(fault).one(name)
    assert (finding["status"], said in finding["what"]) == ("warning", True), finding
    assert finding["why"]
    assert finding["remedy"]
    assert place.examine(mended).one(name)["status"] == "ok"


@pytest.mark.parametrize(
    ("family", "address", "only", "told"),
    [
        ("AF_INET", "0.0.0.0", "0", "0.0.0.0:8080"),  # noqa: S104 - in a namespace of its own
        ("AF_INET", "192.0.2.1", "0", "192.0.2.1:8080"),
        ("AF_INET6", "::", "1", "[::]:8080"),
        ("AF_INET6", "::", "0", "*:8080"),
    ],
)
def test_listener_with_a_queue_of_5(place: Place, family: str, address: str, only: str, told: str) -> None:
    """A real listener's queue of 5 is found on IPv4, IPv6 and both, with its process; one of 500 is not."""
    short = place.examine(within=python_within(LISTEN, family, address, only, "5")).one("accept_queues")
    assert (short["status"], "listen()" in short["remedy"]) == ("warning", True)
    assert f"{told} (5: python" in short["what"]
    assert ", pid " in short["what"]
    long = place.examine(within=python_within(LISTEN, family, address, only, "500")).one("accept_queues")
    assert long["status"] == "ok"


def test_listener_cut_by_somaxconn(place: Place) -> None:
    """A listener that asked for 500 and got 8 is told to blame net.core.somaxconn."""
    within = python_within(LISTEN, "AF_INET", "192.0.2.1", "0", "500")
    finding = place.examine("echo 8 > core/somaxconn", within=within).one("accept_queues")
    assert "192.0.2.1:8080 (8: " in finding["what"]
    assert "raise net.core.somaxconn" in finding["remedy"]


def test_listener_on_loopback(place: Place) -> None:
    """A short queue that only this host itself can reach is no fault."""
    within = python_within(LISTEN, "AF_INET", "127.0.0.1", "0", "5")
    assert place.examine(within=within).one("accept_queues")["status"] == "ok"


BRIDGE = "ip link add br0 up type bridge"
TUN = "ip tuntap add dev t0 mode tun; ip link set t0 up"
LARGEST = "ip link set v0 mtu 3506; ip link set v1 mtu 3506"
TOO_LARGE = "ip link set v0 mtu 3520; ip link set v1 mtu 3520"


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("interface", "fault", "name", "status", "attached"),
    [
        ("v0", "", "native_xdp", "ok", "xdp-native"),
        ("v0", LARGEST, "native_xdp", "ok", "xdp-native"),
        ("v0", TOO_LARGE, "native_xdp", "warning", "xdp-generic"),
        ("br0", BRIDGE, "native_xdp", "warning", "xdp-generic"),
        ("t0", TUN, "interface", "warning", "tc-ingress"),
    ],
)
def test_no_xdp(place: Place, interface: str, fault: str, name: str, status: str, attached: str) -> None:
    """What doctor says of XDP on an interface is what the daemon meets when it attaches there."""
    finding = place.examine(fault, interfaces=[interface]).one(name)
    assert (finding["status"], interface in finding["what"]) == (status, True), finding
    assert place.attached(fault, interface) == attached


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("interface", "fault", "name"), [("br0", BRIDGE, "native_xdp"), ("t0", TUN, "interface")]
)
def test_demanded_mode_that_cannot_be_had(place: Place, interface: str, fault: str, name: str) -> None:
    """Native XDP that was demanded and cannot be had is an error, with which the daemon does not start."""
    place.configure(probe='xdp_mode = "native"')
    assert place.examine(fault, interfaces=[interface]).one(name)["status"] == "error"
    assert place.run(fault, ("run", "--interface", interface)).returncode == 1
    assert place.examine().exit_code == 0


def test_interfaces_that_carry_the_same_packets(place: Place) -> None:
    """A bridge and its port are an error, as the daemon refuses them together; one of them is not."""
    fault = f"{BRIDGE}; ip link set v0 master br0"
    both = place.examine(fault, interfaces=["br0", "v0"])
    assert (both.exit_code, both.named("interface")[0]["status"]) == (1, "error")
    assert "v0 carry the same packets" in both.named("interface")[0]["what"]
    assert place.examine(fault).one("interface")["status"] == "ok"


def test_bpffs_not_mounted(place: Place) -> None:
    """A probe that shall stay attached needs a BPF file system, which is missed when it is not mounted."""
    unmount = "while umount /sys/fs/bpf 2> /dev/null; do :; done"
    mount = "mount -t bpf bpf /sys/fs/bpf"
    assert place.examine(unmount).one("bpffs")["status"] == "ok"
    place.configure(probe="keep_attached = true")
    finding = place.examine(unmount).one("bpffs")
    assert (finding["status"], "in no BPF file system" in finding["what"]) == ("warning", True)
    assert mount in finding["remedy"]
    assert place.examine(f"{unmount}; {mount}").one("bpffs")["status"] == "ok"


def test_nearly_full_disk(place: Place) -> None:
    """A file system with less room than the history may take is a warning, until there is room or less."""
    small = 'mkdir -p "$0/history"; mount -t tmpfs -o size=8m none "$0/history"'
    finding = place.examine(small).one("disk")
    assert (finding["status"], "8 MiB are free" in finding["what"]) == ("warning", True)
    assert "history.retention_mib to 8 or less" in finding["remedy"]
    place.configure(history="retention_mib = 8")
    assert place.examine(small).one("disk")["status"] == "ok"


def test_routes_that_lead_nowhere(place: Place) -> None:
    """Routes into loopback or into an error are no second network from which addresses could be taken."""
    nowhere = "ip route add unreachable 198.51.100.0/24; ip route add 203.0.113.0/24 dev lo"
    assert place.examine(f"{nowhere}; echo 0 > ipv4/conf/v0/rp_filter").one("rp_filter")["status"] == "ok"


def test_read_only_disk(place: Place) -> None:
    """A history on a read-only mount is a warning, also for root."""
    place.database.parent.mkdir()
    fault = 'mount -t tmpfs -o ro none "$0/history"'
    assert "not writable" in place.examine(fault).one("database")["what"]
    assert place.examine().one("database")["status"] == "ok"


def _not_ok(findings: list[dict[str, Any]]) -> set[str]:
    return {one["name"] for one in findings if one["status"] != "ok"}


def test_a_host_in_order(place: Place) -> None:
    """On a host with nothing seeded, only that no daemon runs and what the machine itself lacks is told."""
    examined = place.examine()
    assert examined.exit_code == 0
    assert {one["status"] for one in examined.named("daemon")} == {"warning"}
    # The machine's clock, and a sysctl that a network namespace does not show.
    assert _not_ok(examined.findings) <= {"daemon", "clock", "bpf_jit"}


def test_container_that_hides_the_settings(place: Place) -> None:
    """Where /proc/sys and /sys are hidden, doctor says that it does not know, and does not fail."""
    examined = place.examine(f"cd /; {hide('/proc/sys')}; {hide('/sys')}")
    unknown = {one["name"] for one in examined.findings if one["status"] == "unknown"}
    settings = {"tcp_syncookies", "somaxconn", "tcp_max_syn_backlog", "tcp_synack_retries"}
    assert unknown >= settings | {"rp_filter", "conntrack", "clocksource", "bpf_jit", "bpf_stats"}
    assert all(one["what"].startswith("unknown: ") for one in examined.findings if one["name"] in unknown)


def test_machine_without_bcc(place: Place) -> None:
    """Without the compiler doctor still looks at everything, and names the package to install."""
    spec = find_spec("bcc")
    assert spec is not None
    examined = place.examine(hide(str(Path(str(spec.origin)).parent)))
    finding = examined.one("bcc")
    assert (finding["status"], "python3-bpfcc" in finding["remedy"]) == ("error", True)
    assert examined.exit_code == 1
    assert place.examine().one("bcc")["status"] == "ok"
