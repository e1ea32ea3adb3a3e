"""Responses switched off and on in the middle of a flood, and what dry-run records of one."""

from __future__ import annotations

import pytest

from bench.defences.guard import Guard
from bench.flood.driver import FloodGenerator
from bench.net.namespaces import SILENT_IPV4, Topology, wait_until
from synguard import client
from tests.netns import good

from .conftest import StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

BEGINNINGS = ("listener.greylisted", "listener.cookies_begun")


def test_off_undoes_a_listeners_answers_and_enforce_begins_again(
    topology: Topology, flood_generator: FloodGenerator, start_daemon: StartDaemon
) -> None:
    """No SYN is dropped or answered by us any more though the flood goes on; then both begin anew."""
    guard = start_daemon("enforce", good.QUICK)

    def total(name: str) -> int:
        return int(guard.status()["totals"][name])

    with good.good_clients(topology) as clients:
        flood_generator.start(good.spoofed(topology, 20.0))
        wait_until(lambda: good.cookies_are_on(guard), "cookies for everybody", 10.0)
        asked_ns = good.monotonic_ns()
        assert client.request(guard.socket, "respond", mode="off")["ended"] == 1
        assert good.in_force(guard) == {}
        # What is counted now was read before the change, or after it; what is read from here on, after it.
        good.rises(lambda: total("attempts"), 1, "a reading")
        before = guard.status()["totals"]
        good.rises(lambda: total("attempts"), 20_000, "a second of the flood")
        after = guard.status()["totals"]
        for name in ("cookies_sent", "greylisted", "dropped_by_us"):
            assert after[name] == before[name], name
        begun = sum(len(guard.named(name)) for name in BEGINNINGS)
        client.request(guard.socket, "respond", mode="enforce")
        good.first(guard, *BEGINNINGS, after=begun)
        wait_until(lambda: good.cookies_are_on(guard), "cookies for everybody again", 10.0)
        flood_generator.stop()
        visits = clients.finish()
    assert good.served(good.begun_since(visits, asked_ns)) >= 0.99


def responses_to_two_floods(
    guard: Guard, topology: Topology, generator: FloodGenerator
) -> list[tuple[str, ...]]:
    """Flood from one source, then from random ones; return what is recorded of responses to it."""
    with good.good_clients(topology):
        for number, source in enumerate((str(SILENT_IPV4), "0.0.0.0/0")):
            generator.flood(good.spoofed(topology, 2.0, source))
            good.first(guard, "alert.closed", after=number, timeout_s=15.0)
    assert guard.stop() == 0
    return [*good.recorded_responses(guard)]


def test_dry_run_records_what_enforce_does(
    topology: Topology, flood_generator: FloodGenerator, start_daemon: StartDaemon
) -> None:
    """The same responses to the same targets for the same reasons, ended by the same; only not done."""
    spared = start_daemon("dry-run", good.QUICK)
    would = responses_to_two_floods(spared, topology, flood_generator)
    spared.database.unlink()
    done = responses_to_two_floods(start_daemon("enforce", good.QUICK), topology, flood_generator)
    assert would == done
    assert [(row[0], row[1]) for row in done] == [
        ("greylist", str(SILENT_IPV4)),
        (done[1][0], f"{topology.server.ipv4.ip}:{good.PORT}"),
    ]
