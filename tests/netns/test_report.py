"""A report of what a real daemon saw of a real flood, opened in a real browser."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from bench.defences.guard import Guard, synguard_command
from bench.flood.driver import FloodGenerator
from bench.flood.plan import ANY_IPV4, FloodPlan
from bench.net.namespaces import Topology, wait_until
from tests.unit.report.browser import browsing
from tests.unit.report.parsed import Page

from .conftest import OpenListener, ShakeHands, StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080
FLOOD_SYN_PER_S = 2000.0


@pytest.fixture
def flooded(
    topology: Topology,
    start_daemon: StartDaemon,
    open_listener: OpenListener,
    shake_hands_from_client: ShakeHands,
    flood_generator: FloodGenerator,
) -> Guard:
    """Return a daemon that has seen clients, and then a spoofed flood of three seconds."""
    address = str(topology.server.ipv4.ip)
    open_listener(address, PORT)
    guard = start_daemon()
    shake_hands_from_client(address, PORT, 23)
    plan = FloodPlan(
        destination=address,
        destination_port=PORT,
        sources=(str(ANY_IPV4),),
        syn_per_s=FLOOD_SYN_PER_S,
        duration_s=3.0,
    )
    flood_generator.flood(plan)
    guard.wait_for(lambda: bool(guard.named("alert.raised")), "the alert", 10.0)
    return guard


def report(guard: Guard, path: Path, *arguments: str) -> Page:
    """Ask the running daemon for a report, and return it taken apart."""
    command = synguard_command("report", *arguments, "--socket", str(guard.socket), "--output", str(path))
    subprocess.run(command, check=True, timeout=60)
    return Page.of(path.read_text(encoding="utf-8"))


def highest(page: Page) -> float:
    """Return the highest attempts per second that the first plot says it shows."""
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    found = re.search(r"at most ([\d,]+)", labels[0])
    assert found
    return float(found[1].replace(",", ""))


def test_what_a_daemon_saw_is_on_the_pages(flooded: Guard, topology: Topology, tmp_path: Path) -> None:
    """While it runs, the alert's page and the day's show the flood at its rate, its target and its class."""
    path, day = tmp_path / "alert.html", tmp_path / "day.html"

    def is_there() -> bool:
        return highest(report(flooded, path, "1")) > 0.5 * FLOOD_SYN_PER_S

    wait_until(is_there, "the flood's seconds", timeout_s=30.0)
    page, of_day = report(flooded, path, "1"), report(flooded, day, "--since", "1d")
    for found in (page, of_day):
        assert highest(found) <= 1.5 * FLOOD_SYN_PER_S
        assert f"{topology.server.ipv4.ip}:{PORT}" in found.text
        assert "syn-flood spoofed" in found.text
        assert "Do not block by source" in found.text
        assert "did not run from" in found.text
    with browsing(tmp_path / "browser") as browser:
        for file, plots in ((path, 1), (day, 2)):
            browser.show(file)
            assert browser.logs() == ([], [file.as_uri()])
            assert len(browser.plots()) == plots
            assert browser.too_wide() == []
