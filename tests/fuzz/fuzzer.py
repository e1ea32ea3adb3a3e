"""Runs libFuzzer over the parser for a bounded time, and tells what came of it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.build import build_counting

#: Eight extension headers of the greatest length are more; two of them fit.
_INPUT_BYTES_MAX = 4608
#: Far above what a frame takes, which is microseconds.
_INPUT_TIMEOUT_S = 5
#: For what libFuzzer does before and after its runs.
_GRACE_S = 60


@dataclass(frozen=True, slots=True)
class FuzzResult:
    """What a run of the fuzzer gave."""

    output: str
    executions: int
    #: How many of the target's edges some input went along.
    edges: int
    #: The input that it stopped at.
    found: Path | None

    @property
    def finding(self) -> str:
        """Return the line that says what was found."""
        said = re.search(r"^(finding: .*|SUMMARY: .*|.*runtime error: .*)$", self.output, re.MULTILINE)
        return said[1] if said else "the fuzzer failed without a word of why"


class FuzzerError(Exception):
    """The fuzzer failed, and there is no input that it failed at."""


def _environment() -> dict[str, str]:
    """Name the lines of a stack by addr2line: it comes with the compiler, LLVM's own tool does not."""
    return os.environ | {"ASAN_OPTIONS": "external_symbolizer_path=/usr/bin/addr2line"}


def _last_number(pattern: str, text: str) -> int:
    numbers = re.findall(pattern, text)
    return int(numbers[-1]) if numbers else 0


def fuzz(
    target: Path,
    corpus: Path,
    findings: Path,
    *,
    seconds: int = 600,
    runs: int | None = None,
    seed: int | None = None,
) -> FuzzResult:
    """Fuzz until the time is over, the runs are done, or something was found.

    Args:
        target: what ``build_target`` made.
        corpus: a folder of inputs; what reaches something new is added.
        findings: the folder that keeps an input at which something is wrong.
        seconds: the most that it may take.
        runs: the most executions; None for as many as the time allows.
        seed: of the mutations' randomness; None for another one each time.

    """
    findings.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": seconds,
        "max_len": _INPUT_BYTES_MAX,
        "timeout": _INPUT_TIMEOUT_S,
        "artifact_prefix": f"{findings}/",
        # The parser allocates nothing that it could lose.
        "detect_leaks": 0,
        "runs": -1 if runs is None else runs,
        "seed": seed or 0,
    }
    arguments = [f"-{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [target, *arguments, corpus],
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        timeout=seconds + _GRACE_S,
    )
    output = done.stderr.decode(errors="replace")
    written = re.search(r"Test unit written to (.*)$", output, re.MULTILINE)
    if done.returncode != 0 and written is None:
        raise FuzzerError(output)
    return FuzzResult(
        output,
        _last_number(r"(?:^|\n)(?:Done |#)(\d+)", output),
        _last_number(r" cov: (\d+)", output),
        Path(written[1]) if written and done.returncode != 0 else None,
    )


def replay(target: Path, found: Path) -> subprocess.CompletedProcess[bytes]:
    """Give one input to the target again; what is wrong goes to standard error."""
    return subprocess.run([target, "-detect_leaks=0", found], env=_environment(), check=False)


def lines_run(corpus: Path, folder: Path) -> dict[int, bool]:
    """Return of each line of ``packet.h`` with code whether the corpus runs it; builds in ``folder``."""
    replayer = build_counting(folder)
    for old in folder.glob("*.gcda"):
        old.unlink()
    subprocess.run([replayer, corpus], cwd=folder, check=True)
    counted = subprocess.run(
        ["gcov", "--json-format", "--stdout", "replay-parser.gcda"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    ran: dict[int, bool] = {}
    for file in json.loads(counted.stdout)["files"]:
        if Path(file["file"]).name == "packet.h":
            for line in file["lines"]:
                ran[line["line_number"]] = ran.get(line["line_number"], False) or line["count"] > 0
    return ran
