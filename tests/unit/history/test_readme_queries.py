"""The queries that the README shows, as a reader would paste them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from ipaddress import ip_network
from pathlib import Path

import pytest

from synguard.block import Block
from synguard.history.series import LISTENER, TOTALS, Second
from synguard.history.store import HistoryStore
from synguard.model import Alert
from synguard.respond.ledger import Ledger

README = Path(__file__).parents[3] / "README.md"
SHOWN = README.read_text(encoding="utf-8").partition("<!-- queries: a test runs them -->")[2]
QUERIES = [
    re.sub(r"\s+", " ", query).strip()
    for query in SHOWN.partition("<!-- end of queries -->")[0].split("\n\n")
]


@pytest.fixture
def kept(tmp_path: Path, full_alert: Alert) -> Path:
    """Return a history with an alert, a second and a response of just now."""
    path, now_s = tmp_path / "synguard.db", time.time()
    store = HistoryStore(path, log=lambda *_args, **_keys: None)
    store.start()
    store.save(full_alert)
    figures = dict.fromkeys((one.name for one in LISTENER), 7.0)
    totals = dict.fromkeys((one.name for one in TOTALS), 7.0)
    store.save_second(Second(int(now_s), totals, {"203.0.113.5:443": figures}))
    ledger = Ledger(store)
    ledger.blocked(Block(ip_network("192.0.2.7"), now_s + 60, "by hand", "manual", None, now_s), now_s)
    ledger.unblocked(ip_network("192.0.2.7"), "by hand (uid 0)", 42, now_s + 5)
    assert store.close()
    return path


def run(query: str, database: Path) -> str:
    """Return what a shown command prints for a database of ours."""
    assert query.startswith("sudo .venv/bin/sqlite-utils /var/lib/synguard/synguard.db ")
    words = shlex.split(query)[1:]
    words[0], words[1] = str(Path(sys.executable).with_name("sqlite-utils")), str(database)
    answer = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_there_are_three() -> None:
    """The README shows who came most, when a listener was asked most, and what was done."""
    assert len(QUERIES) == 3


def test_who_came_in_most_alerts(kept: Path) -> None:
    """The sources of this week's alerts are counted, as text."""
    query = QUERIES[0].replace("-7 days", "-70000 days")
    assert "198.51.100.7" in run(query, kept)
    assert "2001:db8:1::/64" in run(query, kept)
    assert "198.51.100.7" not in run(QUERIES[0].replace("-7 days", "+1 days"), kept)


def test_when_a_listener_was_asked_most(kept: Path) -> None:
    """The moment is ISO, in UTC, and the rate is that of the step."""
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ +1 +7", run(QUERIES[1], kept))


def test_what_was_done_last(kept: Path) -> None:
    """A response is told with its end and its hits."""
    assert re.search(r"Z +drop +enforce +192.0.2.7 +by hand \(uid 0\) +42", run(QUERIES[2], kept))
