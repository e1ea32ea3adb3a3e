"""The detector's settings, those that one listener may have otherwise, and what must hold between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from synguard.config.checking import Problem, quoted
from synguard.config.declaring import Section, about, about_tables
from synguard.endpoint import Listener, ListenerPattern, patterns_of

_ALLOWANCES = ("allowance_floor_ms", "allowance_cold_ms", "allowance_cap_ms")
#: What is judged listener by listener, and so may differ between them.
PER_LISTENER = (
    "half_open_per_s", "half_open_ratio", "min_attempts", "refused_per_s", "slow_floods", *_ALLOWANCES
)  # fmt: skip
#: Tables for single listeners: each pair of an address's and a port's is checked together.
MAX_TABLES = 256

_EXAMPLE = """\
[detect.listeners."203.0.113.5:443"]
half_open_per_s = 400
half_open_ratio = 0.2

[detect.listeners."*:25"]
allowance_cold_ms = 1500
"""


class DetectSettings(Section, frozen=True, kw_only=True):
    """When something is called an attack."""

    half_open_per_s: Annotated[
        float, about("Half-open handshakes at one listener that make a flood.", "1/s", ge=0.1, le=1e7)
    ] = 50.0
    source_half_open_per_s: Annotated[
        float, about("Half-open handshakes of one source that make a flood.", "1/s", ge=0.1, le=1e7)
    ] = 50.0
    prefix_half_open_per_s: Annotated[
        float,
        about(
            "Half-open handshakes of one prefix that make a flood, though none of its sources makes one.",
            "1/s",
            ge=0.1,
            le=1e7,
        ),
    ] = 50.0
    half_open_ratio: Annotated[
        float, about("Least share of a listener's attempts that stay half-open.", "ratio", ge=0.001, le=1.0)
    ] = 0.1
    min_attempts: Annotated[
        int, about("Attempts to have seen before anything is judged.", "attempts", ge=1, le=100_000)
    ] = 40
    refused_per_s: Annotated[
        float, about("Refused attempts of one source that make a flood.", "1/s", ge=1.0, le=1e7)
    ] = 1000.0
    slow_floods: Annotated[
        bool,
        about("Find a listener's slow floods, below all rates, by what is usual for it."),
    ] = True
    scan_targets: Annotated[
        int,
        about(
            "Targets (address and port) that one source asks and never completes, to be a half-open scan.",
            "targets",
            ge=4,
            le=200,
        ),
    ] = 16
    scan_closed_ports: Annotated[
        int,
        about(
            "Targets of one source that refuse or stay silent, to be a scan of closed ports. "
            "A peer-to-peer client asks for about a hundred dead ones in ten seconds.",
            "targets",
            ge=4,
            le=200,
        ),
    ] = 100
    scan_probes: Annotated[
        int,
        about("FIN, NULL or XMAS segments of one source that make a scan.", "segments", ge=1, le=100_000),
    ] = 16
    reflection_per_min: Annotated[
        float,
        about(
            "Half-open handshakes towards one prefix, spread over its addresses, that make a reflection "
            "if they last: our SYN-ACKs are then sent to somebody who never asked.",
            "1/min",
            ge=1.0,
            le=1e7,
        ),
    ] = 60.0
    allowance_floor_ms: Annotated[
        int, about("Least time a handshake is given before it may be half-open.", "ms", ge=1, le=3000)
    ] = 50
    allowance_cap_ms: Annotated[
        int, about("Most time a handshake is given before it may be half-open.", "ms", ge=1, le=3000)
    ] = 3000
    allowance_cold_ms: Annotated[
        int, about("Time given at a listener of which nothing is learned yet.", "ms", ge=1, le=3000)
    ] = 500
    close_after_s: Annotated[
        float,
        about("An alert closes this long after its flood has left the last 4 s.", "s", ge=0.5, le=600.0),
    ] = 10.0
    listeners: Annotated[
        Mapping[str, Mapping[str, float]],
        about_tables(
            'Thresholds of single listeners, in tables named "ADDR:PORT", "[ADDR6]:PORT", "*:PORT" (that '
            'port at any address) or "ADDR" (all its ports). What a table leaves out is as above; '
            "ADDR:PORT wins over *:PORT, and that over ADDR.",
            repeats=PER_LISTENER,
            check=ListenerPattern.parse,
            max_length=MAX_TABLES,
            example=_EXAMPLE,
        ),
    ] = {}


def check_detect(detect: DetectSettings, problems: list[Problem]) -> None:
    """Append what is wrong between settings that are each right alone, for each listener as well."""
    floor, cold, cap = (getattr(detect, name) for name in _ALLOWANCES)
    if floor > cap:
        text = f"{floor} is above detect.allowance_cap_ms ({cap})"
        problems.append(Problem("detect.allowance_floor_ms", text))
    elif not floor <= cold <= cap:
        text = (
            f"{cold} is not between detect.allowance_floor_ms ({floor}) and detect.allowance_cap_ms ({cap})"
        )
        problems.append(Problem("detect.allowance_cold_ms", text))
    else:
        found = dict(_wrong_listeners(detect))
        problems += [Problem(f"detect.listeners.{quoted(name)}", text) for name, text in found.items()]


def _wrong_listeners(detect: DetectSettings) -> Iterator[tuple[str, str]]:
    """Yield the most exact table of each listener whose allowances contradict each other, and how."""
    usual = {name: getattr(detect, name) for name in _ALLOWANCES}
    for tables in _merging_tables(detect.listeners):
        values = dict(usual)
        for name in tables:
            values |= {key: value for key, value in detect.listeners[name].items() if key in usual}
        floor, cold, cap = (values[name] for name in _ALLOWANCES)
        if not floor <= cold <= cap:
            text = (
                f"here allowance_floor_ms is {floor:g}, allowance_cold_ms {cold:g} and "
                f"allowance_cap_ms {cap:g}; none may be above the next"
            )
            yield tables[-1], text


def _merging_tables(tables: Mapping[str, object]) -> Iterator[list[str]]:
    """Yield the names of the tables that some listener may have together, the least exact first."""
    names = {ListenerPattern.parse(name): name for name in tables}
    addresses = {pattern.address for pattern in names if pattern.address is not None}
    for port in {pattern.port for pattern in names}:
        yield [name for pattern, name in names.items() if pattern == ListenerPattern(None, port)]
        for address in addresses:
            patterns = patterns_of(Listener(address, port or 0))
            yield [names[pattern] for pattern in patterns if pattern in names]
