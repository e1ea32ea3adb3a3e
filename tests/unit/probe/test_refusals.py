"""What netlink refuses reaches people as words, and the daemon as an error that it expects."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import NoReturn

import pytest
from pyroute2.netlink.exceptions import NetlinkError

from synguard.errors import SynguardError, UnsupportedError
from synguard.probe import attach, interfaces, presence
from synguard.probe.known import KnownPrograms
from synguard.probe.programs import XDP_PROGRAM


def refusing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let netlink refuse everything with ``error``."""

    def refuse() -> NoReturn:
        raise error

    monkeypatch.setattr(attach, "IPRoute", refuse)
    monkeypatch.setattr(interfaces, "IPRoute", refuse)
    monkeypatch.setattr(presence, "IPRoute", refuse)
    monkeypatch.setattr(presence, "program_info", lambda _fd: SimpleNamespace(id=1))


def some_attachment() -> attach.Attachment:
    """Return an attachment to an interface that nobody has."""
    interface = interfaces.Interface("nobody0", 4_000_000, 1, None, frozenset(), None, None)
    return attach.Attachment(interface, "xdp-native", "tc-clsact")


@pytest.mark.parametrize("error", [NetlinkError(errno.ENODEV), NetlinkError(errno.EBUSY), OSError(24, "fds")])
def test_whatever_the_kernel_refuses_is_an_error_in_words(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interface that vanishes between two questions ends neither the daemon nor its leave-taking."""
    refusing(monkeypatch, error)
    with pytest.raises(SynguardError, match="nobody0"):
        attach.detach("nobody0", KnownPrograms(), made_clsact=True)
    with pytest.raises(SynguardError, match="nobody0"):
        attach.detach_renamed(some_attachment(), KnownPrograms(), made_clsact=True)
    with pytest.raises(SynguardError):
        presence.look([some_attachment()], {XDP_PROGRAM: -1}, KnownPrograms())
    with pytest.raises(SynguardError):
        interfaces.find_interface("nobody0")


def test_a_missing_capability_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not permitted is exit code 3, and says what is needed."""
    refusing(monkeypatch, NetlinkError(errno.EPERM))
    with pytest.raises(UnsupportedError, match="CAP_NET_ADMIN"):
        attach.detach("nobody0", KnownPrograms(), made_clsact=False)


def test_an_interface_that_is_gone_took_everything_with_it() -> None:
    """Nothing is left to remove, and that is no error."""
    assert attach.detach_renamed(some_attachment(), KnownPrograms(), made_clsact=True) == []
