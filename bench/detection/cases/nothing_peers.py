"""Cases of calls that reach nobody, and of calls that the guarded host makes itself; no alert."""

from __future__ import annotations

from bench.detection.actors.callers import Callers, Dialling
from bench.detection.actors.hearing import silent_to
from bench.detection.actors.scanner import scan
from bench.detection.case import NOTHING, Case
from bench.detection.cases.nothing_crowds import callers, served
from bench.detection.cases.places import GATEWAY, own_network, place
from bench.detection.stage import PORT, Stage
from bench.peers.listener import echo
from synguard.errors import SynguardError

_PEERS = 97
_PEERS_S = 10.0
#: Where peer-to-peer clients listen, each where it likes.
_FIRST_PEER_PORT = 6881
#: Nobody has these; what is sent there ends at the attacker, who takes no notice.
_NOWHERE = "203.0.113."


def _dead_peers(stage: Stage) -> None:
    stage.serve()
    own_network(stage)
    # A quarter of them answers with RST.
    stage.run(silent_to(stage.topology.server, f"{place(1)}-{place(72)}"))
    peers = tuple((place(number), _FIRST_PEER_PORT + 7 * number) for number in range(1, _PEERS + 1))
    client = callers(
        stage, addresses=1, targets=peers, per_s=_PEERS / _PEERS_S, most=_PEERS, patience_s=_PEERS_S
    )
    client.wait_for_all(2 * _PEERS_S)
    stage.wait(4.0)
    if client.so_far.connected or client.so_far.refused > 30:
        raise SynguardError(f"some of the dead peers live: {client.so_far}")


def _outward(stage: Stage, targets: tuple[tuple[str, int], ...], per_s: float) -> Callers:
    """Start callers in the server's namespace."""
    server = stage.topology.server
    dialling = Dialling(namespace=server.namespace, targets=targets, per_s=per_s, patience_s=8.0)
    return stage.run(Callers(dialling))


def _own_dead_peers(stage: Stage) -> None:
    stage.serve()
    peers = tuple((f"{_NOWHERE}{number}", _FIRST_PEER_PORT + 7 * number) for number in range(1, _PEERS + 1))
    own = _outward(stage, peers, _PEERS / _PEERS_S)
    stage.wait(_PEERS_S + 2.0)
    if own.so_far.connected or own.so_far.begun < _PEERS:
        raise SynguardError(f"some of the dead peers live: {own.so_far}")


def _own_scan(stage: Stage) -> None:
    stage.serve()
    client = stage.topology.client.ipv4.network
    scan(stage.topology.server, [f"{client.network_address + 16}/29"], "-sS", "-F", "-T4")
    scan(stage.topology.server, [str(stage.topology.client.ipv4.ip)], "-sT", "-T4")


def _outgoing(stage: Stage) -> None:
    stage.serve()
    client = stage.topology.client
    address = str(client.ipv4.ip)
    stage.run(echo(client, [address], PORT, 4096))
    good = _outward(stage, ((address, PORT),), 1000.0)
    refused = _outward(stage, ((address, PORT + 1),), 300.0)
    unanswered = _outward(stage, ((f"{_NOWHERE}9", PORT),), 100.0)
    stage.wait(8.0)
    served(good, 5000)
    if refused.so_far.refused < 1000 or unanswered.so_far.connected:
        raise SynguardError(f"these were to fail: {refused.so_far}, {unanswered.so_far}")


CASES = (
    Case(
        name="dead peers",
        purpose="Through a gateway a peer-to-peer client asks 97 peers in 10 s, and none is alive.",
        expected=NOTHING,
        play=_dead_peers,
        hosts=GATEWAY,
    ),
    Case(
        name="dead peers of one's own",
        purpose="The guarded host asks 97 peers in 10 s, and none answers.",
        expected=NOTHING,
        play=_own_dead_peers,
    ),
    Case(
        name="scan of one's own",
        purpose="nmap scans others from the guarded host.",
        expected=NOTHING,
        play=_own_scan,
    ),
    Case(
        name="outgoing connections",
        purpose="The guarded host connects to others 1,400 times a second; 400 of them fail.",
        expected=NOTHING,
        play=_outgoing,
    ),
)
