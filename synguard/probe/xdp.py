"""Puts the XDP program onto an interface and takes it off, never in somebody else's place."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from synguard.errors import UnsupportedError
from synguard.probe.interfaces import Interface
from synguard.probe.known import KnownPrograms

_FLAGS_UPDATE_IF_NOEXIST = 1 << 0
_FLAGS_REPLACE = 1 << 4
_MODE_FLAGS = {"native": 1 << 2, "generic": 1 << 1}

#: The modes that may be asked for, the better one first.
MODES = tuple(_MODE_FLAGS)


def _set(ipr: Any, index: int, fd: int, flags: int, expected_fd: int | None = None) -> None:
    attributes = [("IFLA_XDP_FD", fd), ("IFLA_XDP_FLAGS", flags)]
    if expected_fd is not None:
        attributes.append(("IFLA_XDP_EXPECTED_FD", expected_fd))
    ipr.link("set", index=index, xdp={"attrs": attributes})


def remove_own(ipr: Any, interface: Interface, known: KnownPrograms) -> None:
    """Remove our program; the kernel refuses if another one has taken its place meanwhile."""
    if interface.xdp_program_id is None or interface.xdp_mode is None:
        return
    with known.opened(interface.xdp_program_id) as fd:
        flags = _MODE_FLAGS[interface.xdp_mode] | _FLAGS_REPLACE
        _set(ipr, interface.index, -1, flags, expected_fd=fd)


@contextmanager
def _put_back(ipr: Any, interface: Interface, fd: int) -> Iterator[None]:
    """Attach what was removed again if the kernel refuses the body."""
    try:
        yield
    except NetlinkError:
        if interface.xdp_mode is not None:
            with suppress(NetlinkError):  # somebody else was quicker: the place is theirs
                _set(ipr, interface.index, fd, _MODE_FLAGS[interface.xdp_mode] | _FLAGS_UPDATE_IF_NOEXIST)
        raise


def try_attach(ipr: Any, interface: Interface, fd: int, mode: str, known: KnownPrograms) -> str | None:
    """Attach in one mode; return None, or why the kernel would not, in its words if ``ipr`` asks for them.

    Our program is replaced in its own mode without a gap. From another mode it has to go first, since the
    kernel allows one mode at a time; if this one is refused it is put back, and ``interface`` still holds.
    """
    flags = _MODE_FLAGS[mode]
    try:
        if interface.xdp_program_id is None or interface.xdp_mode is None:
            _set(ipr, interface.index, fd, flags | _FLAGS_UPDATE_IF_NOEXIST)
            return None
        with known.opened(interface.xdp_program_id) as old:
            if interface.xdp_mode == mode:
                _set(ipr, interface.index, fd, flags | _FLAGS_REPLACE, expected_fd=old)
            else:
                remove_own(ipr, interface, known)
                with _put_back(ipr, interface, old):
                    _set(ipr, interface.index, fd, flags | _FLAGS_UPDATE_IF_NOEXIST)
    except NetlinkError as error:
        if error.code == errno.EPERM:
            raise UnsupportedError("attaching XDP is not permitted here; run as root") from error
        return f"{mode} XDP is refused here ({error.args[1]})"
    return None
