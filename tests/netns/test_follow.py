"""Following a real daemon's alerts through a flood, a kill and the next daemon."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bench.defences.guard import Guard, synguard_command
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080


def flood(server: str) -> FloodPlan:
    """Return a flood by one source that lasts until it is stopped."""
    return FloodPlan(
        destination=server,
        destination_port=PORT,
        sources=(str(SILENT_IPV4),),
        syn_per_s=2000.0,
        duration_s=60.0,
    )


def asking(guard: Guard, *arguments: str) -> list[str]:
    """Return a command that asks a daemon by its socket, and its history while it is away."""
    config = guard.database.with_name("asking.toml")
    config.write_text(f'[control]\nsocket = "{guard.socket}"\n[history]\ndatabase = "{guard.database}"\n')
    return synguard_command(*arguments, "--config", str(config))


def explained(guard: Guard, alert_id: int) -> str:
    """Return what ``synguard explain`` tells."""
    command = asking(guard, "explain", str(alert_id))
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


@contextmanager
def following(guard: Guard, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run ``synguard alerts --follow``."""
    command = asking(guard, "alerts", "--follow", "--format", "jsonl", *options)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], is_there: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Return the alerts that are shown, up to the first that is as wanted."""
    assert process.stdout is not None
    shown: list[dict[str, Any]] = []
    for line in process.stdout:
        shown.append(json.loads(line))
        if is_there(shown[-1]):
            return shown
    raise AssertionError(f"nothing more came after {shown}")


def test_a_flood_is_followed_over_a_kill(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """An opening is shown, the end that the next daemon gives it, the next alert, and its end: each once."""
    server = str(topology.server.ipv4.ip)
    open_listener(server, PORT)
    first = start_daemon()
    with following(first, "--state", "open") as process:
        assert process.stderr is not None
        flood_generator.start(flood(server))
        opened = until(process, lambda alert: alert["state"] == "open")[-1]
        assert (opened["listener"], opened["source"]) == (f"{server}:{PORT}", str(SILENT_IPV4))
        os.kill(first.pid, signal.SIGKILL)
        assert "history file" in process.stderr.readline()
        first.stop()
        start_daemon()
        assert "the daemon answers" in process.stderr.readline()
        shown = until(process, lambda alert: alert["id"] != opened["id"])
        flood_generator.stop()
        shown += until(process, lambda alert: alert["id"] != opened["id"] and alert["state"] == "closed")
        process.send_signal(signal.SIGINT)
        rest, notes = process.communicate(timeout=10)
    assert (process.returncode, rest, notes) == (130, "", "")
    told = explained(first, shown[-1]["id"])
    assert re.search(r"█.*  attempts, at most [\d,]{3,}/s", told)
    assert "  completed, at most 0/s" in told
    ends = [(alert["id"], alert["closed_because"]) for alert in shown if alert["state"] == "closed"]
    assert ends == [(opened["id"], "interrupted"), (shown[-1]["id"], "ended")]
