"""The control socket: a Unix-socket server on asyncio whose commands are injected handlers.

The protocol is that of :mod:`synguard.client`. Nothing that a peer sends, or fails to read, may harm
the daemon: requests, answers, connections and patience all have limits.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from structlog.typing import FilteringBoundLogger

from synguard.client import MAX_RESPONSE_BYTES
from synguard.daemon.permitting import Peer, Permission
from synguard.daemon.socket_file import SocketFile
from synguard.errors import SynguardError, UsageError

MAX_REQUEST_BYTES = 1024 * 1024  # A full list of the longest addresses for `block add`.
MAX_CONNECTIONS = 64
#: Of these, so many are for root and the daemon's own user, whom nobody else shall keep out.
KEPT_CONNECTIONS = 8
#: How long a peer may take to send one request line, and to take in one answer.
PEER_TIMEOUT_S = 5.0

_LISTEN_QUEUE = 64
#: asyncio accepts, makes the transport and begins the conversation in as many turns of the loop.
_TURNS_TO_CONVERSE = 4


#: Takes the request's arguments; returns what JSON can carry, JSON itself as a msgspec.Raw, or an awaitable
#: of either. A plain function runs on the event loop, so it must be fast; a slow one should await a thread.
Handler = Callable[[Mapping[str, Any], Peer], Any]

_T = TypeVar("_T")
_ABSENT: Any = object()


def argument(arguments: Mapping[str, Any], name: str, kind: type[_T], default: _T = _ABSENT) -> _T:
    """Return one argument of a request as ``kind``; whole numbers pass for floats.

    Raises UsageError when it is of another type, or missing without a default.
    """
    if name not in arguments:
        if default is _ABSENT:
            raise UsageError(f"the argument {name!r} is missing")
        return default
    try:
        return msgspec.convert(arguments[name], kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"argument {name!r}: {error}") from error


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    command: str
    arguments: dict[str, Any] = {}


class ControlServer:
    """Answers requests on a Unix socket that only root and one group may open; ``permission`` judges each.

    An empty ``group`` means root alone.
    """

    def __init__(
        self,
        path: Path,
        group: str,
        handlers: Mapping[str, Handler],
        permission: Permission,
        logger: FilteringBoundLogger,
    ) -> None:
        self._path = path
        self._group = group
        self._file = SocketFile(path, group, logger)
        self._handlers = handlers
        self._log = logger
        self._permission = permission
        self._server: asyncio.Server | None = None
        self._conversations: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Create the socket and answer on it.

        Raises:
            SynguardError: another daemon answers on it (its pid is named), or the system refuses.
            UsageError: the path is too long, or names something that is no socket.

        """
        try:
            listening = self._file.bind()
        except OSError as error:
            reason = error.strerror or error
            raise SynguardError(f"cannot create the control socket {self._path}: {reason}") from error
        self._server = await asyncio.start_unix_server(
            self._accept, sock=listening, limit=MAX_REQUEST_BYTES, backlog=_LISTEN_QUEUE
        )
        self._log.info("control.opened", path=str(self._path), group=self._group)

    async def stop(self) -> None:
        """Hang up on everybody and remove the socket, unless it is no longer ours."""
        if self._server is None:
            return
        await self._let_nobody_in()
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        self._server = None
        self._file.remove()

    async def _let_nobody_in(self) -> None:
        # Who was let in a moment ago is no conversation yet, and asyncio would forget such a connection open.
        for listening in self._server.sockets if self._server else ():
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(_TURNS_TO_CONVERSE):
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.current_task()
        if conversation is None:
            raise RuntimeError("a connection is served outside of any task")
        self._conversations.add(conversation)
        try:
            await self._converse(reader, writer)
        except (OSError, TimeoutError) as error:
            self._log.debug("control.peer_lost", error=repr(error))
        except asyncio.CancelledError:
            # Only stop() cancels; the stream's own callback would report it as a failure.
            return
        finally:
            self._conversations.discard(conversation)
            writer.transport.abort()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A high-water mark of nothing makes drain() wait until the peer has taken the whole answer.
        writer.transport.set_write_buffer_limits(high=0)
        peer = _peer(writer)
        if len(self._conversations) > MAX_CONNECTIONS - (0 if peer.is_trusted else KEPT_CONNECTIONS):
            await _send(writer, _refusal(SynguardError("too many connections: try again")))
            return
        while True:
            try:
                async with asyncio.timeout(PEER_TIMEOUT_S):
                    line = await reader.readline()
            except ValueError:
                oversized = UsageError(f"a request may have {MAX_REQUEST_BYTES} bytes at most")
                await _send(writer, _refusal(oversized))
                return
            if not line.endswith(b"\n"):
                return
            await _send(writer, await self._answer(line, peer))

    async def _answer(self, line: bytes, peer: Peer) -> bytes:
        command = None
        try:
            request = _parse(line)
            command = request.command
            handler = self._handler(command)
            await self._permission.check(command, peer)
            result = handler(request.arguments, peer)
            if inspect.isawaitable(result):
                result = await result
            return _encode_result(result)
        except SynguardError as error:
            return _refusal(error)
        except Exception:  # noqa: BLE001 — a handler's bug costs one answer, never the guard that it runs in.
            self._log.exception("control.handler_failed", command=command, peer_pid=peer.pid)
            return _refusal(SynguardError("internal error in the daemon: its log has the details"))

    def _handler(self, command: str) -> Handler:
        handler = self._handlers.get(command)
        if handler is None:
            known = ", ".join(sorted(self._handlers))
            raise UsageError(f"the daemon does not know the command {command[:80]!r}; it knows: {known}")
        return handler


def _parse(line: bytes) -> _Request:
    try:
        return msgspec.json.decode(line, type=_Request)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"not a request: {error}") from error


def _encode_result(result: Any) -> bytes:
    if isinstance(result, msgspec.Raw):
        return _bounded(b'{"ok": true, "result": ' + bytes(result) + b"}\n")
    return _encode({"ok": True, "result": result})


def _encode(message: Mapping[str, Any]) -> bytes:
    return _bounded(json.dumps(message, allow_nan=False).encode() + b"\n")


def _bounded(encoded: bytes) -> bytes:
    if len(encoded) > MAX_RESPONSE_BYTES:
        raise UsageError(f"the answer would be over {MAX_RESPONSE_BYTES} bytes: ask for less (--limit)")
    return encoded


def _refusal(error: SynguardError) -> bytes:
    return _encode({"ok": False, "error": str(error), "exit_code": error.exit_code})


async def _send(writer: asyncio.StreamWriter, message: bytes) -> None:
    async with asyncio.timeout(PEER_TIMEOUT_S):
        writer.write(message)
        await writer.drain()


def _peer(writer: asyncio.StreamWriter) -> Peer:
    connection = writer.get_extra_info("socket")
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return Peer(*struct.unpack("3i", packed))
