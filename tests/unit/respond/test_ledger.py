"""The account of responses, from begin to end."""

from __future__ import annotations

import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from synguard.block import Block
from synguard.endpoint import Listener
from synguard.history.questions import find_responses
from synguard.history.records import time_from_json
from synguard.history.runs import Run
from synguard.history.store import HistoryStore
from synguard.model import RespondMode
from synguard.respond.ledger import Ledger

T = 1_790_000_000.0
BLOCK = Block(ip_network("198.51.100.7"), T + 600, "floods", "alert", 1, T)
DRY = RespondMode.DRY_RUN


class Kept:
    """A history on disk, asked as people ask it."""

    def __init__(self, path: Path) -> None:
        self.path = path / "synguard.db"
        self.store = HistoryStore(self.path, log=lambda *_args, **_keys: None)
        self.store.start()
        self.ledger = Ledger(self.store)

    def told(self, alert_id: int | None = None) -> list[dict[str, Any]]:
        """Return what the history tells, once all is written."""
        assert self.store.close()
        return find_responses(self.path, T - 1, T + 10_000, alert_id)


def test_a_block_is_told_from_begin_to_end(tmp_path: Path) -> None:
    """Why, for whom, how long, how it ended and what it caught; new terms are no other response."""
    kept = Kept(tmp_path)
    kept.ledger.blocked(BLOCK, T)
    kept.ledger.blocked(replace(BLOCK, until_s=T + 900), T + 300)
    kept.ledger.unblocked(BLOCK.target, "its time is over", 23, T + 900)
    (told,) = kept.told(alert_id=1)
    assert (told["target"], told["mode"], told["reason"], told["asked_by"]) == (
        "198.51.100.7", "enforce", "floods", "alert",
    )  # fmt: skip
    assert (told["ended_because"], told["hits"]) == ("its time is over", 23)
    assert told["until"] == told["ended_at"]


def test_a_persons_block_takes_the_daemons_place(tmp_path: Path) -> None:
    """Two words on one target are two responses, and the first has ended."""
    kept = Kept(tmp_path)
    kept.ledger.blocked(BLOCK, T)
    lasting = replace(BLOCK, until_s=time.time() + 600)
    kept.ledger.blocked(replace(lasting, asked_by="manual", alert_id=None, reason="by hand"), T + 5)
    first, second = kept.told()
    assert (first["ended_because"], second["ended_at"], second["asked_by"]) == (
        "another took its place", None, "manual",
    )  # fmt: skip


def test_what_would_be_done_is_told_beside_what_is(tmp_path: Path) -> None:
    """A dry-run's response is told once, with its last term; what it would have caught nobody knows."""
    kept = Kept(tmp_path)
    kept.ledger.blocked(replace(BLOCK, asked_by="manual", alert_id=None), T)
    kept.ledger.blocked(BLOCK, T, DRY)
    kept.ledger.blocked(replace(BLOCK, until_s=T + 1200), T + 590, DRY)
    kept.ledger.unblocked(BLOCK.target, "the alert closed", None, T + 700, DRY)
    kept.ledger.unblocked(BLOCK.target, "the alert closed", None, T + 701, DRY)
    (told,) = kept.told(1)
    assert (told["mode"], told["ended_because"], told["hits"]) == ("dry-run", "the alert closed", None)
    assert {one["mode"] for one in find_responses(kept.path, T, T + 800, None)} == {"enforce", "dry-run"}


def test_another_response_for_a_target_says_why_the_one_before_ended(tmp_path: Path) -> None:
    """Of a listener whose cookies are withdrawn both are told, and the reason."""
    kept = Kept(tmp_path)
    cookie = replace(BLOCK, target=Listener.parse("203.0.113.5:443"), response="cookie")
    kept.ledger.blocked(cookie, T)
    kept.ledger.blocked(replace(cookie, response="greylist"), T + 3, instead_because="withdrawn: why")
    first, second = kept.told()
    assert (first["response"], first["ended_because"]) == ("cookie", "withdrawn: why")
    assert (second["response"], second["target"]) == ("greylist", "203.0.113.5:443")


def test_the_daemons_end_is_the_end_of_all(tmp_path: Path) -> None:
    """What is taken away with the daemon is told so; set back, a clock ends nothing early."""
    kept = Kept(tmp_path)
    kept.ledger.blocked(BLOCK, T)
    kept.ledger.blocked(replace(BLOCK, target=ip_network("192.0.2.9")), T, DRY)
    kept.ledger.end_all([replace(BLOCK, hits=42)], T - 500)
    told = kept.told()
    assert {one["ended_because"] for one in told} == {"the daemon ended"}
    assert [one["hits"] for one in told] == [42, None]
    assert {one["ended_at"] for one in told} == {one["started_at"] for one in told}


def test_a_killed_daemons_responses_end_with_the_next_run(tmp_path: Path) -> None:
    """What lasted beyond its time ended in time, what did not ended when its daemon was seen last."""
    kept = Kept(tmp_path)
    kept.store.begin_run(Run(T - 10, "0.1.0", "6.1", ("eth0",), "enforce", "0", T + 700))
    kept.ledger.blocked(BLOCK, T)
    kept.ledger.blocked(replace(BLOCK, target=ip_network("192.0.2.0/24"), until_s=T + 99_999), T)
    kept.store.close()
    kept.store = HistoryStore(kept.path, log=lambda *_args, **_keys: None)
    kept.store.start()
    kept.store.close_interrupted(T + 5000)
    told = {one["target"]: one for one in kept.told()}
    assert told["198.51.100.7"]["ended_because"] == "its time is over"
    assert told["198.51.100.7"]["ended_at"] == told["198.51.100.7"]["until"]
    assert told["192.0.2.0/24"]["ended_because"] == "the daemon ended"
    assert time_from_json(told["192.0.2.0/24"]["ended_at"]) == T + 700


def test_what_nobody_could_end_is_over_with_its_time(tmp_path: Path) -> None:
    """A daemon that died and never came back leaves no block that lasts for ever, in the history either."""
    kept = Kept(tmp_path)
    kept.ledger.blocked(BLOCK, T)
    (told,) = kept.told()
    assert (told["ended_because"], told["ended_at"]) == ("its time is over", told["until"])
