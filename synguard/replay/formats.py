"""Yields the packets of pcap and pcapng streams, damaged ones as far as they can be understood.

The formats are scapy's business. Compared were:

=============  ==========================================================================================
scapy 2.8      0.9 µs a packet; pcap and pcapng in both byte orders, nanoseconds, several interfaces;
               its reads are bounded; released every few months. Taken, with what it lacks added here
dpkt 1.9       1.7 µs; of a pcapng file only the first interface and section, times as floats; its last
               release is of 2022
python-pcapng  no pcap, a Python object for each block and option; its last release is of 2022
libpcap        refuses a pcapng file whose interfaces differ in link type, and tells no directions
=============  ==========================================================================================

What scapy lacks: that a section of a pcapng file begins with no interfaces, ``if_tsoffset``, interfaces
without a snap length, and a word on whether a file ends where a packet does.
"""

from __future__ import annotations

import gzip
import logging
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from scapy.error import Scapy_Exception, log_runtime
from scapy.utils import RawPcapNgReader, RawPcapReader

NS_PER_S = 10**9
#: What a record may claim to hold, at most: libpcap's bound for every link type but D-Bus.
RECORD_BYTES_MAX = 262_144
#: The same for a block of pcapng, whose options may be long.
BLOCK_BYTES_MAX = 16 << 20
#: Times after the year 2262 are no times: nanoseconds have 63 bits, here as in kernels.
TIME_NS_MAX = (1 << 63) - 1

#: Which way a packet went past the interface, where the capture says so.
UNKNOWN, INCOMING, OUTGOING = 0, 1, 2

#: The upper bits tell of frame check sequences.
_LINK_TYPE_MASK = 0xFFFF
_OPTION_TSOFFSET = 14
#: Interfaces, and packets in their three shapes.
_BLOCKS = (1, 2, 3, 6)
_CUT = "it ends in the middle of a packet"


#: One packet of a capture: nanoseconds since the Unix epoch, or None where the file gives no time or one that
#: cannot be; a ``LINKTYPE_*`` number of tcpdump.org's registry; ``UNKNOWN``, ``INCOMING`` or ``OUTGOING``;
#: and the data. A plain tuple: there are millions of them.
Packet = tuple[int | None, int, int, bytes]


class Source:
    """The stream that scapy reads from; keeps what went wrong, and reads no more then.

    To scapy a stream that fails, a record that claims too much and the end of the file are all just the end.
    """

    def __init__(self, file: IO[bytes] | gzip.GzipFile) -> None:
        self.name = "capture"
        #: Why reading ended early; None while nothing is wrong.
        self.problem: str | None = None
        self._read = file.read
        self._at_start = False
        self._finished = False

    def begin(self) -> None:
        """Note that a record or block begins with the next byte: only here a file may end."""
        self._at_start = True

    def read(self, size: int) -> bytes:
        """Return so many bytes, or fewer at the end of the stream and after a failure."""
        if self.problem is not None:
            return b""
        if size > BLOCK_BYTES_MAX:
            self.problem = f"a block claims to hold {size:,} bytes"
            return b""
        try:
            data = self._read(size)
        except (EOFError, OSError, zlib.error) as error:
            self.problem = f"it cannot be unpacked any further: {error}"
            return b""
        if not data and size:
            self._finished |= self._at_start
        self._at_start = False
        return data

    def close(self) -> None:
        """Leave the stream to its owner."""

    def settle(self, said: list[str]) -> None:
        """Say why it ended early, if it did; ``said`` is what scapy said of it."""
        if self.problem is None and not self._finished:
            told = [text.removeprefix("PcapNg: ").removeprefix("Pcap: ").rstrip(" !.") for text in said[-1:]]
            self.problem = told[0] if told else _CUT


class _Clock(NamedTuple):
    """How an interface of a pcapng file counts time; takes the place of scapy's ``tsresol``."""

    units_per_s: int
    offset_s: int


class _PcapNg(RawPcapNgReader):
    """Says where a block begins, and knows of each section's interfaces what scapy leaves out."""

    #: A :class:`Source`.
    f: Any

    def __init__(self, filename: str, fdesc: Any = None, magic: Any = None) -> None:
        super().__init__(filename, fdesc, magic)
        # Others it would interpret in vain: TLS keys, names of processes.
        self.blocktypes = {number: self.blocktypes[number] for number in _BLOCKS}

    def _read_block(self, size: int = RECORD_BYTES_MAX) -> Any:
        self.f.begin()
        return super()._read_block(size)

    def _read_block_shb(self) -> None:
        self.interfaces = []
        super()._read_block_shb()

    def _read_block_idb(self, block: bytes, size: int) -> None:
        super()._read_block_idb(block, size)
        link_type, snap_length, options = self.interfaces.pop()
        offset: Any = self._read_options(block[8:]).get(_OPTION_TSOFFSET, b"")
        offset_s = struct.unpack(f"{self.endian}q", offset)[0] if len(offset) == 8 else 0
        options["tsresol"] = _Clock(options["tsresol"], offset_s)
        self.interfaces.append((link_type, snap_length or RECORD_BYTES_MAX, options))


def read_pcap(source: Source) -> Iterator[Packet]:
    """Yield the packets of a pcap stream; what was wrong with it is then the source's problem."""
    with _judged(source):
        reader = _open(RawPcapReader, source)
        read, begin = reader._read_packet, source.begin  # noqa: SLF001  its iterator costs as much again
        link_type = reader.linktype & _LINK_TYPE_MASK
        ns_per_unit = 1 if reader.nano else 1000
        while True:
            begin()
            data, (sec, fraction, _, record_bytes) = read(RECORD_BYTES_MAX)
            if record_bytes > RECORD_BYTES_MAX:
                source.problem = f"a packet claims to hold {record_bytes:,} bytes"
                return
            if len(data) < record_bytes:
                source.problem = source.problem or _CUT
            yield sec * NS_PER_S + fraction * ns_per_unit, link_type, UNKNOWN, data


def read_pcapng(source: Source) -> Iterator[Packet]:
    """Yield the packets of a pcapng stream; what was wrong with it is then the source's problem."""
    with _judged(source):
        for data, about in _open(_PcapNg, source):
            time_ns = None
            if about.tshigh is not None:
                units_per_s, offset_s = about.tsresol
                time_ns = (about.tshigh << 32 | about.tslow) * NS_PER_S // units_per_s + offset_s * NS_PER_S
                if not 0 <= time_ns <= TIME_NS_MAX:
                    time_ns = None
            direction = about.direction if about.direction in {INCOMING, OUTGOING} else UNKNOWN
            yield time_ns, about.linktype, direction, data


def _open(reader: Any, source: Source) -> Any:
    """Return scapy's reader of a stream, which it takes as well as the name that its types ask for."""
    return reader(source)


@contextmanager
def _judged(source: Source) -> Iterator[None]:
    """Keep what scapy says off the terminal; in the end settle whether the stream was whole."""
    said: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        said.append(record.getMessage())
        del said[:-1]
        return False

    log_runtime.filters.insert(0, keep)
    try:
        yield
    except EOFError:
        pass
    except (Scapy_Exception, ValueError, struct.error) as error:
        said.append(str(error))
    finally:
        log_runtime.filters.remove(keep)
    source.settle(said)
