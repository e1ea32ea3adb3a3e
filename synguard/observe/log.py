"""The log: structlog's events as JSON lines, readable on a terminal, with fields in the journal."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from synguard.observe.journal import JournalWriter, fields_of, leads_to_journal
from synguard.observe.patience import has_room
from synguard.observe.text import printable

LogFormat = Literal["auto", "json", "console"]

#: The levels that ``log.level`` may name, the most talkative first.
LEVELS = ("debug", "info", "warning", "error")


class LineWriter:
    """Writes log lines to a stream, and counts those that the stream would not take.

    Whoever reads the log may go away or stop reading (``| less``, Ctrl-S): neither may stop the guard.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        #: Lines that could not be written.
        self.lost_lines = 0
        self._behind = False

    def msg(self, message: str) -> None:
        """Write one line."""
        self._behind = not self._has_room()
        if self._behind:
            self.lost_lines += 1
            return
        try:
            self._stream.write(message + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream has been closed.
            self.lost_lines += 1

    def _has_room(self) -> bool:
        """Tell whether the stream takes a line (a pipe: PIPE_BUF bytes) without making us wait."""
        try:
            descriptor = self._stream.fileno()
        except (OSError, ValueError):  # Text in memory, or closed: writing will tell.
            return True
        return has_room(descriptor, patient=not self._behind)

    debug = info = warning = warn = error = exception = critical = fatal = msg


#: Where log lines go.
Writer = LineWriter | JournalWriter


class _LibraryRecords(logging.Handler):
    """Passes on what libraries say through the standard library's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        log: FilteringBoundLogger = structlog.get_logger()
        log.log(
            record.levelno,
            "library.logged",
            logger=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )


def configure(
    level: str = "info",
    log_format: LogFormat = "auto",
    stream: TextIO | None = None,
    *,
    writer: Writer | None = None,
) -> Writer:
    """Set up structlog for this process, and return the writer that counts lost lines.

    Args:
        level: one of ``LEVELS``; events below it are dropped.
        log_format: ``auto`` is ``console`` on a terminal and ``json`` elsewhere.
        stream: where lines go; standard output by default. One that systemd connected to its journal is
            left for the journal's own protocol, which knows more than lines.
        writer: what an earlier call returned, to go on with its lost lines.

    Raises KeyError on an unknown level.

    """
    target = stream or sys.stdout
    writer = writer or _journal_behind(target) or LineWriter(target)
    level_number = logging.getLevelNamesMapping()[level.upper()]
    readable = log_format == "console" or (log_format == "auto" and target.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            *_rendering(_renderers(readable, colours=target.isatty()), writer),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level_number),
        logger_factory=lambda *_: writer,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_LibraryRecords()], level=max(level_number, logging.WARNING), force=True)
    return writer


def _journal_behind(target: TextIO) -> JournalWriter | None:
    try:
        return JournalWriter() if leads_to_journal(target) else None
    except OSError:  # lines reach it by the stream, though without fields
        return None


def _rendering(renderers: list[Processor], writer: Writer) -> list[Processor]:
    """Return the last processors: what they render goes to the journal with fields."""
    if isinstance(writer, LineWriter):
        return renderers

    def for_journal(
        logger: WrappedLogger, method: str, event: EventDict
    ) -> tuple[tuple[str], dict[str, Any]]:
        fields = fields_of(str(event.get("level", method)), event)
        line: Any = event
        for render in renderers:
            line = render(logger, method, line)
        return (str(line),), {"fields": fields}

    return [for_journal]


def _renderers(readable: bool, colours: bool) -> list[Processor]:
    if not readable:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]
    plain = structlog.dev.plain_traceback
    return [_without_controls, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]


def _without_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}
