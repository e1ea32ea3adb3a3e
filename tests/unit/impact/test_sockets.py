"""Which sockets answer for a listener, and how full their queues are."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address

import pytest

from synguard.endpoint import Listener
from synguard.impact.sockets import ListeningSocket, SocketTable, queues_of, syn_queue_limit

COOKIES = {"tcp_syncookies": 1, "tcp_max_syn_backlog": 4096}


def bound(
    address: str,
    port: int = 80,
    *,
    ipv6: bool | None = None,
    only: bool = False,
    waiting: int = 0,
    limit: int = 100,
    drops: int | None = 0,
) -> ListeningSocket:
    """Return a listening socket; of IPv6 if its address is, or if ``ipv6`` says so."""
    parsed = ip_address(address)
    ipv6_socket = parsed.version == 6 if ipv6 is None else ipv6
    return ListeningSocket(parsed, port, ipv6_socket, only, waiting, limit, drops)


WILD4, WILD6, ONLY6 = bound("0.0.0.0"), bound("::"), bound("::", only=True)  # noqa: S104 - nothing is bound
EXACT4, MAPPED4, EXACT6 = bound("192.0.2.1"), bound("192.0.2.1", ipv6=True), bound("2001:db8::1")


def made(*sockets: ListeningSocket, half_open: Mapping[str, int] | None = None) -> SocketTable:
    """Return a table of these sockets, and of handshakes by the listener's text."""
    ports = {one.port for one in sockets}
    return SocketTable(
        {port: [one for one in sockets if one.port == port] for port in ports},
        {Listener.parse(text): count for text, count in (half_open or {}).items()},
    )


@pytest.mark.parametrize(
    ("listener", "sockets", "answers"),
    [
        ("192.0.2.1:80", [WILD4, EXACT4, WILD6], [EXACT4]),
        ("192.0.2.2:80", [WILD4, EXACT4], [WILD4]),
        ("192.0.2.2:80", [WILD6, EXACT4], [WILD6]),
        ("192.0.2.2:80", [ONLY6, EXACT4], []),
        ("192.0.2.2:80", [WILD4, WILD6], [WILD4]),
        ("192.0.2.1:80", [MAPPED4, WILD4], [MAPPED4]),
        ("192.0.2.1:80", [MAPPED4, EXACT4], [EXACT4]),
        ("192.0.2.1:81", [WILD4, EXACT4, WILD6], []),
        ("[2001:db8::1]:80", [WILD6, EXACT6], [EXACT6]),
        ("[2001:db8::2]:80", [WILD6, EXACT6], [WILD6]),
        ("[2001:db8::2]:80", [ONLY6, WILD4], [ONLY6]),
        ("[2001:db8::2]:80", [WILD4], []),
        (
            "192.0.2.2:80",
            [WILD4, WILD4._replace(accept_queue=3), EXACT4],
            [WILD4, WILD4._replace(accept_queue=3)],
        ),
    ],
)
def test_the_closest_sockets_answer(
    listener: str, sockets: list[ListeningSocket], answers: list[ListeningSocket]
) -> None:
    """An exact address beats a wildcard, IPv4 beats an IPv6 socket that takes both, and equals share."""
    assert made(*sockets).answering(Listener.parse(listener)) == tuple(answers)


def test_queues_of_a_wildcard_are_those_of_all_its_addresses() -> None:
    """What half-opens at one address fills the queue for the others, unless a closer socket holds it."""
    table = made(
        WILD4,
        EXACT4,
        WILD4._replace(port=81),
        half_open={"192.0.2.1:80": 7, "192.0.2.2:80": 10, "192.0.2.3:80": 20, "192.0.2.2:81": 40},
    )
    wanted = [Listener.parse(f"192.0.2.{number}:80") for number in (1, 2, 9)]
    found = queues_of(table, [*wanted, Listener.parse("192.0.2.2:82")], COOKIES)
    assert {str(listener): queues.syn_queue for listener, queues in found.items()} == {
        "192.0.2.1:80": 7,
        "192.0.2.2:80": 30,
        "192.0.2.9:80": 30,
    }


def test_sockets_that_share_a_port_are_summed_and_the_worst_is_shown() -> None:
    """Each takes its share of SYNs: the one with the least room fills up first."""
    table = made(
        bound("192.0.2.1", waiting=11, limit=10, drops=3),
        bound("192.0.2.1", waiting=20, limit=99, drops=4),
        half_open={"192.0.2.1:80": 22},
    )
    (queues,) = queues_of(table, [Listener.parse("192.0.2.1:80")], COOKIES).values()
    assert (queues.accept_queue, queues.accept_queue_limit, queues.accept_queue_worst) == (31, 109, 1.0)
    assert (queues.syn_queue, queues.syn_queue_limit, queues.syn_queue_worst) == (22, 109, 1.0)
    assert (queues.sockets, queues.drops) == (2, 7)


def test_drops_that_one_socket_does_not_tell_are_unknown() -> None:
    """A sum of some would look like all."""
    table = made(EXACT4, EXACT4._replace(drops=None))
    (queues,) = queues_of(table, [Listener.parse("192.0.2.1:80")], COOKIES).values()
    assert queues.drops is None


@pytest.mark.parametrize(
    ("syncookies", "most", "limit"), [(0, 64, 48), (0, 4096, 100), (1, 64, 100), (2, 64, 100), (0, 70, 53)]
)
def test_without_cookies_a_quarter_is_for_known_peers(syncookies: int, most: int, limit: int) -> None:
    """tcp_max_syn_backlog bounds the SYN queue only with tcp_syncookies=0."""
    assert syn_queue_limit(100, {"tcp_syncookies": syncookies, "tcp_max_syn_backlog": most}) == limit
