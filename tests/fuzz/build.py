"""Compiles the probe's headers for the host: the fuzz target, a build that counts lines, and a library."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from synguard.probe.probe import SOURCE

HERE = Path(__file__).parent
HEADERS = SOURCE.parent

_WARNINGS = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas")
_SANITIZERS = (
    "-fsanitize=fuzzer,address,undefined",
    # Headers lie in a frame where they lie: an IP header begins 14 bytes into it. The machines that run the
    # probe's programs read it there, or the kernel's verifier refuses the program.
    "-fno-sanitize=alignment",
    "-fno-sanitize-recover=all",
)


def packet_fields(headers: Path) -> tuple[str, ...]:
    """Return the names of what ``struct packet`` has."""
    text = re.sub(r"/\*.*?\*/", "", (headers / "packet.h").read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.search(r"^struct packet \{(.*?)^\};", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise ValueError(f"{headers / 'packet.h'} declares no struct packet")
    return tuple(re.findall(r"(\w+)\s*(?:\[[^]]*\])?\s*[,;]", found[1]))


def _compile(compiler: str, headers: Path, folder: Path, *arguments: str) -> None:
    """Compile in ``folder``, where the list of the packet's fields lies for it."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = " ".join(f"X({name})" for name in packet_fields(headers))
    (folder / "packet_fields.h").write_text(f"#define PACKET_FIELDS(X) {fields}\n", encoding="ascii")
    includes = (f"-I{headers}", f"-I{HERE}", "-I.")
    subprocess.run([compiler, "-g", *_WARNINGS, *includes, *arguments], cwd=folder, check=True)


def build_target(folder: Path, headers: Path = HEADERS) -> Path:
    """Return libFuzzer's target, made in ``folder``."""
    _compile("clang", headers, folder, "-O1", *_SANITIZERS, "-o", "parser", str(HERE / "parser.c"))
    return folder / "parser"


def build_counting(folder: Path, headers: Path = HEADERS) -> Path:
    """Return a program that replays a corpus and counts the lines that it runs; made in ``folder``."""
    sources = (str(HERE / "parser.c"), str(HERE / "replay.c"))
    _compile("gcc", headers, folder, "-O0", "--coverage", "-o", "replay", *sources)
    return folder / "replay"


@dataclass(frozen=True, slots=True)
class Field:
    """A field within the bytes of an answer."""

    name: str
    at: int
    size_bytes: int


class _CField(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("at", ctypes.c_uint32), ("size_bytes", ctypes.c_uint32))


class HostParser:
    """The parser as the host's compiler builds it, and the oracle beside it."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._answer_bytes = ctypes.c_uint32.in_dll(self._library, "answer_bytes").value
        self._answer = ctypes.create_string_buffer(self._answer_bytes)
        for function in (self._library.host_parse, self._library.oracle_parse):
            function.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p]
            function.restype = None
        self._library.host_siphash.restype = ctypes.c_uint64
        self._library.host_siphash.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
        for function in (self._library.host_tuple_hash, self._library.host_source_hash):
            function.restype = ctypes.c_uint64
            function.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
        count = len(packet_fields(HEADERS))
        self.fields = tuple(
            Field(field.name.decode(), field.at, field.size_bytes)
            for field in (_CField * count).in_dll(self._library, "fields")
        )
        masked_at = ctypes.c_uint32.in_dll(self._library, "masked_at").value
        self.masked = Field("masked", masked_at, 16)

    @property
    def answer_bytes(self) -> int:
        """Return the size of a ``struct parsed``."""
        return self._answer_bytes

    @property
    def oracle_fields(self) -> tuple[str, ...]:
        """Return the names of the fields that the oracle fills in."""
        names = (ctypes.c_char_p * (len(self.fields) + 1)).in_dll(self._library, "oracle_fields")
        return tuple(name.decode() for name in names if name)

    def parse(self, frame: bytes) -> bytes:
        """Return the ``struct parsed`` of the parser."""
        self._library.host_parse(frame, len(frame), self._answer)
        return self._answer.raw

    def consult(self, frame: bytes) -> bytes:
        """Return the ``struct parsed`` of the oracle."""
        self._library.oracle_parse(frame, len(frame), self._answer)
        return self._answer.raw

    def siphash(self, secret: bytes, message: bytes) -> int:
        """Return the hash of a message under a secret of 16 bytes."""
        return int(self._library.host_siphash(secret, message, len(message)))

    def tuple_hash(self, secret: bytes, answer: bytes) -> int:
        """Return the hash by which the probe finds the handshake of a parsed segment."""
        return int(self._library.host_tuple_hash(secret, answer))

    def source_hash(self, secret: bytes, answer: bytes) -> int:
        """Return the hash by which the probe finds the source of a parsed segment."""
        return int(self._library.host_source_hash(secret, answer))

    def field(self, name: str, answer: bytes) -> bytes:
        """Return the bytes of a field."""
        found = next(field for field in self.fields if field.name == name)
        return answer[found.at : found.at + found.size_bytes]


def build_library(folder: Path) -> HostParser:
    """Return the host's build as a library, made in ``folder``."""
    _compile("gcc", HEADERS, folder, "-O2", "-fPIC", "-shared", "-o", "parser.so", str(HERE / "library.c"))
    return HostParser(folder / "parser.so")


def altered_headers(folder: Path, old: str, new: str) -> Path:
    """Return a copy of the probe's headers in which ``packet.h`` says ``new`` where it said ``old``, once."""
    copy = folder / "bpf"
    shutil.copytree(HEADERS, copy)
    text = (copy / "packet.h").read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"packet.h says {old!r} {text.count(old)} times, not once: take another line")
    (copy / "packet.h").write_text(text.replace(old, new), encoding="utf-8")
    return copy
