"""The blocking client of the daemon's control socket: one JSON object per line, either way.

A request is ``{"command": NAME, "arguments": {...}}``, its answer ``{"ok": true, "result": ...}`` or
``{"ok": false, "error": TEXT, "exit_code": 1..3}``.
"""

from __future__ import annotations

import errno
import grp
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from synguard.errors import SynguardError, UnsupportedError, UsageError

TIMEOUT_S = 5.0
MAX_RESPONSE_BYTES = 16 * 1024 * 1024

_CHUNK_BYTES = 256 * 1024
_ERRORS_BY_EXIT_CODE = {error.exit_code: error for error in (SynguardError, UsageError, UnsupportedError)}


class NotRunningError(SynguardError):
    """No daemon answers on the control socket."""


class NotAnsweringError(SynguardError):
    """A daemon holds the control socket but does not answer in time, or not in our protocol."""


def request(socket_path: Path, command: str, **arguments: Any) -> Any:
    """Ask the daemon, and return the ``result`` of its answer as JSON gives it.

    Raises:
        NotRunningError: nothing listens on ``socket_path``.
        NotAnsweringError: no whole answer within ``TIMEOUT_S`` and ``MAX_RESPONSE_BYTES``.
        UnsupportedError: the caller may not open the socket.
        SynguardError: the daemon refused; the subclass is the one of the exit code it named.

    """
    line = json.dumps({"command": command, "arguments": arguments}).encode() + b"\n"
    deadline_s = monotonic() + TIMEOUT_S
    with _connected(socket_path) as connection:
        try:
            # Who is refused before the request is whole has a refusal to read, and nobody to send to.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(line)
            answer = _read_line(connection, socket_path, deadline_s)
        except TimeoutError as error:
            raise NotAnsweringError(_silent(socket_path)) from error
        except OSError as error:
            raise NotAnsweringError(f"the daemon on {socket_path} hung up: {error.strerror}") from error
    return _result(answer, socket_path)


def daemon_pid(socket_path: Path) -> int | None:
    """Return the process id of whoever listens on ``socket_path``, or None when nobody does.

    Raises UnsupportedError when the caller may not open the socket.
    """
    try:
        with _connected(socket_path) as connection:
            size = struct.calcsize("3i")
            packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    except NotRunningError:
        return None
    return int(struct.unpack("3i", packed)[0])


@contextmanager
def _connected(socket_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(str(socket_path))
        except OSError as error:
            raise _connect_error(socket_path, error) from error
        yield connection


def _connect_error(socket_path: Path, error: OSError) -> SynguardError:
    if isinstance(error, PermissionError):
        return UnsupportedError(f"you may not talk to the daemon on {socket_path}: {_way_in(socket_path)}")
    if error.errno in (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR):
        return NotRunningError(
            f"no daemon answers on {socket_path}: start it with `sudo systemctl start synguard` or "
            "`sudo synguard run`; if it runs elsewhere, name its socket with --socket"
        )
    if error.errno == errno.EAGAIN or isinstance(error, TimeoutError):
        return NotAnsweringError(_silent(socket_path))
    return UsageError(f"{socket_path} cannot be the control socket: {error.strerror or error}")


def _way_in(socket_path: Path) -> str:
    """Say what would permit the caller, as far as the caller can see whose the socket is."""
    group = _group_of(socket_path)
    if group == "root":
        return "only root may, so use sudo (the daemon's log says if its group is missing)"
    return f"be root or a member of the group {group!r} (`sudo usermod -aG {group} $USER`, then log in again)"


def _group_of(socket_path: Path) -> str:
    for path in (socket_path, socket_path.parent):
        try:
            group_id = path.stat().st_gid
        except OSError:
            continue
        try:
            return grp.getgrgid(group_id).gr_name
        except KeyError:
            return str(group_id)
    return "synguard"


def _silent(socket_path: Path) -> str:
    return (
        f"the daemon on {socket_path} did not answer within {TIMEOUT_S:g} s: "
        "see `systemctl status synguard` and its log (`journalctl -u synguard`)"
    )


def _read_line(connection: socket.socket, socket_path: Path, deadline_s: float) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        connection.settimeout(max(deadline_s - monotonic(), 0.001))
        chunk = connection.recv(_CHUNK_BYTES)
        if not chunk:
            raise NotAnsweringError(f"the daemon on {socket_path} hung up without a whole answer")
        received += chunk
        if len(received) > MAX_RESPONSE_BYTES:
            raise NotAnsweringError(f"the daemon's answer is over {MAX_RESPONSE_BYTES} bytes: ask for less")
    return bytes(received)


def _result(answer: bytes, socket_path: Path) -> Any:
    try:
        message = json.loads(answer)
        if message["ok"]:
            return message["result"]
        refusal = _ERRORS_BY_EXIT_CODE[message["exit_code"]](message["error"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotAnsweringError(f"what answers on {socket_path} does not speak our protocol") from error
    raise refusal
