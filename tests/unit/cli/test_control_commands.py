"""The commands that talk to the daemon: status, respond."""

import json
from typing import Any

import pytest

from synguard.history.records import alert_to_json
from tests.unit.cli.conftest import SPOOFED, Cli, FakeDaemon

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4242,
    "started_at": "2026-11-22T10:00:00.000Z",
    "uptime_s": 3720.5,
    "respond": "dry-run",
    "drop": "proven",
    "interfaces": [
        {"name": "eth1", "index": 3, "attached": True, "ingress": "xdp-native", "egress": "tc-clsact",
         "note": None, "blind": []},
        {"name": "eth2", "index": None, "attached": False, "ingress": None, "egress": None,
         "note": "interface eth2 is not there", "blind": []},
    ],
    "blind": [],
    "one_way": False,
    "totals": {
        "attempts": 12345, "syn_retransmits": 1, "syn_duplicates": 2, "answered": 12000,
        "completed": 11000, "aborted": 3, "refused": 4, "dropped_by_us": 5, "fin_probes": 0,
        "null_probes": 0, "xmas_probes": 0, "unparsed": 6, "packets": 99999,
    },
    "unparsed": {"not_ip": 6},
    "listeners": [
        {"listener": f"203.0.113.5:{port}", "closed_ports": False, "attempts": 1000 + port,
         "answered": 1000, "completed": 900, "aborted": 0, "refused": 0, "dropped_by_us": 0,
         "half_open_ratio": None if port else 0.5, "attempts_per_s": 12.5, "handshake_p50_ms": 1.0,
         "handshake_p99_ms": 7.25, "allowance_ms": 50, "sources_estimated": 17,
         "syn_queue": 1025 if port == 3 else None, "syn_queue_limit": 1024 if port == 3 else None,
         "accept_queue": 2 if port == 3 else None, "accept_queue_limit": 1024 if port == 3 else None}
        for port in range(12)
    ],
    "stack": {
        "syncookies": 1, "counters": {"ListenDrops": 8}, "conntrack_entries": 3000, "conntrack_limit": 4000,
        "unreadable": {"queues": "not \x1b[31mpermitted"},
    },
    "sources": [
        {"source": "198.51.100.7", "attempts": 777, "completed": 0, "targets_estimated": 1}
    ],
    "open_alerts": [alert_to_json(SPOOFED)],
    "losses": {"late_reads": 3, "sources_unwatched": 0},
    "expected_losses": [
        {"attempts_per_s": rate,
         "handshakes": [{"hold_s": 0.1, "lost_share": 1e-9}, {"hold_s": 0.2, "lost_share": 1.5e-5},
                        {"hold_s": 1.0, "lost_share": 0.0922}],
         "greylisted": [{"hold_s": 1.0, "lost_share": 1.6e-4}, {"hold_s": 3.0, "lost_share": 0.566}],
         "sources_known_from_syn_per_s": known}
        for rate, known in ((12.5, 0.0), (1_000_000, 45.4))
    ],
    "responses": {"mode": "dry-run", "blocks": 2, "actions": 8, "refused": 1},
    "silences": 0,
    "history": {"database": "/var/lib/synguard/synguard.db", "state": "degraded", "queued": 4, "lost": 1,
                "error": "disk I/O error", "moved_aside": "/var/lib/synguard/old"},
}  # fmt: skip

BLOCK = {
    "response": "drop",
    "target": "198.51.100.7",
    "until": "2026-11-22T10:10:00.123Z",
    "hits": 12345,
    "reason": "seen \x1b[31mred",
    "asked_by": "manual",
    "alert_id": None,
    "created_at": "2026-11-22T10:00:00.123Z",
}


def test_status_text(run_cli: Cli, daemon: FakeDaemon) -> None:
    """The text says how the probe sits, what it sees, what goes on, what was lost and what is broken."""
    daemon.answers["status"] = STATUS
    result = run_cli("status")
    assert result.exit_code == 0
    for said in (
        "pid 4242, up 1h 2m",
        "responding: dry-run (drop = proven), 2 blocks",
        "xdp-native",
        "NOT ATTACHED",
        "interface eth2 is not there",
        "12,345",
        "and 2 more",
        "7.25 ms",
        "198.51.100.7",
        "24: syn-flood spoofed [2001:db8::5]:443",
        "losses: late_reads 3\n",
        "\nqueues of 203.0.113.5:3: SYN 1,025 of 1,024, accept 2 of 1,024\n",
        "conntrack: 3,000 entries, 75.0% full\n",
        "impact: queues cannot be read: not ",
        "history: degraded",
        "moved to /var/lib/synguard/old",
        "waiting for the disk: 4, lost: 1",
        "disk I/O error",
    ):
        assert said in result.stdout


def test_status_says_what_floods_will_cost(run_cli: Cli, daemon: FakeDaemon) -> None:
    """The stated loss by rate and hold time, and how fast a source has to be to be known."""
    daemon.answers["status"] = STATUS
    lines = [line.split() for line in run_cli("status").stdout.splitlines()]
    heading = next(number for number, line in enumerate(lines) if line[:2] == ["EXPECTED", "LOSS"])
    held = "OPEN FOR 0.1 S OPEN FOR 0.2 S OPEN FOR 1 S"
    again = "GREYLISTED, AGAIN AFTER 1 S GREYLISTED, AGAIN AFTER 3 S"
    assert " ".join(lines[heading][4:]) == f"{held} {again} SOURCES KNOWN FROM"
    assert " ".join(lines[heading + 1]) == "now, 12.5 SYN/s 0% <0.1% 9.2% <0.1% 56.6% any"
    assert " ".join(lines[heading + 2]) == "at 1,000,000 SYN/s 0% <0.1% 9.2% <0.1% 56.6% 45.4/s"


def test_status_says_what_is_not_seen(run_cli: Cli, daemon: FakeDaemon) -> None:
    """What is not seen stands above all figures, with what to do; figures that are unknown are not shown."""
    eth1, eth2 = STATUS["interfaces"]
    unseen = {"alert_id": 7, "cause": "stalled", "interface": "eth1", "not_seen": "eth1: everything",
              "since": "2026-11-22T10:00:00Z", "to_do": "restart the daemon"}  # fmt: skip
    daemon.answers["status"] = {
        **STATUS,
        "interfaces": [{**eth1, "blind": ["stalled"]}, eth2],
        "blind": [unseen],
        "one_way": True,
        "totals": {**STATUS["totals"], "answered": None, "completed": None},
    }
    lines = run_cli("status").stdout.splitlines()
    assert next(line for line in lines if line.startswith("eth1")).split()[1] == "BLIND"
    assert "  7: stalled since 2026-11-22T10:00:00Z: eth1: everything" in lines
    assert "     to do: restart the daemon" in lines
    assert any(line.startswith("only what comes in is seen") for line in lines)
    assert next(line for line in lines if line.startswith("answered")).split() == ["answered", "-"]
    said_at = {line.split()[0]: number for number, line in enumerate(lines) if line}
    assert said_at["BLIND"] < said_at["attempts"]


def test_status_json_is_the_daemons(run_cli: Cli, daemon: FakeDaemon) -> None:
    """JSON is the daemon's answer, whole."""
    daemon.answers["status"] = STATUS
    assert json.loads(run_cli("status", "--format", "json").stdout) == STATUS


def test_quiet_status(run_cli: Cli, daemon: FakeDaemon) -> None:
    """A daemon that has seen and lost nothing says so."""
    healthy = {"database": "/x", "state": "ok", "queued": 0, "lost": 0, "error": None, "moved_aside": None}
    unasked: dict[str, Any] = {"conntrack_entries": None, "conntrack_limit": None, "unreadable": {}}
    quiet = {"listeners": [], "sources": [], "open_alerts": [], "losses": {"late_reads": 0}, "stack": unasked}
    daemon.answers["status"] = {**STATUS, **quiet, "history": healthy}
    output = run_cli("status").stdout
    assert "BLIND" not in output
    assert "only what comes in" not in output
    assert "no open alerts" in output
    assert not {"queues", "conntrack", "impact"} & {
        line.split(" ")[0].rstrip(":") for line in output.splitlines()
    }
    assert "losses: none" in output
    assert output.endswith("history: ok, /x\n")


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["respond", "off"],
        ["block", "list"],
        ["block", "add", "192.0.2.1"],
        ["block", "remove", "192.0.2.1"],
        ["block", "clear"],
        ["silence", "list"],
        ["silence", "add", "192.0.2.1:443"],
        ["silence", "remove", "192.0.2.1"],
    ],
)
def test_without_a_daemon(run_cli: Cli, command: list[str]) -> None:
    """What needs a daemon says how to start one, and is exit 1."""
    result = run_cli(*command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "systemctl start synguard" in result.stderr


def test_respond(run_cli: Cli, daemon: FakeDaemon) -> None:
    """The mode that the daemon then has is confirmed; an unknown one is exit 2."""
    daemon.answers["respond"] = {"mode": "enforce"}
    assert run_cli("respond", "enforce").stdout == "responding: enforce\n"
    assert daemon.asked == [("respond", {"mode": "enforce"})]
    assert run_cli("respond", "ban").exit_code == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"mode": "off", "ended": 3, "suspended": 2}, "off; blocks: 3 ended, 2 of people's suspended"),
        ({"mode": "enforce", "ended": 0, "resumed": 2}, "enforce; blocks: 2 of people's in force again"),
        ({"mode": "dry-run", "ended": 1234, "suspended": 0}, "dry-run; blocks: 1,234 ended"),
    ],
)
def test_a_change_of_the_mode_says_what_it_did(
    run_cli: Cli, daemon: FakeDaemon, answer: dict[str, Any], said: str
) -> None:
    """Who switches responses off or on sees how many blocks that ended, put aside or brought back."""
    daemon.answers["respond"] = answer
    assert run_cli("respond", answer["mode"]).stdout == f"responding: {said}\n"
    assert json.loads(run_cli("respond", answer["mode"], "--format", "json").stdout) == answer


def test_the_mode_is_told_without_changing_it(run_cli: Cli, daemon: FakeDaemon) -> None:
    """Without a mode the present one is shown with what is in force, and nothing is changed."""
    daemon.answers["status"] = STATUS
    assert run_cli("respond").stdout == "responding: dry-run (drop = proven), 2 in force\n"
    held = {"by_response": {"drop": 1, "greylist": 0, "cookie": 2}, "suspended": 0, "blocks": 3}
    daemon.answers["status"] = {**STATUS, "respond": "enforce", "responses": held}
    told = "enforce (drop = proven), 3 in force: 1 drop, 2 cookie"
    assert run_cli("respond").stdout == f"responding: {told}\n"
    answer = json.loads(run_cli("respond", "--format", "json").stdout)
    assert answer == {"mode": "enforce", "drop": "proven", "responses": held}
    assert {name for name, _ in daemon.asked} == {"status"}
