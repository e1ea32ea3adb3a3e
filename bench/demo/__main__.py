"""A bounded story in namespaces of its own: a flood, what it does to good clients, and synguard's answer.

    python -m bench.demo [--json FILE]

Exit codes: 0 when everything that it promises held, 1 when something did not (it says what), 2 wrong
usage, 3 without root, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from bench.defences.guard import programs_held_by, synguard_command
from bench.demo import phases
from bench.demo.phases import CONTROL, SINGLE_SOURCE, SPOOFED, PhaseFigures, Stage
from bench.flood.driver import FloodGenerator
from bench.folders import folder
from bench.net.enter import child_environment
from bench.net.namespaces import Topology, exit_on_signals, namespaces_of, wait_until
from synguard.errors import SynguardError, UnsupportedError, UsageError
from synguard.probe.syscall import program_fd_by_id

TIME_LIMIT_S = 45.0
_GONE_TIMEOUT_S = 5.0
_ROW = "{:14}{:>14}{:>12}{:>10}{:>10}{:>9}{:>9}{:>10}"
#: What is done about each flood in the end.
ACTIONS = {SINGLE_SOURCE.name: "drop", SPOOFED.name: "cookie"}


class Teller:
    """Prints lines as they come, each with the seconds since the start."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        self._turn = threading.Lock()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._start_s

    def __call__(self, line: str) -> None:
        """Print one line; threads take turns."""
        with self._turn:
            print(f"{self.elapsed_s:5.1f} s  {line}", flush=True)


def _share(figures: PhaseFigures) -> float:
    return figures.good_succeeded / figures.good_attempted if figures.good_attempted else 0.0


def _quiet_promises(figures: PhaseFigures) -> Iterator[str]:
    if figures.good_succeeded != figures.good_attempted:
        yield f"{figures.phase}: every connection succeeds"


def _flood_promises(figures: PhaseFigures, expected_class: str, alert_limit_ms: float) -> Iterator[str]:
    if figures.alert_class != expected_class:
        yield f"{figures.phase}: classed as {expected_class}"
    if figures.time_to_alert_ms is None or figures.time_to_alert_ms >= alert_limit_ms:
        yield f"{figures.phase}: alerted in under {alert_limit_ms / 1000:g} s"
    if figures.time_to_close_ms is None:
        yield f"{figures.phase}: every alert closes"


def broken_promises(story: Sequence[PhaseFigures]) -> list[str]:
    """Return which promises did not hold, in words; empty when all did."""
    by_name = {figures.phase: figures for figures in story}
    broken = [f"{name}: at least 200 connections" for name, f in by_name.items() if f.good_attempted < 200]
    for name in ("baseline", "after"):
        broken += _quiet_promises(by_name[name])
    for phase, expected_class, limit_ms in (
        (CONTROL, "single-source", 1000),
        (SINGLE_SOURCE, "single-source", 1000),
        (SPOOFED, "spoofed", 2000),
    ):
        broken += _flood_promises(by_name[phase.name], expected_class, limit_ms)
    if _share(by_name[CONTROL.name]) >= 0.5:
        broken.append("control: under 50 % of connections succeed, or the flood proves nothing")
    for phase in (SINGLE_SOURCE, SPOOFED):
        if _share(by_name[phase.name]) < 0.99:
            broken.append(f"{phase.name}: at least 99 % of connections succeed")
        if by_name[phase.name].action != ACTIONS[phase.name]:
            broken.append(f"{phase.name}: the response is {ACTIONS[phase.name]}")
    return broken


def _show_alerts(database: Path, tell: Teller) -> None:
    tell("$ synguard alerts")
    argv = synguard_command("alerts", "--database", str(database))
    subprocess.run(argv, env=child_environment(), check=True)


def _is_gone(program_id: int) -> bool:
    try:
        os.close(program_fd_by_id(program_id))
    except FileNotFoundError:
        return True
    return False


def _leftovers(files: Path, programs: set[int]) -> Iterator[str]:
    yield from (f"namespace {name}" for name in namespaces_of(os.getpid()))
    if files.exists():
        yield f"folder {files}"
    try:
        # The kernel frees a program some time after its last user has gone.
        wait_until(lambda: all(_is_gone(number) for number in programs), "", _GONE_TIMEOUT_S)
    except SynguardError:
        yield f"eBPF programs {sorted(number for number in programs if not _is_gone(number))}"


def _perform(tell: Teller) -> tuple[list[PhaseFigures], list[str]]:
    """Play the whole story; return its figures and what was not as it should be, in words."""
    with folder("demo") as files:
        with Topology(phases.SERVER_SYSCTLS) as topology, FloodGenerator.between(topology) as generator:
            tell("set-up: server, client and attacker behind a switch; tcp_syncookies=0 at the server")
            stage = Stage(topology, generator, files, tell)
            story = list(stage.play())
            programs = stage.programs | programs_held_by(generator.pid)
        _show_alerts(files / "synguard.db", tell)
    left = [f"nothing is left behind, but there is {what}" for what in _leftovers(files, programs)]
    return story, stage.faults + left


def _summary(story: Sequence[PhaseFigures]) -> Iterator[str]:
    titles = ("phase", "good client", "flood sent", "dropped", "answered", "alert", "act", "close")
    yield _ROW.format(*titles)
    for figures in story:
        times = (figures.time_to_alert_ms, figures.time_to_act_ms, figures.time_to_close_ms)
        alert, act, close = ("-" if ms is None else f"{ms:.0f} ms" for ms in times)
        counts = (figures.flood_packets_sent, figures.flood_packets_dropped, figures.flood_packets_answered)
        sent, dropped, answered = ("-" if count is None else str(count) for count in counts)
        good = f"{figures.good_succeeded}/{figures.good_attempted}"
        yield _ROW.format(figures.phase, good, sent, dropped, answered, alert, act, close)


def _demonstrate(json_file: Path | None) -> int:
    tell = Teller()
    tell(f"a demonstration of at most {TIME_LIMIT_S:g} s")
    tell(f"close_after_s = {phases.CLOSE_AFTER_S:g} here, so that alerts close soon after each flood")
    story, faults = _perform(tell)
    print(*_summary(story), sep="\n", flush=True)
    if json_file:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(story), indent=2) + b"\n")
    broken = [*broken_promises(story), *faults]
    if tell.elapsed_s > TIME_LIMIT_S:
        broken.append(f"it takes at most {TIME_LIMIT_S:g} s")
    for promise in broken:
        print(f"NOT KEPT  {promise}", flush=True)
    tell("done; every promise was kept and nothing is left" if not broken else "done; see above")
    return 1 if broken else 0


def _run_safely(demonstrate: Callable[[], int]) -> int:
    try:
        with exit_on_signals():
            return demonstrate()
    except KeyboardInterrupt:
        print("interrupted; everything has been removed", file=sys.stderr)
        return 130
    except SynguardError as error:
        print(f"bench.demo: {error}", file=sys.stderr)
        return error.exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.demo", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write each phase's figures here")
    options = parser.parse_args(arguments)

    def demonstrate() -> int:
        if os.geteuid() != 0:
            raise UnsupportedError(
                "namespaces and eBPF need root; run: sudo make demo (or sudo .venv/bin/python -m bench.demo)"
            )
        if options.json and not options.json.resolve().parent.is_dir():
            raise UsageError(f"--json {options.json}: there is no such folder")
        return _demonstrate(options.json)

    return _run_safely(demonstrate)


if __name__ == "__main__":
    sys.exit(main())
