"""Sets sysctls of one network namespace for a while: the defences that are nothing but a setting."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.defences.model import Deployed, Target
from bench.net.enter import call_in
from bench.net.namespaces import write_sysctls
from synguard.errors import UnsupportedError

_ROOT = Path("/proc/sys/net")


def read_sysctls(namespace: str, *paths: str) -> dict[str, str]:
    """Return sysctls by their path below /proc/sys/net; raises UnsupportedError for one that is missing."""

    def read() -> dict[str, str]:
        try:
            return {path: (_ROOT / path).read_text(encoding="ascii").strip() for path in paths}
        except FileNotFoundError as error:
            raise UnsupportedError(f"this kernel has no {error.filename}") from error

    return call_in(namespace, read)


@contextlib.contextmanager
def sysctls_set(namespace: str, values: Mapping[str, str]) -> Iterator[None]:
    """Set sysctls, and put back what was there before when the block ends."""
    before = read_sysctls(namespace, *values)
    try:
        write_sysctls(namespace, values)
        yield
    finally:
        write_sysctls(namespace, before)


@contextlib.contextmanager
def cookies(target: Target) -> Iterator[Deployed]:
    """Let the server's kernel answer with SYN cookies once a listener's SYN queue is full."""
    if target.role == "gateway":
        raise UnsupportedError("cookies are the server's own kernel's: a gateway cannot send them for it")
    with sysctls_set(target.guarded.namespace, {"ipv4/tcp_syncookies": "1"}):
        yield Deployed()
