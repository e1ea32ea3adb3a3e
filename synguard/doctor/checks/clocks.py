"""Whether the machine's clocks run steadily, for the times that alerts tell."""

from __future__ import annotations

from collections.abc import Iterator

from synguard.doctor.finding import Finding, ok, unknown, warning
from synguard.doctor.machine import Machine

#: These advance by ticks of the timer, 1 to 10 ms apart.
_TICKING = frozenset({"jiffies", "refined-jiffies"})
#: Read from a device, for a microsecond and more: what the kernel falls back to when tsc is not steady.
_SLOW = frozenset({"acpi_pm", "hpet"})
#: Two clocks that were set one after the other may differ by this much.
_TOLERANCE_S = 5.0


def clock(machine: Machine) -> Iterator[Finding]:
    """Judge whether the wall clock is kept right."""
    name = "clock"
    why = "alerts are told, found and compared with other machines' logs by the wall clock"
    mend = "start chrony, ntpd or systemd-timesyncd (`timedatectl set-ntp true`), and see `timedatectl`"
    if machine.clock.is_synchronised is None:
        yield unknown(name, "adjtimex(2) is refused here", why, "`timedatectl` outside of the container")
    elif not machine.clock.is_synchronised:
        what = "the wall clock is not steady: the kernel knows of nobody who keeps it synchronised"
        yield warning(name, what, why, mend)
    else:
        yield ok(name, "the wall clock is synchronised", why)


def clock_steps(machine: Machine) -> Iterator[Finding]:
    """Judge whether the wall clock was set back since the history was written."""
    name = "clock_steps"
    why = "after a step back, newer alerts sort before older ones, and --since misses some"
    ahead_s = machine.history.newest_ahead_s
    if machine.history.problem is not None:
        remedy = f"compare `date` with another clock, and make {machine.database} readable"
        yield unknown(name, "the history cannot be read", why, remedy)
    elif ahead_s is not None and ahead_s > _TOLERANCE_S:
        what = f"the history was written {ahead_s:,.0f} s in the future: the wall clock was set back since"
        yield warning(name, what, why, "compare `date` with another clock; let chrony or ntpd slew, not step")
    else:
        yield ok(name, "nothing in the history lies in the future", why)


def clocksource(machine: Machine) -> Iterator[Finding]:
    """Judge what the kernel counts time by."""
    name, source = "clocksource", machine.clock.source
    why = "the probe times every handshake by it, and rates are what was counted by the time it took"
    mend = "`dmesg | grep -i clocksource` tells why; boot without notsc and clocksource="
    if source is None:
        place = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
        yield unknown(name, "the clock source cannot be read", why, f"cat {place}")
    elif source in _TICKING:
        what = f"time is counted by {source}, which is not steady: it moves in ticks of 1 to 10 ms"
        yield warning(name, what, why, mend)
    elif source in _SLOW:
        what = f"time is counted by {source}, a device that takes about 1 µs to ask"
        yield warning(name, what, why, mend)
    else:
        yield ok(name, f"time is counted by {source}", why)
