"""From facts to the page: one HTML document with everything in it, which asks nothing of anybody."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup, escape

from synguard.observe.text import printable
from synguard.report.alert import alert_section, title
from synguard.report.asking import AlertFacts, PeriodFacts
from synguard.report.clock import zone
from synguard.report.colours import COLOURS, GRID, IN_THE_DARK, INK, MUTED, PAPER, variable
from synguard.report.document import Document, Plot
from synguard.report.drawing import NARROW, WIDE, draw
from synguard.report.method import method_notes, runs_table
from synguard.report.period import heading, summary, tables, tiles
from synguard.report.pictures import Picture, alert_picture, period_picture
from synguard.report.svg import inline
from synguard.report.words import when_s

NO_FIGURES = "No figures over time were kept for this period, so there is no plot."


def alert_page(facts: AlertFacts, *, local: bool) -> str:
    """Return the page of one alert, its times in UTC or in this machine's zone."""
    section = alert_section(facts, _plot(alert_picture(facts), local=local), local=local, is_whole=True)
    return _render(
        Document(
            title=title(facts.alert),
            subtitle="",
            summary=(),
            tiles=(),
            plot=None,
            plot_notes=(),
            tables=(),
            alerts=(section,),
            method=tuple(method_notes(facts.runs, facts.totals, facts.shown, facts.asked_at_s, local=local)),
            method_tables=(runs_table(facts.runs, local=local),) if facts.runs else (),
            generated=_generated(facts.asked_at_s, local=local),
        )
    )


def period_page(facts: PeriodFacts, *, local: bool) -> str:
    """Return the page of a period."""
    plot = _plot(period_picture(facts), local=local)
    return _render(
        Document(
            title="SYN floods and scans",
            subtitle=heading(facts, local=local),
            summary=tuple(summary(facts)),
            tiles=tuple(tiles(facts)),
            plot=plot,
            plot_notes=() if plot else (NO_FIGURES,),
            tables=tuple(tables(facts, local=local)),
            alerts=tuple(
                alert_section(one, _plot(alert_picture(one), local=local), local=local, is_whole=False)
                for one in facts.worst
            ),
            method=tuple(method_notes(facts.runs, facts.totals, facts.period, facts.asked_at_s, local=local)),
            method_tables=(runs_table(facts.runs, local=local),) if facts.runs else (),
            generated=_generated(facts.asked_at_s, local=local),
        )
    )


def _generated(now_s: float, *, local: bool) -> str:
    return f"Written by synguard at {when_s(now_s, local=local)}; times are {zone(now_s, local=local)}."


def _plot(picture: Picture | None, *, local: bool) -> Plot | None:
    if picture is None:
        return None

    def one(form: Any) -> Markup:
        key = f"{picture.key}-{form.name}"
        text = inline(draw(picture, form, local=local), key, picture.description, f"plot {form.name}")
        # It was made of nothing but our own words, and what is no plot was refused.
        return Markup(text)  # noqa: S704

    return Plot(one(WIDE), one(NARROW))


def _render(document: Document) -> str:
    return _environment().get_template("page.html.j2").render(document=document, colours=_colours())


def _colours() -> Mapping[str, Mapping[str, str]]:
    """Return the plots' colours as CSS variables, by light and dark."""
    light = {variable(colour): colour for colour in (*COLOURS.values(), INK, MUTED, GRID, PAPER)}
    return {"light": light, "dark": {variable(name): dark for name, dark in IN_THE_DARK.items()}}


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("synguard.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    environment.filters["prose"] = _prose
    return environment


def _prose(text: str) -> Markup:
    """Return a sentence with what stands between backticks as code."""
    parts = printable(text).split("`")
    if len(parts) % 2 == 0:
        return escape("`".join(parts))
    marked = (Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))
    return Markup("").join(marked)


def _harmless(value: Any) -> Any:
    """Spell out control characters in whatever text gets into the page; jinja2 escapes markup after this."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
