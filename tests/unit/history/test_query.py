"""Asking the history: which alerts, in which order, and without leaving a trace."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from synguard.endpoint import Listener
from synguard.errors import SynguardError, UnsupportedError, UsageError
from synguard.history.database import HistoryDatabase
from synguard.history.filter import SORT_FIELDS
from synguard.history.pending import Batch, Saved
from synguard.history.query import AlertFilter, find_alerts, get_alert
from synguard.model import Alert, AlertClass, AlertKind, AlertState, Severity, TopSource
from tests.unit.history.helpers import STARTED_AT_S, MakeAlert, names


@pytest.fixture
def history(tmp_path: Path, full_alert: Alert, make_alert: MakeAlert) -> Path:
    """Return a database with five alerts, written and left."""
    alerts = [
        make_alert(
            1, started_at_s=STARTED_AT_S - 7200, state=AlertState.CLOSED, ended_at_s=STARTED_AT_S - 7000
        ),
        make_alert(
            2,
            kind=AlertKind.SCAN,
            alert_class=AlertClass.FIN,
            severity=Severity.LOW,
            listener=None,
            source=ip_network("2001:db8:5::/64"),
            attempts=5,
        ),
        make_alert(
            3,
            alert_class=AlertClass.SPOOFED,
            severity=Severity.CRITICAL,
            source=None,
            listener=Listener.parse("[2001:db8::5]:443"),
            listeners=(Listener.parse("[2001:db8::5]:443"), Listener.parse("203.0.113.9:25")),
            top_sources=(TopSource(ip_network("192.0.2.9"), 4, 0), TopSource(ip_network("10.0.0.0/8"), 3, 0)),
            attempts=90_000,
            started_at_s=STARTED_AT_S + 10,
        ),
        make_alert(4, listener=Listener.parse("203.0.113.5"), started_at_s=STARTED_AT_S + 20, attempts=50),
        full_alert,
    ]
    path = tmp_path / "a dir with ? and %" / "synguard.db"
    database = HistoryDatabase(path)
    database.prepare()
    database.write(Batch(tuple(Saved(alert, alert.started_at_s) for alert in alerts), {}))
    database.close()
    return path


def ids(path: Path, **restrictions: object) -> list[int]:
    """Return the ids of the alerts that a filter lets through, in its order."""
    return [alert.id for alert in find_alerts(path, AlertFilter(**restrictions))]  # type: ignore[arg-type]


def test_alerts_come_newest_first(history: Path) -> None:
    """Without a wish the newest alert comes first, and the higher id of two that began together."""
    assert ids(history) == [4, 3, 23, 2, 1]
    assert ids(history, limit=2) == [4, 3]
    assert [alert.id for alert in find_alerts(history)] == [4, 3, 23, 2, 1]


def test_an_alert_comes_back_whole(history: Path, full_alert: Alert) -> None:
    """Everything that was written of an alert can be asked for."""
    assert get_alert(history, 23) == full_alert
    assert full_alert in find_alerts(history)
    assert get_alert(history, 99) is None


@pytest.mark.parametrize(
    ("restrictions", "expected"),
    [
        ({"kind": "scan"}, [2]),
        ({"alert_class": "spoofed"}, [3]),
        ({"state": "closed"}, [23, 1]),
        ({"state": "open", "kind": "syn-flood"}, [4, 3]),
        ({"after_id": 3}, [4, 23]),
        ({"since_s": STARTED_AT_S - 3600}, [4, 3, 23, 2]),
        ({"since_s": STARTED_AT_S + 100}, [4, 3, 2]),
        ({"until_s": STARTED_AT_S}, [23, 2, 1]),
        ({"since_s": STARTED_AT_S - 7100, "until_s": STARTED_AT_S - 7050}, [1]),
        ({"listener": "203.0.113.5:443"}, [23, 1]),
        ({"listener": "203.0.113.5"}, [4, 23, 1]),
        ({"listener": "[2001:db8::5]:443"}, [3]),
        ({"listener": "203.0.113.5:80"}, []),
        ({"listener": "203.0.113.9:25"}, [3]),
        ({"listener": "203.0.113.9"}, [3]),
        ({"listener": "2001:db8::5"}, [3, 23]),
        ({"listener": "[2001:db8::5]:25"}, [23]),
    ],
)
def test_filters(history: Path, restrictions: dict[str, object], expected: list[int]) -> None:
    """Each restriction, alone and with another, lets the right alerts through."""
    assert ids(history, **restrictions) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("198.51.100.7", [4, 23, 1]),
        ("198.51.100.0/24", [4, 23, 1]),
        ("::ffff:198.51.100.7", [4, 23, 1]),
        ("::ffff:198.51.100.0/120", [4, 23, 1]),
        ("198.51.100.8", []),
        ("192.0.2.9", [3]),
        ("10.1.2.3", [3]),
        ("0.0.0.0/0", [4, 3, 23, 1]),
        ("2001:db8:5::1", [2]),
        ("2001:db8::/32", [23, 2]),
        ("::/0", [23, 2]),
        ("198.51.100.9/24", [4, 23, 1]),
    ],
)
def test_a_source_matches_what_it_overlaps(history: Path, source: str, expected: list[int]) -> None:
    """An address or network finds alerts whose source or any top source overlaps it, by IP version."""
    assert ids(history, source=source) == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("id", [1, 2, 3, 4, 23]),
        ("-severity", [3, 23, 4, 1, 2]),
        ("attempts", [2, 4, 1, 23, 3]),
        ("-ended_at", [23, 1, 4, 3, 2]),
        ("ended_at", [1, 23, 2, 3, 4]),
        ("-half_open_ratio", [23, 4, 3, 2, 1]),
    ],
)
def test_sorting(history: Path, sort: str, expected: list[int]) -> None:
    """Alerts come in the order asked for; what is unknown comes last either way."""
    assert ids(history, sort=sort) == expected


@pytest.mark.parametrize("sort", SORT_FIELDS)
def test_every_sort_field_works(history: Path, sort: str) -> None:
    """Each documented field sorts, in both directions, and loses no alert."""
    assert sorted(ids(history, sort=sort)) == sorted(ids(history, sort=f"-{sort}")) == [1, 2, 3, 4, 23]


@pytest.mark.parametrize(
    ("restrictions", "said"),
    [
        ({"kind": "flood"}, "syn-flood, scan"),
        ({"alert_class": "x"}, "single-source, prefix"),
        ({"state": "half"}, "open, closed"),
        ({"source": "1.2.3"}, "address or a network"),
        ({"listener": "host:80"}, "ADDR:PORT"),
        ({"sort": "id; DROP TABLE alerts"}, "started_at"),
        ({"limit": 0}, "1 or more"),
    ],
)
def test_nonsense_is_refused(restrictions: dict[str, str], said: str) -> None:
    """A restriction that cannot be meant is refused with what can."""
    with pytest.raises(UsageError, match=said):
        AlertFilter(**restrictions)  # type: ignore[arg-type]


def test_a_filter_travels_as_json() -> None:
    """A filter comes out of JSON as it went in, and anything else is refused."""
    asked = AlertFilter(since_s=1.5, kind="scan", source="10.0.0.0/8", sort="id", limit=5, after_id=2)
    assert AlertFilter.from_json(asked.to_json()) == asked
    assert AlertFilter.from_json({}) == AlertFilter()
    for wrong in ({"colour": "red"}, {"limit": "5"}, {"limit": True}, {"kind": None}, {"sort": 1}):
        with pytest.raises(UsageError):
            AlertFilter.from_json(wrong)


def test_no_history_yet(tmp_path: Path) -> None:
    """Before the first start the answer says so, and asking makes no file."""
    with pytest.raises(SynguardError, match=r"no history at .*synguard\.db yet") as caught:
        find_alerts(tmp_path / "synguard.db")
    assert caught.value.exit_code == 1
    (tmp_path / "empty.db").touch()
    with pytest.raises(SynguardError, match=r"no history at .*empty\.db yet"):
        get_alert(tmp_path / "empty.db", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    """A file that is no database is named as such."""
    path = tmp_path / "synguard.db"
    path.write_text("no database " * 100)
    with pytest.raises(SynguardError, match="cannot be read: file is not a database"):
        find_alerts(path)


def test_asking_leaves_no_trace(history: Path) -> None:
    """After a clean stop, a question makes no file beside the database."""
    before = names(history.parent)
    ids(history)
    assert names(history.parent) == before == ["synguard.db"]


def test_what_a_running_daemon_wrote_is_seen(history: Path, make_alert: MakeAlert) -> None:
    """A commit that is only in the -wal yet is in the answer."""
    writer = HistoryDatabase(history)
    writer.prepare()
    writer.write(Batch((Saved(make_alert(50), 0.0),), {}))
    assert get_alert(history, 50) is not None
    writer.close()
    assert get_alert(history, 50) is not None


def test_unsaved_alerts_are_asked_like_saved_ones(history: Path, make_alert: MakeAlert) -> None:
    """What the disk does not have yet is filtered and sorted with the rest, in place of older words."""
    unsaved = (
        make_alert(4, attempts=99_999, top_sources=(TopSource(ip_network("192.0.2.9"), 1, 0),)),
        make_alert(60, attempts=70_000),
    )
    found = find_alerts(history, AlertFilter(sort="-attempts", limit=3), unsaved)
    assert [(alert.id, alert.attempts) for alert in found] == [(4, 99_999), (3, 90_000), (60, 70_000)]
    found = find_alerts(history, AlertFilter(source="192.0.2.9", sort="id"), unsaved)
    assert [alert.id for alert in found] == [3, 4]
    assert get_alert(history, 60, unsaved) == unsaved[1]


def test_unsaved_alerts_are_shown_without_a_database(tmp_path: Path, make_alert: MakeAlert) -> None:
    """While the disk has nothing, what is in memory can be asked for."""
    unsaved = (make_alert(1), make_alert(2, kind=AlertKind.SCAN))
    assert [a.id for a in find_alerts(tmp_path / "none.db", AlertFilter(kind="scan"), unsaved)] == [2]


@pytest.fixture
def public(history: Path) -> Iterator[Path]:
    """Return a copy of the history in a directory that everybody may enter."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "state"
        shutil.copytree(history.parent, directory)
        Path(place).chmod(0o755)
        directory.chmod(0o755)
        (directory / history.name).chmod(0o644)
        yield directory / history.name


@pytest.mark.root
def test_without_permission_the_answer_says_what_to_do(public: Path) -> None:
    """A user who may not read the directory or the file gets exit code 3 and a way out."""

    def ask() -> None:
        with pytest.raises(UnsupportedError, match=r"not permitted to read .* as root \(sudo\)"):
            find_alerts(public)

    public.parent.chmod(0o750)
    as_nobody(ask)
    public.parent.chmod(0o755)
    public.chmod(0o600)
    as_nobody(ask)


@pytest.mark.root
def test_a_reader_who_may_not_write_sees_everything(public: Path, make_alert: MakeAlert) -> None:
    """Read permission alone suffices, after a clean stop, beside a writer and after its kill -9."""

    def ask(alert_id: int) -> None:
        assert get_alert(public, alert_id) is not None

    as_nobody(lambda: ask(23))
    writer = HistoryDatabase(public)
    writer.prepare()
    writer.write(Batch((Saved(make_alert(50), 0.0),), {}))
    as_nobody(lambda: ask(50))

    killed = public.parent / "killed"
    killed.mkdir()
    for name in names(public.parent):
        if name.startswith(public.name):
            shutil.copy(public.parent / name, killed / name)
    writer.close()
    public = killed / public.name
    as_nobody(lambda: ask(50))
    assert names(killed) == [public.name, f"{public.name}-shm", f"{public.name}-wal"]


def as_nobody(act: Callable[[], None]) -> None:
    """Run something in a forked child that has given up root, and fail if it failed."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            act()
            status = 0
        except BaseException:  # noqa: BLE001 - nothing may unwind into pytest's copy in the child
            traceback.print_exc()
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_asking_loads_nothing_heavy() -> None:
    """The commands that ask start without what only the writer needs."""
    code = "import sys, synguard.history.query as _; print({'sqlite_utils', 'msgspec'} & {*sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert loaded == "set()\n"
