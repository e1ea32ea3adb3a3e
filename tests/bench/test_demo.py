"""The demo: what it promises, what it says when a promise breaks, and that it leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bench.demo.__main__ import broken_promises
from bench.demo.phases import PhaseFigures
from bench.measure.usage import children
from bench.net.enter import child_environment
from bench.net.namespaces import namespaces_of, remove_stale, wait_until
from tests.unit.public import python_as_nobody

_KEYS = [
    "phase",
    "good_attempted",
    "good_succeeded",
    "flood_packets_sent",
    "flood_packets_dropped",
    "flood_packets_answered",
    "time_to_alert_ms",
    "time_to_act_ms",
    "time_to_close_ms",
    "alert_class",
    "action",
]
_NAMES = ["baseline", "control", "single-source", "spoofed", "after"]
_NEEDS_KERNEL = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]


def quiet(name: str, succeeded: int = 220) -> PhaseFigures:
    """Return the figures of a phase without a flood."""
    return PhaseFigures(phase=name, good_attempted=220, good_succeeded=succeeded)


def flooded(name: str, succeeded: int, **changes: Any) -> PhaseFigures:
    """Return the figures of a phase with a flood of one source, as it should go, with changes."""
    fields: dict[str, Any] = {
        "phase": name,
        "good_attempted": 300,
        "good_succeeded": succeeded,
        "time_to_alert_ms": 130.0,
        "time_to_close_ms": 4500.0,
        "alert_class": "single-source",
    }
    return PhaseFigures(**fields | changes)


#: What differs where every SYN claims another source.
_SPOOFED = {"alert_class": "spoofed", "time_to_alert_ms": 1100.0, "action": "cookie"}


def story(**instead: PhaseFigures) -> list[PhaseFigures]:
    """Return the figures of a demo that kept every promise, with other phases instead."""
    kept = [
        quiet("baseline"),
        flooded("control", 40),
        flooded("single-source", 299, action="drop"),
        flooded("spoofed", 299, **_SPOOFED),
        quiet("after"),
    ]
    return [instead.get(figures.phase.replace("-", "_"), figures) for figures in kept]


def test_a_story_as_it_should_be_breaks_no_promise() -> None:
    """Figures that are all as they should be give no complaint."""
    assert broken_promises(story()) == []


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        (quiet("baseline", 219), "baseline: every connection succeeds"),
        (quiet("after", 0), "after: every connection succeeds"),
        (flooded("control", 150), "control: under 50 % of connections succeed, or the flood proves nothing"),
        (flooded("single-source", 296, action="drop"), "single-source: at least 99 % of connections succeed"),
        (
            flooded("single-source", 300, action="drop", time_to_alert_ms=1000.0),
            "single-source: alerted in under 1 s",
        ),
        (
            flooded("single-source", 300, action="drop", time_to_alert_ms=None),
            "single-source: alerted in under 1 s",
        ),
        (flooded("single-source", 300), "single-source: the response is drop"),
        (flooded("spoofed", 296, **_SPOOFED), "spoofed: at least 99 % of connections succeed"),
        (flooded("spoofed", 300, **_SPOOFED | {"action": "greylist"}), "spoofed: the response is cookie"),
        (flooded("control", 40, alert_class="spoofed"), "control: classed as single-source"),
        (flooded("control", 40, time_to_close_ms=None), "control: every alert closes"),
        (flooded("control", 40, good_attempted=199), "control: at least 200 connections"),
        (
            flooded("spoofed", 300, **_SPOOFED | {"time_to_alert_ms": 2000.0}),
            "spoofed: alerted in under 2 s",
        ),
    ],
)
def test_a_broken_promise_is_named(changed: PhaseFigures, complaint: str) -> None:
    """A figure that is not as it should be gives exactly the complaint about it."""
    assert broken_promises(story(**{changed.phase.replace("-", "_"): changed})) == [complaint]


def start_demo(*arguments: str) -> subprocess.Popen[str]:
    """Return a demo that has just been started."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench.demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=child_environment(),
        text=True,
    )


def folders_of(pid: int) -> list[Path]:
    """Return the temporary folders that a demo made."""
    return list(Path(tempfile.gettempdir()).glob(f"synguard-demo-{pid}-*"))


@pytest.fixture
def flooding() -> Iterator[subprocess.Popen[str]]:
    """Return a demo in the middle of its first flood."""
    demo = start_demo()
    assert demo.stdout is not None
    try:
        assert any("the first packet has left" in line for line in iter(demo.stdout.readline, ""))
        yield demo
    finally:
        demo.kill()
        demo.communicate()


@pytest.mark.root
def test_without_root_it_says_what_to_do() -> None:
    """Somebody who is not root gets exit code 3 and the command that works."""
    demo = python_as_nobody("-m", "bench.demo")
    assert demo.returncode == 3
    assert "sudo make demo" in demo.stderr


@pytest.mark.root
def test_a_report_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    """A --json in a folder that does not exist is a usage error, before anything is set up."""
    with start_demo("--json", str(tmp_path / "missing" / "figures.json")) as demo:
        output, complaint = demo.communicate(timeout=30)
    assert demo.returncode == 2
    assert "there is no such folder" in complaint
    assert output == ""


class TestInTheKernel:
    """The whole story, and stories cut short."""

    pytestmark = _NEEDS_KERNEL

    @pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_interrupted_it_removes_everything(
        self, flooding: subprocess.Popen[str], number: signal.Signals, exit_code: int
    ) -> None:
        """Ctrl-C or SIGTERM in the middle of a flood leaves no namespace and no folder."""
        assert namespaces_of(flooding.pid)
        assert folders_of(flooding.pid)
        flooding.send_signal(number)
        assert flooding.wait(20) == exit_code
        assert namespaces_of(flooding.pid) == []
        assert folders_of(flooding.pid) == []

    def test_killed_it_takes_its_processes_along(self, flooding: subprocess.Popen[str]) -> None:
        """Whatever the demo had started ends by itself when the demo is killed with kill -9."""
        started = children(flooding.pid)
        assert len(started) == 4  # generator, daemon, listener and good client
        flooding.kill()
        flooding.wait()
        wait_until(lambda: not any(map(is_running, started)), "the end of its processes", 15)
        remove_stale()
        assert namespaces_of(flooding.pid) == []

    def test_every_promise_is_kept(self, tmp_path: Path) -> None:
        """The whole demo keeps its promises in at most 45 s, and writes the figures of its five phases."""
        figures_file = tmp_path / "figures.json"
        with start_demo("--json", str(figures_file)) as demo:
            output, complaint = demo.communicate(timeout=100)
        assert (demo.returncode, complaint) == (0, ""), output + complaint
        figures = msgspec.json.decode(figures_file.read_bytes())
        assert [list(phase) for phase in figures] == [_KEYS] * 5
        assert [phase["phase"] for phase in figures] == _NAMES
        assert broken_promises([PhaseFigures(**phase) for phase in figures]) == []
        for phase in figures[1:4]:
            assert phase["flood_packets_sent"] >= 4 * 50_000
        assert [phase["action"] for phase in figures] == [None, None, "drop", "cookie", None]
        assert figures[2]["flood_packets_dropped"] > 100_000
        assert figures[2]["flood_packets_answered"] == 0
        # The greylist dropped those that came before a client was back with a cookie.
        assert figures[3]["flood_packets_answered"] > 50_000
        assert figures[3]["flood_packets_dropped"] + figures[3]["flood_packets_answered"] > 200_000
        assert "syn-flood spoofed" in output


def is_running(pid: int) -> bool:
    """Tell whether a process still runs; one that nobody has waited for does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
