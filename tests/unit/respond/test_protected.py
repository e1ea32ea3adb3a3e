"""The never-touch list, gathered from real files and sockets."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from synguard.respond import protected
from synguard.respond.sessions import session_peers


def test_own_addresses_are_protected() -> None:
    """The machine never blocks itself."""
    entries = protected.gather((), (), ())
    assert any(entry.network == ip_network("127.0.0.1") for entry in entries)


def test_the_operators_lists_are_protected() -> None:
    """The allow list and trusted aggregators are taken over with their reasons."""
    allow, aggregator = ip_network("192.0.2.0/24"), ip_network("2001:db8:cd::/48")
    entries = {entry.network: entry.why for entry in protected.gather((allow,), (aggregator,), ())}
    assert "allow list" in entries[allow]
    assert "aggregator" in entries[aggregator]


def test_resolvers_come_from_resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nameserver lines are read, zones cut off, and nonsense passed over."""
    path = tmp_path / "resolv.conf"
    path.write_text("# nameserver 9.9.9.9\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver what\n")
    monkeypatch.setattr(protected, "RESOLVER_FILES", (path, tmp_path / "missing"))
    assert protected.resolvers() == {ip_address("192.0.2.53"), ip_address("fe80::1")}


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_peers_of_established_sessions_on_ssh_ports_are_protected(
    family: socket.AddressFamily, host: str
) -> None:
    """A real established connection makes its peer untouchable; a closed one does not."""
    with socket.socket(family) as listener:
        listener.bind((host, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert session_peers([port]) == set()
        with socket.create_connection((host, port)):
            assert session_peers([port]) == {ip_address(host)}


def test_an_ipv4_peer_of_a_dual_stack_listener_is_found_as_ipv4() -> None:
    """A mapped peer is protected as the IPv4 address that the probe sees."""
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert ip_address("127.0.0.1") in session_peers([port])


def test_sessions_on_other_ports_are_nobodys_business() -> None:
    """Only the named ports count, not their neighbours."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert session_peers([port - 1, port + 1]) == set()
            assert session_peers([port - 1, port, port + 1]) == {ip_address("127.0.0.1")}
