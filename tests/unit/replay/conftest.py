"""Captures of made-up content, closed when the test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from synguard.replay.capture import Capture

#: Returns the capture that a file of this content is.
CaptureOf = Callable[[bytes], Capture]


@pytest.fixture
def capture_of(tmp_path: Path) -> Iterator[CaptureOf]:
    """Return what writes a file and opens it as a capture."""
    with ExitStack() as opened:

        def make(content: bytes) -> Capture:
            path = tmp_path / "capture"
            path.write_bytes(content)
            return opened.enter_context(closing(Capture(str(path))))

        yield make
