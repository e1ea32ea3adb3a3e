"""The pages in a real browser: they show, fit, print, and ask nothing of anybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from synguard.report.asking import Span, alert_facts, period_facts
from synguard.report.page import alert_page, period_page
from tests.unit.cli.conftest import STARTED_AT_S

from .browser import Browser, browsing
from .reading import EVERY_KIND, NOW_S, WITH_TIMELINE, MadeUp, as_json, flood_steps, step
from .test_page import MARKUP, hostile_history

PERIOD = Span(STARTED_AT_S - 600.0, NOW_S)
WIDTHS = (1280, 390)
#: 210 mm without twice 14, at 96 pixels to the inch.
A4_WIDTH = 688


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser."""
    with browsing(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the page of an alert, of a period, and of a history in which every text is hostile."""
    reading = MadeUp(as_json(*EVERY_KIND), steps=[*flood_steps(), *flood_steps(STARTED_AT_S + 600)])
    minutes = [
        step(STARTED_AT_S + 60 * n, 60, attempts=9000, peak_attempts_per_s=901.0, dropped_by_us=23)
        for n in range(40)
    ]
    coarse = MadeUp(as_json(WITH_TIMELINE), steps=minutes)
    nasty = hostile_history("".join(MARKUP))
    facts = alert_facts(reading, as_json(WITH_TIMELINE)[0], NOW_S)
    texts = {
        "alert": alert_page(facts, local=False),
        "period": period_page(period_facts(reading, PERIOD, NOW_S), local=False),
        "coarse": period_page(period_facts(coarse, PERIOD, NOW_S), local=False),
        "hostile": period_page(period_facts(nasty, PERIOD, NOW_S), local=False),
    }
    folder = tmp_path_factory.mktemp("pages")
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("name", ["alert", "period", "hostile"])
def test_a_page_asks_for_nothing_and_complains_of_nothing(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    """The file itself is all that is asked for, and the console is empty."""
    browser.show(pages[name])
    assert browser.logs() == ([], [pages[name].as_uri()])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["alert", "period", "hostile"])
def test_a_page_fits_its_window(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    """Nothing is wider than the screen, nor than that of a telephone."""
    browser.show(pages[name], width)
    assert browser.too_wide() == []
    assert browser.ask("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["alert", "period", "coarse"])
def test_plots_are_seen_whole_and_can_be_read(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    """Each plot has a size and lines within it, cuts no letter off, and says what it shows."""
    browser.show(pages[name], width)
    plots = browser.plots()
    assert len(plots) == {"alert": 1, "period": 1 + plots_in_sections(), "coarse": 2}[name]
    for plot in plots:
        assert plot["width"] > 0.8 * min(width, 1040)
        assert plot["height"] > 150
        assert plot["paths"] > 10
        assert plot["cut"] == 0
        assert plot["letters"] >= 10
        assert "over time" in plot["label"]


def plots_in_sections() -> int:
    """Return how many alerts of the period have figures of their time."""
    return len(EVERY_KIND) - sum(one.started_at_s == STARTED_AT_S + 1200 for one in EVERY_KIND)


def test_in_the_dark_letters_are_light_on_dark(browser: Browser, pages: dict[str, Path]) -> None:
    """Whoever's screen is dark gets a dark page, plots included."""

    def colours() -> tuple[float, float, float]:
        found = browser.ask(
            "const of = (one, what) => getComputedStyle(document.querySelector(one))[what];"
            "return [of('body', 'backgroundColor'), of('body', 'color'), of('svg text', 'fill')]"
        )
        paper, ink, in_plot = (sum(map(int, re.findall(r"\d+", colour)[:3])) / 765 for colour in found)
        return paper, ink, in_plot

    browser.show(pages["alert"])
    paper, ink, in_plot = colours()
    assert (paper > 0.9, ink < 0.3, in_plot < 0.3) == (True, True, True)
    browser.show(pages["alert"], dark=True)
    paper, ink, in_plot = colours()
    assert (paper < 0.2, ink > 0.8, in_plot > 0.8) == (True, True, True)


@pytest.mark.parametrize("name", ["alert", "period"])
def test_on_paper_nothing_is_cut(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """On A4 between its margins each table fits, plots are whole, and the letters are dark."""
    browser.show_on_paper(pages[name], A4_WIDTH)
    boxes = "[...document.querySelectorAll('.scrolls')]"
    assert browser.ask(f"return {boxes}.filter(one => one.scrollWidth > one.clientWidth + 1).length") == 0
    assert browser.too_wide() == []
    assert all(plot["cut"] == 0 for plot in browser.plots())
    ink = browser.ask("return getComputedStyle(document.body).color")
    assert sum(map(int, re.findall(r"\d+", ink))) < 250


@pytest.mark.parametrize("name", ["alert", "period"])
def test_it_can_be_printed(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """A PDF of a few A4 pages comes out, dark screen or not."""
    browser.show(pages[name], dark=True)
    pdf = browser.pdf()
    assert pdf.startswith(b"%PDF-")
    sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert 1 < len(sizes) < 60
    assert {(round(float(width)), round(float(height))) for width, height in sizes} <= {
        (595, 842),
        (596, 842),
    }


def test_links_lead_where_they_say(browser: Browser, pages: dict[str, Path]) -> None:
    """From the table of alerts to an alert, and back."""
    browser.show(pages["period"])
    for anchor in ("alert-24", "alerts"):
        browser.ask("document.querySelector(`a[href='#${arguments[0]}']`).click()", anchor)
        place = "return document.getElementById(arguments[0]).getBoundingClientRect().top"
        assert abs(browser.ask(place, anchor)) < 2


@pytest.mark.parametrize("name", ["alert", "period"])
def test_who_does_not_see_gets_it_told(browser: Browser, pages: dict[str, Path], name: str) -> None:
    """The page has a language, a title, one heading above all, and headings for each table's columns."""
    browser.show(pages[name])
    told = browser.ask(
        "const all = selector => [...document.querySelectorAll(selector)];"
        "return {lang: document.documentElement.lang, title: document.title, first: all('h1').length,"
        " bare: all('table').filter(one => !one.querySelector('th[scope=col]')).length,"
        " tables: all('table').length, unnamed: all('svg:not([aria-label])').length,"
        " levels: all('h1, h2, h3, h4').map(one => Number(one.tagName[1]))}"
    )
    assert (told["lang"], told["first"], told["bare"], told["unnamed"]) == ("en", 1, 0, 0)
    assert told["title"].endswith("synguard report")
    assert told["tables"] > 4
    levels = told["levels"]
    assert all(below - above <= 1 for above, below in pairwise(levels))


def test_nothing_hostile_runs(browser: Browser, pages: dict[str, Path]) -> None:
    """A history full of scripts opens no dialog, makes no element, and leaves the page as it was written."""
    browser.show(pages["hostile"])
    assert (
        browser.ask("return document.querySelectorAll('script, img, iframe, [onerror], [onload]').length")
        == 0
    )
    assert browser.ask("return document.body.innerText.includes('<script>alert(1)</script>')")
    assert browser.driver.title.endswith("synguard report")
