"""Keeps a result on disk: whole after every trial, however the run ends."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from bench.results.model import SCHEMA_VERSION, Result
from synguard.errors import SynguardError, UsageError


class ResultFile:
    """Where a run keeps its result. Whoever reads it sees the last result written, never half of one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, result: Result) -> None:
        """Replace what was there.

        Raises SynguardError when it cannot be written, and msgspec.ValidationError for what nobody could
        read again, such as a figure that is no number: better at the first trial than after the last.
        """
        content = msgspec.json.encode(result) + b"\n"
        msgspec.json.decode(content, type=Result)
        try:
            self._replace(content)
        except OSError as error:
            raise SynguardError(f"cannot keep the result in {self.path}: {error.strerror}") from error

    def _replace(self, content: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def read_result(path: Path) -> Result:
    """Return the result in a file. Raises UsageError, which says what else the file is."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    _check_version(path, content)
    try:
        result = msgspec.json.decode(content, type=Result)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path} is not a whole result of the bench: {error}") from error
    _check_timelines(path, result)
    return result


def _check_version(path: Path, content: bytes) -> None:
    try:
        raw = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        cut = "is cut off" if "truncated" in str(error) else "is not JSON"
        raise UsageError(f"{path} {cut}: {error}") from error
    if not isinstance(raw, dict) or not {"schema", "machine", "scenarios"} <= raw.keys():
        raise UsageError(f"{path} is JSON, and not a result of the bench")
    version = raw["schema"]
    if version != SCHEMA_VERSION:
        raise UsageError(
            f"{path} is a result of schema version {version}, and this bench reads {SCHEMA_VERSION}: "
            "read it with the bench that wrote it, or run it anew"
        )


def _check_timelines(path: Path, result: Result) -> None:
    for scenario in result.scenarios:
        for trial in scenario.trials:
            if len({len(column) for column in trial.timeline.values()}) > 1:
                raise UsageError(f"{path}: a time line of {scenario.scenario} has columns of unequal length")
