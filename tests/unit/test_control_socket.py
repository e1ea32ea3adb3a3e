"""The control socket's file: who may open it, and what may be in its place."""

import grp
import io
import json
import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from synguard import client
from synguard.daemon.permitting import Peer
from synguard.errors import SynguardError, UsageError
from tests.unit.serving import GROUP, serving


def _echo(arguments: Mapping[str, Any], _peer: Peer) -> Any:
    return {"arguments": dict(arguments)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the socket shall be."""
    return tmp_path / "run" / "control.sock"


@pytest.mark.parametrize("group", [GROUP, "no-such-group", ""])
def test_socket_is_closed_to_others(path: Path, group: str) -> None:
    """The socket and the directory made for it are open to the owner and the group, to nobody else."""
    with serving(path, {}, group):
        socket_mode = stat.S_IMODE(path.stat().st_mode)
        directory_mode = stat.S_IMODE(path.parent.stat().st_mode)
    expected = (0o660, 0o750) if group == GROUP else (0o600, 0o700)
    assert (socket_mode, directory_mode) == expected


@pytest.mark.root
def test_socket_belongs_to_the_group(path: Path) -> None:
    """The socket is given to the configured group."""
    with serving(path, {}, "daemon"):
        assert path.stat().st_gid == grp.getgrnam("daemon").gr_gid
        assert path.parent.stat().st_gid == grp.getgrnam("daemon").gr_gid


def test_missing_group_is_said(path: Path) -> None:
    """The log says that a missing group leaves the socket to root, and how to mend it."""
    log = io.StringIO()
    with serving(path, {}, "no-such-group", log):
        pass
    events = [json.loads(line) for line in log.getvalue().splitlines()]
    warning = next(event for event in events if event["event"] == "control.group_missing")
    assert "groupadd" in warning["remedy"]


def test_existing_directory_is_left_alone(path: Path) -> None:
    """A directory that is already there keeps its mode."""
    path.parent.mkdir(mode=0o755)
    path.parent.chmod(0o755)
    with serving(path, {}):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755


def test_stop_removes_the_socket(path: Path) -> None:
    """A stopped daemon leaves no socket behind."""
    with serving(path, {}):
        assert path.is_socket()
    assert not path.exists()


def test_stop_leaves_another_daemons_socket(path: Path) -> None:
    """A socket that has replaced ours meanwhile is not ours to remove."""
    with serving(path, {}), socket.socket(socket.AF_UNIX) as other:
        path.unlink()
        other.bind(str(path))
    assert path.is_socket()


def test_stale_socket_is_replaced(path: Path) -> None:
    """The socket of a killed daemon does not block the next start."""
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serving(path, {"echo": _echo}):
        assert client.request(path, "echo")


def test_second_daemon_is_refused_with_the_firsts_pid(path: Path) -> None:
    """A socket on which a daemon answers is not taken over; the message names its pid."""
    with serving(path, {"echo": _echo}):
        with pytest.raises(SynguardError, match=rf"pid {os.getpid()}\b"), serving(path, {}):
            pass
        assert client.request(path, "echo")


def test_file_in_the_way_is_kept(path: Path) -> None:
    """A file that is no socket is never removed."""
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(UsageError, match="no socket"), serving(path, {}):
        pass
    assert path.read_text() == "precious"


def test_too_long_path_is_refused(tmp_path: Path) -> None:
    """A path longer than the kernel takes is refused in words."""
    with pytest.raises(UsageError, match="107 bytes"), serving(tmp_path / ("x" * 120), {}):
        pass
