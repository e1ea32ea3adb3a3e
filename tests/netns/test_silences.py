"""Silences under a real daemon: a flood that nobody wants to hear of, until somebody does."""

from __future__ import annotations

import os
import signal
import time

import pytest

from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology, wait_until
from synguard import client
from synguard.errors import UsageError
from synguard.history.query import AlertFilter, find_alerts

from .conftest import OpenListener, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080


def test_a_silenced_flood_is_recorded_and_answered_only_once_the_silence_is_removed(
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """No warning and no block while it lasts; when it ends the flood is raised and dropped."""
    server = str(topology.server.ipv4.ip)
    target = f"{server}:{PORT}"
    open_listener(server, PORT)
    guard = start_daemon("enforce", {"respond": {"drop": "always"}})
    client.request(guard.socket, "silence_add", target=target, for_s=600.0, reason="load test")
    flood_generator.start(
        FloodPlan(
            destination=server,
            destination_port=PORT,
            sources=(str(SILENT_IPV4),),
            syn_per_s=2000.0,
            duration_s=30.0,
        )
    )
    guard.wait_for(lambda: bool(guard.named("alert.silenced")), "the alert", 5.0)
    time.sleep(1.5)  # as long as it takes to be decided and updated, if it were
    (alert,) = client.request(guard.socket, "alerts", filter={})
    assert (alert["silenced"], alert["state"], alert["action"]) == (True, "open", None)
    assert alert["decision"].startswith(f"{target} is silenced until ")
    assert alert["decision"].endswith("by uid 0: load test")
    assert client.request(guard.socket, "block_list") == []
    assert guard.status()["silences"] == 1
    assert not [event for event in guard.events if event.fields["level"] in ("warning", "error")]

    assert client.request(guard.socket, "silence_remove", target=target) == {"removed": 1}
    guard.wait_for(lambda: bool(guard.named("source.blocked")), "the answer", 3.0)
    flood_generator.stop()
    assert [event.fields["alert_id"] for event in guard.named("alert.raised")] == [alert["id"]]
    assert guard.stop() == 0
    (kept,) = find_alerts(guard.database, AlertFilter(listener=target))
    assert not kept.silenced
    assert kept.response is not None
    told = [(one.what, one.after) for one in kept.timeline if one.what in ("silence", "response")]
    assert [what for what, _ in told] == ["silence", "silence", "response"]
    assert told[1:] == [("silence", None), ("response", f"drop {SILENT_IPV4} (enforce)")]


def test_silences_outlive_a_killed_daemon(start_daemon: StartDaemon) -> None:
    """A silence is in force again under the next daemon, with who asked for it, why, and its end."""
    guard = start_daemon()
    for target in ("[2001:db8::5]:443", "198.51.100.0/24"):
        client.request(guard.socket, "silence_add", target=target, for_s=600.0, reason="our scanner")
    client.request(guard.socket, "silence_remove", target="198.51.100.0/24")
    wait_until(lambda: guard.status()["history"]["queued"] == 0, "the disk")
    (before,) = client.request(guard.socket, "silence_list")
    os.kill(guard.pid, signal.SIGKILL)
    guard.stop()
    assert client.request(start_daemon().socket, "silence_list") == [before]
    assert (before["target"], before["of"]) == ("[2001:db8::5]:443", "listener")
    assert (before["reason"], before["asked_by"]) == ("our scanner", "uid 0")


def test_what_cannot_be_silenced_is_said(start_daemon: StartDaemon) -> None:
    """Bad targets, durations and reasons are refused in words, and silence nothing."""
    guard = start_daemon()
    good = {"target": "198.51.100.7", "for_s": 60.0}
    for wrong, said in (
        ({"target": "everyone"}, "names are not looked up"),
        ({"target": "192.0.2.1:70000"}, "1 to 65535"),
        ({"for_s": 0.0}, "a silence lasts from 1 s to 30 days"),
        ({"for_s": 31 * 86400.0}, "not 2.6784e"),
        ({"reason": "x" * 501}, "at most 500 characters"),
    ):
        with pytest.raises(UsageError, match=said):
            client.request(guard.socket, "silence_add", **{**good, **wrong})
    assert client.request(guard.socket, "silence_list") == []
    assert client.request(guard.socket, "silence_remove", target="198.51.100.7") == {"removed": 0}
