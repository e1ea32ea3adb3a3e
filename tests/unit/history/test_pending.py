"""The queue before the disk, walked through its states."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from synguard.block import Block
from synguard.history.pending import Pending
from synguard.model import Alert, AlertState
from tests.unit.history.helpers import MakeAlert


def ids(pending: Pending, now_s: float) -> list[int]:
    """Return the ids of what is due."""
    return [saved.alert.id for saved in pending.due(now_s).alerts]


def flush(pending: Pending, now_s: float) -> list[Alert]:
    """Write what is due and return it."""
    batch = pending.due(now_s)
    pending.written(batch, now_s)
    return [saved.alert for saved in batch.alerts]


def test_an_opening_is_due_at_once(make_alert: MakeAlert) -> None:
    """An alert's first word does not wait."""
    pending = Pending()
    pending.put(make_alert(1), 0.0)
    assert pending.next_due_s() == 0.0
    assert ids(pending, 0.0) == [1]


def test_updates_wait_a_moment_and_the_last_one_counts(make_alert: MakeAlert) -> None:
    """Twenty updates in a tenth of a second are one write, of the newest."""
    pending = Pending()
    pending.put(make_alert(1), 0.0)
    flush(pending, 10.0)
    for attempts in range(20):
        pending.put(make_alert(1, attempts=attempts), 0.0)
    assert flush(pending, 10.09) == []
    assert pending.next_due_s() == 10.1
    assert [alert.attempts for alert in flush(pending, 10.1)] == [19]
    assert len(pending) == 0


def test_a_closing_is_due_at_once_and_replaces_an_update(make_alert: MakeAlert) -> None:
    """An alert's last word does not wait for its updates."""
    pending = Pending()
    pending.put(make_alert(1), 0.0)
    flush(pending, 10.0)
    pending.put(make_alert(1, attempts=5), 0.0)
    pending.put(make_alert(1, state=AlertState.CLOSED), 0.0)
    assert [alert.state for alert in flush(pending, 10.0)] == [AlertState.CLOSED]
    assert len(pending) == 0


def test_what_is_due_stays_until_it_is_written(make_alert: MakeAlert) -> None:
    """A write that failed is due again, with the newest word."""
    pending = Pending()
    pending.put(make_alert(1), 0.0)
    assert ids(pending, 0.0) == [1]
    pending.put(make_alert(1, attempts=7), 0.0)
    assert [saved.alert.attempts for saved in pending.due(0.0).alerts] == [7]


def test_a_word_that_comes_during_the_write_is_kept(make_alert: MakeAlert) -> None:
    """An update that arrives while the opening is being written is written later."""
    pending = Pending()
    pending.put(make_alert(1), 0.0)
    batch = pending.due(0.0)
    pending.put(make_alert(1, attempts=7), 0.0)
    pending.written(batch, 0.0)
    assert flush(pending, 0.05) == []
    assert [alert.attempts for alert in flush(pending, 0.1)] == [7]


def test_a_closing_is_not_undone_by_a_late_update(make_alert: MakeAlert) -> None:
    """A closing that waits is not replaced by an older state."""
    pending = Pending()
    pending.put(make_alert(1, state=AlertState.CLOSED), 0.0)
    pending.put(make_alert(1), 0.0)
    assert [alert.state for alert in flush(pending, 0.0)] == [AlertState.CLOSED]


def test_a_full_queue_gives_up_updates_first(make_alert: MakeAlert) -> None:
    """Room for an opening is made by an update; only then are openings lost, and counted."""
    pending = Pending(max_alerts=2)
    pending.put(make_alert(1), 0.0)
    flush(pending, 0.0)
    pending.put(make_alert(1, attempts=5), 0.0)
    assert pending.put(make_alert(2), 0.0)
    assert pending.put(make_alert(3), 0.0)
    assert (ids(pending, 9.0), pending.lost) == ([2, 3], 1)
    assert not pending.put(make_alert(4), 0.0)
    assert (ids(pending, 9.0), pending.lost) == ([2, 3], 2)
    assert pending.put(make_alert(2, state=AlertState.CLOSED), 0.0)


def test_ten_thousand_alerts_may_wait(make_alert: MakeAlert) -> None:
    """As many openings as promised are kept while the disk refuses."""
    pending = Pending()
    for alert_id in range(10_000):
        assert pending.put(make_alert(alert_id), 0.0)
    assert not pending.put(make_alert(10_000), 0.0)
    assert (len(pending), pending.lost) == (10_000, 1)


def test_a_fresh_database_gets_what_is_still_true(make_alert: MakeAlert) -> None:
    """Open alerts and running blocks are written again; what is over is not."""
    pending = Pending()
    pending.put(make_alert(1, attempts=1), 0.0)
    pending.put(make_alert(2, state=AlertState.CLOSED), 0.0)
    pending.blocks.put("192.0.2.1", Block(ip_network("192.0.2.1"), 100.0, "", "manual"))
    pending.blocks.put("192.0.2.2", Block(ip_network("192.0.2.2"), 10.0, "", "manual"))
    flush(pending, 0.0)
    assert len(pending) == 0
    pending.rewrite(wall_s=50.0)
    batch = pending.due(0.0)
    assert [saved.alert.id for saved in batch.alerts] == [1]
    assert [*batch.blocks] == ["192.0.2.1"]


@pytest.mark.parametrize("removed", [False, True])
def test_a_block_changes_once(*, removed: bool) -> None:
    """The last word on a block is the one that is written."""
    pending = Pending()
    block = Block(ip_network("192.0.2.0/24"), 100.0, "", "manual")
    pending.blocks.put("192.0.2.0/24", block)
    if removed:
        pending.blocks.drop("192.0.2.0/24")
    assert pending.due(0.0).blocks == {"192.0.2.0/24": None if removed else block}
    pending.written(pending.due(0.0), 0.0)
    assert pending.next_due_s() is None
