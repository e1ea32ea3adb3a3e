"""One daemon for each interface and each database: lock files that name their holders."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from synguard.errors import SynguardError, UnsupportedError
from synguard.ownership import open_or_create, trusted_users
from synguard.probe.beacon import light

#: Fixed, and not a setting: two daemons with different settings must still meet here.
CLAIMS = Path("/run/synguard")


def _path(interface: str) -> Path:
    namespace = Path("/proc/self/ns/net").stat().st_ino
    return CLAIMS / f"netns-{namespace}-{interface}.lock"


def _content(file: IO[str]) -> dict[str, Any]:
    file.seek(0)
    try:
        content = json.load(file)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _pin_directory(notes: Mapping[str, Any]) -> Path | None:
    noted = notes.get("pin_directory")
    return Path(noted) if isinstance(noted, str) else None


class Claim:
    """An exclusive right, until released or dead.

    The file survives a daemon that was killed, so that the next one, or ``synguard detach``, knows what was
    added to an interface and may be taken away.
    """

    def __init__(self, path: Path, taken: str, beacon: socket.socket | None = None) -> None:
        """Take the claim; ``beacon`` goes out with it.

        Raises SynguardError with ``taken``, in which ``{pid}`` becomes that of the process that holds it.
        """
        self._path = path
        self._taken = taken
        self._beacon = beacon
        self._file = self._lock()
        #: What this holder and those before it noted.
        self.notes = _content(self._file)
        self.note(pid=os.getpid())

    @property
    def made_clsact(self) -> bool:
        """Whether the clsact qdisc is of our making."""
        return bool(self.notes.get("made_clsact"))

    @property
    def pin_directory(self) -> Path | None:
        """Where the probe of the one who noted it is pinned."""
        return _pin_directory(self.notes)

    def _lock(self) -> IO[str]:
        while True:
            file = self._open()
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held it may have taken the file away in between: then the lock is on nothing.
                if self._leads_to(file):
                    return file
            except BlockingIOError as error:
                with file:
                    holder = _content(file).get("pid", "unknown")
                raise SynguardError(self._taken.format(pid=holder)) from error
            file.close()

    def _leads_to(self, file: IO[str]) -> bool:
        try:
            return os.path.samestat(self._path.stat(), os.fstat(file.fileno()))
        except FileNotFoundError:
            return False

    def _open(self) -> IO[str]:
        try:
            _make_folder()
            descriptor = open_or_create(self._path, 0o600, follow=False)
        except PermissionError as error:
            raise UnsupportedError(
                f"cannot write {self._path} ({error.strerror}): run synguard as root, or as a service"
            ) from error
        except OSError as error:
            raise SynguardError(f"cannot write {self._path}: {error.strerror}") from error
        return os.fdopen(descriptor, "r+", encoding="utf-8")

    def note(self, **facts: int | bool | str) -> None:
        """Write down what a successor must know; ``pid`` is for people."""
        self.notes |= facts
        self._file.seek(0)
        self._file.truncate()
        json.dump(self.notes, self._file)
        self._file.flush()

    def leave(self) -> None:
        """Give it up and leave what was noted to a successor."""
        self._file.close()
        if self._beacon is not None:
            self._beacon.close()

    def close(self) -> None:
        """Give it up and take the file away."""
        self._path.unlink(missing_ok=True)
        self.leave()


def _make_folder() -> None:
    CLAIMS.mkdir(mode=0o755, parents=True, exist_ok=True)


def claim_interface(name: str) -> Claim:
    """Take the right to guard an interface of this network namespace, from whatever container."""
    taken = f"interface {name} is already guarded by synguard with pid {{pid}}; stop that one first"
    beacon = light(name, _believed())
    if isinstance(beacon, int):
        raise SynguardError(taken.format(pid=beacon or "unknown here, in another container"))
    try:
        return Claim(_path(name), taken, beacon)
    except SynguardError:
        beacon.close()
        raise


def _believed() -> frozenset[int]:
    """Return the users whose daemons may say that an interface is theirs."""
    with suppress(OSError):
        return trusted_users(CLAIMS)
    return frozenset({0, os.geteuid()})


def noted_pin_directory(name: str) -> Path | None:
    """Return where the probe on an interface is pinned, by the notes of whoever holds or left it."""
    with suppress(OSError), _path(name).open(encoding="utf-8") as file:
        return _pin_directory(_content(file))
    return None


def claim_database(database: Path) -> Claim:
    """Take the right to write a database: two daemons would give different alerts the same ids."""
    resolved = database.resolve()
    name = hashlib.sha256(os.fsencode(resolved)).hexdigest()[:16]
    path = str(resolved).replace("{", "{{").replace("}", "}}")
    return Claim(
        CLAIMS / f"database-{name}.lock",
        f"synguard with pid {{pid}} writes {path}; name another database with --database",
    )


def claim_pins(folder: Path) -> Claim:
    """Take the right to pin in a folder: two daemons would take each other's probe."""
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    path = str(folder).replace("{", "{{").replace("}", "}}")
    return Claim(
        CLAIMS / f"pins-{name}.lock",
        f"synguard with pid {{pid}} keeps its probe pinned in {path}; for this one name another folder in "
        "probe.pin_directory",
    )


def _living_namespaces() -> set[int] | None:
    """Return the inodes of the network namespaces that a process is in or a name leads to.

    None for a user who may not look into other users' processes: what is not seen may live.
    """
    if os.geteuid() != 0:
        return None
    found = set()
    for path in (*Path("/proc").glob("[0-9]*/ns/net"), *Path("/run/netns").glob("*")):
        with suppress(OSError):  # it ended meanwhile
            found.add(path.stat().st_ino)
    return found


def prune_claims() -> None:
    """Remove what killed daemons left of databases, and of network namespaces that are gone."""
    found = _living_namespaces()
    living = ("netns-",) if found is None else tuple(f"netns-{inode}-" for inode in found)
    for path in CLAIMS.glob("*.lock"):
        if path.name.startswith(living):
            continue
        with suppress(OSError), path.open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


def claimed_interfaces() -> list[str]:
    """Return the interfaces of this network namespace that have a claim file, held or left over."""
    prefix = _path("").name.removesuffix(".lock")
    return sorted(
        path.name.removesuffix(".lock").removeprefix(prefix) for path in CLAIMS.glob(f"{prefix}*.lock")
    )
