"""What the tests of blindness share: commands in a namespace, a moment to measure from, alerts in words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pyroute2 import IPRoute

from bench.defences.guard import Guard
from bench.net.links import Endpoint
from bench.net.namespaces import run_in, wait_until
from synguard import client

#: Whoever is blinded hears of it within this time.
WITHIN_S = 5.0


def alerts(guard: Guard, kind: str = "blind") -> list[dict[str, Any]]:
    """Return the alerts of a kind, the first that was raised first."""
    found: list[dict[str, Any]] = client.request(guard.socket, "alerts", filter={"kind": kind, "sort": "id"})
    return found


def told(alert: dict[str, Any]) -> dict[str, Any]:
    """Return an alert's evidence by name."""
    return {item["name"]: item["value"] for item in alert["evidence"]}


def raised(guard: Guard, cause: str, began_ns: int, within_s: float = WITHIN_S) -> dict[str, Any]:
    """Return the alert of a cause once it is raised; fails if that takes longer, by the log's own clock."""

    def seen() -> list[int]:
        events = guard.named("alert.raised")
        return [event.seen_ns for event in events if event.fields.get("cause") == cause]

    # A slow machine may be late in telling, which the figures below know of.
    guard.wait_for(lambda: bool(seen()), f"the alert of {cause}", within_s + 10.0)
    assert seen()[0] - began_ns <= within_s * 1e9
    (alert,) = [one for one in alerts(guard) if told(one)["cause"] == cause]
    return alert


def closed(guard: Guard, alert: dict[str, Any], within_s: float = 15.0) -> dict[str, Any]:
    """Return an alert once it is closed."""

    def now() -> dict[str, Any]:
        return next(one for one in alerts(guard) if one["id"] == alert["id"])

    wait_until(lambda: now()["state"] == "closed", f"the end of alert {alert['id']}", within_s)
    return now()


def stays_quiet(guard: Guard, seconds: float) -> None:
    """Hold that for so long no alert of blindness is raised."""
    end_s = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end_s, "the time", seconds + 5.0)
    assert alerts(guard) == []
    status = guard.status()
    assert status["blind"] == []
    assert status["one_way"] is False
    assert [interface["blind"] for interface in status["interfaces"]] == [[]]


def of_interface(guard: Guard) -> dict[str, Any]:
    """Return what status says of the first interface."""
    described: dict[str, Any] = guard.status()["interfaces"][0]
    return described


def with_route(
    endpoint: Endpoint, work: Callable[[IPRoute, int], None], interface: str | None = None
) -> None:
    """Let pyroute2 work on an endpoint's interface, from inside its namespace."""

    def there() -> None:
        with IPRoute() as route:
            (index,) = route.link_lookup(ifname=interface or endpoint.interface)
            work(route, index)

    run_in(endpoint, there)
