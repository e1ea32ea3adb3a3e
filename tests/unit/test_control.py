"""The control server: what it answers, and what it does with peers that err or dawdle."""

import asyncio
import gc
import io
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from synguard import client
from synguard.daemon import control
from synguard.daemon.control import Handler, argument
from synguard.daemon.permitting import Peer, Permission
from synguard.errors import SynguardError, UnsupportedError, UsageError
from tests.unit.serving import serving


def _raw(path: Path, data: bytes) -> dict[str, Any]:
    """Send bytes as they are, and return the one answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        with suppress(BrokenPipeError, ConnectionResetError):  # a refusal may come before all is sent
            connection.sendall(data)
        answer: dict[str, Any] = json.loads(connection.makefile("rb").readline())
    return answer


def _refuse(error: SynguardError) -> Handler:
    def handler(_arguments: Mapping[str, Any], _peer: Peer) -> Any:
        raise error

    return handler


def _echo(arguments: Mapping[str, Any], peer: Peer) -> Any:
    return {"arguments": dict(arguments), "peer": peer}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the socket shall be."""
    return tmp_path / "run" / "control.sock"


def test_handler_gets_arguments_and_peer(path: Path) -> None:
    """A handler sees the arguments as sent and the kernel's word on who sent them."""
    with serving(path, {"echo": _echo}):
        result = client.request(path, "echo", target="192.0.2.1", ttl_s=600)
    assert result["arguments"] == {"target": "192.0.2.1", "ttl_s": 600}
    assert result["peer"] == [os.getpid(), os.getuid(), os.getgid()]


def test_awaitable_handler(path: Path) -> None:
    """A handler may be a coroutine function; the answer waits for it."""

    async def slow(_arguments: Mapping[str, Any], _peer: Peer) -> str:
        return await asyncio.to_thread(lambda: "from a thread")

    with serving(path, {"slow": slow}):
        assert client.request(path, "slow") == "from a thread"


def test_several_requests_on_one_connection(path: Path) -> None:
    """A connection may be used for one request after another, each answered in turn."""
    with serving(path, {"echo": _echo}), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        connection.connect(str(path))
        lines = connection.makefile("rb")
        for number in range(23):
            connection.sendall(json.dumps({"command": "echo", "arguments": {"n": number}}).encode() + b"\n")
            assert json.loads(lines.readline())["result"]["arguments"] == {"n": number}


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"not json\n",
        b"\xff\xfe\n",
        b"[]\n",
        b'"echo"\n',
        b'{"command": 5}\n',
        b'{"command": "echo", "arguments": []}\n',
        b'{"command": "echo", "more": 1}\n',
        b'{"command": "echo", "arguments": {"x": ' + b"[" * 50_000 + b"\n",
        b'{"command": "no-such-command"}\n',
        b'{"command": "echo", "arguments": {"n": ' + b"9" * 70_000 + b"}}\n",
    ],
)
def test_nonsense_is_refused_and_survived(path: Path, line: bytes) -> None:
    """Whatever is no request is answered as wrong usage, and the next request is served."""
    with serving(path, {"echo": _echo}):
        answer = _raw(path, line)
        assert client.request(path, "echo", after="nonsense")
    assert answer["ok"] is False
    assert answer["exit_code"] == 2
    assert answer["error"]


def test_endless_line_is_cut_off(path: Path) -> None:
    """A line that never ends is refused at 1 MiB, not collected."""
    with serving(path, {"echo": _echo}):
        assert "1048576" in _raw(path, b"x" * 1_100_000)["error"]


def test_refusal_is_read_by_who_still_sends(path: Path) -> None:
    """A request far too long is refused as such, though its end finds nobody to read it."""
    with serving(path, {"echo": _echo}), pytest.raises(UsageError, match="1048576"):
        client.request(path, "echo", targets="x" * 20_000_000)


@pytest.mark.parametrize("error", [SynguardError("one"), UsageError("two"), UnsupportedError("three")])
def test_refusal_keeps_message_and_exit_code(path: Path, error: SynguardError) -> None:
    """What a handler raises reaches the client as the same error."""
    with (
        serving(path, {"refuse": _refuse(error)}),
        pytest.raises(type(error), match=str(error)) as caught,
    ):
        client.request(path, "refuse")
    assert type(caught.value) is type(error)


@pytest.mark.parametrize("result", [{1, 2}, float("nan"), object()])
def test_handlers_bug_is_logged_and_answered(path: Path, result: object) -> None:
    """A result that JSON cannot carry is an internal error for the peer and a traceback in the log."""
    log = io.StringIO()
    with (
        serving(path, {"bug": lambda _arguments, _peer: result}, log=log),
        pytest.raises(SynguardError, match="internal error"),
    ):
        client.request(path, "bug")
    assert "control.handler_failed" in log.getvalue()
    assert "Traceback" in log.getvalue()


def test_encoded_answers_pass_as_they_are(path: Path) -> None:
    """What a handler has encoded itself reaches the client as what it means."""
    with serving(path, {"encoded": lambda _arguments, _peer: msgspec.Raw(b'{"one": [1, null]}')}):
        assert client.request(path, "encoded") == {"one": [1, None]}


def test_a_connection_let_in_while_stopping_is_closed(path: Path) -> None:
    """However far a connection has come when the daemon stops, it is hung up on, and nothing stays open."""

    async def stop_after(turns: int) -> bytes:
        log = structlog.get_logger()
        server = control.ControlServer(path, "", {}, Permission("", log), log)
        await server.start()
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(str(path))
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.stop()
            await asyncio.sleep(0)
            peer.settimeout(5)
            try:
                return peer.recv(1)
            except ConnectionResetError:
                return b""

    for turns in range(8):
        assert asyncio.run(stop_after(turns)) == b""
    gc.collect()


@pytest.mark.parametrize("encode", [str, lambda text: msgspec.Raw(b'"%s"' % text.encode())])
def test_too_large_answer_is_refused(path: Path, encode: Callable[[str], Any]) -> None:
    """An answer over the limit becomes advice to ask for less."""
    with (
        serving(path, {"all": lambda _arguments, _peer: encode("x" * client.MAX_RESPONSE_BYTES)}),
        pytest.raises(UsageError, match="--limit"),
    ):
        client.request(path, "all")


def test_large_answer_arrives_whole(path: Path) -> None:
    """An answer of several megabytes arrives as it was made."""
    with serving(path, {"all": lambda _arguments, _peer: ["x" * 1000] * 8000}):
        assert client.request(path, "all") == ["x" * 1000] * 8000


def _hung_up(connection: socket.socket) -> bool:
    """Whether the server ended the connection; what it sent before is taken in."""
    connection.settimeout(10)
    try:
        while connection.recv(1 << 20):
            pass
    except ConnectionResetError:
        return True
    return True


def test_silent_peer_times_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that connects and says nothing is hung up on."""
    monkeypatch.setattr(control, "PEER_TIMEOUT_S", 0.05)
    with serving(path, {}), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        assert _hung_up(connection)


def test_peer_that_does_not_read_times_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that does not take its answer is hung up on, and others are served meanwhile."""
    monkeypatch.setattr(control, "PEER_TIMEOUT_S", 0.1)
    handlers: dict[str, Handler] = {"all": lambda _arguments, _peer: "x" * (8 << 20), "echo": _echo}
    with serving(path, handlers), socket.socket(socket.AF_UNIX) as stuck:
        stuck.connect(str(path))
        stuck.sendall(b'{"command": "all"}\n')
        assert client.request(path, "echo")
        assert _until(lambda: _is_closed_by_server(stuck))


def _is_closed_by_server(connection: socket.socket) -> bool:
    """Whether the far end is closed, without reading what it sent."""
    try:
        connection.send(b"\n")
    except OSError:
        return True
    return False


def _until(condition: Callable[[], bool], limit_s: float = 10.0) -> bool:
    deadline_s = time.monotonic() + limit_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
    return False


def test_too_many_connections_are_refused(path: Path) -> None:
    """The 65th connection is told to come again; when the others leave, it may."""
    with serving(path, {"echo": _echo}):
        idle = [socket.socket(socket.AF_UNIX) for _ in range(control.MAX_CONNECTIONS)]
        for connection in idle:
            connection.connect(str(path))
        with pytest.raises(SynguardError, match="too many connections"):
            client.request(path, "echo")
        for connection in idle:
            connection.close()
        assert _until(lambda: _served(path))


def test_others_cannot_keep_root_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is not root is refused while there is still room, and root is served in it."""
    stranger = Peer(1, 4_000_001, 4_000_001)
    with serving(path, {"status": _echo}):
        with monkeypatch.context() as patched:
            patched.setattr(control, "_peer", lambda _writer: stranger)
            idle = [
                socket.socket(socket.AF_UNIX)
                for _ in range(control.MAX_CONNECTIONS - control.KEPT_CONNECTIONS)
            ]
            for connection in idle:
                connection.connect(str(path))
            with pytest.raises(SynguardError, match="too many connections"):
                client.request(path, "status")
        assert client.request(path, "status")
        for connection in idle:
            connection.close()


def test_who_may_look_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server asks for each request whether this peer may have it, before any of it is done."""
    done: list[str] = []
    monkeypatch.setattr(control, "_peer", lambda _writer: Peer(1, 4_000_001, 4_000_001))
    with serving(path, {"status": _echo, "respond": lambda _arguments, _peer: done.append("respond")}):
        assert client.request(path, "status")
        with pytest.raises(UnsupportedError, match="change nothing"):
            client.request(path, "respond", mode="off")
    assert done == []


def _served(path: Path) -> bool:
    try:
        return bool(client.request(path, "echo"))
    except SynguardError:
        return False


def test_stop_does_not_wait_for_idle_peers(path: Path) -> None:
    """Stopping hangs up on a connected, silent peer at once."""
    with socket.socket(socket.AF_UNIX) as idle:
        with serving(path, {"echo": _echo}):
            idle.connect(str(path))
            idle.sendall(b'{"command": "echo"}\n')
            assert idle.recv(1000)
            started_s = time.monotonic()
        assert time.monotonic() - started_s < control.PEER_TIMEOUT_S / 2
        assert _hung_up(idle)


@pytest.mark.parametrize("arguments", [{}, {"ttl_s": "soon"}, {"ttl_s": None}, {"ttl_s": [1]}])
def test_argument_of_the_wrong_type_is_named(arguments: dict[str, Any]) -> None:
    """A missing or mistyped argument is wrong usage, and named."""
    with pytest.raises(UsageError, match="ttl_s"):
        argument(arguments, "ttl_s", float)


def test_argument_defaults_and_whole_numbers() -> None:
    """A whole number passes for a float, and an absent argument takes its default."""
    assert argument({"ttl_s": 5}, "ttl_s", float) == 5.0
    assert argument({}, "reason", str, "") == ""
