"""The naive detector itself: compiles with bcc, attaches, and looks at every source once a second.

Its idea is that of the small eBPF projects one finds (XDP or tc, with a Python or Go loop): judge each source
by how many of its handshakes complete, in one table with an entry for whoever sent a SYN, read as a whole by
``items()``, and block by address. So it needs no knowledge of listeners and no packet sent the other way. It
is written as well as that idea allows: both IP versions, VLAN tags, tables that cannot fill up, differences
of counts instead of clearing them.

It logs JSON lines as synguard does; a line ``totals`` on its standard input asks for its counts.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any, NoReturn

from bench.defences.naive.load import PROGRAM, SOURCE
from bench.defences.naive.rule import Counts, Rule
from synguard.probe.compile_child import build_header_tree

POLL_INTERVAL_S = 1.0
_EXIT_UNSUPPORTED = 3
#: The fields of ``struct totals``.
_TOTALS = ("packets", "syns", "completed", "dropped")


def log(**fields: Any) -> None:
    """Print one log line."""
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def source_text(raw: bytes) -> str:
    """Return the address that a key of the table of sources holds."""
    address = IPv6Address(raw)
    return str(address.ipv4_mapped or address)


def compile_probe(blocking: bool) -> Any:
    """Return bcc's object with the program and the tables."""
    from bcc import BPF  # a machine without it is told so  # noqa: PLC0415

    flags = ["-Wall", "-Werror", *(["-DBLOCKING"] if blocking else [])]
    with tempfile.TemporaryDirectory(prefix="naive-headers-", ignore_cleanup_errors=True) as folder:
        build_header_tree(Path(folder))
        os.environ["BCC_KERNEL_SOURCE"] = folder
        return BPF(text=SOURCE.read_text(encoding="ascii"), cflags=flags)


class Detector:
    """The tables, and the loop that reads them."""

    def __init__(self, bpf: Any, blocking: bool) -> None:
        self._bpf = bpf
        self._blocking = blocking
        self._rule = Rule()

    def poll_forever(self) -> NoReturn:
        """Read every source once a second, or as often as reading them all allows."""
        last_s = time.monotonic()
        while True:
            time.sleep(max(last_s + POLL_INTERVAL_S - time.monotonic(), 0.0))
            counts = self._counts()
            now_s = time.monotonic()
            for source, event in self._rule.judge(counts, now_s - last_s):
                self._tell(source, event)
            last_s = now_s

    def _counts(self) -> dict[bytes, Counts]:
        entries = self._bpf["sources"].items()
        return {bytes(source): (tally.syns, tally.completed) for source, tally in entries}

    def _tell(self, source: bytes, event: dict[str, Any]) -> None:
        what = {"kind": "syn-flood", "class": "single-source", "listener": None}
        log(**event, **what, source=source_text(source))
        if self._blocking and event["event"] == "alert.raised":
            blocked = self._bpf["blocked"]
            blocked[blocked.Key.from_buffer_copy(source)] = blocked.Leaf(0)
            log(event="source.blocked", target=source_text(source), alert_id=event["alert_id"], until_s=None)

    def answer_questions(self) -> None:
        """Log the totals whenever a line comes in on standard input, until it ends."""
        table = self._bpf["totals"]
        # Not sys.stdin: its lock would be held by this thread when the interpreter ends.
        while os.read(0, 64):
            cpus = table[table.Key(0)]
            log(event="totals.told", **{name: sum(getattr(cpu, name) for cpu in cpus) for name in _TOTALS})


def main() -> int:
    """Run until SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.defences.naive", description=__doc__)
    parser.add_argument("interface")
    parser.add_argument("--block", action="store_true", help="drop everything from whom it alerts about")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        bpf = compile_probe(arguments.block)
        program = bpf.load_func(PROGRAM, bpf.XDP)
        mode = bpf.XDP_FLAGS_DRV_MODE
        bpf.attach_xdp(arguments.interface, program, mode | bpf.XDP_FLAGS_UPDATE_IF_NOEXIST)
    except Exception as error:  # noqa: BLE001 - bcc raises bare Exception for every failure
        sys.stderr.write(f"the naive detector cannot be had here: {error}\n")
        return _EXIT_UNSUPPORTED
    try:
        detector = Detector(bpf, arguments.block)
        threading.Thread(target=detector.answer_questions, name="totals", daemon=True).start()
        log(event="daemon.ready")
        detector.poll_forever()
    finally:
        bpf.remove_xdp(arguments.interface, mode)


if __name__ == "__main__":
    sys.exit(main())
