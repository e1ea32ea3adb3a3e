"""Results made up for tests: what they hold is stated, or plausible and the same each time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping

from bench.results.model import Label, Machine, Result, ScenarioResult, Trial, Verdict

STARTED_AT = "2026-03-01T12:00:00Z"


def machine(**changed: object) -> Machine:
    """Return a machine."""
    fields: dict[str, object] = {
        "cpu_model": "Example CPU 3000",
        "cpus": 2,
        "memory_bytes": 24 << 30,
        "kernel": "6.1.0-1-amd64",
        "distribution": "Debian GNU/Linux 12 (bookworm)",
        "virtual": "kvm",
        "versions": {"synguard": "0.1.0", "commit": "0123456789ab", "python": "3.11.2", "nmap": None},
    }
    return Machine(**(fields | changed))  # type: ignore[arg-type]


def trial(
    labels: Mapping[str, Label] | None = None,
    repetition: int = 1,
    facts: Mapping[str, str | None] | None = None,
    invalid: Iterable[str] = (),
    **figures: float | None,
) -> Trial:
    """Return a trial with these figures."""
    return Trial(
        labels=dict(labels or {}),
        repetition=repetition,
        started_at=STARTED_AT,
        lasted_s=9.5,
        invalid_because=list(invalid),
        figures=dict(figures),
        facts=dict(facts or {}),
    )


def trials(labels: Mapping[str, Label], **columns: Iterable[float | None]) -> list[Trial]:
    """Return one trial for each value of the columns."""
    rows = zip(*columns.values(), strict=True)
    return [
        trial(labels, number, **dict(zip(columns, row, strict=True))) for number, row in enumerate(rows, 1)
    ]


def scenario(
    made: Iterable[Trial],
    name: str = "flooded",
    kind: str = "flood",
    complete: bool = True,
    quick: bool = False,
    verdicts: Iterable[Verdict] = (),
    settings: str = "",
) -> ScenarioResult:
    """Return a scenario with these trials."""
    return ScenarioResult(
        scenario=name,
        kind=kind,
        purpose=f"Shows what {name} does.",
        settings=settings,
        premises=["accounted", "rate-held"],
        quick=quick,
        started_at=STARTED_AT,
        lasted_s=120.0,
        complete=complete,
        trials=list(made),
        verdicts=list(verdicts),
    )


def result(*scenarios: ScenarioResult, **machine_fields: object) -> Result:
    """Return a result with these scenarios."""
    return Result(started_at=STARTED_AT, machine=machine(**machine_fields), scenarios=list(scenarios))


def realistic(seed: int = 1, slower: float = 1.0) -> Result:
    """Return what a full run may look like; all times are ``slower`` times as long."""
    dice = random.Random(seed)  # noqa: S311  the same ones each time
    return result(
        scenario(_defences(dice, slower), "defences", verdicts=_verdicts()),
        scenario(_one_flood(dice), "one-flood"),
        scenario(_ladder(dice, slower), "ladder", kind="cost"),
        scenario(_shapes(dice), "shapes"),
        scenario(_classes(dice), "classes"),
        scenario([trial({"rtt_ms": 500}, invalid=["clients-up: 'far' never got through"])] * 3, "distant"),
        scenario(_defences(dice, slower)[:7], "interrupted", complete=False),
    )


def _verdicts() -> list[Verdict]:
    return [
        Verdict(promise="false_alarms is 0 in every repetition", held=True, observed="0 in 5 of 5"),
        Verdict(promise="good_success is at least 0.99", held=False, observed="defence none: median 0.2"),
        Verdict(promise="time_to_alert_ms is at most 1,000", held=None, observed="no valid trial"),
    ]


_RATES: tuple[Label, ...] = (1000, 10_000, 100_000, "max")
#: Connects served beside these rates; whether it detects.
_DEFENCES: dict[str, tuple[tuple[float, ...], bool]] = {
    "none": ((0.31, 0.10, 0.02, 0.01), False),
    "cookies": ((1.0, 1.0, 0.97, 0.61), False),
    "nft-limit": ((0.33, 0.07, 0.01, 0.003), False),
    "iptables-hashlimit": ((0.45, 0.12, 0.02, 0.005), False),
    "nft-synproxy": ((1.0, 1.0, 0.93, 0.35), False),
    "naive": ((0.31, 0.10, 0.02, 0.005), True),
    "synguard-off": ((0.31, 0.10, 0.02, 0.01), True),
    "synguard-dry-run": ((0.31, 0.10, 0.02, 0.01), True),
    "synguard-enforce": ((1.0, 0.999, 0.99, 0.97), True),
    "synguard-drop": ((1.0, 1.0, 1.0, 0.99), True),
}


def _defences(dice: random.Random, slower: float) -> list[Trial]:
    return [
        _flooded(dice, slower, defence, rate, share, detects, repetition)
        for defence, (shares, detects) in _DEFENCES.items()
        for rate, share in zip(_RATES, shares, strict=True)
        for repetition in range(1, 6)
    ]


def _flooded(
    dice: random.Random,
    slower: float,
    defence: str,
    rate: Label,
    share: float,
    detects: bool,
    repetition: int,
) -> Trial:
    offered = 900_000 * dice.gauss(1, 0.03) if rate == "max" else float(rate) * dice.gauss(1, 0.002)
    received = min(offered, 520_000 / slower * dice.gauss(1, 0.05))
    attempted = 400
    succeeded = sum(dice.random() < share for _ in range(attempted))
    late = slower * dice.lognormvariate(0, 0.2)
    figures: dict[str, float | None] = {
        "good_attempted": attempted,
        "good_succeeded": succeeded,
        "good_success": succeeded / attempted,
        "connect_p50_ms": 0.2 * late if succeeded else None,
        "connect_p99_ms": 9.0 * late if succeeded else None,
        "asked_syn_per_s": None if rate == "max" else float(rate),
        "offered_syn_per_s": offered,
        "received_syn_per_s": received,
        "lost_at_ring": round((offered - received) * 5),
        "receiver_busy": min(1.0, received / 520_000),
        "receiver_ns_per_frame": 1900 * late,
    }
    if detects:
        figures |= _detected(late, received, missed=defence == "naive" and rate == 1000)
    if defence.startswith("synguard-d") or defence == "synguard-enforce":
        figures["time_to_act_ms"] = 140 * late
    reasons = (
        ["rate-held: 99,000 SYNs were sent where 100,000 were asked for"] if dice.random() < 0.04 else []
    )
    bottleneck = "receiver" if received < offered else "generator" if rate == "max" else "nothing"
    return trial(
        {"defence": defence, "syn_per_s": rate}, repetition, {"bottleneck": bottleneck}, reasons, **figures
    )


def _detected(late: float, received: float, missed: bool) -> dict[str, float | None]:
    return {
        "time_to_alert_ms": None if missed else 120 * late,
        "time_to_close_ms": None if missed else 10_500 + 40 * late,
        "missed": float(missed),
        "false_alarms": 0,
        "wrong_class": 0,
        "processed_syn_per_s": received,
        "uncounted_syns": 0,
        "daemon_cpu": 0.04 * late,
        "daemon_rss_mib": 41 + late,
        "map_bytes": 58_720_256,
        "lost_updates": 0,
    }


def _one_flood(dice: random.Random) -> list[Trial]:
    return [
        Trial(
            labels={"defence": defence},
            repetition=1,
            started_at=STARTED_AT,
            lasted_s=14.0,
            invalid_because=[],
            figures={"time_to_alert_ms": 130.0, "time_to_act_ms": 150.0 if acts else None},
            timeline=_timeline(dice, acts),
        )
        for defence, acts in (("synguard-off", False), ("synguard-enforce", True))
    ]


def _timeline(dice: random.Random, acts: bool) -> dict[str, list[float | None]]:
    columns: dict[str, list[float | None]] = {}
    for step in range(80):
        at_s = round(-1 + step / 10, 3)
        for name, value in _moment(dice, at_s, acts):
            columns.setdefault(name, []).append(value)
    columns["half_open"][20:24] = [None] * 4
    return columns


def _moment(dice: random.Random, at_s: float, acts: bool) -> Iterator[tuple[str, float | None]]:
    flooding = 0 < at_s < 5
    acting = acts and 0.15 < at_s < 5
    lost = flooding and not acting
    yield "at_s", at_s
    yield "received_per_s", 60_000 * dice.gauss(1, 0.02) if flooding else 80.0
    yield "dropped_per_s", 59_900 * dice.gauss(1, 0.02) if acting else 0.0
    yield "good_succeeded_per_s", (8 if lost else 80) * dice.gauss(1, 0.1)
    yield "good_failed_per_s", (72 if lost else 0) * dice.gauss(1, 0.1)
    yield "half_open", (4096 if lost else 3) * dice.gauss(1, 0.02)


def _ladder(dice: random.Random, slower: float) -> list[Trial]:
    costs = {"empty": (26, 26), "parse": (29, 31), "probe": (75, 310), "naive": (160, 1900)}
    return [
        trial(
            {"program": program, "packet": packet, "temperature": temperature},
            repetition,
            ns_per_packet=(ns := slower * cost * factor * dice.lognormvariate(0, 0.03)),
            ns_over_empty=None if program == "empty" else ns - 26 * slower,
        )
        for program, pair in costs.items()
        for packet, factor in (("SYN, new source", 1.0), ("established ACK", 0.6))
        for temperature, cost in zip(("hot", "cold"), pair, strict=True)
        for repetition in range(1, 8)
    ]


def _shapes(dice: random.Random) -> list[Trial]:
    return [
        trial(
            {"shape": shape, "family": family, "syn_per_s": rate},
            repetition,
            asked_syn_per_s=None if rate == "max" else float(rate),
            offered_syn_per_s=(1.4e6 if rate == "max" else float(rate)) * dice.gauss(1, 0.004),
            received_syn_per_s=(0.6e6 if rate == "max" else float(rate)) * dice.gauss(1, 0.004),
            unaccounted_frames=0,
        )
        for shape in ("linux", "hping3", "bare")
        for family in (4, 6)
        for rate in (1, 1000, 100_000, "max")
        for repetition in range(1, 4)
    ]


def _classes(dice: random.Random) -> list[Trial]:
    expected = {"one source": "single-source", "random sources": "spoofed", "a crowd": "(none)"}
    return [
        trial(
            {"case": case, "defence": "synguard-off"},
            repetition,
            {"expected_class": wanted, "class": "distributed" if dice.random() < 0.1 else wanted},
            false_alarms=0,
            missed=0,
        )
        for case, wanted in expected.items()
        for repetition in range(1, 6)
    ]
