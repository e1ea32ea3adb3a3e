"""Opens capture files, gzipped or not, and says how far they can be read."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO

from synguard.errors import SynguardError, UsageError
from synguard.replay.formats import Packet, Source, read_pcap, read_pcapng

#: From standard input.
STDIN = "-"
BATCH_PACKETS = 1024
_GZIP = b"\x1f\x8b"
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_PCAP = frozenset(bytes.fromhex(magic) for magic in ("a1b2c3d4", "d4c3b2a1", "a1b23c4d", "4d3cb2a1"))
#: Packed by something else than gzip, or a capture of another kind: what to do about it.
_OTHERS = {
    b"\x28\xb5\x2f\xfd": "it is packed by zstd: zstd -dc FILE | synguard replay -",
    b"\xfd7zX": "it is packed by xz: xz -dc FILE | synguard replay -",
    b"BZh9": "it is packed by bzip2: bzip2 -dc FILE | synguard replay -",
    b"PK\x03\x04": "it is a zip archive: unpack it first",
    b"\x34\xcd\xb2\xa1": "it is a pcap file of a patched libpcap: convert it by editcap -F pcap",
    b"snoo": "it is a snoop file: convert it by editcap -F pcap",
}


class Capture:
    """A capture file, which can be read through more than once.

    Raises UsageError if there is no such file, and SynguardError if it cannot be read or is no capture.
    """

    def __init__(self, name: str) -> None:
        self.name = "standard input" if name == STDIN else name
        self._file = _spooled(sys.stdin.buffer) if name == STDIN else _open(name)
        self.gzipped = _magic(self._file).startswith(_GZIP)
        try:
            with self._unpacked() as file:
                magic = _magic(file)
        except (EOFError, OSError, zlib.error) as error:
            self._file.close()
            raise SynguardError(f"{self.name}: cannot be unpacked: {error}") from error
        if magic != _PCAPNG and magic not in _PCAP:
            self._file.close()
            raise SynguardError(f"{self.name}: {_what_else(magic)}")
        self.format = "pcapng" if magic == _PCAPNG else "pcap"
        #: What was wrong with the file, once it was read through; None if nothing was.
        self.problem: str | None = None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def batches(self) -> Iterator[list[Packet]]:
        """Yield the packets from the first one on, many at a time, as far as they can be read.

        Then ``problem`` is known.
        """
        self.problem = None
        read = read_pcapng if self.format == "pcapng" else read_pcap
        with self._unpacked() as file:
            source = Source(file)
            count = 0
            packets = read(source)
            while batch := list(islice(packets, BATCH_PACKETS)):
                count += len(batch)
                yield batch
        if source.problem is not None:
            self.problem = f"damaged after {count:,} packets: {source.problem}"

    @contextmanager
    def _unpacked(self) -> Iterator[IO[bytes] | gzip.GzipFile]:
        self._file.seek(0)
        if not self.gzipped:
            yield self._file
            return
        with gzip.GzipFile(fileobj=self._file) as unpacked:
            yield unpacked


def _open(name: str) -> IO[bytes]:
    try:
        file = open(name, "rb")  # noqa: SIM115  the capture closes it
    except FileNotFoundError as error:
        raise UsageError(f"{name}: there is no such file") from error
    except OSError as error:
        raise SynguardError(f"{name}: cannot be read: {error.strerror}") from error
    if file.seekable():
        return file
    with file:
        return _spooled(file)


def _spooled(stream: IO[bytes]) -> IO[bytes]:
    """Return what a pipe says as a file that can be read twice."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  the capture closes it
    try:
        shutil.copyfileobj(stream, file, 1 << 20)
    except OSError as error:
        file.close()
        where = f"{tempfile.gettempdir()}: {error.strerror}; TMPDIR names another folder"
        raise SynguardError(f"what comes through the pipe cannot be kept in {where}") from error
    return file


def _magic(file: IO[bytes] | gzip.GzipFile) -> bytes:
    magic = file.read(4)
    file.seek(0)
    return magic


def _what_else(magic: bytes) -> str:
    if not magic:
        return "the file is empty"
    return _OTHERS.get(magic, "it is no capture: pcap or pcapng is what tcpdump -w and Wireshark write")
