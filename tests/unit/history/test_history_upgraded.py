"""Readers beside a daemon that brings an earlier release's history up to date, or begins another."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from bench.net.namespaces import wait_until
from synguard.history.database import HistoryDatabase
from synguard.history.pending import Batch, Saved
from synguard.model import AlertState
from tests.unit.history.helpers import MakeAlert
from tests.unit.history.test_schema import make_earlier

#: The newest three with how many listeners each, as an earlier release kept them and as this one does.
BEFORE = str([(1500, 0), (1499, 0), (1498, 0)])
AFTER = str([(1500, 1), (1499, 1), (1498, 1)])
#: Asks again and again until its standard input ends; a line tells each answer.
READER = """
import select, sys, time
from pathlib import Path
from synguard.errors import SynguardError
from synguard.history.filter import AlertFilter
from synguard.history.query import find_alerts
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        found = find_alerts(Path(sys.argv[1]), AlertFilter(sort="-id", limit=3))
        print([(alert.id, len(alert.listeners)) for alert in found], flush=True)
    except SynguardError as error:
        print("error:", error, flush=True)
    time.sleep(0.005)  # a person does not ask more often
"""


class Reader:
    """A reader in another process, and what it has told so far."""

    def __init__(self, path: Path) -> None:
        self.told: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", READER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.told.append(line.rstrip())

    def wait_for(self, said: str) -> None:
        """Wait until it says something anew that begins so."""
        heard = len(self.told)
        wait_until(lambda: any(line.startswith(said) for line in self.told[heard:]), said)

    def close(self) -> None:
        """End it, and hear it out."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(20) == 0
        self._listening.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def reading(path: Path) -> Iterator[Reader]:
    """Read in another process meanwhile, from before to after."""
    with closing(Reader(path)) as reader:
        reader.wait_for("[")
        yield reader


def test_a_reader_is_answered_before_during_and_after_an_upgrade(
    tmp_path: Path, make_alert: MakeAlert
) -> None:
    """Each answer is the newest three with their listeners, whatever step the schema is at."""
    path = tmp_path / "synguard.db"
    alerts = [make_alert(n, state=AlertState.CLOSED, ended_at_s=time.time()) for n in range(1, 1501)]
    make_earlier(path, "create_alert_listeners", *alerts)
    with reading(path) as reader:
        database = HistoryDatabase(path)
        database.prepare()
        database.close()
        reader.wait_for(AFTER)
    told = reader.told
    assert set(told) == {BEFORE, AFTER}
    assert told[-1] == AFTER


def test_a_reader_goes_on_with_the_file_that_has_taken_anothers_place(
    tmp_path: Path, make_alert: MakeAlert
) -> None:
    """Removed, there is no history yet; replaced, the answers are the new file's; nothing else is said."""
    path = tmp_path / "synguard.db"

    def make(alert_id: int) -> None:
        database = HistoryDatabase(path)
        database.prepare()
        closed = make_alert(alert_id, state=AlertState.CLOSED, ended_at_s=time.time())
        database.write(Batch((Saved(closed, time.time()),)))
        database.close()

    make(1)
    with reading(path) as reader:
        path.unlink()
        reader.wait_for("error: no history at ")
        make(2)
        reader.wait_for(str([(2, 0)]))
    answers = [line.partition(str(path))[0] for line in reader.told]
    assert set(answers) <= {str([(1, 0)]), str([(2, 0)]), "[]", "error: no history at "}
    assert answers[-1] == str([(2, 0)])
