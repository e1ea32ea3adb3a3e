"""The store on a disk that hangs in its system calls: nobody waits, and what overflows is counted."""

from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from synguard.history.chronicle import MAX_RESPONSES, MAX_SECONDS
from synguard.history.pending import MAX_ALERTS
from synguard.history.responses import TakenResponse
from synguard.history.series import TOTALS, Second
from tests.unit.history.helpers import MakeAlert, OpenStore, Until

pytestmark = pytest.mark.root

TOO_MANY = 7
#: The disk hangs until the test lets it go on, or for so long: who waits for it takes all of that.
HANGS_S = 12.0
MOST_S = 8.0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return the root of a file system of 64 MiB that can be frozen."""
    image, root = tmp_path / "image", tmp_path / "disk"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(root)], check=True)
    yield root
    subprocess.run(["umount", "-l", str(root)], check=True)


@contextmanager
def frozen(disk: Path) -> Iterator[None]:
    """Let every write to the file system hang in the kernel meanwhile."""
    thaw = ["fsfreeze", "--unfreeze", str(disk)]
    at_last = threading.Timer(HANGS_S, subprocess.run, [thaw])
    subprocess.run(["fsfreeze", "--freeze", str(disk)], check=True)
    at_last.start()
    try:
        yield
    finally:
        at_last.cancel()
        subprocess.run(thaw, check=False, capture_output=True)


def second(at_s: int) -> Second:
    """Return a second with one attempt."""
    return Second(at_s, dict.fromkeys((one.name for one in TOTALS), 1))


def response(number: int) -> TakenResponse:
    """Return a response against an address of its own."""
    target = f"10.0.{number >> 8}.{number & 255}"
    return TakenResponse("drop", "enforce", target, "floods", "alert", None, 1.0, 2.0)


def returned_in(call: Callable[[], object]) -> float:
    """Return the seconds that a call took."""
    started_s = time.monotonic()
    call()
    return time.monotonic() - started_s


def test_a_disk_that_hangs_delays_nobody_and_overflow_is_counted(
    open_store: OpenStore, disk: Path, make_alert: MakeAlert, until: Until
) -> None:
    """More than fits is taken in while it hangs; what was lost is told, and all else is on disk later."""
    database = disk / "synguard.db"
    store = open_store(database)
    until(lambda: store.health().state == "ok")

    def save_too_much() -> None:
        for number in range(1, MAX_ALERTS + TOO_MANY + 1):
            store.save(make_alert(number))
        for number in range(MAX_SECONDS + TOO_MANY):
            store.save_second(second(1_000_000 + number))
        for number in range(MAX_RESPONSES + TOO_MANY):
            store.save_response(response(number))

    with frozen(disk):
        assert returned_in(save_too_much) < MOST_S
        health = store.health()
    assert (health.lost, health.seconds_lost, health.responses_lost) == (TOO_MANY,) * 3
    assert health.queued == MAX_ALERTS + MAX_SECONDS + MAX_RESPONSES
    until(lambda: store.health().queued == 0, MOST_S)
    assert store.health().state == "ok"
    connection = sqlite3.connect(database)
    for table, count in (
        ("alerts", MAX_ALERTS), ("totals_series", MAX_SECONDS), ("responses", MAX_RESPONSES)
    ):  # fmt: skip
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == count  # noqa: S608
    connection.close()


def test_a_daemon_stops_on_a_disk_that_hangs(
    open_store: OpenStore, disk: Path, make_alert: MakeAlert, until: Until
) -> None:
    """It is not held up by a write that does not come back."""
    store = open_store(disk / "synguard.db")
    until(lambda: store.health().state == "ok")
    with frozen(disk):
        store.save(make_alert(1))
        assert returned_in(lambda: store.close(0.2)) < MOST_S
        assert store.health().queued == 1
