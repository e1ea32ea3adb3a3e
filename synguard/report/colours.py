"""The colours of the plots: told apart with every colour vision, on light paper and in the dark."""

from __future__ import annotations

from collections.abc import Mapping

INK, MUTED, GRID, PAPER = "#1c2330", "#6b7484", "#dfe3e9", "#fffffe"

#: By what they stand for: Okabe and Ito's, and for severities a scale that grows darker.
COLOURS: Mapping[str, str] = {
    "attempts": "#0072b2",
    "busiest": "#56b4e8",
    "completed": "#009e73",
    "dropped": "#d55e00",
    "kernel_cookies": "#0072b3",
    "kernel_drops": "#d55e01",
    "syn_queue": "#0072b4",
    "accept_queue": "#cc79a7",
    "severity-info": "#c9d1dc",
    "severity-low": "#8fb8dd",
    "severity-medium": "#e8b23c",
    "severity-high": "#d9682b",
    "severity-critical": "#a3123a",
    "impact-none": "#bfe3d3",
    "impact-cookies": "#f0cf70",
    "impact-dropping": "#c8452f",
    "impact-accept-queue-full": "#b26a95",
    "impact-unknown": "#d5d9df",
    "enforced": "#3d4f9e",
    "dry-run": "#c3caec",
    "guarded": "#9fc9b8",
    "unguarded": "#eeb5ac",
}
#: Looks on which light letters are read better than dark ones.
_DARK = (
    "severity-high", "severity-critical", "impact-dropping", "impact-accept-queue-full", "enforced",
)  # fmt: skip
LIGHT_LETTERS, DARK_LETTERS = "#fffffd", "#12161d"

#: Who shows in another colour in the dark; the others stay as they are.
IN_THE_DARK: Mapping[str, str] = {
    INK: "#e7eaf0",
    MUTED: "#97a1b3",
    GRID: "#2e3644",
    PAPER: "#171c25",
    COLOURS["attempts"]: "#58b1ea",
    COLOURS["busiest"]: "#86c9f2",
    COLOURS["completed"]: "#2cc79a",
    COLOURS["dropped"]: "#ff8f3f",
    COLOURS["kernel_cookies"]: "#58b1ea",
    COLOURS["kernel_drops"]: "#ff8f3f",
    COLOURS["syn_queue"]: "#58b1ea",
    COLOURS["accept_queue"]: "#e59cc6",
}


def letters_on(look: str) -> str:
    """Return the colour of letters on a band of this look."""
    return LIGHT_LETTERS if look in _DARK else DARK_LETTERS


def variable(colour: str) -> str:
    """Return the name of the CSS variable that stands for a colour: ``--c-0072b2``."""
    return f"--c-{colour.removeprefix('#')}"
