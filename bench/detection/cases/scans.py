"""Cases of scans by nmap: ports of one host, one port of many hosts, and segments that no client sends."""

from __future__ import annotations

from collections.abc import Callable

from bench.detection.actors.hearing import silent_to
from bench.detection.actors.scanner import scan
from bench.detection.case import Case, Expected
from bench.detection.cases.places import GATEWAY, own_network, place
from bench.detection.stage import PORT, Stage
from bench.peers.listener import echo

_CLOSED = Expected("scan", "closed-ports", "source")
_HALF_OPEN = Expected("scan", "half-open", "source")
_OPEN_PORT = 80
_HOSTS = 200


def _scan(stage: Stage, targets: list[str], *options: str) -> None:
    """Scan from the attacker, while good clients go on. The alert may name whom it asked, and need not."""
    attacker = stage.topology.attacker
    stage.truth.source = str(attacker.ipv4.ip)
    stage.truth.listeners |= {stage.listener(0), stage.listener(PORT), *targets}
    stage.truth.began()
    scan(attacker, targets, *options)
    stage.truth.ended()


def _of_server(*options: str) -> Callable[[Stage], None]:
    """Return the play of a scan of the server, one of whose ports is open."""

    def play(stage: Stage) -> None:
        stage.serve()
        stage.learn()
        _scan(stage, [stage.server_address()], *options)

    return play


def _of_silent_host(stage: Stage) -> None:
    stage.serve()
    stage.learn()
    own_network(stage)
    stage.run(silent_to(stage.topology.server, place(1)))
    _scan(stage, [place(1)], "-sS", "-F", "-T5")


def _of_hosts(port: int) -> Callable[[Stage], None]:
    """Return the play of a scan of one port of 200 hosts, which is open on all of them or on none."""

    def play(stage: Stage) -> None:
        stage.serve()
        stage.learn()
        own_network(stage)
        stage.run(echo(stage.topology.server, ["0.0.0.0"], _OPEN_PORT, 4096))  # noqa: S104 - in a namespace
        targets = [place(number) for number in range(1, _HOSTS + 1)]
        stage.truth.listeners |= {f"{target}:{_OPEN_PORT}" for target in targets}
        _scan(stage, targets, "-sS", "-p", str(port))

    return play


_SERVER_SCANS = (
    ("scan", "nmap -sS asks the usual 1,000 ports of the server.", _CLOSED, ("-sS",)),
    ("scan, fast", "nmap -sS -F asks 100 ports.", _CLOSED, ("-sS", "-F")),
    ("scan, all ports", "nmap -sS -T5 asks 65,535 ports as fast as it can.", _CLOSED, ("-sS", "-p-", "-T5")),
    ("scan, slow", "nmap -sS -T2 asks a port every 0.4 s, 100 in all.", _CLOSED, ("-sS", "-F", "-T2")),
    ("scan, connecting", "nmap -sT asks 1,000 ports with real connects.", _CLOSED, ("-sT",)),
    ("scan, FIN", "nmap -sF.", Expected("scan", "fin", "source"), ("-sF", "-T4")),
    ("scan, null", "nmap -sN.", Expected("scan", "null", "source"), ("-sN", "-T4")),
    ("scan, xmas", "nmap -sX.", Expected("scan", "xmas", "source"), ("-sX", "-T4")),
)

CASES = (
    *(
        Case(name=name, purpose=purpose, expected=expected, play=_of_server(*options))
        for name, purpose, expected, options in _SERVER_SCANS
    ),
    Case(
        name="scan of a silent host",
        purpose="nmap -sS -F -T5 asks a host whose firewall drops everything.",
        expected=_CLOSED,
        play=_of_silent_host,
    ),
    Case(
        name="scan of hosts, open",
        purpose="nmap -sS asks one port of 200 hosts behind a gateway, all of which answer.",
        expected=_HALF_OPEN,
        play=_of_hosts(_OPEN_PORT),
        hosts=GATEWAY,
    ),
    Case(
        name="scan of hosts, closed",
        purpose="nmap -sS asks one port of 200 hosts behind a gateway, none of which has it open.",
        expected=_CLOSED,
        play=_of_hosts(_OPEN_PORT + 1),
        hosts=GATEWAY,
    ),
    Case(
        name="scan of addresses, open",
        purpose="nmap -sS asks one port of 200 addresses of the guarded host, all of which answer.",
        expected=_HALF_OPEN,
        play=_of_hosts(_OPEN_PORT),
    ),
)
