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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from synguard.errors import SynguardError, UnsupportedError
from synguard.probe import layout, response_layout, sight_layout
from synguard.probe.claim import claim_pins
from synguard.probe.compiler import LoadedObject, ProgramType
from synguard.probe.pinned_objects import is_map, is_program, on_bpf_filesystem, open_pinned, pin
from synguard.probe.syscall import BpfMap, program_info, program_map_ids
from synguard.probe.version import ProbeVersion

_NEW = "new"
_SET = re.compile(r"layout-(?P<layout>[0-9a-f]+)-program-(?P<program>[0-9a-f]+)")
#: ``SO_NETNS_COOKIE`` of include/uapi/asm-generic/socket.h, since Linux 5.14.
_SO_NETNS_COOKIE = 71
#: ``BPF_PROG_TYPE_*`` of include/uapi/linux/bpf.h.
_PROGRAM_TYPES = {ProgramType.XDP: 6, ProgramType.SCHED_CLS: 3}
#: The kernel cuts names to BPF_OBJ_NAME_LEN, with the final NUL.
_NAME_BYTES = 15
#: What the daemon decodes must have the size that it decodes.
_VALUE_BYTES = {
    "settings": layout.SETTINGS.size,
    "totals": layout.TOTALS.size,
    "interfaces": sight_layout.INTERFACES_BYTES,
    "flows": sight_layout.FLOWS_BYTES,
    "sources": layout.SOURCE_BYTES,
    "prefixes": layout.SOURCE_BYTES,
    "listeners": layout.LISTENER_BYTES,
    "closed_buckets": layout.LISTENER_BYTES,
    "blocks": response_layout.BLOCK.size,
}


class PinError(SynguardError):
    """Pins that cannot be had, or not be trusted; says why and what to do."""


class BrokenPinsError(Exception):
    """A set of pins that is not whole; says what is wrong with it."""


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
            self.path.mkdir(mode=0o700, exist_ok=True)

    def check(self) -> None:
        """Raise PinError unless the folder is this user's, and nobody else may write it."""
        with _in_words(self.path):
            found = self.path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise PinError(f"{self.path} is no folder; `synguard detach` removes it")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
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


def open_set(path: Path, programs: Mapping[str, ProgramType], sizes: Mapping[str, int]) -> LoadedObject:
    """Return the programs and maps of a set of pins.

    Args:
        path: from :meth:`PinFolder.sets`.
        programs: the programs that must be there, and what for.
        sizes: how many entries the maps that are named must have.

    Raises:
        BrokenPinsError: something is missing, too much or not what it must be; says what.

    """
    loaded = LoadedObject({}, {})
    try:
        for entry in _entries(path):
            _open_entry(entry, loaded)
        _check_programs(loaded.programs, programs)
        _check_maps(loaded, sizes)
    except OSError as error:
        loaded.close()
        raise BrokenPinsError(f"it cannot be read: {error.strerror}") from error
    except BrokenPinsError:
        loaded.close()
        raise
    return loaded


def _entries(path: Path) -> Iterable[Path]:
    if path.is_symlink() or not path.is_dir():
        raise BrokenPinsError("it is no folder")
    return sorted(path.iterdir())


def _open_entry(entry: Path, loaded: LoadedObject) -> None:
    kind, _, name = entry.name.partition("-")
    if kind not in ("map", "program") or not entry.is_file() or entry.is_symlink():
        raise BrokenPinsError(f"{entry.name} is not ours")
    fd = open_pinned(entry)
    if kind == "program" and is_program(fd):
        loaded.programs[name] = fd
    elif kind == "map" and is_map(fd):
        loaded.maps[name] = BpfMap.from_fd(fd)
    else:
        os.close(fd)
        raise BrokenPinsError(f"{entry.name} is no {kind}")


def _check_programs(found: Mapping[str, int], wanted: Mapping[str, ProgramType]) -> None:
    if found.keys() != wanted.keys():
        raise BrokenPinsError(
            f"missing or unknown programs: {', '.join(sorted(found.keys() ^ wanted.keys()))}"
        )
    for name, fd in found.items():
        info = program_info(fd)
        if info.name != name[:_NAME_BYTES] or info.type != _PROGRAM_TYPES[wanted[name]]:
            raise BrokenPinsError(f"program-{name} is another program ({info.name}, type {info.type})")


def _check_maps(loaded: LoadedObject, sizes: Mapping[str, int]) -> None:
    used = frozenset[int]().union(*(program_map_ids(fd) for fd in loaded.programs.values()))
    for name, bpf_map in loaded.maps.items():
        info = bpf_map.info
        if info.name != name[:_NAME_BYTES] or info.id not in used:
            raise BrokenPinsError(f"map-{name} is another map than the one that the programs use")
        if info.value_size != _VALUE_BYTES.get(name, info.value_size):
            raise BrokenPinsError(f"map-{name} has values of {info.value_size} bytes")
        if info.max_entries != sizes.get(name, info.max_entries):
            raise BrokenPinsError(f"map-{name} has {info.max_entries} entries")
    missing = len(used) - len(loaded.maps)
    if missing:
        raise BrokenPinsError(f"{missing} of the {len(used)} maps that the programs use are missing")


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
