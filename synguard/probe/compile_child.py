"""The child process that compiles and loads with bcc, sends the descriptors and ends."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

from synguard.probe import capabilities
from synguard.probe.userns import REMEDY, in_user_namespace

UAPI = Path("/usr/include")

_TYPES_H = """#include "{uapi}/linux/types.h"
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64;
typedef __s8 s8; typedef __s16 s16; typedef __s32 s32; typedef __s64 s64;
typedef __kernel_size_t size_t;
typedef _Bool bool;
#define true 1
#define false 0
"""

_VERSION_H = """#define LINUX_VERSION_CODE {code}
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
"""

_KCONFIG_H = """#define CONFIG_BPF_SYSCALL 1
#define PAGE_SIZE 4096
typedef unsigned long uintptr_t;
"""

_LOCAL_INCLUDE = re.compile(r'^#include "([^"]+)"\s*$', re.MULTILINE)


class MissingError(Exception):
    """Something that must be installed is not."""


def _architecture_headers() -> Path:
    for folder in (UAPI / f"{platform.machine()}-linux-gnu" / "asm", UAPI / "asm"):
        if folder.is_dir():
            return folder
    raise MissingError("the kernel's UAPI headers are missing; install them: apt-get install linux-libc-dev")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def build_header_tree(root: Path) -> None:
    """Make the folder that bcc takes for kernel headers out of the UAPI headers alone.

    bcc asks for a kernel's build tree, which servers seldom have. Programs that touch only packets
    and maps need nothing but UAPI headers and the few internal ones that bcc's own helpers.h names;
    ``uapi/linux/bpf.h`` is empty because bcc brings its own. All others are found where it looks last, by
    four links: to link each of a thousand took a tenth of a second.
    """
    asm = _architecture_headers()
    release = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", platform.release())
    major, minor, patch = (int(part or 0) for part in release.groups()) if release else (6, 1, 0)
    code = (major << 16) + (minor << 8) + min(patch, 255)
    include = root / "include"
    _write(include / "linux" / "types.h", _TYPES_H.format(uapi=UAPI))
    _write(include / "linux" / "version.h", _VERSION_H.format(code=code))
    _write(include / "linux" / "kconfig.h", _KCONFIG_H)
    _write(include / "linux" / "log2.h", "")
    _write(include / "asm" / "page.h", "")
    _write(include / "uapi" / "linux" / "bpf.h", "")
    others = include / "generated" / "uapi"
    others.mkdir(parents=True)
    links = {"linux": UAPI / "linux", "asm": asm, "asm-generic": UAPI / "asm-generic", "uapi": UAPI}
    for name, folder in links.items():
        (others / name).symlink_to(folder)


def amalgamate(source: Path, seen: set[Path] | None = None) -> str:
    """Return ``source`` with each local include's text in its place, once.

    bcc rewrites map operations in the main file only, so the files that use maps must be one text.
    """
    seen = set() if seen is None else seen
    if source in seen:
        return ""
    seen.add(source)
    text = source.read_text(encoding="utf-8")
    return _LOCAL_INCLUDE.sub(lambda match: amalgamate(source.parent / match.group(1), seen), text)


def _load(request: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    try:
        from bcc import BPF  # only here: importing bcc loads LLVM  # noqa: PLC0415
    except ImportError as error:
        raise MissingError(
            f"bcc's Python module is missing ({error}); install it: apt-get install python3-bpfcc, "
            "and run from a venv made by /usr/bin/python3 -m venv --system-site-packages"
        ) from error
    defines = [f"-D{name}={value}" for name, value in request["defines"].items()]
    kinds = {"xdp": BPF.XDP, "sched_cls": BPF.SCHED_CLS}
    bpf = BPF(text=amalgamate(Path(request["source"])), cflags=["-Wall", "-Werror", *defines])
    maps = _map_descriptors(bpf.module)
    if request["maps"]:
        _put_in_place(request["maps"], maps)
    programs = {name: bpf.load_func(name, kinds[kind]).fd for name, kind in request["programs"].items()}
    return programs, {} if request["maps"] else maps


def _put_in_place(given: dict[str, int], made: dict[str, int]) -> None:
    """Let the descriptors that the code names lead to the given maps, before the kernel looks them up."""
    if given.keys() != made.keys():
        raise ValueError(f"it has other maps than those given: {sorted(given.keys() ^ made.keys())}")
    for name, descriptor in given.items():
        os.dup2(descriptor, made[name])


def _map_descriptors(module: Any) -> dict[str, int]:
    """Return every map's name and descriptor, straight from libbcc: its Python tables cost time."""
    from bcc import lib  # noqa: PLC0415

    lib.bpf_table_name.restype = ctypes.c_char_p
    lib.bpf_table_name.argtypes = lib.bpf_table_fd_id.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    tables = range(lib.bpf_num_tables(module))
    return {lib.bpf_table_name(module, i).decode(): lib.bpf_table_fd_id(module, i) for i in tables}


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], list[int]]:
    folder = request["headers"]
    try:
        build_header_tree(Path(folder))
        os.environ["BCC_KERNEL_SOURCE"] = folder
        programs, maps = _load(request)
    except MissingError as error:
        return {"unsupported": str(error)}, []
    except Exception as error:  # noqa: BLE001  bcc raises bare Exception for every failure
        if in_user_namespace():
            where = "a user namespace (a rootless container)"
            return {"unsupported": f"no eBPF can be loaded in {where}: {REMEDY}"}, []
        if not capabilities.may_guard():
            needed = f"root, or {capabilities.NEEDED}"
            return {"unsupported": f"loading eBPF is not permitted ({error}): it needs {needed}"}, []
        return {"error": f"the probe could not be compiled and loaded: {error}"}, []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"programs": list(programs), "maps": list(maps)}, [*programs.values(), *maps.values()]


def main() -> None:
    """Read a request from standard input, answer on the socket whose descriptor is the argument."""
    answer, fds = _answer(json.load(sys.stdin))
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        socket.send_fds(channel, [json.dumps(answer).encode()], fds)


if __name__ == "__main__":
    main()
