"""Puts an XDP program of the bench's onto a guarded interface, natively, and takes it off."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from bench.net.enter import call_in
from bench.net.links import Endpoint
from synguard.errors import UnsupportedError

_UPDATE_IF_NOEXIST = 1 << 0
_NATIVE = 1 << 2


def _set(endpoint: Endpoint, program: int, flags: int) -> None:
    def ask() -> None:
        with IPRoute() as route:
            attributes: list[tuple[str, Any]] = [("IFLA_XDP_FD", program), ("IFLA_XDP_FLAGS", flags)]
            (index,) = route.link_lookup(ifname=endpoint.interface)
            route.link("set", index=index, xdp={"attrs": attributes})

    call_in(endpoint.namespace, ask)


@contextlib.contextmanager
def attached(endpoint: Endpoint, program: int) -> Iterator[None]:
    """Run a program natively on the endpoint's interface while the block lasts.

    Raises UnsupportedError where the driver cannot, or where another program is.
    """
    try:
        _set(endpoint, program, _NATIVE | _UPDATE_IF_NOEXIST)
    except NetlinkError as error:
        raise UnsupportedError(
            f"{endpoint.interface} in {endpoint.namespace} takes no native XDP program: {error}"
        ) from error
    try:
        yield
    finally:
        detach(endpoint)


def detach(endpoint: Endpoint) -> None:
    """Take whatever native program is there off the endpoint's interface; none is as good."""
    _set(endpoint, -1, _NATIVE)
