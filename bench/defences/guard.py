"""Runs the daemon in a namespace as a person would, and follows its log as it speaks."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgspec

from bench.net.enter import child_environment, command_in
from bench.net.links import Endpoint
from synguard import client
from synguard.errors import SynguardError

READY_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_PROGRAM_ID = re.compile(r"^prog_id:\s*(\d+)$", re.MULTILINE)

Setting = str | float | list[str]


class LogEvent(NamedTuple):
    """One line of the daemon's log, with the moment at which it could be read (CLOCK_MONOTONIC)."""

    seen_ns: int
    name: str
    fields: dict[str, Any]


def synguard_command(*arguments: str) -> list[str]:
    """Return the command line of the ``synguard`` that belongs to this Python."""
    return [str(Path(sys.executable).with_name("synguard")), *arguments]


def programs_held_by(pid: int) -> set[int]:
    """Return the ids of the eBPF programs that a process has open; none when it has ended."""
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/fdinfo").glob("*"):
        with contextlib.suppress(OSError):
            found.update(int(number) for number in _PROGRAM_ID.findall(path.read_text(encoding="ascii")))
    return found


def _toml(settings: Mapping[str, Mapping[str, Setting]]) -> str:
    # A JSON string, number or list of strings is written the same way in TOML.
    lines = []
    for section, values in settings.items():
        lines.append(f"[{section}]")
        lines += [f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


class Guard:
    """A daemon that guards an endpoint's interface, while the ``with`` block lasts.

    Args:
        endpoint: whose interface it guards, from inside its namespace.
        folder: for its configuration, database, socket and error output.
        respond: ``off``, ``dry-run`` or ``enforce``.
        settings: further settings by section and name.
        on_event: called with each log event, in a thread of its own, before anyone who waits is told.

    """

    def __init__(
        self,
        endpoint: Endpoint,
        folder: Path,
        respond: str,
        settings: Mapping[str, Mapping[str, Setting]] | None = None,
        on_event: Callable[[LogEvent], None] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self.database = folder / "synguard.db"
        self.socket = folder / "control.sock"
        self._config = folder / "synguard.toml"
        self._errors = folder / "stderr.txt"
        self._respond = respond
        self._settings = dict(settings or {}) | {
            "control": {"socket": str(self.socket), "group": "root"},
            "log": {"format": "json"},
        }
        self._on_event = on_event
        self._heard = threading.Condition()
        self._events: list[LogEvent] = []
        self._ended = False

    def __enter__(self) -> Self:
        """Start it; returns at once, see :meth:`wait_until_ready`."""
        self._config.write_text(_toml(self._settings), encoding="utf-8")
        argv = synguard_command(
            "run",
            *("--interface", self._endpoint.interface),
            *("--config", str(self._config)),
            *("--database", str(self.database)),
            *("--respond", self._respond),
        )
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command_in(self._endpoint.namespace, argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=child_environment(),
                # A Ctrl-C reaches the parent alone, which then stops the daemon in order.
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read_log, name="daemon-log", daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The daemon's process id."""
        return self._process.pid

    @property
    def events(self) -> list[LogEvent]:
        """Every log event so far."""
        with self._heard:
            return list(self._events)

    def named(self, name: str) -> list[LogEvent]:
        """Return the events of that name so far."""
        return [event for event in self.events if event.name == name]

    def _read_log(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - tells the type checker of PIPE
        for line in self._process.stdout:
            seen_ns = time.monotonic_ns()
            try:
                fields = msgspec.json.decode(line, type=dict[str, Any])
            except msgspec.DecodeError:
                continue  # a warning that some library printed
            event = LogEvent(seen_ns, str(fields.get("event")), fields)
            if self._on_event:
                self._on_event(event)
            with self._heard:
                self._events.append(event)
                self._heard.notify_all()
        with self._heard:
            self._ended = True
            self._heard.notify_all()

    def wait_for(self, ready: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait until ``ready``, asked after each log event, says yes.

        Raises SynguardError naming ``what`` when that takes too long or the daemon ends first.
        """
        deadline_s = time.monotonic() + timeout_s
        with self._heard:
            while not ready():
                if self._ended:
                    raise SynguardError(f"the daemon ended before {what}: {self.last_words()}")
                if time.monotonic() > deadline_s:
                    raise SynguardError(f"the daemon did not come to {what} within {timeout_s:g} s")
                self._heard.wait(max(deadline_s - time.monotonic(), 0.0))

    def wait_until_ready(self) -> None:
        """Wait until the daemon guards the interface."""
        self.wait_for(lambda: bool(self.named("daemon.ready")), "being ready", READY_TIMEOUT_S)

    def last_words(self) -> str:
        """Return the end of what the daemon wrote to its error output, or of its log."""
        text = self._errors.read_text(encoding="utf-8", errors="replace").strip()
        return text[-2000:] or (str(self._events[-1].fields) if self._events else "it said nothing")

    def status(self) -> dict[str, Any]:
        """Return what ``synguard status --format json`` shows."""
        answer = client.request(self.socket, "status")
        assert isinstance(answer, dict)  # noqa: S101 - the protocol's promise
        return answer

    def stop(self) -> int:
        """Stop the daemon as ``kill`` would, wait, and return its exit code. Harmless when repeated."""
        if self._process.poll() is None:
            self._process.terminate()
        return self.wait()

    def wait(self) -> int:
        """Wait for the end of a daemon that was told to stop, and return its exit code."""
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()
        return self._process.returncode
