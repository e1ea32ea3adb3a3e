"""Fuzzes the probe's parser for a while: ``make fuzz``."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.fuzz.build import build_target
from tests.fuzz.fuzzer import FuzzerError, FuzzResult, fuzz, lines_run, replay
from tests.fuzz.seeds import write_seeds

ROOT = Path(__file__).parents[2]
WORK = ROOT / "build" / "fuzz"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _tell_finding(result: FuzzResult, found: Path) -> None:
    _say(result.output)
    kept = found.relative_to(ROOT)
    _say(f"FOUND after {result.executions:,} executions: {result.finding}")
    _say(f"the input is kept in {kept}; to see it again:")
    _say(f"    .venv/bin/python3 -m tests.fuzz --replay {kept}")


def _fuzz(seconds: int) -> int:
    target = build_target(WORK / "target")
    corpus = WORK / "corpus"
    write_seeds(corpus)
    _say(f"fuzzing the parser for {seconds} s with AddressSanitizer and UndefinedBehaviorSanitizer")
    started_s = time.monotonic()
    result = fuzz(target, corpus, WORK / "findings", seconds=seconds)
    took_s = time.monotonic() - started_s
    if result.found is not None:
        _tell_finding(result, result.found)
        return 1
    ran = lines_run(corpus, WORK / "counting")
    _say(
        f"nothing found: {result.executions:,} executions in {took_s:.0f} s, "
        f"{len(list(corpus.iterdir())):,} inputs in {corpus.relative_to(ROOT)}"
    )
    _say(f"coverage: {sum(ran.values())} of {len(ran)} lines of packet.h, {result.edges} edges of the target")
    missed = [number for number, was_run in sorted(ran.items()) if not was_run]
    if missed:
        _say(f"never run: packet.h:{', '.join(map(str, missed))}")
    return 0


def main() -> int:
    """Fuzz, or see one input again; return 1 when something is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: %(default)s)")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="only see what this input does")
    arguments = parser.parse_args()
    if arguments.seconds < 1:
        parser.error("--seconds: at least 1")
    try:
        if arguments.replay is not None:
            return min(replay(build_target(WORK / "target"), arguments.replay).returncode, 1)
        return _fuzz(arguments.seconds)
    except FuzzerError as error:
        _say(f"{error}\nthe fuzzer failed, and named no input")
        return 1


if __name__ == "__main__":
    sys.exit(main())
