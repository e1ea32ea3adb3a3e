"""A control server for tests, in a thread of its own as the daemon would be in its own process."""

import asyncio
import grp
import io
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog
from structlog.typing import FilteringBoundLogger

from synguard.daemon.control import ControlServer, Handler
from synguard.daemon.permitting import Permission

GROUP = grp.getgrgid(os.getgid()).gr_name


def _logger(stream: io.StringIO) -> FilteringBoundLogger:
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(stream),
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    return logger


@contextmanager
def serving(
    path: Path, handlers: Mapping[str, Handler], group: str = GROUP, log: io.StringIO | None = None
) -> Iterator[None]:
    """Answer on ``path`` while the block runs; the log's JSON lines go to ``log``."""
    loop, logger = asyncio.new_event_loop(), _logger(log or io.StringIO())
    server = ControlServer(path, group, handlers, Permission(group, logger), logger)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        yield
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
