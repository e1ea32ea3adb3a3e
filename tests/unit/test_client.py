"""The control client against daemons that are absent, forbidden, mute or talk nonsense."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from synguard import client
from synguard.client import NotAnsweringError, NotRunningError, daemon_pid, request
from synguard.errors import UsageError
from tests.unit.public import public_directory, python_as_nobody


@contextmanager
def _answering(path: Path, answer: bytes, hang_up: bool = True) -> Iterator[None]:
    """Take one connection, read its request, and send ``answer`` as it is."""
    done = threading.Event()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(answer)
                except OSError:
                    return  # The client has seen enough.
                if not hang_up:
                    done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        done.set()
        thread.join(10)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the socket shall be."""
    return tmp_path / "control.sock"


def test_no_socket(path: Path) -> None:
    """Without a daemon the message says how to start one."""
    with pytest.raises(NotRunningError, match="systemctl start synguard"):
        request(path, "status")
    assert daemon_pid(path) is None


def test_dead_socket(path: Path) -> None:
    """A socket that nobody listens on any more is no daemon."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NotRunningError):
        request(path, "status")
    assert daemon_pid(path) is None


def test_result_is_returned(path: Path) -> None:
    """A good answer's result is returned as JSON gives it."""
    with _answering(path, b'{"ok": true, "result": {"pid": 23}}\n'):
        assert request(path, "status") == {"pid": 23}


def test_pid_of_the_listener(path: Path) -> None:
    """The daemon's pid is known without its cooperation."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        assert daemon_pid(path) == os.getpid()


@pytest.mark.parametrize(
    "answer",
    [
        b"\n",
        b"hello\n",
        b"[]\n",
        b"{}\n",
        b'{"ok": true}\n',
        b'{"ok": false}\n',
        b'{"ok": false, "error": "x", "exit_code": 9}\n',
        b"[" * 100_000 + b"\n",
        b"",
        b'{"ok": true, "result"',
    ],
)
def test_nonsense_answer(path: Path, answer: bytes) -> None:
    """What does not speak our protocol is named as such, not a traceback."""
    with _answering(path, answer), pytest.raises(NotAnsweringError, match=path.name):
        request(path, "status")


def test_mute_daemon(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that does not answer in time is said to hang."""
    monkeypatch.setattr(client, "TIMEOUT_S", 0.05)
    with _answering(path, b"", hang_up=False), pytest.raises(NotAnsweringError, match="did not answer"):
        request(path, "status")


def test_endless_answer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer over the limit is not collected."""
    monkeypatch.setattr(client, "MAX_RESPONSE_BYTES", 1000)
    with _answering(path, b"x" * 5000), pytest.raises(NotAnsweringError, match="1000 bytes"):
        request(path, "status")


def test_too_long_path(tmp_path: Path) -> None:
    """A path that no socket can have is wrong usage."""
    with pytest.raises(UsageError, match="cannot be the control socket"):
        request(tmp_path / ("x" * 120), "status")


@pytest.mark.root
@pytest.mark.parametrize(
    ("group", "said"), [("daemon", "member of the group 'daemon'"), ("root", "only root may, so use sudo")]
)
def test_forbidden_socket_says_the_way_in(group: str, said: str) -> None:
    """A caller outside the group is told which group it needs, or that there is none but root."""
    code = (
        "import sys; from pathlib import Path; from synguard.client import request\n"
        "from synguard.errors import UnsupportedError\n"
        "try: request(Path(sys.argv[1]), 'status')\n"
        "except UnsupportedError as error: print(error)"
    )
    with public_directory() as directory, socket.socket(socket.AF_UNIX) as listening:
        path = directory / "control.sock"
        listening.bind(str(path))
        listening.listen()
        path.chmod(0o660)
        shutil.chown(path, group=group)
        result = python_as_nobody("-c", code, str(path))
    assert said in result.stdout, result.stderr
