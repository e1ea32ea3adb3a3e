"""Commands in a host's namespace, and what they show of its interfaces."""

from __future__ import annotations

import subprocess

from bench.net.enter import child_environment, command_in
from bench.net.links import Endpoint

TIMEOUT_S = 60.0


def run(endpoint: Endpoint, *argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in a host's namespace; raises CalledProcessError if it fails and ``check`` is true."""
    return subprocess.run(
        command_in(endpoint.namespace, argv),
        check=check,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=child_environment(),
    )


def attached(endpoint: Endpoint, interface: str | None = None) -> str:
    """Return what is on the host's interface, or another one there: XDP program, qdiscs, tc filters."""
    name = interface or endpoint.interface
    return "\n".join(
        run(endpoint, *argv, name).stdout
        for argv in (
            ["ip", "-details", "link", "show", "dev"],
            ["tc", "qdisc", "show", "dev"],
            ["tc", "filter", "show", "egress", "dev"],
            ["tc", "filter", "show", "ingress", "dev"],
        )
    )
