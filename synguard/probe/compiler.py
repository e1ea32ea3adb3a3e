"""Compiles and loads eBPF C in a child process and receives its descriptors, so LLVM never stays.

The child (``synguard.probe.compile_child``) is the only place that imports bcc. It hands over
program and map descriptors through a socket pair and ends; a process that compiles holds over
100 MB, and the daemon would keep them for its whole life.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from synguard.errors import SynguardError, UnsupportedError
from synguard.probe.syscall import BpfMap

COMPILE_TIMEOUT_S = 60.0
#: What a process that compiles takes at its peak, and who may have set the limit.
_NEEDED = "some 145 MiB and the probe's maps besides (MemoryMax= of a unit, a container's limit)"
_MAX_DESCRIPTORS = 64


class ProgramType(StrEnum):
    """Which kind of hook a C function is loaded for."""

    XDP = "xdp"
    SCHED_CLS = "sched_cls"


@dataclass(frozen=True, slots=True)
class LoadedObject:
    """Programs and maps that live in the kernel as long as these descriptors or an attachment do."""

    programs: dict[str, int]
    maps: dict[str, BpfMap]

    def close(self) -> None:
        """Close every descriptor; what is attached stays loaded."""
        for fd in self.programs.values():
            os.close(fd)
        for bpf_map in self.maps.values():
            os.close(bpf_map.fd)


def load_object(
    source: Path,
    programs: Mapping[str, ProgramType],
    defines: Mapping[str, int] | None = None,
    maps: Mapping[str, BpfMap] | None = None,
) -> LoadedObject:
    """Compile ``source`` and load the named functions.

    Args:
        source: a C file; its ``#include "..."`` lines are looked up beside it.
        programs: C function name to the hook it is for.
        defines: preprocessor definitions.
        maps: every map of the source, to use instead of new ones; they must be as it declares them. The
            object returned then owns them.

    Raises:
        UnsupportedError: bcc or the UAPI headers are missing, or loading is not permitted.
        SynguardError: the program does not compile or the verifier refuses it.

    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    given = {name: bpf_map.fd for name, bpf_map in (maps or {}).items()}
    request = {
        "source": str(source), "programs": dict(programs), "defines": dict(defines or {}), "maps": given
    }  # fmt: skip
    # A child that is killed cannot tidy up, and one whose parent is killed must: both remove the folder.
    folder = tempfile.TemporaryDirectory(prefix="synguard-headers-", ignore_cleanup_errors=True)
    with ours, theirs, folder as headers:
        child = subprocess.Popen(
            # -P: without it Python would import from the folder that the person happens to stand in, as root.
            [sys.executable, "-P", "-m", "synguard.probe.compile_child", str(theirs.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno(), *given.values()],
            text=True,
        )
        theirs.close()
        with child:
            try:
                loaded = _receive(child, ours, json.dumps({**request, "headers": headers}))
                loaded.maps.update(maps or {})
                return loaded
            finally:
                child.kill()


def _receive(child: subprocess.Popen[str], channel: socket.socket, request: str) -> LoadedObject:
    channel.settimeout(COMPILE_TIMEOUT_S)
    try:
        _, stderr = child.communicate(request, timeout=COMPILE_TIMEOUT_S)
        message, fds, _, _ = socket.recv_fds(channel, 65536, _MAX_DESCRIPTORS)
    except (TimeoutError, subprocess.TimeoutExpired) as error:
        raise SynguardError(
            f"compiling the probe took longer than {COMPILE_TIMEOUT_S:.0f} s; is the machine overloaded, or "
            f"memory limited? It takes {_NEEDED}"
        ) from error
    if not message:
        raise SynguardError(_without_a_word(child.returncode, stderr))
    return _interpret(json.loads(message), fds, stderr)


def _without_a_word(code: int, stderr: str) -> str:
    if code == -signal.SIGKILL:
        return f"the probe's compiler was killed, as where memory is short: it takes {_NEEDED}"
    return f"the probe's compiler ended without a word (exit code {code}):\n{stderr.strip()}"


def _interpret(answer: dict[str, list[str] | str], fds: list[int], stderr: str) -> LoadedObject:
    if "unsupported" in answer:
        raise UnsupportedError(str(answer["unsupported"]))
    if "error" in answer:
        raise SynguardError(f"{answer['error']}\n{stderr.strip()}".strip())
    names = [*answer["programs"], *answer["maps"]]
    if len(names) != len(fds):
        for fd in fds:
            os.close(fd)
        raise SynguardError(f"the probe's compiler named {len(names)} objects and sent {len(fds)}")
    by_name = dict(zip(names, fds, strict=True))
    return LoadedObject(
        {name: by_name[name] for name in answer["programs"]},
        {name: BpfMap.from_fd(by_name[name]) for name in answer["maps"]},
    )
