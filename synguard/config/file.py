"""Reads the settings file, and says in which line of it something is wrong."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from synguard.config.checking import Problem, build
from synguard.config.settings import Settings, check_together
from synguard.errors import UsageError

#: Read when no file is named and it exists.
DEFAULT_PATH = Path("/etc/synguard/synguard.toml")

#: A file beyond this is not a settings file, but a slip that would take the daemon's memory.
MAX_BYTES = 4 << 20

_TABLE = re.compile(r"\s*\[{1,2}(.+?)\]{1,2}\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[A-Za-z0-9_.\s-])+?)\s*=""")


def load(path: Path | None, *, default_path: Path = DEFAULT_PATH) -> Settings:
    """Return the settings of the file at ``path``, with defaults for what it leaves out.

    With None the file at ``default_path`` is read if there is one; without one all settings are
    defaults. Raises UsageError naming the file and, for each thing wrong, the line, the dotted key,
    the value and what is allowed.
    """
    if path is None and not _exists(default_path):
        return Settings()
    path = path or default_path
    text = _read(path)
    problems: list[Problem] = []
    settings = build(Settings, _parse(path, text), problems)
    check_together(settings, problems)
    if problems:
        raise UsageError("\n".join(f"{_place(path, text, p)}: {p.key}: {p.text}" for p in problems))
    return settings


def file_in_use(path: Path | None, *, default_path: Path = DEFAULT_PATH) -> Path | None:
    """Return the file that :func:`load` reads, or None where all settings are defaults. Raises UsageError."""
    return path or (default_path if _exists(default_path) else None)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    return True


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file") from error
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{path}: longer than {MAX_BYTES >> 20} MiB, which no settings file is")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}: line {line}: not UTF-8 text") from error


def _parse(path: Path, text: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # tomllib says "(at line 2, column 5)", or "(at end of document)" when something stays open.
        reason, _, place = str(error).rpartition(" (at ")
        found = re.match(r"line (\d+), column (\d+)", place)
        where = f"line {found[1]}, column {found[2]}" if found else f"line {_last_line(text)} (the end)"
        raise UsageError(f"{path}: {where}: not valid TOML: {reason}") from error


def _last_line(text: str) -> int:
    return max(1, len(text.splitlines()))


def _place(path: Path, text: str, problem: Problem) -> str:
    """Return ``FILE: line N``, or the file alone where the line cannot be told."""
    lines = _lines_of(text, problem.key)
    line = next(lines, None)
    if line is None:
        return str(path)
    number = line[0]
    if problem.element is not None:
        written = str(problem.element)
        number = next((n for n, content in [line, *lines] if written in content), number)
    return f"{path}: line {number}"


def _lines_of(text: str, key: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that set ``key`` or part of it, or go on with its value."""
    wanted = _parts(key)
    table: tuple[str, ...] = ()
    current = table
    for number, content in enumerate(text.splitlines(), start=1):
        if heading := _TABLE.match(content):
            current = table = _parts(heading[1])
        elif name := _KEY.match(content):
            current = (*table, *_parts(name[1]))
        inline = "{" in content and current == wanted[: len(current)]
        if current and (inline or current[: len(wanted)] == wanted):
            yield number, content


def _parts(dotted: str) -> tuple[str, ...]:
    """Return the parts of a dotted key, without their quotes; none if it is no key."""
    try:
        value: object = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    parts = []
    while isinstance(value, dict):
        ((part, value),) = value.items()
        parts.append(part)
    return tuple(parts)
