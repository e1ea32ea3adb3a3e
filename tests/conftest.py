"""Tiers that need a kernel, and what becomes of them where there is none.

A test marked ``root``, ``kernel``, ``netns`` or ``service`` *fails* where it cannot run, with the reason:
a suite that skips its kernel tests looks exactly like one that passed them. Who wants only the rest says
``--without-kernel``, and the summary says how many tests that left out.
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from synguard.probe.syscall import program_fd_by_id

LEFT_OUT = pytest.StashKey[int]()


def _lacks_root() -> Iterator[str]:
    if os.geteuid() != 0:
        yield "root (run 'sudo make test')"


def _lacks_bpf() -> Iterator[str]:
    yield from _lacks_root()
    if find_spec("bcc") is None:
        yield "bcc (Debian's python3-bpfcc, and a venv made with --system-site-packages)"
    try:
        os.close(program_fd_by_id(0))
    except FileNotFoundError:  # No program has that number: bpf(2) works, and this user may ask it.
        return
    except OSError as error:
        yield f"a usable bpf(2) ({error.strerror})"


def _lacks_commands(*names: str) -> Iterator[str]:
    for name in names:
        if shutil.which(name) is None:
            yield f"the command {name}"


def _lacks_namespaces() -> Iterator[str]:
    yield from _lacks_root()
    yield from _lacks_commands("ip")
    if not Path("/proc/self/ns/net").exists():
        yield "network namespaces (CONFIG_NET_NS)"


def _lacks_systemd() -> Iterator[str]:
    yield from _lacks_root()
    yield from _lacks_commands("unshare", "nsenter", "pivot_root", "systemctl")
    if not Path("/lib/systemd/systemd").exists():
        yield "systemd (Debian's package of that name)"
    filesystems = Path("/proc/filesystems").read_text(encoding="ascii").split()
    yield from (f"the file system {name}" for name in ("overlay", "cgroup2") if name not in filesystems)


TIERS: dict[str, Callable[[], Iterator[str]]] = {
    "root": _lacks_root,
    "kernel": _lacks_bpf,
    "netns": _lacks_namespaces,
    "service": _lacks_systemd,
}


@functools.cache
def missing_for(tier: str) -> tuple[str, ...]:
    """Return what this machine lacks for a tier, in words; empty when the tier can run."""
    return tuple(TIERS[tier]())


def _tiers_of(item: pytest.Item) -> list[str]:
    return [tier for tier in TIERS if item.get_closest_marker(tier) is not None]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--without-kernel``."""
    parser.addoption(
        "--without-kernel",
        action="store_true",
        help="leave out the tests that need root, bpf(2), network namespaces or systemd, and say how many",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse ``--without-kernel`` in continuous integration, where a gap would go unseen."""
    config.stash[LEFT_OUT] = 0
    if config.getoption("--without-kernel") and os.environ.get("CI"):
        raise pytest.UsageError("--without-kernel is not for continuous integration: CI is set")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the kernel tiers, but only where that was asked for."""
    if not config.getoption("--without-kernel"):
        return
    left_out = [item for item in items if _tiers_of(item)]
    items[:] = [item for item in items if not _tiers_of(item)]
    config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT] = len(left_out)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test that cannot run here, with what is missing."""
    missing = dict.fromkeys(lack for tier in _tiers_of(item) for lack in missing_for(tier))
    if missing:
        pytest.fail(
            f"cannot run here, and so fails: missing {'; '.join(missing)}. "
            "Use --without-kernel to leave such tests out",
            pytrace=False,
        )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say loudly what was left out."""
    left_out = config.stash[LEFT_OUT]
    if left_out:
        terminalreporter.write_line(
            f"NOT TESTED: {left_out} tests of the kernel tiers were left out by --without-kernel",
            red=True,
            bold=True,
        )
