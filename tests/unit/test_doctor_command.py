"""What ``synguard doctor`` reads and writes, on a machine that is shown otherwise to it where it must be."""

from __future__ import annotations

import json
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from synguard.cli import cli
from synguard.doctor import CHECKS, Machine, Status
from synguard.doctor.gathering import files, netdev
from synguard.doctor.machine import Daemon, ListeningSocket
from synguard.history.runs import Run, write_run
from synguard.probe import ethtool
from synguard.probe.ethtool import Offload
from tests.unit.cli.conftest import FLOOD, on_terminal, write_history
from tests.unit.public import public_directory, python_as_nobody
from tests.unit.serving import serving
from tests.unit.test_doctor import HEALTHY

README = Path(__file__).parents[2] / "README.md"
GET_FEATURES = 0x3A

Doctor = Callable[..., dict[str, dict[str, Any]]]


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    """Return settings that name a history and a socket of the test's own."""
    path = tmp_path / "synguard.toml"
    path.write_text(
        f'[history]\ndatabase = "{tmp_path}/synguard.db"\n[control]\nsocket = "{tmp_path}/control.sock"\n'
    )
    return path


@pytest.fixture
def run_doctor(settings_file: Path) -> Callable[..., Result]:
    """Return the command, which looks at the loopback."""

    def run(*arguments: str) -> Result:
        argv = ["doctor", "--config", str(settings_file), "--interface", "lo", *arguments]
        return CliRunner().invoke(cli, argv, prog_name="synguard", catch_exceptions=False)

    return run


@pytest.fixture
def findings(run_doctor: Callable[..., Result]) -> Doctor:
    """Return the command's findings by name."""
    return lambda *arguments: {
        one["name"]: one for one in json.loads(run_doctor("--format", "json", *arguments).stdout)
    }


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[[Machine], None]:
    """Return a function that lets the command find another machine."""
    return lambda machine: monkeypatch.setattr("synguard.cli.doctor.gather", lambda _settings: machine)


def _feature_names() -> list[str]:
    """Return the kernel's names of all features, those without a name included."""
    (count,) = struct.unpack_from("=I", ethtool.ask("lo", struct.pack("=IIQI", 0x37, 0, 1 << 4, 0)), 16)
    strings = ethtool.ask("lo", struct.pack("=III", 0x1B, 4, count) + bytes(count * 32))[12:]
    return [name.rstrip(b"\0").decode() for (name,) in struct.iter_unpack("32s", strings)]


def _with_feature_on(name: str) -> Callable[[str, bytes], bytes]:
    """Return the kernel's answers, but for one feature, which is on.

    No device of this kernel lets LRO be switched on: it is seeded where the driver's answer comes in.
    """
    real = ethtool.ask
    number = _feature_names().index(name)

    def ask(interface: str, request: bytes) -> bytes:
        answer = bytearray(real(interface, request))
        if struct.unpack_from("=I", request) == (GET_FEATURES,):
            block, bit = divmod(number, 32)
            active = 8 + block * 16 + 8
            (before,) = struct.unpack_from("=I", answer, active)
            struct.pack_into("=I", answer, active, before | 1 << bit)
        return bytes(answer)

    return ask


@pytest.mark.parametrize(
    ("feature", "said"),
    [("rx-lro", "lo has large receive offload (LRO) on"), ("rx-gro-hw", "lo has hardware GRO on")],
)
def test_lro_on(findings: Doctor, monkeypatch: pytest.MonkeyPatch, feature: str, said: str) -> None:
    """A driver that says it merges received segments is a warning; the loopback says it does not."""
    assert findings()["lro"]["status"] == "ok"
    monkeypatch.setattr(ethtool, "ask", _with_feature_on(feature))
    finding = findings()["lro"]
    assert (finding["status"], said in finding["what"]) == ("warning", True), finding


def test_offload_that_can_be_changed() -> None:
    """Which features are fixed is told as ethtool tells it: the loopback's TSO is not, its LRO is."""
    offloads = ethtool.offloads("lo") or {}
    assert offloads["tx-tcp-segmentation"] == Offload(is_on=True, is_fixed=False)
    assert offloads["rx-lro"] == Offload(is_on=False, is_fixed=True)


def test_driver_that_may_not_be_asked(findings: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ethtool's ioctl is forbidden, offloads are unknown, with the command that tells them."""

    def refuse(*_: object) -> bytes:
        raise PermissionError

    monkeypatch.setattr(ethtool, "ask", refuse)
    finding = findings()["lro"]
    assert (finding["status"], "ethtool -k lo" in finding["remedy"]) == ("unknown", True)


def test_kernel_that_does_not_tell_of_xdp(findings: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Linux 6.3 there is no family that tells what drivers can do: native XDP is unknown."""
    assert findings()["native_xdp"]["status"] == "warning"  # the loopback has none
    monkeypatch.setattr(netdev, "_CTRL_CMD_GETFAMILY", 99)
    assert findings()["native_xdp"]["status"] == "unknown"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is missing, forbidden, a folder, or no number where one is wanted, is unknown."""
    (tmp_path / "closed").symlink_to("closed")
    assert [files.text(tmp_path / name) for name in ("missing", "closed", "")] == [None, None, None]
    assert files.sysctl("kernel/ostype") is None
    assert files.sysctl("net/ipv4/tcp_syncookies") is not None


@pytest.mark.parametrize(("ahead_s", "status"), [(3600.0, "warning"), (-60.0, "ok")])
def test_run_of_the_future(findings: Doctor, tmp_path: Path, ahead_s: float, status: str) -> None:
    """A daemon that wrote an hour from now, and ended, says that the wall clock was set back, and its end."""
    began_s = time.time() - 7200
    run = Run(began_s, "0.1", "6.18", ("eth1",), "off", "", time.time() + ahead_s, None, None)
    write_history(tmp_path / "synguard.db", FLOOD)
    with sqlite3.connect(tmp_path / "synguard.db") as connection:
        write_run(connection, run)
    connection.close()
    found = findings()
    assert found["clock_steps"]["status"] == status
    assert "the last one was interrupted at 20" in found["daemon"]["what"]


@pytest.mark.parametrize(("ahead_s", "status"), [(3600.0, "warning"), (-60.0, "ok")])
def test_alert_of_the_future(findings: Doctor, tmp_path: Path, ahead_s: float, status: str) -> None:
    """An alert of the future says that the wall clock was set back; one of the past says nothing."""
    flood = replace(FLOOD, started_at_s=time.time() + ahead_s, ended_at_s=time.time() + ahead_s + 1)
    write_history(tmp_path / "synguard.db", flood)
    assert findings()["clock_steps"]["status"] == status


def test_damaged_history(findings: Doctor, tmp_path: Path) -> None:
    """A history that cannot be read is a warning, and keeps doctor from nothing else."""
    assert findings()["database"]["status"] == "ok"
    (tmp_path / "synguard.db").write_bytes(b"no database" * 1000)
    found = findings()
    assert (found["database"]["status"], "damaged" in found["database"]["what"]) == ("warning", True)
    assert found["clock_steps"]["status"] == "unknown"
    assert found["disk"]["status"] != "unknown"


def test_history_with_unknown_words(findings: Doctor, tmp_path: Path) -> None:
    """A history with a kind of alert that this version does not know is told, and not tripped over."""
    write_history(tmp_path / "synguard.db", FLOOD)
    with sqlite3.connect(tmp_path / "synguard.db") as connection:
        connection.execute("UPDATE alerts SET kind = 'worm'")
    connection.close()
    found = findings()
    assert (found["database"]["status"], "worm" in found["database"]["what"]) == ("warning", True)
    assert found["clock_steps"]["status"] == "unknown"


@pytest.mark.parametrize(
    "status", [{}, [], {"interfaces": None}, {"interfaces": ["eth1", {"name": "eth1"}]}, "x"]
)
def test_daemon_that_tells_otherwise(findings: Doctor, tmp_path: Path, status: object) -> None:
    """A daemon of another version, whose status has other things in it, does not make doctor fail."""
    with serving(tmp_path / "control.sock", {"status": lambda _arguments, _peer: status}):
        assert findings()["daemon"]["status"] == "ok"


def test_daemon_that_refuses(findings: Doctor, tmp_path: Path) -> None:
    """A daemon that does not tell its status is unknown, in its own words."""
    with serving(tmp_path / "control.sock", {}):
        finding = findings()["daemon"]
    assert (finding["status"], "status" in finding["what"]) == ("unknown", True)


def test_worst_first(run_doctor: Callable[..., Result], show: Callable[[Machine], None]) -> None:
    """Errors come before warnings, unknown and ok; each but the last says why and how to mend it."""
    show(replace(HEALTHY, somaxconn=8, tcp_syncookies=None, bcc=None))
    result = run_doctor()
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[0].startswith("error    bcc                  Python finds no module bcc")
    assert lines[1].startswith("         why: bcc compiles")
    assert lines[2].startswith("         mend: apt install")
    assert lines[4].startswith("warning  somaxconn            net.core.somaxconn is 8")
    assert lines[8].startswith("unknown  tcp_syncookies       unknown: ")
    assert lines[10] == "         find out: sysctl net.ipv4.tcp_syncookies"
    assert all(line.startswith("ok ") for line in lines[12:-1])
    assert lines[-1] == f"1 error, 1 warning, 1 unknown, {len(CHECKS) - 3} in order"


def test_machine_in_order(run_doctor: Callable[..., Result], show: Callable[[Machine], None]) -> None:
    """Where nothing is wrong, one line a check and the count of them is all there is, and exit 0."""
    show(HEALTHY)
    result = run_doctor()
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, len(CHECKS) + 1)
    assert result.stdout.endswith(f"0 errors, 0 warnings, 0 unknown, {len(CHECKS)} in order\n")


def test_json(run_doctor: Callable[..., Result], show: Callable[[Machine], None]) -> None:
    """JSON is a list of findings, the worst first, in words that programs may rely on."""
    show(replace(HEALTHY, somaxconn=8, daemon=Daemon(None, "no")))
    found = json.loads(run_doctor("--format", "json").stdout)
    assert all(set(one) == {"name", "status", "what", "why", "remedy"} for one in found)
    assert [one["name"] for one in found[:2]] == ["somaxconn", "daemon"]
    assert {one["status"] for one in found} == {"warning", "unknown", "ok"}
    assert [status.value for status in Status] == ["error", "warning", "unknown", "ok"]


def test_names_are_documented(run_doctor: Callable[..., Result]) -> None:
    """Help lists every name that a finding can have and what it stands for; the README has them all."""
    told = run_doctor("--help").stdout
    assert all(f"\n    {check.name:<21}{check.finds}\n" in told for check in CHECKS)
    text = README.read_text(encoding="utf-8")
    assert [check.name for check in CHECKS if f"\n    {check.name:<21}{check.finds}\n" not in text] == []


def test_name_of_a_process_moves_no_cursor(
    run_doctor: Callable[..., Result], show: Callable[[Machine], None]
) -> None:
    """A process may call itself what it likes: on a terminal its name is spelled out."""
    rogue = ListeningSocket("192.0.2.1", 80, 5, owner="\x1b[2Jrogue, pid 23")
    show(replace(HEALTHY, listeners=(rogue,)))
    assert "\\x1b[2Jrogue, pid 23" in run_doctor().stdout


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_text_fits_the_terminal(settings_file: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal every line is within the width, and statuses have a colour; NO_COLOR takes that away."""
    doctor = (settings_file, width, "doctor", "--interface", "lo")
    coloured, _ = on_terminal(*doctor)
    assert any(line.startswith("\x1b[33mwarning\x1b[0m  native_xdp") for line in coloured)
    monkeypatch.setenv("NO_COLOR", "1")
    plain, _ = on_terminal(*doctor)
    assert not [line for line in plain if "\x1b" in line or len(line) > width]
    assert any(line.startswith("warning  native_xdp") for line in plain)


@pytest.fixture
def nobodys_place() -> Iterator[Path]:
    """Return a folder that everybody may enter."""
    with public_directory() as folder:
        yield folder


@pytest.mark.root
def test_without_privileges(nobodys_place: Path) -> None:
    """Nobody may look, too: what it lacks is named, and everything else is judged."""
    settings = nobodys_place / "synguard.toml"
    settings.write_text(f'[probe]\nkeep_attached = true\n[history]\ndatabase = "{nobodys_place}/x.db"\n')
    done = python_as_nobody("-m", "synguard", "doctor", "--format", "json", "--config", str(settings))
    assert (done.returncode in (0, 1), done.stderr) == (True, "")
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert found["capabilities"]["status"] == "warning"
    assert "sudo synguard doctor" in found["capabilities"]["remedy"]
    assert found["database"]["what"] == f"{nobodys_place} is not writable for this user"
    assert found["tcp_syncookies"]["status"] != "unknown"


def test_what_the_daemon_guards_is_looked_at(settings_file: Path, tmp_path: Path) -> None:
    """Unless interfaces are named, doctor looks at those that the running daemon guards."""
    status = {"interfaces": [{"name": "lo", "attached": False, "note": "no room"}]}
    with serving(tmp_path / "control.sock", {"status": lambda _arguments, _peer: status}):
        result = CliRunner().invoke(cli, ["doctor", "--config", str(settings_file)])
    assert result.exit_code == 1
    assert "error    attachment           the probe is not attached to lo: no room" in result.stdout
    assert "interface            lo has Ethernet frames" in result.stdout
