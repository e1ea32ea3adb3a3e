"""Good clients of an echo server while it is flooded, and what a daemon does about it."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.defences.guard import Guard
from bench.flood.plan import FloodPlan
from bench.net.links import Endpoint
from bench.net.namespaces import Topology, run_in, wait_until
from bench.peers.clients import GoodClient
from bench.peers.listener import echo
from bench.peers.messages import Connection
from bench.scenario.flood import ClientSpec
from synguard import client

PORT = 8080
#: What a native program sends back on a veth waits for a program at its other end.
GENERIC: dict[str, dict[str, Any]] = {"probe": {"xdp_mode": "generic"}}
#: No alert that is to outlive its flood for long.
QUICK = {**GENERIC, "detect": {"close_after_s": 1.0}}
_QUEUE_ENTRIES = 1024
#: So many that what a listener's own answers look like is known, and its clients are.
_FIRST_VISITS = 20


def spoofed(topology: Topology, duration_s: float, source: str = "0.0.0.0/0") -> FloodPlan:
    """Return 20,000 SYNs a second to the server's port, from any address unless one is given."""
    return FloodPlan(
        destination=str((topology.server.ipv6 if ":" in source else topology.server.ipv4).ip),
        destination_port=PORT,
        sources=(source,),
        syn_per_s=20_000.0,
        duration_s=duration_s,
    )


@contextlib.contextmanager
def good_clients(
    topology: Topology, spec: ClientSpec | None = None, *, port: int = PORT, ipv6: bool = False
) -> Iterator[GoodClient]:
    """Have the server echo on a port, and good clients visit ``PORT`` while the block lasts.

    By default 80 connect each second. The first ones are served when the block begins.
    """
    server = topology.server
    address = str((server.ipv6 if ipv6 else server.ipv4).ip)
    wanted = spec or ClientSpec(name="good")
    with (
        echo(server, [address], port, _QUEUE_ENTRIES),
        GoodClient(topology.client, wanted, address, PORT) as visiting,
    ):
        wait_until(lambda: visiting.succeeded >= _FIRST_VISITS, "the first visits")
        yield visiting


def begun_since(visits: list[Connection], begin_ns: int, end_ns: int | None = None) -> list[Connection]:
    """Return the visits that began in a span of CLOCK_MONOTONIC."""
    return [one for one in visits if begin_ns <= one.start_ns and (end_ns is None or one.start_ns < end_ns)]


def served(visits: list[Connection]) -> float:
    """Return the share, 0..1, of visits that were connected, and answered, within 1.5 s each."""
    assert visits
    return sum(one.succeeded for one in visits) / len(visits)


def connects(endpoint: Endpoint, address: str, source: str | None = None, timeout_s: float = 3.0) -> bool:
    """Try one new connection to ``PORT``, from another address if one is given."""

    def attempt() -> bool:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as made:
            made.settimeout(timeout_s)
            if source is not None:
                made.setsockopt(socket.IPPROTO_IP, 15, 1)  # IP_FREEBIND
                made.bind((source, 0))
            with contextlib.suppress(OSError):
                made.connect((address, PORT))
                return True
        return False

    return run_in(endpoint, attempt)


def stack_counter(endpoint: Endpoint, name: str) -> int:
    """Return what the kernel's stack in a namespace has counted under ``TcpExt``."""

    def read() -> int:
        with Path("/proc/thread-self/net/netstat").open(encoding="ascii") as file:
            names, values, *_ = (line.split() for line in file)
        return int(values[names.index(name)])

    return run_in(endpoint, read)


def alerts(guard: Guard) -> list[dict[str, Any]]:
    """Return what the daemon has alerted."""
    found: list[dict[str, Any]] = client.request(guard.socket, "alerts", filter={})
    return found


def in_force(guard: Guard) -> dict[str, str]:
    """Return the response to each target of ``synguard block list``."""
    rows: list[dict[str, Any]] = client.request(guard.socket, "block_list")
    return {row["target"]: row["response"] for row in rows}


def cookies_are_on(guard: Guard) -> bool:
    """Tell whether some listener answers everybody with cookies."""
    return [one["state"] for one in guard.status()["responses"]["cookies"]] == ["on"]


def first(guard: Guard, *names: str, after: int = 0, timeout_s: float = 10.0) -> int:
    """Wait for one of these log events, ``after`` of which came before; return its monotonic time in ns."""

    def found() -> list[int]:
        return sorted(event.seen_ns for name in names for event in guard.named(name))

    guard.wait_for(lambda: len(found()) > after, " or ".join(names), timeout_s)
    return found()[after]


def recorded_responses(guard: Guard) -> list[tuple[str, ...]]:
    """Return what the history has of responses, but for modes, numbers and times, in the order of begin."""
    with contextlib.closing(sqlite3.connect(f"file:{guard.database}?mode=ro", uri=True)) as history:
        return history.execute(
            "SELECT response, target, reason, asked_by, ended_because FROM responses ORDER BY id"
        ).fetchall()


def rises(value: Callable[[], int], by: int, what: str, timeout_s: float = 5.0) -> None:
    """Wait until a counter has grown by so much."""
    before = value()
    wait_until(lambda: value() >= before + by, what, timeout_s)


def monotonic_ns() -> int:
    """Return now, as log events and visits are timed."""
    return time.monotonic_ns()


def with_respond(settings: Mapping[str, dict[str, Any]], **respond: Any) -> dict[str, dict[str, Any]]:
    """Return settings with some of ``respond``."""
    return {**settings, "respond": respond}
