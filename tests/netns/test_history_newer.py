"""A daemon that finds a newer release's history: it guards on, says so everywhere, and touches nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bench.defences.guard import synguard_command
from bench.flood.driver import FloodGenerator
from bench.flood.plan import FloodPlan
from bench.net.namespaces import SILENT_IPV4, Topology
from synguard.history.database import HistoryDatabase

from . import commands
from .conftest import OpenListener, StartDaemon
from .places import Examined

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

PORT = 8080


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """Return a history that a release 99.1 has brought up to date, where the daemon will look for it."""
    path = tmp_path / "synguard.db"
    database = HistoryDatabase(path)
    database.prepare()
    database.close()
    connection = sqlite3.connect(path)
    connection.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('synguard', 'foretell', '2030-01-01')"
    )
    connection.execute(
        "INSERT INTO runs (version, kernel, interfaces, mode, settings_hash, started_at_ms, last_seen_ms)"
        " VALUES ('99.1', '7.0', '[]', 'observe', '', 1, 1)"
    )
    connection.commit()
    connection.close()
    return path


def contents(database: Path) -> dict[str, bytes]:
    """Return the bytes of the database and of all that is named after it."""
    return {path.name: path.read_bytes() for path in database.parent.glob(f"{database.name}*")}


def test_a_daemon_guards_on_beside_a_newer_history(
    newer: Path,
    topology: Topology,
    open_listener: OpenListener,
    flood_generator: FloodGenerator,
    start_daemon: StartDaemon,
) -> None:
    """It raises alerts, status and doctor say why none is kept, and no byte of the file changes."""
    before = contents(newer)
    server = str(topology.server.ipv4.ip)
    open_listener(server, PORT)
    guard = start_daemon("dry-run", {"history": {"database": str(newer)}})
    assert guard.database == newer
    plan = FloodPlan(
        destination=server,
        destination_port=PORT,
        sources=(str(SILENT_IPV4),),
        syn_per_s=2000.0,
        duration_s=3.0,
    )
    flood_generator.start(plan)
    guard.wait_for(lambda: bool(guard.named("alert.raised")), "the alert", 10.0)
    flood_generator.finish(plan)

    told = guard.status()["history"]
    assert told["state"] == "degraded"
    for word in (str(newer), "99.1", "foretell", "upgrade synguard"):
        assert word in told["error"]
    assert "99.1" in guard.named("history.degraded")[0].fields["error"]
    assert guard.named("history.moved_aside") == []
    doctor = synguard_command("doctor", "--format", "json", "--config", str(newer.with_name("synguard.toml")))
    finding = Examined.read(commands.run(topology.server, *doctor, check=False)).one("database")
    assert finding["status"] == "warning"
    assert "99.1" in finding["what"]
    assert guard.stop() == 0
    assert contents(newer) == before
