"""The topology: what it joins, and that nothing of it outlives the process that made it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bench.defences.guard import Guard
from bench.net.enter import child_environment
from bench.net.namespaces import Topology, created_by, namespaces_of, run_in, start_in, write_sysctls
from bench.peers.clients import shake_hands
from bench.peers.listener import echo
from synguard.errors import SynguardError

pytestmark = [pytest.mark.root, pytest.mark.netns]

#: Builds a topology, says so, and waits to be killed.
_BUILD_AND_WAIT = """
import sys
from bench.net.namespaces import Topology, exit_on_signals
with exit_on_signals(), Topology():
    print("built", flush=True)
    sys.stdin.read()
"""


def start_builder() -> subprocess.Popen[str]:
    """Return a process that has built a topology and holds on to it."""
    builder = subprocess.Popen(
        [sys.executable, "-c", _BUILD_AND_WAIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=child_environment(),
        text=True,
    )
    assert builder.stdout is not None
    assert builder.stdout.readline() == "built\n"
    return builder


@pytest.mark.parametrize("version", [4, 6])
def test_client_reaches_a_real_server(topology: Topology, version: int) -> None:
    """The client's handshakes with the server's listener complete, over IPv4 and over IPv6."""
    interface = topology.server.ipv4 if version == 4 else topology.server.ipv6
    with echo(topology.server, [str(interface.ip)], 8080, 128):
        shake_hands(topology.client, str(interface.ip), 8080, 23)


def test_everything_is_removed_after_an_exception() -> None:
    """An exception inside the block leaves no namespace behind."""

    def fail() -> None:
        with Topology():
            assert len(namespaces_of(os.getpid())) == 4
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert namespaces_of(os.getpid()) == []


def test_everything_is_removed_when_building_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A topology that cannot be built to its end leaves no half of it behind."""

    def refuse(*_: object) -> None:
        raise SynguardError("the kernel refused")

    monkeypatch.setattr("bench.net.links.configure_endpoint", refuse)
    with pytest.raises(SynguardError, match="refused"), Topology():
        pass
    assert namespaces_of(os.getpid()) == []


def test_everything_is_removed_on_sigterm() -> None:
    """A process that is terminated takes its namespaces with it."""
    with start_builder() as builder:
        assert len(namespaces_of(builder.pid)) == 4
        builder.terminate()
        assert builder.wait(10) == 128 + signal.SIGTERM
    assert namespaces_of(builder.pid) == []


def test_what_a_killed_run_left_is_removed_by_the_next() -> None:
    """Namespaces of a process that was killed are gone once the next topology is up."""
    with start_builder() as builder:
        builder.kill()
    assert len(namespaces_of(builder.pid)) == 4
    with Topology():
        assert namespaces_of(builder.pid) == []


def test_namespaces_of_a_living_run_stay() -> None:
    """Another run that is still going on keeps its namespaces when a topology is made beside it."""
    with start_builder() as builder:
        with Topology():
            pass
        assert len(namespaces_of(builder.pid)) == 4
        builder.terminate()


@pytest.mark.parametrize("name", ["production", "sg-server", "sg-12-0-", "sg-1x-0-server"])
def test_other_peoples_namespaces_are_not_ours(name: str) -> None:
    """A namespace is only taken for the bench's own when its name has exactly our form."""
    assert created_by(name) is None


def test_sysctls_are_of_one_namespace_only() -> None:
    """A sysctl asked for the server is set there and nowhere else."""
    with Topology({"ipv4/tcp_syncookies": 2}) as topology:
        path = Path("/proc/sys/net/ipv4/tcp_syncookies")
        assert run_in(topology.server, path.read_text) == "2\n"
        assert run_in(topology.client, path.read_text) != "2\n"
        write_sysctls(topology.server.namespace, {"ipv4/tcp_syncookies": 0})
        assert run_in(topology.server, path.read_text) == "0\n"


def test_a_command_runs_inside_the_namespace(topology: Topology) -> None:
    """A command started in an endpoint sees that endpoint's addresses."""
    with start_in(topology.server, ["ip", "address"], stdout=subprocess.PIPE, text=True) as command:
        output, _ = command.communicate(timeout=10)
    assert str(topology.server.ipv4) in output


def test_a_daemon_that_cannot_start_is_told_with_its_own_words(topology: Topology, tmp_path: Path) -> None:
    """Waiting for a daemon that ends at once raises what it wrote to its error output."""
    guard = Guard(topology.server, tmp_path, "no-such-mode")
    with guard, pytest.raises(SynguardError, match="no-such-mode"):
        guard.wait_until_ready()
