"""hping3, nmap and trafgen as second opinions: bounded, counted by their own word and by the interface's."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import TCP

from bench.flood import tools
from bench.flood.commands import Tool
from bench.flood.driver import FloodGenerator
from bench.flood.plan import Shape
from bench.flood.resolve import plan_of
from bench.flood.tools import ToolFlood, flooder
from bench.net.enter import NAMESPACES
from bench.net.namespaces import Topology, wait_until
from bench.scenario.model import FloodSpec
from synguard.errors import SynguardError, UnsupportedError
from tests.bench.flooding import capture_at_server, ip_of, plan_for, rebuilt

pytestmark = [pytest.mark.root, pytest.mark.netns]


@pytest.fixture(scope="module")
def topology() -> Iterator[Topology]:
    """One set of hosts for all floods."""
    with Topology() as built:
        yield built


def processes_in(topology: Topology) -> list[str]:
    """Return the names of the processes in the attacker's namespace."""
    number = (NAMESPACES / topology.attacker.namespace).stat().st_ino
    there = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns/net").stat().st_ino == number:
                there.append((process / "comm").read_text(encoding="ascii").strip())
        except OSError:  # it has ended
            continue
    return there


@pytest.mark.parametrize(
    ("tool", "changes", "within"),
    [
        ("hping3", {}, "198.18.66.13/32"),
        ("hping3", {"sources": ("any",), "random_ports": True}, "0.0.0.0/0"),
        ("trafgen", {"sources": ("192.0.2.64/26",), "random_ports": True}, "192.0.2.64/26"),
        ("trafgen", {"sources": ("2001:db8:0:8::/61",), "family": 6}, "2001:db8:0:8::/61"),
        ("trafgen", {"sources": ("any",), "family": 6}, "2000::/3"),
        ("nmap", {"sources": ("attacker",), "random_ports": True, "shape": Shape.BARE}, "198.18.66.2/32"),
        ("nmap", {"sources": ("attacker",), "random_ports": True, "family": 6}, "2001:2:0:66::2/128"),
    ],
)
def test_a_tool_sends_what_the_plan_says(
    topology: Topology, tool: Tool, changes: dict[str, Any], within: str
) -> None:
    """23 SYNs asked for are 23 by the tool's word and on the wire, from its sources to its ports."""
    plan = plan_of(FloodSpec(tool=tool, syn_per_s=46.0, **changes), topology, 443, 0.5)
    with capture_at_server(topology) as capture, flooder(tool, topology) as sender:
        sender.wait_until_ready()
        sender.start(plan)
        report = sender.finish(plan)
        frames = [frame for frame in capture.decoded(23) if str(frame[TCP].flags) == "S"]
    assert (len(frames), report.syns, report.distinct_syns) == (23, 23, 23)
    assert report.frames >= 23
    assert 0.1 < report.span_s < 2.0
    assert all(ip_address(ip_of(frame).src) in ip_network(within) for frame in frames)
    ports = {frame[TCP].dport for frame in frames}
    assert len(ports) >= 20 if plan.random_ports else ports == {443}
    # A connect scan's checksums are the kernel's, which on a veth leaves them to nobody.
    connects = tool == "nmap" and plan.shape is Shape.LINUX
    assert connects or all(rebuilt(frame) == bytes(frame) for frame in frames)


@pytest.mark.parametrize("tool", ["hping3", "trafgen"])
def test_a_tool_without_a_rate_is_ended_in_time(topology: Topology, tool: Tool) -> None:
    """As fast as it can, a tool sends until its time is up, tells how many, and is gone."""
    plan = plan_for("192.0.2.1", frames=None, syn_per_s=None, duration_s=0.3)
    with ToolFlood(tool, topology) as sender:
        report = sender.flood(plan)
    assert report.syns > 1000
    assert report.frames == pytest.approx(report.syns, rel=0.01)
    assert report.span_s < 2.0
    assert processes_in(topology) == []


@pytest.mark.parametrize("tool", ["hping3", "trafgen"])
def test_a_tool_can_be_stopped(topology: Topology, tool: Tool) -> None:
    """A tool that is told to stop, or whose block is left, ends at once."""
    plan = plan_for("192.0.2.1", frames=None, syn_per_s=50.0, duration_s=60.0)
    began_s = time.monotonic()
    with ToolFlood(tool, topology) as sender:
        started = sender.start(plan)
        assert 1 <= started.frames < 100
        assert 1 <= sender.stop().syns < 500
        sender.start(plan)
    assert time.monotonic() - began_s < 20.0
    wait_until(lambda: processes_in(topology) == [], "the tool's end")


def test_a_tool_that_sends_nothing_says_why(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a tool ends without a frame, the error has what it said."""
    argv = ["sh", "-c", "echo no such thing; exit 1"]
    monkeypatch.setattr(tools, "command_of", lambda *_: argv)
    with (
        ToolFlood("trafgen", topology) as sender,
        pytest.raises(SynguardError, match="trafgen sent nothing: no such thing"),
    ):
        sender.start(plan_for("192.0.2.1"))


def test_a_tool_that_does_not_end_is_killed(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    """When even the tool's time limit hangs, both are killed and the error says so."""
    # A frame, and then its parent, which was to end it in time, is stopped.
    argv = ["bash", "-c", "echo >/dev/udp/198.18.0.1/9; echo stuck; kill -STOP $PPID; exec sleep 61"]
    monkeypatch.setattr(tools, "command_of", lambda *_: argv)
    plan = plan_for("192.0.2.1", duration_s=0.2)
    with ToolFlood("trafgen", topology) as sender:
        sender.start(plan)
        monkeypatch.setattr(tools, "_START_TIMEOUT_S", 0.1)
        monkeypatch.setattr(tools, "_KILL_AFTER_S", 0.1)
        with pytest.raises(SynguardError, match=r"trafgen did not end within 0\.9 s: stuck"):
            sender.finish(plan)
    wait_until(lambda: processes_in(topology) == [], "the tool's end")


def test_frames_that_cannot_be_counted_are_an_error(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody can look at the attacker's interface, no tool is started, and nobody waits for ever."""

    def enter(_: str) -> None:
        raise OSError("no such namespace")

    monkeypatch.setattr(tools, "enter", enter)
    with (
        ToolFlood("trafgen", topology) as sender,
        pytest.raises(SynguardError, match=r"counting the frames of net0 of sg-.*: no such namespace"),
    ):
        sender.start(plan_for("192.0.2.1"))
    assert processes_in(topology) == []


def test_counting_that_does_not_begin_is_an_error(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever would count the frames and hangs is waited for only so long."""
    over = threading.Event()
    monkeypatch.setattr(tools, "enter", lambda _: over.wait(10))
    monkeypatch.setattr(tools, "_START_TIMEOUT_S", 0.2)
    with (
        ToolFlood("trafgen", topology) as sender,
        pytest.raises(SynguardError, match=r"nobody looks at net0 after 0\.2 s"),
    ):
        sender.start(plan_for("192.0.2.1"))
    over.set()


def test_a_tools_folder_can_be_swept(
    topology: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool's folder has this process in its name, and is gone with its block."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ToolFlood("trafgen", topology):
        (made,) = tmp_path.iterdir()
        assert made.name.startswith(f"synguard-flood-{os.getpid()}-")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tool_is_named_with_its_package(
    topology: Topology, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a tool is not installed, the error says which Debian package has it."""
    monkeypatch.setattr(tools, "_FOLDERS", "/nowhere")
    with pytest.raises(UnsupportedError, match="package netsniff-ng"), ToolFlood("trafgen", topology):
        pass


def test_the_generator_is_one_of_the_flooders(topology: Topology) -> None:
    """Any other name than a tool's gives the generator, not yet started."""
    assert isinstance(flooder("generator", topology), FloodGenerator)
