"""A directory that another user may enter; pytest's own are for the one who runs it."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def public_directory() -> Iterator[Path]:
    """Make a directory that everybody may read, and remove it."""
    with tempfile.TemporaryDirectory(prefix="synguard-test-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        yield directory
