"""Segments that get lost between a kernel and the wire, by rules in one host's firewall."""

from __future__ import annotations

from bench.net.links import Endpoint

from .stage import Stage

SYNACK = "tcp flags & (syn|ack) == (syn|ack)"
#: An ACK and nothing else, by its flags; the first of a connection is the handshake's last segment.
LAST_ACK = "tcp flags & (fin|syn|rst|psh|ack) == ack"


def lose_first(stage: Stage, endpoint: Endpoint, hook: str, match: str, port: str) -> None:
    """Drop the first segment that matches on each connection; the same one again passes.

    Args:
        stage: whose test it is for.
        endpoint: the host that loses it.
        hook: ``input``: before its TCP hears of it; ``output``: before it is on the wire.
        match: of nftables.
        port: which port tells its connections apart there: ``sport`` or ``dport``.

    """
    stage.firewall(
        endpoint,
        f"""
        set lost {{ type inet_service; flags dynamic; size 1024; }}
        chain lose {{
            type filter hook {hook} priority 0;
            {match} tcp {port} != @lost add @lost {{ tcp {port} }} drop
        }}
        """,
    )
