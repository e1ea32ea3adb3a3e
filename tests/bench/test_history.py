"""The history's scenario: that its database is as asked, and that what it measures is what it says."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.history import history
from bench.history.fill import SOURCES_EACH, fill
from bench.history.questions import questions
from bench.scenario.load import find, load
from bench.scenario.model import HistoryScenario
from synguard.errors import SynguardError
from synguard.history.database import HistoryDatabase
from synguard.history.query import find_alerts, get_alert

_ALERTS = 5000


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small history."""
    path = tmp_path_factory.mktemp("filled") / "history.db"
    fill(path, _ALERTS)
    return path


def test_the_database_is_a_real_one(filled: Path, tmp_path: Path) -> None:
    """It has every index of the schema, is sound, and its alerts are read as those of a daemon are."""
    fresh = HistoryDatabase(tmp_path / "fresh.db")
    fresh.prepare()
    fresh.close()
    schemas = []
    for path in (filled, tmp_path / "fresh.db"):
        with sqlite3.connect(path) as connection:
            schemas.append(set(connection.execute("SELECT name, sql FROM sqlite_master")))
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
    assert schemas[0] == schemas[1]
    for alert_id in (1, _ALERTS):
        alert = get_alert(filled, alert_id)
        assert alert is not None
        assert len({top.source for top in alert.top_sources}) == SOURCES_EACH
        assert len(alert.timeline) >= 3


def test_most_questions_have_answers(filled: Path) -> None:
    """What is asked is there, except where the question says that it is not."""
    without = {name for name, wanted in questions(_ALERTS // 2) if not find_alerts(filled, wanted)}
    expected = ("never", "none", "nowhere", "rare class", "/16", "/32", "/24", "all together", "host", "hour")
    assert not {name for name in without if not any(word in name for word in expected)}


def test_a_small_history_is_measured() -> None:
    """Each question in each way, the updates and the news are a trial with its figures."""
    scenario = HistoryScenario(purpose="A test.", alerts=1000, repeats=1, updates=3, news=2)
    trials = {(t.labels["asked"], t.labels["how"]): t for t in history.play(scenario, lambda _line: None)}
    assert not [trial.invalid_because for trial in trials.values() if not trial.valid]
    assert (trials["all", "command"].figures["answer_ms"] or 0) > (
        trials["all", "in process"].figures["answer_ms"] or 0
    )
    assert (trials["update", "written"].figures["update_ms"] or 0) > 0
    assert (trials["news", "followed"].figures["follow_lag_ms"] or 0) > 0
    assert (trials["size", "on disk"].figures["history_bytes_per_alert"] or 0) > 5000


def test_a_command_that_fails_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trial says why, and the others go on."""
    monkeypatch.setitem(history._OPTIONS, "limit", "--no-such-option")
    scenario = HistoryScenario(purpose="A test.", alerts=1000, repeats=1, updates=1, news=1)
    trials = list(history.play(scenario, lambda _line: None))
    invalid = [trial for trial in trials if not trial.valid]
    assert {trial.labels["how"] for trial in invalid} == {"command"}
    assert all("--no-such-option" in reason for trial in invalid for reason in trial.invalid_because)


def test_too_little_room_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before anything is written, with what is needed and what is there."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=5_000_000))
    with pytest.raises(SynguardError, match=r"needs 12\.0 GB in .*, where 0\.0 GB are free: make room"):
        fill(tmp_path / "history.db", 1_000_000)
    assert not list(tmp_path.iterdir())


def test_the_scenario_asks_for_a_million() -> None:
    """In full it has a million alerts and promises 200 ms and 100 ms; the quick form has fewer."""
    plan, quick = load(find("history"), quick=False), load(find("history"), quick=True)
    assert plan is not None
    assert quick is not None
    assert isinstance(plan.scenario, HistoryScenario)
    assert isinstance(quick.scenario, HistoryScenario)
    assert plan.scenario.alerts == 1_000_000 > quick.scenario.alerts
    limits = {promise.figure: promise.at_most for promise in plan.scenario.promises if promise.at_most != 500}
    assert limits == {"answer_ms": 200, "follow_lag_ms": 100}
