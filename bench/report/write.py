"""Writes a scorecard and its plots into a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bench.report.scorecard import scorecard
from bench.results.model import Result
from synguard.errors import SynguardError, UnsupportedError

SCORECARD = "scorecard.md"


def write_report(result: Result, folder: Path, tell: Callable[[str], None]) -> Path:
    """Write ``scorecard.md`` and its plots, as PNG and SVG, into a folder; return the scorecard's path.

    Raises UnsupportedError without matplotlib, SynguardError when the folder cannot be written.
    """
    # matplotlib takes half a second to load, and only this command draws.
    try:
        from bench.report.plots import draw_plots  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise UnsupportedError(
            f"the report draws with matplotlib, and {error.name} is missing: "
            "run '.ci/setup bench', or pip install -e '.[bench]'"
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tell("drawing plots")
        plots = draw_plots(result, folder)
        names = {scenario: [path.name for path in paths] for scenario, paths in plots.items()}
        path = folder / SCORECARD
        path.write_text(scorecard(result, names), encoding="utf-8")
    except OSError as error:
        raise SynguardError(f"cannot write the report into {folder}: {error.strerror}") from error
    return path
