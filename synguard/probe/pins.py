"""The pinned probe of a network namespace: programs and maps that outlive the daemon, by names in a bpffs.

    DIRECTORY/netns-INODE-COOKIE/layout-LAYOUT-program-PROGRAM/map-NAME ... program-NAME ...

A set of pins appears as a whole, by a rename, and is never changed afterwards. Taken over is only what is
whole: its programs use exactly the maps that are pinned beside them, under their own names, in a folder that
nobody else may write. Inode numbers are given again; the cookie of a network namespace never is.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import stat
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from synguard.errors import SynguardError, UnsupportedError
from synguard.ownership import new_owner, trusted_users
from synguard.probe.claim import claim_pins
from synguard.probe.compiler import LoadedObject
from synguard.probe.known import KnownPrograms
from synguard.probe.pinned_objects import is_program, on_bpf_filesystem, open_pinned, pin
from synguard.probe.version import ProbeVersion

_NEW = "new"
_SET = re.compile(r"layout-(?P<layout>[0-9a-f]+)-program-(?P<program>[0-9a-f]+)")
#: ``SO_NETNS_COOKIE`` of include/uapi/asm-generic/socket.h, since Linux 5.14.
_SO_NETNS_COOKIE = 71


class PinError(SynguardError):
    """Pins that cannot be had, or not be trusted; says why and what to do."""


def _namespace() -> str:
    inode = Path("/proc/thread-self/ns/net").stat().st_ino
    with socket.socket(socket.AF_UNIX) as any_socket:
        cookie = int.from_bytes(any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), "little")
    return f"netns-{inode}-{cookie:x}"


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise PinError(
            f"{path} may not be used by user {os.geteuid()} ({error.strerror}); give that user a folder of "
            "its own in the BPF file system and name it in probe.pin_directory"
        ) from error
    except OSError as error:
        raise PinError(f"{path} cannot be used: {error.strerror}") from error


class PinFolder:
    """Where this network namespace's probe is pinned."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self.path = self._directory / _namespace()

    def exists(self) -> bool:
        """Tell whether there is such a folder, as far as one may look."""
        try:
            self.path.lstat()
        except OSError:
            return False
        return True

    def create(self) -> None:
        """Make the folder if it is missing, for this process's user alone.

        Raises PinError where there is no BPF file system, or not for this user.
        """
        with _in_words(self.path):
            if not on_bpf_filesystem(self._directory):
                raise PinError(
                    f"{self._directory} is in no BPF file system; mount one with "
                    "`mount -t bpf bpf /sys/fs/bpf`, or name a folder in one in probe.pin_directory"
                )
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.exists():
                self.path.mkdir(mode=0o700)
                self._give(self.path)

    def _give(self, path: Path) -> None:
        owner = new_owner(self._directory)
        if owner is not None:
            os.chown(path, *owner, follow_symlinks=False)

    def check(self) -> None:
        """Raise PinError unless the folder is this user's, and nobody else may write it.

        Root relies on the one to whom the directory was given, too: the service's pins are that user's.
        """
        with _in_words(self.path):
            found = self.path.lstat()
            trusted = trusted_users(self._directory) if os.geteuid() == 0 else {os.geteuid()}
        if not stat.S_ISDIR(found.st_mode):
            raise PinError(f"{self.path} is no folder; `synguard detach` removes it")
        if found.st_uid not in trusted or found.st_mode & 0o077:
            raise PinError(
                f"{self.path} is not trusted: it belongs to user {found.st_uid} with mode "
                f"{found.st_mode & 0o777:o}, not to user {os.geteuid()} alone; `synguard detach` removes it"
            )

    def sets(self) -> dict[ProbeVersion, Path]:
        """Return the sets of pins that are there, whole or not, by the version that their names tell."""
        with _in_words(self.path):
            entries = sorted(self.path.iterdir(), key=lambda path: path.lstat().st_mtime_ns)
        return {
            ProbeVersion(match["layout"], match["program"]): path
            for path in entries
            if (match := _SET.fullmatch(path.name))
        }

    def strangers(self) -> list[str]:
        """Return the names of what is in the folder and not ours."""
        with _in_words(self.path):
            names = sorted(path.name for path in self.path.iterdir())
        return [name for name in names if not _SET.fullmatch(name) and name != _NEW]

    def hold_programs(self, known: KnownPrograms) -> None:
        """Let ``known`` hold the programs that are pinned here, in whole sets and others, if one may."""
        with suppress(OSError):
            for path in self.path.glob("layout-*/program-*"):
                fd = open_pinned(path)
                try:
                    if is_program(fd):
                        known.hold(fd)
                finally:
                    os.close(fd)

    def store(self, loaded: LoadedObject, version: ProbeVersion) -> Path:
        """Pin programs and maps as one set, in place of one of that version. Raises PinError."""
        new = self.path / _NEW
        final = self.path / f"layout-{version.layout}-program-{version.program}"
        with _in_words(self.path):
            _remove_tree(new)
            new.mkdir(mode=0o700)
            for name, fd in loaded.programs.items():
                pin(fd, new / f"program-{name}")
            for name, bpf_map in loaded.maps.items():
                pin(bpf_map.fd, new / f"map-{name}")
            for made in (*new.iterdir(), new):
                self._give(made)
            _remove_tree(final)
            new.rename(final)
        return final

    def remove_sets(self, keep: Path | None = None) -> None:
        """Remove every set of pins but one. Raises PinError."""
        with _in_words(self.path):
            for path in (*self.sets().values(), self.path / _NEW):
                if path != keep:
                    _remove_tree(path)

    def remove(self) -> list[str]:
        """Remove all pins and, where nothing else is in it, the folder; return what was removed, in words.

        Whose it is does not matter: this is for somebody who may remove it. Raises PinError otherwise.
        """
        with _in_words(self.path):
            if stat.S_ISDIR(self.path.lstat().st_mode):
                self.remove_sets()
            else:
                self.path.unlink()
        with suppress(OSError):  # somebody else's things are in it
            self.path.rmdir()
        with suppress(OSError):
            if self._directory.stat().st_uid == os.geteuid():  # another user's was given to that user
                self._directory.rmdir()
        return [f"{self.path}: pinned programs and maps"]

    def others(self) -> list[Path]:
        """Return the folders of other network namespaces beside this one."""
        with suppress(OSError):
            found = sorted(self._directory.glob("netns-*-*"))
            return [path for path in found if path != self.path]
        return []


def _remove_tree(path: Path) -> None:
    """Remove a folder of pins, whatever is in it and whatever it is; a missing one is as good."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)  # follows no symbolic link, nor one that is put there meanwhile
    else:
        path.unlink(missing_ok=True)


def remove_pins(directories: Iterable[Path]) -> list[str]:
    """Remove this network namespace's pins from each directory; return what was removed, in words.

    Those of a running daemon stay. Raises UnsupportedError without the right to remove some.
    """
    removed = []
    for folder in map(PinFolder, directories):
        if not folder.exists():
            continue
        try:
            with closing(claim_pins(folder.path)):
                removed += folder.remove()
        except PinError as error:
            raise UnsupportedError(f"the pins stay: {error}") from error
        except UnsupportedError:
            raise
        except SynguardError:  # somebody holds them
            continue
    return removed
