"""A scenario's tables: its cells side by side, by their valid trials alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bench.report.markdown import table, without_empty_columns
from bench.report.words import (
    UNKNOWN,
    heading,
    is_counted,
    number,
    shown_spread,
    shown_success,
    shown_total,
)
from bench.results.cells import CellTrials, cells_of, labels_in
from bench.results.model import ScenarioResult

_Column = tuple[str, Callable[[CellTrials], str]]

_SEEN = {
    "exchange_success": "exchanges answered",
    "exchanges_attempted": "of exchanges",
    "connect_p50_ms": "connect p50",
    "connect_p99_ms": "connect p99",
    "good_broken": "broken",
    "time_to_alert_ms": "time to alert",
    "time_to_act_ms": "time to act",
    "time_to_close_ms": "time to close",
    "alerts": "alerts",
    "missed": "missed",
    "false_alarms": "false alarms",
    "wrong_class": "wrong class",
    "innocents_blocked": "innocents blocked",
}
_LOAD = {
    "offered_syn_per_s": "SYN offered",
    "received_syn_per_s": "received",
    "processed_syn_per_s": "processed",
    "dropped_syns": "dropped by the defence",
    "receiver_capacity_per_s": "receiver's capacity",
    "lost_at_ring": "lost at the ring",
    "other_frames_lost": "others' frames lost",
    "unaccounted_frames": "unaccounted",
    "uncounted_syns": "uncounted",
    "received_per_s": "received",
    "refused_share": "refused",
}
_COST = {
    "ns_per_packet": "each packet",
    "ns_over_empty": "over empty",
    "ns_over_alone": "over alone",
    "read_us": "one read",
    "generator_busy": "generator busy",
    "receiver_busy": "receiver busy",
    "receiver_ns_per_frame": "receiver, per frame",
    "daemon_cpu": "detector CPU",
    "daemon_rss_mib": "detector RSS",
    "map_bytes": "maps",
    "lost_updates": "lost updates",
}


def scenario_tables(scenario: ScenarioResult) -> Iterator[str]:
    """Yield a scenario's tables; none when no trial of it was valid."""
    cells = [cell for cell in cells_of(scenario.trials) if cell.valid]
    if not cells:
        return
    if scenario.kind == "cost":
        yield ladder_table(cells)
        return
    for columns in (
        [
            ("good clients served (95 %), each repetition", _success),
            *_columns(_SEEN),
            ("called", _said("class")),
        ],
        [*_columns(_LOAD), ("bottleneck", _said("bottleneck")), *_columns(_COST)],
    ):
        yield from _side_by_side(cells, columns)


def _side_by_side(cells: Sequence[CellTrials], columns: Sequence[_Column]) -> Iterator[str]:
    labels = labels_in(cells)
    head = [*labels, "n", *(title for title, _ in columns)]
    rows = [
        [*label_words(cell, labels), str(len(cell.valid)), *(write(cell) for _, write in columns)]
        for cell in cells
    ]
    fixed = len(labels) + 1
    head, rows = without_empty_columns(head, rows, UNKNOWN, keep=fixed)
    if len(head) > fixed:
        yield table(head, rows, words=len(labels))


def label_words(cell: CellTrials, labels: Sequence[str]) -> list[str]:
    """Return a cell's labels as words, in a given order."""
    return [_label_word(cell.labels.get(label)) for label in labels]


def _label_word(value: object) -> str:
    if value is None:
        return UNKNOWN
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def _columns(figures: dict[str, str]) -> list[_Column]:
    return [(heading(figure, title), _writer(figure)) for figure, title in figures.items()]


def _writer(figure: str) -> Callable[[CellTrials], str]:
    def write(cell: CellTrials) -> str:
        if is_counted(figure):
            return shown_total(cell.values(figure), len(cell.valid))
        return shown_spread(figure, cell.spread(figure), len(cell.valid))

    return write


def _success(cell: CellTrials) -> str:
    return shown_success(cell.good_success())


def _said(fact: str) -> Callable[[CellTrials], str]:
    def write(cell: CellTrials) -> str:
        words = cell.facts(fact)
        if len(words) == 1 and words.total() == len(cell.valid):
            return next(iter(words))
        return ", ".join(f"{word} ×{times}" for word, times in words.most_common()) or UNKNOWN

    return write


def ladder_table(cells: Sequence[CellTrials]) -> str:
    """Return what one packet costs in each program: hot and cold apart, each also over the empty program."""
    temperatures = list(dict.fromkeys(cell.labels.get("temperature") for cell in cells))
    figures = {"ns_per_packet": "", "ns_over_empty": ", over empty"}
    titles = [(each, figure) for each in temperatures for figure in figures]
    labels = [label for label in labels_in(cells) if label != "temperature"]
    rungs: dict[tuple[str, ...], dict[object, CellTrials]] = {}
    for cell in cells:
        rungs.setdefault(tuple(label_words(cell, labels)), {})[cell.labels.get("temperature")] = cell
    head = [*labels, *(f"{each or 'cost'}{figures[figure]}, ns" for each, figure in titles)]
    rows = [
        [*words, *(_writer(figure)(found[each]) if each in found else UNKNOWN for each, figure in titles)]
        for words, found in rungs.items()
    ]
    return table(*without_empty_columns(head, rows, UNKNOWN, keep=len(labels)), words=len(labels))
