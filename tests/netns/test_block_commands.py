"""``synguard block`` and ``synguard respond`` against a daemon that holds real rules in the kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.defences.guard import Guard

from .conftest import StartDaemon

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

MANY = 10_000


def synguard(guard: Guard, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command against the daemon, and see that it ends with this exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "synguard", *words, "--socket", str(guard.socket)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def listed(guard: Guard, *words: str) -> list[dict[str, Any]]:
    """Return the blocks as the command tells them to programs."""
    found: list[dict[str, Any]] = json.loads(
        synguard(guard, "block", "list", "--format", "json", *words).stdout
    )
    return found


def addresses(path: Path) -> Path:
    """Write a list of very many sources of two families, with a comment."""
    lines = [f"100.64.{n // 256}.{n % 256}" for n in range(MANY // 2)]
    lines += [f"2001:db8:{n:x}::/64  # one of many" for n in range(MANY // 2)]
    path.write_text("\n".join(lines))
    return path


def test_a_whole_list_is_blocked_or_nothing(start_daemon: StartDaemon, tmp_path: Path) -> None:
    """Ten thousand targets of a file are in force at once; one wrong or protected line stops them all."""
    guard = start_daemon("dry-run")
    path = addresses(tmp_path / "list.txt")
    for bad in ("100.64.0.1/8\n", "127.0.0.1\n"):
        wrong = tmp_path / "wrong.txt"
        wrong.write_text(bad + path.read_text())
        refused = synguard(guard, "block", "add", "--file", str(wrong), code=2)
        assert bad.strip() in refused.stderr
        assert listed(guard) == []
    added = synguard(guard, "block", "add", "--file", str(path), "--ttl", "1h", "--reason", "abuse")
    assert added.stdout.startswith(f"blocked {MANY:,} targets until ")
    blocks = listed(guard, "--sort", "target")
    assert len(blocks) == MANY
    assert [blocks[0]["target"], blocks[-1]["target"]] == ["100.64.0.0", f"2001:db8:{MANY // 2 - 1:x}::/64"]
    assert {(one["response"], one["reason"], one["suspended"]) for one in blocks} == {
        ("drop", "abuse", False)
    }
    assert f"{MANY:,} in force: {MANY:,} drop" in synguard(guard, "respond").stdout
    assert synguard(guard, "block", "clear").stdout == f"blocks ended: {MANY:,}\n"
    assert synguard(guard, "block", "list").stderr == "no blocks\n"


def test_a_person_switches_responses_off_and_on(start_daemon: StartDaemon) -> None:
    """What each change puts aside and brings back is said, and every view of it agrees."""
    guard = start_daemon("dry-run")
    synguard(guard, "block", "add", "198.51.100.7", "2001:db8:7::/48", "--reason", "ticket 42")
    told = synguard(guard, "respond", "off").stdout
    assert told == "responding: off; blocks: 2 of people's suspended\n"
    assert {one["suspended"] for one in listed(guard)} == {True}
    assert "responses: 0 in force; 2 of people's suspended" in synguard(guard, "status").stdout
    assert synguard(guard, "block", "list").stdout.count("suspended") == 2
    refused = synguard(guard, "block", "add", "198.51.100.8", code=2)
    assert "synguard respond" in refused.stderr
    told = synguard(guard, "respond", "enforce").stdout
    assert told == "responding: enforce; blocks: 2 of people's in force again\n"
    assert "2 in force: 2 drop" in synguard(guard, "respond").stdout
    gone = synguard(guard, "block", "remove", "198.51.100.7", "198.51.100.9", code=1)
    assert (gone.stdout, len(listed(guard))) == ("unblocked 198.51.100.7\n", 1)
    assert "198.51.100.9 is not blocked" in gone.stderr
