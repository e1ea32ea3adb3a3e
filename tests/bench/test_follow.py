"""Programs that are followed by their log: what ends, what is killed, and what is waited for."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.defences import follow
from bench.defences.follow import Followed
from bench.net.links import create_namespace, remove_namespace
from bench.net.namespaces import wait_until
from synguard.errors import SynguardError

pytestmark = [pytest.mark.root, pytest.mark.netns]

#: Says how it is, leaves a child behind that has the same log open, and ends.
_LEAVES_A_CHILD = """
{leave} sleep 61 &
printf '{{"event": "child.left", "pid": %s}}\\n' "$!"
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    """Return a namespace to run in."""
    name = f"sg-{os.getpid()}-990-follow"
    create_namespace(name)
    try:
        yield name
    finally:
        remove_namespace(name)


def followed(namespace: str, folder: Path, leave: str = "") -> Followed:
    """Return a program that leaves a child with its log behind."""
    argv = ["sh", "-c", _LEAVES_A_CHILD.format(leave=leave)]
    return Followed("the program", namespace, argv, folder / "errors")


def pid_of_child(program: Followed) -> int:
    """Return the child's process id as soon as it is told."""
    wait_until(lambda: bool(program.named("child.left")), "the child")
    return int(program.events[0].fields["pid"])


def is_running(pid: int) -> bool:
    """Say whether a process is there and more than its entry in a table."""
    argv = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    return bool(state) and not state.startswith("Z")


def test_a_child_that_keeps_the_log_open_is_killed(
    namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program whose child outlives it has ended in a bounded time, and so has the child."""
    monkeypatch.setattr(follow, "_LOG_TIMEOUT_S", 0.3)
    began_s = time.monotonic()
    with followed(namespace, tmp_path) as program:
        child = pid_of_child(program)
        assert program.stop() == 0
    assert time.monotonic() - began_s < 10
    wait_until(lambda: not is_running(child), "the child's end")


def test_a_log_without_an_end_is_an_error(
    namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the log is kept open from a session of another's, the error says so, in a bounded time."""
    monkeypatch.setattr(follow, "_LOG_TIMEOUT_S", 0.3)
    began_s = time.monotonic()
    program = followed(namespace, tmp_path, "setsid")
    program.__enter__()
    child = pid_of_child(program)
    try:
        with pytest.raises(SynguardError, match="the program has ended, but something that it started keeps"):
            program.stop()
        assert time.monotonic() - began_s < 10
    finally:
        os.kill(child, signal.SIGKILL)
    assert program.stop() == 0
