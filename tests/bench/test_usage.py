"""The meter of CPU time and memory, against what processes say of themselves."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.measure.usage import UsageMeter, children, cpu_ns, process_cpu_ns, resident_bytes
from bench.net.namespaces import Topology, wait_until
from bench.peers.clients import shake_hands
from bench.peers.listener import echo

MIB = 1 << 20
#: More than a process spends on saying a number and waiting for a line.
SLACK_NS = 100_000_000
SPIN_NS = 3_000_000_000

#: Spends 0.1 s of CPU time in the way named, tells its own count of it, and waits.
_SPEND = """
import os, sys, threading, time
def spin():
    end = time.thread_time() + 0.1
    while time.thread_time() < end:
        pass
def spin_in_thread():
    thread = threading.Thread(target=spin)
    thread.start()
    thread.join()
def spin_in_child():
    if os.fork() == 0:
        spin()
        os._exit(0)
    os.wait()
def spin_in_living_child():
    reader, writer = os.pipe()
    if os.fork() == 0:
        spin()
        os.write(writer, b"!")
        sys.stdin.read()
        os._exit(0)
    os.read(reader, 1)
{what}()
print(time.process_time_ns(), flush=True)
sys.stdin.read()
"""

_HOLD = """
import sys
held = bytearray(b"x") * (64 << 20)
print(flush=True)
sys.stdin.readline()
del held
print(flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def script(text: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python, which waits for its input's end, while the block lasts."""
    argv = [sys.executable, "-c", text]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line."""
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.mark.parametrize(
    ("what", "beside_itself_ns"),
    [
        ("spin", 0),
        ("spin_in_thread", 0),
        ("spin_in_child", 100_000_000),
        ("spin_in_living_child", 100_000_000),
    ],
)
def test_cpu_time_is_what_the_process_spent(what: str, beside_itself_ns: int) -> None:
    """It counts ended threads, ended children and living ones, and nothing twice."""
    with script(_SPEND.replace("{what}", what)) as process:
        own_ns = int(said(process))
        measured_ns = cpu_ns([process.pid])
    # What ended children spent is told in whole ticks of 10 ms.
    assert own_ns + beside_itself_ns - 20_000_000 <= measured_ns < own_ns + beside_itself_ns + SLACK_NS


def test_a_process_that_is_gone_counts_nothing() -> None:
    """Neither time nor memory is told of a process that has ended, and asking for it is no error."""
    with script("") as process:
        pass
    assert cpu_ns([process.pid]) == resident_bytes([process.pid]) == 0
    assert children(process.pid) == []
    with pytest.raises(ProcessLookupError):
        process_cpu_ns(process.pid)


def test_memory_is_told_now_and_at_its_highest() -> None:
    """64 MiB that a process takes and gives back are in the peak, and no longer in the reading of now."""
    with script(_HOLD) as process, UsageMeter({"it": [process.pid]}) as meter:
        said(process)
        held_bytes = resident_bytes([process.pid])
        wait_until(lambda: meter.peak_resident_bytes("it") >= 64 * MIB, "the next sample")
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        said(process)
        left_bytes = resident_bytes([process.pid])
    assert held_bytes >= 64 * MIB > left_bytes
    assert held_bytes - left_bytes > 60 * MIB
    assert 64 * MIB <= meter.peak_resident_bytes("it") < held_bytes + 8 * MIB


def test_a_busy_group_is_told_from_an_idle_one() -> None:
    """Between two marks a spinning process used what its clock says of a core, a waiting one nothing."""
    with (
        script("print(flush=True)\nwhile True: pass") as spinning,
        script("import sys; print(flush=True); sys.stdin.read()") as waiting,
        UsageMeter({"spinning": [spinning.pid], "waiting": [waiting.pid]}) as meter,
    ):
        said(spinning), said(waiting)
        since = meter.mark()
        # The kernel books a running process's time at its timer tick, up to 10 ms late: under a hundredth.
        wait_until(lambda: process_cpu_ns(spinning.pid) > since.cpu_ns["spinning"] + SPIN_NS, "spinning")
        until = meter.mark()
        spinning.kill()
    lasted_ns = until.at_ns - since.at_ns
    spent_ns = {name: until.cpu_ns[name] - since.cpu_ns[name] for name in ("spinning", "waiting")}
    assert SPIN_NS <= spent_ns["spinning"] <= 1.01 * lasted_ns
    assert spent_ns["waiting"] < 0.1 * lasted_ns


@pytest.mark.root
@pytest.mark.netns
def test_kernel_threads_are_metered_too() -> None:
    """The thread that receives for the guarded host spends time on its frames, and has no memory."""
    with Topology(receiver_cpu=0) as topology:
        address = str(topology.server.ipv4.ip)
        threads = topology.receiver_threads
        before_ns = cpu_ns(threads)
        with echo(topology.server, [address], 8080, 128):
            shake_hands(topology.client, address, 8080, 23)
        assert cpu_ns(threads) > before_ns
        assert resident_bytes(threads) == 0
