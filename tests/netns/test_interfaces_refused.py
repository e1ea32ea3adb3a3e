"""What cannot be guarded is refused, by name and with what to do instead, and leaves nothing behind."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bench.defences.guard import synguard_command
from bench.net.enter import child_environment, command_in
from bench.net.namespaces import Topology, run_in
from synguard.errors import UnsupportedError, UsageError
from synguard.probe.interfaces import check_names, check_together, find_interface

from .devices import Daemon, Workshop, everything, ip

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: Runs the daemon with these arguments, and returns its exit code and its last words.
Run = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Topology]:
    """Build a server with one interface of each kind that matters, stacked as people stack them."""
    with Topology() as topology, Workshop(topology) as workshop:
        workshop.bridge("br0")
        workshop.wire("other0")
        ip(
            topology.server,
            "link set other0 master br0",
            "link add link br0 name m0 type macvlan",
            "link add link m0 name m1 type macvlan",
            "link add link br0 name m2 type macvlan",
            "link add inner0 type veth peer name outer0",
            "link add vx0 type vxlan id 23 dstport 4789 dev br0",
            "link property add dev net0 altname enp1s0 altname the-name-of-the-wire",
        )
        yield topology


@pytest.fixture
def run_daemon(hosts: Topology, tmp_path: Path) -> Run:
    """Return a function that runs the daemon at the server to its end, and sees that nothing is left."""

    def run(*arguments: str, inside: Sequence[str] = ()) -> tuple[int, str]:
        before = everything(hosts.server)
        paths = ("--socket", str(tmp_path / "socket"), "--database", str(tmp_path / "database"))
        done = subprocess.run(
            command_in(hosts.server.namespace, [*inside, *synguard_command("run", *arguments, *paths)]),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env=child_environment(),
        )
        assert everything(hosts.server) == before
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("enp1s0", "enp1s0 is an alternative name of net0; name it net0"),
        ("net0@if7", "net0@if7 is how `ip link` shows net0; name it net0"),
        ("m0@br0", "m0@br0 is how `ip link` shows m0; name it m0"),
        ("1", "1 is the index of lo; name it lo"),
    ],
)
def test_what_is_no_name_is_answered_with_the_name(hosts: Topology, name: str, said: str) -> None:
    """Whoever copies from ``ip link`` learns what to write, whether the daemon asks or anyone else."""
    for ask in (lambda: find_interface(name), lambda: check_names(["net0", name])):
        with pytest.raises(UsageError) as refusal:
            run_in(hosts.server, ask)
        assert str(refusal.value) == said


def test_a_name_that_nobody_has_yet_may_come(hosts: Topology) -> None:
    """It is no error: interfaces are waited for."""
    run_in(hosts.server, lambda: check_names(["net0", "later0"]))


def test_the_daemon_refuses_a_name_at_once(run_daemon: Run) -> None:
    """Exit code 2, before anything is compiled or claimed."""
    code, said = run_daemon("--interface", "net0@if7")
    assert (code, said) == (2, "synguard: error: net0@if7 is how `ip link` shows net0; name it net0\n")
    claims = [path.name for path in Path("/run/synguard").glob("*-net0@if7.lock")]
    assert not claims


@pytest.mark.parametrize(
    ("upper", "lower"),
    [
        ("br0", "br0-port"),
        ("br0", "other0"),
        ("m0", "br0"),
        ("m1", "br0-port"),
        ("m2", "other0"),
    ],
)
def test_interfaces_that_see_the_same_packets_are_refused_in_either_order(
    hosts: Topology, upper: str, lower: str
) -> None:
    """However many others lie between the two."""
    for names in ((upper, lower), (lower, upper)):
        found = [run_in(hosts.server, lambda name=name: find_interface(name)) for name in names]  # type: ignore[misc]
        with pytest.raises(UnsupportedError, match=f"what passes {upper} passes {lower}, too"):
            check_together(found)


@pytest.mark.parametrize(
    "names",
    [("br0-port", "other0"), ("m0", "m2"), ("inner0", "outer0"), ("vx0", "br0"), ("net0", "lo")],
)
def test_interfaces_side_by_side_may_be_guarded_together(hosts: Topology, names: tuple[str, ...]) -> None:
    """Two ports, two macvlans, two ends of a veth: what comes in by one leaves by the other."""
    check_together([run_in(hosts.server, lambda name=name: find_interface(name)) for name in names])  # type: ignore[misc]


def test_the_daemon_refuses_a_bridge_and_its_port(run_daemon: Run) -> None:
    """Exit code 3, naming both."""
    code, said = run_daemon("--interface", "br0-port", "--interface", "br0")
    assert code == 3
    assert "br0 and br0-port carry the same packets" in said


def test_native_where_there_is_none_is_refused(run_daemon: Run, tmp_path: Path) -> None:
    """Whoever insists on native gets the kernel's reason, and what else to ask for; exit code 1."""
    config = tmp_path / "native.toml"
    config.write_text('[probe]\nxdp_mode = "native"\n')
    code, said = run_daemon("--interface", "br0", "--config", str(config))
    assert code == 1
    assert "br0: native XDP is refused here (Underlying driver does not support XDP in native mode)" in said
    assert 'allow another way with probe.xdp_mode = "auto"' in said


def test_root_of_a_rootless_container_is_told_to_leave_it(run_daemon: Run) -> None:
    """In a user namespace every capability is there and none lets load BPF; exit code 3."""
    code, said = run_daemon("--interface", "lo", inside=["unshare", "--user", "--map-root-user", "--net"])
    assert code == 3
    assert (
        "no eBPF can be loaded in a user namespace (a rootless container): run synguard on the host" in said
    )


@pytest.mark.parametrize("lacks", ["-net_admin", "-bpf,-sys_admin"])
def test_a_container_without_a_capability_is_told_which_it_needs(run_daemon: Run, lacks: str) -> None:
    """As container engines start them unless told otherwise; exit code 3."""
    code, said = run_daemon(
        "--interface", "net0", inside=["setpriv", "--bounding-set", lacks, "--inh-caps", lacks]
    )
    assert code == 3
    assert "CAP_BPF, CAP_NET_ADMIN" in said


def test_a_daemon_in_another_container_holds_its_interface(
    run_daemon: Run, hosts: Topology, tmp_path: Path
) -> None:
    """Both share the host's network, and neither /run nor process ids: the second is refused, not fought."""
    with Daemon(hosts.server, ["net0"], tmp_path) as daemon:
        daemon.wait_until_ready()
        container = [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "sh",
            "-c",
            'mount -t tmpfs own /run && "$@"',
            "sh",
        ]
        code, said = run_daemon("--interface", "net0", inside=container)
        assert code == 1
        assert "net0 is already guarded by synguard" in said
        assert daemon.interface("net0")["attached"] is True
        assert not daemon.named("probe.detached")
