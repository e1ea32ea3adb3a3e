"""Draws from an alert why it was raised, in words and figures, as plain data for ``synguard explain``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from synguard.detect.evidence import SPOOFED_BELIEF
from synguard.model import AlertClass, AlertKind
from synguard.telling.figures import figure, times
from synguard.telling.names import evidence_words, measurement_words
from synguard.telling.story import impact_words, means, opening
from synguard.telling.wording import is_blind

#: Measurements that say how the others were taken, by what the reasoning calls them.
WINDOW = {"window_length_ms": "length_ms", "window_age_ms": "age_ms", "allowance_ms": "allowance_ms"}
#: Measurements of what the flood does to the server end so.
_IMPACT_ENDS = ("_fill", "_overflows_per_s", "_drops_per_s", "_cookies_per_s")
_PER = {"1/s": "second", "1/min": "minute"}
#: Units of what is counted one by one.
_COUNTED = ("targets", "attempts", "segments")
#: Kinds that no rate of attempts tells of.
_UNRATED = (AlertKind.BLIND, AlertKind.OVERLOAD)
#: Kinds that do the server no harm, whatever their margin; for a scan the queues are not even asked.
_HARMLESS = (AlertKind.SCAN, AlertKind.REFLECTION)
#: Classes that the evidence of spoofed sources decides between.
_BELIEVED_OR_NOT = (AlertClass.SPOOFED, AlertClass.DISTRIBUTED)


def reasoning(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was seen, what it means, and why it is called so: times in ms, names also in words.

    ``alert`` is one in JSON's shape. Each measurement gains how many times its threshold and its baseline
    it is, null where there is none, or none above 0; ``belief`` is null where no belief was needed, and
    ``impact`` where nothing was asked about one.
    """
    by_name = {one["name"]: one for one in alert["measurements"]}
    others = [_with_factors(one) for name, one in by_name.items() if name not in WINDOW]
    return {
        "summary": opening(alert, "" if alert["kind"] in _UNRATED else rate_words(others)),
        "meaning": means(alert),
        "window": {short: by_name[name]["observed"] for name, short in WINDOW.items() if name in by_name},
        "measurements": [one for one in others if not _is_of_impact(one)],
        "impact": None if _has_no_impact(alert) else impact_words(alert["impact"]),
        "impact_measurements": [one for one in others if _is_of_impact(one)],
        "evidence": [{**one, "words": evidence_words(one["name"])} for one in alert["evidence"]],
        "belief": _belief(alert),
        "severity": _severity(alert, others),
    }


def factor(observed: float, bound: float | None) -> float | None:
    """Return how many times ``bound`` was observed, or None where that says nothing."""
    return observed / bound if bound else None


def rate_words(measurements: Sequence[Mapping[str, Any]]) -> str:
    """Return the figure that raised the alert beside its bound, as a clause; empty if none is known."""
    rate = _rate(measurements)
    if rate is not None:
        said = f"{figure(rate['observed'])} {measurement_words(rate['name'])} a {_PER[rate['unit']]}"
        if (rate["times_threshold"] or 0.0) >= 1.0:
            return f"{said}, {_beyond(rate)}"
        if (rate["times_baseline"] or 0.0) > 1.0:
            return f"{said}, not many, but {times(rate['times_baseline'])} times what is usual there"
    for one in measurements:
        if one["unit"] in _COUNTED and (one["times_threshold"] or 0.0) >= 1.0 and one["name"] != "attempts":
            return f"{figure(one['observed'])} {measurement_words(one['name'])}, {_beyond(one)}"
    return ""


def _rate(measurements: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the first rate that was held against a threshold, as those of the impact are not."""
    rates = (one for one in measurements if one["unit"] in _PER and not _is_of_impact(one))
    return next((rate for rate in rates if rate["threshold"]), None)


def _beyond(one: Mapping[str, Any]) -> str:
    return f"{times(one['times_threshold'])} times the threshold of {figure(one['threshold'])}"


def _with_factors(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "words": measurement_words(one["name"]),
        "times_threshold": factor(one["observed"], one["threshold"]),
        "times_baseline": factor(one["observed"], one["baseline"]),
    }


def _is_of_impact(one: Mapping[str, Any]) -> bool:
    return bool(one["name"].endswith(_IMPACT_ENDS))


def _has_no_impact(alert: Mapping[str, Any]) -> bool:
    return is_blind(alert) or alert["kind"] == AlertKind.SCAN


def _belief(alert: Mapping[str, Any]) -> dict[str, float] | None:
    """Return the belief that the sources are spoofed, and the least that is needed to say so."""
    if alert["class"] not in _BELIEVED_OR_NOT:
        return None
    return {"sum": round(sum(one["weight"] for one in alert["evidence"]), 2), "needed": SPOOFED_BELIEF}


def _severity(alert: Mapping[str, Any], measurements: Iterable[Mapping[str, Any]]) -> str:
    """Say why the alert is as severe as it is."""
    reasons = [one["because"] for one in alert.get("timeline", ()) if one["what"] == "severity"]
    if reasons and reasons[-1]:
        return f"{alert['severity']}: {reasons[-1]}"
    if is_blind(alert):
        return str(alert["severity"])
    if alert["kind"] in _HARMLESS:
        return f"{alert['severity']}: it does this server no harm"
    rate = _rate(measurements)
    above = rate["times_threshold"] if rate else None
    margin = "" if above is None else f"{times(above)} times the threshold when it was raised, "
    return f"{alert['severity']}: {margin}impact {alert['impact']}"
