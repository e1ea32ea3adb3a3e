"""Puts an XDP program of the bench's onto a guarded interface, natively, and takes it off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bench.net.links import Endpoint, attach_xdp
from synguard.errors import SynguardError, UnsupportedError


@contextlib.contextmanager
def attached(endpoint: Endpoint, program: int) -> Iterator[None]:
    """Run a program natively on the endpoint's interface while the block lasts.

    Raises UnsupportedError where the driver cannot, or where another program is.
    """
    try:
        attach_xdp(endpoint.namespace, endpoint.interface, program, native=True)
    except SynguardError as error:
        raise UnsupportedError(f"{endpoint.interface} takes no native XDP program: {error}") from error
    try:
        yield
    finally:
        detach(endpoint)


def detach(endpoint: Endpoint) -> None:
    """Take whatever native program is there off the endpoint's interface; none is as good."""
    attach_xdp(endpoint.namespace, endpoint.interface, -1, native=True)
