"""The control socket's file: whose it is, who may open it, and what a killed daemon left in its place."""

from __future__ import annotations

import grp
import os
import socket
import stat
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from synguard.client import daemon_pid
from synguard.config.declaring import SOCKET_PATH_MAX_BYTES
from synguard.errors import SynguardError, UnsupportedError, UsageError


class SocketFile:
    """A path on which a Unix socket is bound, that root, this user and one group may open."""

    def __init__(self, path: Path, group: str, log: FilteringBoundLogger) -> None:
        self._path = path
        self._group = group
        self._log = log
        self._identity: tuple[int, int] | None = None

    def bind(self) -> socket.socket:
        """Return the socket, bound to the path and open to the group. Raises as the server's start does."""
        if len(os.fsencode(self._path)) > SOCKET_PATH_MAX_BYTES:
            raise UsageError(f"control.socket: {self._path} is longer than {SOCKET_PATH_MAX_BYTES} bytes")
        group_id = self._group_id()
        self._make_directory(group_id)
        _remove_stale(self._path)
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The file takes its mode from the socket's descriptor, so it is never open to more
            # people than root; a umask would do the same to every other thread's files.
            os.fchmod(listening.fileno(), 0o600)
            listening.bind(str(self._path))
            self._identity = _identity(self._path)
            self._give_to_group(self._path, group_id, 0o660)
        except BaseException:
            listening.close()
            raise
        return listening

    def _group_id(self) -> int | None:
        if not self._group:
            return None
        try:
            return grp.getgrnam(self._group).gr_gid
        except KeyError:
            self._log.warning(
                "control.group_missing",
                group=self._group,
                consequence="only root may use the control socket",
                remedy=f"groupadd --system {self._group}, then restart",
            )
            return None

    def _make_directory(self, group_id: int | None) -> None:
        directory = self._path.parent
        if directory.is_dir():
            return
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
        self._give_to_group(directory, group_id, 0o750)

    def _give_to_group(self, path: Path, group_id: int | None, mode: int) -> None:
        if group_id is None:
            return
        try:
            os.chown(path, -1, group_id, follow_symlinks=False)
        except PermissionError as error:
            # Without root, and not a member: the group goes without rather than the guard.
            self._log.warning("control.group_refused", path=str(path), group=self._group, error=str(error))
            return
        path.chmod(mode)

    def remove(self) -> None:
        """Remove the file, unless it is no longer ours."""
        if self._identity is not None and _identity(self._path) == self._identity:
            self._path.unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _remove_stale(path: Path) -> None:
    """Remove a socket that a killed daemon left behind; refuse to touch anything else."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError(f"control.socket: {path} exists and is no socket: move it away or name another")
    try:
        pid = daemon_pid(path)
    except UnsupportedError as error:
        raise UnsupportedError(f"control.socket: {path} belongs to somebody else") from error
    if pid is not None:
        raise SynguardError(f"synguard already answers on {path} (pid {pid}): stop it or use another socket")
    path.unlink()
