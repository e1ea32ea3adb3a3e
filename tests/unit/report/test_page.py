"""The pages: what stands on them, what never does, and how large they get."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synguard.history.records import time_to_json
from synguard.model import Alert, AlertState, Severity
from synguard.observe.text import printable
from synguard.report.asking import MOST_ALERTS, MOST_SECTIONS, Span, alert_facts, period_facts
from synguard.report.page import alert_page, period_page
from tests.unit.cli.conftest import BLIND, FLOOD, SCAN, SPOOFED, STARTED_AT_S

from .parsed import Page
from .reading import (
    EVERY_KIND,
    NOW_S,
    OVERLOAD,
    WITH_TIMELINE,
    MadeUp,
    as_json,
    flood_steps,
    response,
    run,
    step,
    with_ids,
)

PERIOD = Span(STARTED_AT_S - 600.0, NOW_S)
#: All that a page is made of.
ELEMENTS = {
    "html", "head", "meta", "title", "link", "style", "body", "header", "main", "footer", "section",
    "article", "figure", "figcaption", "div", "span", "strong", "p", "h1", "h2", "h3", "h4", "dl", "dt", "dd",
    "pre", "code", "a", "table", "thead", "tbody", "tr", "th", "td",
    "svg", "g", "path", "text", "tspan", "defs", "clippath", "rect", "use", "pattern",
}  # fmt: skip
MARKUP = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</style></pre></td></title><script src=//example.org>",
    "{{ 7 * 7 }}{% raw %}",
    "`<b>`<i>",
    "javascript:alert(1)",
    "&lt;b&gt;&amp;",
    "\u202egnp.exe\u2066\x1b]0;x\x07\x00",
    "-->]]><!--",
    "\ud800",
)


def page_of(alert: Alert, *, local: bool = False, **history: Any) -> str:
    """Return the page of an alert."""
    reading = MadeUp(as_json(alert), **history)
    return alert_page(alert_facts(reading, reading.alerts[0], NOW_S), local=local)


def period_of(reading: MadeUp) -> str:
    """Return the page of the period."""
    return period_page(period_facts(reading, PERIOD, NOW_S), local=False)


def assert_harmless(text: str) -> Page:
    """Check that a page is made of what pages are made of, and fetches and runs nothing."""
    page = Page.of(text)
    assert set(page.tags) <= ELEMENTS
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    leads = [value for _, name, value in page.attributes if name in {"href", "src", "xlink:href", "action"}]
    assert [one for one in leads if not one.startswith("#") and one != "data:,"] == []
    assert all(not re.search(r"url\((?!#)|@import|expression", value) for value in page.values("style"))
    return page


@pytest.mark.parametrize("alert", EVERY_KIND, ids=lambda one: f"{one.kind}-{one.alert_class}")
def test_every_kind_of_alert_has_a_page(alert: Alert) -> None:
    """The page has the alert's headline, its severity, plots for eyes and ears, and no gap of ours in it."""
    page = assert_harmless(page_of(alert, steps=flood_steps(alert.started_at_s)))
    assert f"Alert {alert.id}: {alert.kind}" in page.text
    assert alert.severity in page.text
    assert page.tags["svg"] == 2
    assert all(
        "over time" in label for tag, name, label in page.attributes if (tag, name) == ("svg", "aria-label")
    )
    for wrong in ("None", "nan", "undefined", "{'"):
        assert wrong not in page.text


def test_the_same_facts_give_the_same_bytes() -> None:
    """Nothing of chance or of the moment is in a page."""
    assert page_of(WITH_TIMELINE) == page_of(WITH_TIMELINE)


def test_it_may_load_and_run_nothing() -> None:
    """A policy in the page itself forbids whatever might get in regardless."""
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page_of(FLOOD))
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_names_are_unique_and_links_lead_somewhere() -> None:
    """Each link leads to a place of its own on the page."""
    page = assert_harmless(period_of(MadeUp(as_json(*EVERY_KIND))))
    names = page.values("id")
    assert len(names) == len(set(names))
    links = [*page.values("href"), *page.values("xlink:href")]
    assert {link.removeprefix("#") for link in links if link.startswith("#")} <= set(names)
    assert "#alert-24" in links
    referenced = re.findall(r"url\(#([^)]+)\)", " ".join(value for _, _, value in page.attributes))
    assert set(referenced) <= set(names)


def test_what_nobody_counted_is_unknown() -> None:
    """Where answers are not seen, completed and half-open are unknown, and no curve shows them as 0."""
    steps = [{**one, "completed": None, "answered": None} for one in flood_steps()]
    unseen = replace(
        FLOOD, answered=None, completed=None, half_open_ratio=None, sources_estimated=None, source=None
    )
    page = Page.of(page_of(unseen, steps=steps))
    assert "completed: unknown" in page.text
    assert re.search(r"Left half-open\s*unknown", page.text)
    assert re.search(r"Sources\s*unknown", page.text)
    assert "Connections completed" not in page.text


def test_a_blind_alert_has_no_figures_of_floods() -> None:
    """It says what is not seen and what to do, in place of attempts that nobody counted."""
    page = Page.of(page_of(BLIND))
    assert "somebody took the XDP program off" in page.text
    assert "Half-open" not in page.text
    assert "Peak" not in page.text
    assert "upstream provider" not in page.text


def test_an_overload_tells_no_attempts_that_nobody_counted() -> None:
    """Its page has neither a peak nor attempts of 0, and nothing for a provider."""
    page = Page.of(page_of(OVERLOAD, taken=[]))
    assert not re.search(r"(Peak|Attempts)\s*0", page.text)
    assert "accept-queue-full" in page.text
    assert "upstream provider" not in page.text


def test_without_figures_over_time_the_page_says_so() -> None:
    """A time of which no series is kept has a sentence in place of an empty plot."""
    page = Page.of(page_of(FLOOD, steps=[]))
    assert page.tags["svg"] == 0
    assert "No figures over time are kept" in page.text
    empty = Page.of(period_of(MadeUp([], steps=[])))
    assert empty.tags["svg"] == 0
    assert "Nothing was raised in this time." in empty.text


def test_when_nobody_looked_is_told() -> None:
    """Between two runs of the daemon nothing is known, and both kinds of page say so."""
    ended = run(ended_at="2026-11-22T10:00:10.000Z", ended_because="failed")
    again = run(id=2, started_at="2026-11-22T10:00:40.000Z")
    for text in (page_of(FLOOD, ran=[ended, again]), period_of(MadeUp(as_json(FLOOD), ran=[ended, again]))):
        said = "did not run from 2026-11-22 10:00:10 UTC to 2026-11-22 10:00:40 UTC (30 s)"
        assert said in Page.of(text).text
        assert "failed" in Page.of(text).text
    assert "No run of the daemon is on record" in Page.of(page_of(FLOOD, ran=[])).text


def test_an_alert_that_a_dead_daemon_left_open_is_not_said_to_go_on() -> None:
    """Until when is known is told, to an upstream provider as well; nobody claims what nobody sees."""
    gone = run(last_seen_at="2026-11-22T10:00:10.000Z")
    still_open = replace(FLOOD, state=AlertState.OPEN, closed_because=None, ended_at_s=None)
    for text in (page_of(still_open, ran=[gone]), period_of(MadeUp(as_json(still_open), ran=[gone]))):
        page = Page.of(text)
        assert "it went on when synguard was last heard of, at 2026-11-22 10:00:10 UTC" in page.text
        assert "End: unknown: it went on at 2026-11-22 10:00:10 UTC" in " ".join(page.text.split())
        assert "till go" not in page.text
    alive = run(last_seen_at=time_to_json(NOW_S - 5.0))
    assert "still going on" in Page.of(page_of(still_open, ran=[alive])).text


def test_times_can_be_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """With this machine's time zone, the page says which, and what goes to a provider stays in UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    import time  # noqa: PLC0415 - the zone is read anew

    time.tzset()
    try:
        page = Page.of(page_of(FLOOD, local=True))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "from 2026-11-22 15:30:00+05:30" in page.text
    assert "times are local time, UTC+0530" in page.text
    assert "Start:      2026-11-22 10:00:00 UTC" in page.text


def test_the_timeline_and_the_responses_are_told() -> None:
    """Each change has its number, moment and reason; each response its begin, end and catch."""
    page = Page.of(page_of(WITH_TIMELINE))
    for said in ("cookies → dropping", "SYNs were dropped", "+20s", "its time is over", "960,000"):
        assert said in page.text


def test_sources_are_fifty_at_most_and_may_be_spoofed() -> None:
    """An alert's page names all that are kept, with their share, and says how far to believe them."""
    page = Page.of(page_of(WITH_TIMELINE))
    assert page.text.count("198.51.0.") == 48 + 1
    assert "Sources are as observed, and may be spoofed" in page.text
    assert "99.5%" in page.text


def test_a_days_page_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ever so many alerts it asks for a few hundred, shows twenty in full, and says what is left out."""
    monkeypatch.setattr("synguard.report.page.alert_picture", lambda _: None)
    reading = MadeUp(with_ids(as_json(FLOOD) * 2000))
    page = Page.of(period_of(reading))
    assert max(limit for limit in reading.limits if limit is not None) <= 500
    assert None not in reading.limits
    assert page.tags["article"] == MOST_SECTIONS
    assert f"More than {MOST_ALERTS} alerts" in page.text
    assert f"{MOST_ALERTS - MOST_SECTIONS} more are in this table alone" in page.text


def test_a_days_page_adds_up() -> None:
    """Sources and listeners are counted over all alerts, totals over all steps."""
    steps = [
        step(STARTED_AT_S, 60, attempts=6000, peak_attempts_per_s=900.0, completed=23),
        step(NOW_S - 60, 60),
    ]
    page = Page.of(period_of(MadeUp(as_json(FLOOD, SPOOFED, SCAN), steps=steps)))
    assert "3 alerts: 2 high, 1 low." in page.text
    assert "One of them still goes on." in page.text
    assert re.search(r"Busiest second\s*900", page.text)
    assert re.search(r"Attempts\s*6,000", page.text)
    assert re.search(r"198\.51\.100\.7\s*1\s*0\s*209,000\s*0", page.text)


def hostile(value: Any, text: str, key: str = "") -> Any:
    """Return plain data in which every text says something else, save for times."""
    if isinstance(value, dict):
        return {name: hostile(one, text, name) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one, text, key) for one in value]
    is_time = key == "at" or key.endswith("_at") or key == "until"
    return text if isinstance(value, str) and not is_time else value


def hostile_history(text: str, **history: Any) -> MadeUp:
    """Return a history in which every text is ``text``."""
    alerts = as_json(*EVERY_KIND)
    return MadeUp(
        [*hostile(alerts, text), *({**hostile(one, text), "kind": one["kind"]} for one in alerts)],
        taken=[hostile(response(), text)],
        ran=[hostile(run(), text)],
        **history,
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(MARKUP) | st.text(min_size=1, max_size=40) | st.text("<>\"'&`{%#}= /abs", min_size=1))
def test_no_text_of_the_history_becomes_markup(text: str) -> None:
    """Whatever stands in the history shows as text, control characters spelled out."""
    reading = hostile_history(text, steps=[])
    for alert in reading.alerts:
        page = assert_harmless(alert_page(alert_facts(reading, alert, NOW_S), local=False))
        assert printable(text) in page.text
        assert not [letter for letter in page.text if not letter.isprintable() and letter != "\n"]
    assert_harmless(period_of(reading))


def test_hostile_texts_get_into_no_plot() -> None:
    """A plot is made of our own words alone."""
    text = '"><script>$x_{1}$</script>'
    plots = re.findall(r"<svg.*?</svg>", period_of(hostile_history(text)), re.DOTALL)
    assert len(plots) > 10
    assert not [one for one in plots if "script" in one or "x_" in one]


def test_the_worst_comes_first() -> None:
    """Alerts are ordered by severity, and among equals by their busiest second."""
    alerts = [
        replace(FLOOD, peak_syn_per_s=23.0),
        replace(FLOOD, peak_syn_per_s=97.0),
        SCAN,
        replace(FLOOD, severity=Severity.CRITICAL, peak_syn_per_s=1.0),
    ]
    reading = MadeUp(with_ids(as_json(*alerts)), steps=[])
    assert [one["id"] for one in period_facts(reading, PERIOD, NOW_S).alerts] == [4, 2, 1, 3]
    links = [link for link in Page.of(period_of(reading)).values("href") if link.startswith("#alert-")]
    assert links == ["#alert-4", "#alert-2", "#alert-1", "#alert-3"]


def test_a_sentence_ends_once() -> None:
    """A decision that brings its full stop along gets no second one."""
    assert "operator's word." in Page.of(page_of(FLOOD)).text
    assert ".." not in Page.of(page_of(replace(FLOOD, response=None))).text


def test_what_was_not_seen_meanwhile_is_told() -> None:
    """An alert's page names the blind spots of its time, a blind alert's not itself."""
    reading = MadeUp(as_json(FLOOD, BLIND), steps=[])
    of_flood, of_blind = (
        Page.of(alert_page(alert_facts(reading, alert, NOW_S), local=False)).text for alert in reading.alerts
    )
    assert "Not seen meanwhile" in of_flood
    assert "figures may be too low" in of_flood
    assert of_flood.count("somebody took the XDP program off") == 1
    assert of_blind.count("somebody took the XDP program off") == 1


def test_figures_that_are_kept_in_all_alone_are_called_so() -> None:
    """Where nothing of an alert's listeners is kept, no plot shows them quiet: it shows all that came in."""
    reading = MadeUp(as_json(FLOOD))
    reading.listener_series = lambda *_: []  # type: ignore[method-assign]
    page = Page.of(alert_page(alert_facts(reading, reading.alerts[0], NOW_S), local=False))
    assert "No figures of its listeners are kept" in page.text
    assert "Attempts per second, in all" in page.text
    assert "at most 52,840" in page.values("aria-label")[0]
