"""What status tells of the daemon itself: since when, with what settings, memory, pins, disk and blocks."""

from __future__ import annotations

from typing import Any

from tests.unit.cli.conftest import Cli, FakeDaemon
from tests.unit.cli.test_control_commands import BLOCK, STATUS

PINS = {
    "directory": "/sys/fs/bpf/synguard",
    "pinned": "/sys/fs/bpf/synguard/net-1/layout-a-program-b",
    "stays_attached": True,
    "taken_over": True,
    "layout": "a",
    "program": "b",
}
WHOLE: dict[str, Any] = {
    **STATUS,
    "started_at": "2026-11-22T10:00:00.123Z",
    "config_file": "/etc/synguard/synguard.toml",
    "map_memlock_bytes": 52_789_272,
    "pins": PINS,
    "responses": {**STATUS["responses"], "blocks": 12, "in_force": [BLOCK] * 12},
    "history": {
        **STATUS["history"],
        "database_bytes": 3 << 20,
        "last_written_at": "2026-11-22T10:05:00.500Z",
        "retention_days": 90,
        "retention_mib": 1024,
        "seconds_days": 1,
        "minutes_days": 31,
        "seconds_lost": 7,
        "responses_lost": 0,
        "something_new": "worth \x1b[31mknowing",
    },
}


def test_everything_about_the_daemon_is_told(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Since when it runs and with what, what stays when it ends, and what the history takes and lost."""
    daemon.answers["status"] = WHOLE
    lines = run_cli("status").stdout.splitlines()
    for line in (
        "running since 2026-11-22T10:00:00Z, settings: /etc/synguard/synguard.toml",
        "kernel memory of the probe's maps: 50.3 MiB",
        "probe: taken over from an earlier daemon, stays attached when this one ends, pinned in "
        "/sys/fs/bpf/synguard/net-1/layout-a-program-b",
        "history: 3.0 MiB on disk, last written 2026-11-22T10:05:00Z, kept for 90 days up to 1,024 MiB",
        "and 2 more, see `synguard block list`",
    ):
        assert line in lines
    (others,) = (line for line in lines if "seconds lost" in line)
    assert others.startswith("history: seconds lost 7, something new worth ")
    assert "\x1b" not in others
    assert "responses lost" not in others
    blocked = next(line for line in lines if line.split()[:2] == ["198.51.100.7", "drop"])
    assert blocked.split()[2:] == ["12,345", "2026-11-22T10:10:00Z", "manual", "-"]


def test_a_probe_that_goes_with_its_daemon_and_defaults_are_told(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Without pins and without a settings file."""
    pins = {**PINS, "pinned": None, "stays_attached": False, "taken_over": False}
    daemon.answers["status"] = {**WHOLE, "pins": pins, "config_file": None}
    lines = run_cli("status").stdout.splitlines()
    assert "running since 2026-11-22T10:00:00Z, settings: defaults, no settings file" in lines
    told = "probe: loaded by this daemon, goes when this one ends (--keep-attached lets it stay)"
    assert told in lines
