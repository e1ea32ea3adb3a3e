"""A flood's end under each response: the alert closes, good clients do not reopen it, nothing is left."""

from __future__ import annotations

from typing import Any

import pytest

from bench.flood.driver import FloodGenerator
from bench.net.namespaces import SILENT_IPV4, Topology, wait_until
from tests.netns import good

from .conftest import StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

#: How long an alert may outlive its flood, in seconds.
CLOSES_WITHIN_S = 30.0


@pytest.mark.parametrize(
    ("response", "source", "settings"),
    [
        ("drop", str(SILENT_IPV4), {"drop": "always", "block_ttl_s": 5}),
        ("greylist", str(SILENT_IPV4), {}),
        ("greylist", "0.0.0.0/0", {"listener_response": "greylist"}),
        ("cookie", "0.0.0.0/0", {}),
    ],
    ids=["drop", "greylist of a source", "greylist of a listener", "cookie"],
)
def test_an_alert_closes_and_good_clients_do_not_reopen_it(
    topology: Topology,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
    response: str,
    source: str,
    settings: dict[str, Any],
) -> None:
    """With its end the response is over and gone, though 80 clients a second go on connecting."""
    # One of them with the settings as they come; the others need not wait as long.
    others = {} if response == "cookie" else {"detect": {"close_after_s": 1.0}}
    guard = start_daemon("enforce", good.with_respond({**good.GENERIC, **others}, **settings))
    plan = good.spoofed(topology, 3.0, source)
    with good.good_clients(topology) as clients:
        flood_generator.start(plan)
        wait_until(lambda: response in good.in_force(guard).values(), response, 4.0)
        flood_generator.finish(plan)
        good.first(guard, "alert.closed", timeout_s=CLOSES_WITHIN_S)
        wait_until(lambda: good.in_force(guard) == {}, "the response's end", 15.0)
        ended_ns = good.monotonic_ns()
        wait_until(lambda: guard.status()["responses"]["cookies"] == [], "the end of cookies")
        # The snapshot that ended the response was taken before its last drop.
        good.rises(lambda: guard.status()["totals"]["attempts"], 20, "the next snapshot")
        before = guard.status()["totals"]
        good.rises(lambda: clients.succeeded, 2 * 80, "two seconds of good clients", 10.0)
        after = guard.status()["totals"]
        visits = clients.finish()
    assert good.served(good.begun_since(visits, ended_ns)) == 1.0
    assert [len(guard.named(name)) for name in ("alert.raised", "alert.closed")] == [1, 1]
    for name in ("dropped_by_us", "greylisted", "cookies_sent"):
        assert after[name] == before[name], name
    (alert,) = good.alerts(guard)
    assert (alert["state"], alert["action"]["response"]) == ("closed", response)
