"""Tells programs of ours by their ids: those held here, and any other where the kernel permits it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from synguard.errors import UnsupportedError
from synguard.probe.syscall import ProgramInfo, program_fd_by_id, program_info

#: Every program of the probe is called so.
_OURS = "synguard_"


class KnownPrograms:
    """Programs by id.

    The kernel opens a program by its id for CAP_SYS_ADMIN alone. A daemon without it still knows what it
    loaded itself, and what it finds pinned: those it holds here.
    """

    def __init__(self) -> None:
        self._held: dict[int, int] = {}

    def hold(self, fd: int) -> None:
        """Keep a program within reach; the caller goes on owning ``fd``."""
        program_id = program_info(fd).id
        if program_id not in self._held:
            self._held[program_id] = os.dup(fd)

    def close(self) -> None:
        """Let go of all that is held: a program that nobody holds, and that is attached nowhere, ends."""
        for fd in self._held.values():
            os.close(fd)
        self._held.clear()

    def keep_only(self, fd: int) -> None:
        """Let go of all but this one, lest what it replaced live on with all its maps."""
        kept = program_info(fd).id
        for program_id in self._held.keys() - {kept}:
            os.close(self._held.pop(program_id))

    @contextmanager
    def opened(self, program_id: int) -> Iterator[int]:
        """Return a descriptor of a program for the time being. Raises OSError with the kernel's errno."""
        held = self._held.get(program_id)
        fd = program_fd_by_id(program_id) if held is None else os.dup(held)
        try:
            yield fd
        finally:
            os.close(fd)

    def info(self, program_id: int) -> ProgramInfo | None:
        """Describe a program, or return None when it is gone. Raises UnsupportedError without the right."""
        try:
            with self.opened(program_id) as fd:
                return program_info(fd)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise UnsupportedError(
                f"cannot look at eBPF program {program_id}: {error.strerror}; that needs CAP_SYS_ADMIN"
            ) from error

    def stranger(self, program_id: int) -> str | None:
        """Return how to speak of a program that is not ours, as far as that may be known; None for ours."""
        try:
            info = self.info(program_id)
        except UnsupportedError:
            return f"id {program_id}; whose it is, only CAP_SYS_ADMIN may ask"
        if info is None:
            return f"id {program_id}, gone since"
        return None if info.name.startswith(_OURS) else f"{info.name}, id {program_id}"
