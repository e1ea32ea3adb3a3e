"""The control socket of a real daemon under many, slow and senseless clients: none costs the guard."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bench.defences.guard import Guard
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology, wait_until
from synguard import client
from synguard.daemon.permitting import CHANGES, READS
from synguard.errors import SynguardError

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
CLIENTS = 100
REQUESTS = 3000
#: At a read each 50 ms such a flood is seen within a few reads; a busy test machine takes longer.
ALERT_WITHIN_S = 2.0

NAMES = (
    *("id", "filter", "target", "targets", "ttl_s", "for_s", "reason", "mode", "since", "until", "since_s"),
    *(
        "until_s",
        "listeners",
        "most_steps",
        "alert_id",
        "after",
        "wait_s",
        "sort",
        "rows",
        "number",
        "daemon",
    ),
)
SCALARS = (
    *(None, True, False, 0, 1, -1, 600, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308, 5e-324),
    *("", "x", "enforce", "off", "192.0.2.7", "0.0.0.0/0", "::/0", "[::1]:80", "192.0.2.7:0", "fe80::1%eth0"),
    *("2026-11-22", "1h", "\0", "\u202e", "\ud800", "a" * 5000, "' OR 1=1 --", "../../etc/passwd"),
)


def nonsense(chance: random.Random, depth: int = 0) -> Any:
    """Return what JSON can carry, and what no command expects."""
    kind = chance.random()
    if depth > 3 or kind < 0.7:
        return chance.choice(SCALARS)
    if kind < 0.85:
        return [nonsense(chance, depth + 1) for _ in range(chance.randrange(5))]
    return {chance.choice(NAMES): nonsense(chance, depth + 1) for _ in range(chance.randrange(5))}


def request_line(chance: random.Random) -> bytes:
    """Return a line that may be a request, as somebody who means harm would write it."""
    command = chance.choice([*sorted(READS | CHANGES), "no_such_command"])
    arguments = {chance.choice(NAMES): nonsense(chance) for _ in range(chance.randrange(5))}
    line = json.dumps({"command": command, "arguments": arguments}).encode()
    kind = chance.random()
    if kind < 0.1:
        line = line[: chance.randrange(len(line))]
    elif kind < 0.2:
        place = chance.randrange(len(line))
        line = line[:place] + chance.randbytes(chance.randrange(1, 9)) + line[place:]
    elif kind < 0.22:
        line = b"[" * 100_000
    return line.replace(b"\n", b" ") + b"\n"


def test_senseless_requests_are_refused_in_words(start_daemon: StartDaemon) -> None:
    """Every line gets an answer in the protocol's form; no handler breaks, and good clients are served."""
    guard = start_daemon("dry-run")
    chance = random.Random(20_261_124)  # noqa: S311 - the same nonsense each time, and no secret
    refused = 0
    for _ in range(REQUESTS):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(guard.socket))
            line = request_line(chance)
            connection.sendall(line)
            answer = json.loads(connection.makefile("rb").readline())
        if not answer["ok"]:
            refused += 1
            assert answer["exit_code"] in (1, 2, 3), line
            assert "internal error" not in answer["error"], line
            assert answer["error"], line
    assert refused > REQUESTS / 2
    assert not guard.named("control.handler_failed")
    assert guard.status()["pid"] == guard.pid
    wait_until(lambda: descriptors(guard) < 80, "connections to be gone")


def descriptors(guard: Guard) -> int:
    """Return how many descriptors the daemon holds."""
    return len(list(Path(f"/proc/{guard.pid}/fd").iterdir()))


class Crowd:
    """A hundred who ask without end, read slowly, never finish a request, or leave in the middle."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._over = threading.Event()
        self.answers = 0

    def _ask(self) -> None:
        while not self._over.is_set():
            with suppress(SynguardError):
                client.request(self._path, "status")
                self.answers += 1

    def _dawdle(self) -> None:
        while not self._over.is_set():
            with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._path))
                connection.sendall(b'{"command": "status"}\n' * 50)
                self._over.wait(0.2)  # and take nothing of the answers

    def _begin(self) -> None:
        while not self._over.is_set():
            with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._path))
                connection.sendall(b'{"command": "sta')
                self._over.wait(0.5)

    @contextmanager
    def about(self) -> Iterator[None]:
        """Let them loose while the block runs."""
        kinds = (self._ask, self._dawdle, self._begin, self._dawdle)
        threads = [threading.Thread(target=kinds[number % len(kinds)]) for number in range(CLIENTS)]
        with ExitStack() as stack:
            for thread in threads:
                thread.start()
                stack.callback(thread.join)
            stack.callback(self._over.set)
            yield


def test_a_hundred_clients_at_once_delay_no_alert(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """The flood is told of as soon as it would be without them; afterwards everybody is served again."""
    server = str(topology.server.ipv4.ip)
    open_listener(server, PORT)
    guard = start_daemon("dry-run")
    crowd = Crowd(guard.socket)
    with crowd.about():
        wait_until(lambda: crowd.answers > 10, "the crowd to be about")
        began_ns = time.monotonic_ns()
        flood_generator.start(
            FloodPlan(
                destination=server,
                destination_port=PORT,
                sources=(str(SILENT_IPV4),),
                syn_per_s=20_000.0,
                duration_s=10.0,
            )
        )
        guard.wait_for(lambda: bool(guard.named("alert.raised")), "the alert", 10.0)
        after_s = (guard.named("alert.raised")[0].seen_ns - began_ns) / 1e9
        flood_generator.stop()
    assert after_s < ALERT_WITHIN_S
    wait_until(lambda: guard.status()["pid"] == guard.pid, "an answer")
    assert not guard.named("control.handler_failed")
