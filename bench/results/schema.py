"""The documentation of a result file, made from the records and figures themselves."""

from __future__ import annotations

from typing import Any

import msgspec

from bench.results.figures import FACTS, FIGURES, Figure
from bench.results.model import SCHEMA_VERSION, Result

_BETTER = {"lower": "less is better", "higher": "more is better", None: ""}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a result file, with every figure and fact that a trial may hold."""
    schema = msgspec.json.schema(Result)
    definitions = schema["$defs"]
    definitions["Result"]["properties"]["schema"] = {"const": SCHEMA_VERSION}
    trial = definitions["Trial"]["properties"]
    trial["figures"]["properties"] = {
        name: {"type": ["number", "null"], "description": _described(figure)}
        for name, figure in FIGURES.items()
    }
    trial["facts"]["properties"] = {
        name: {"type": ["string", "null"], "description": says.replace("``", "")}
        for name, says in FACTS.items()
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _described(figure: Figure) -> str:
    parts = (figure.says.replace("``", ""), figure.unit, _BETTER[figure.better])
    return "; ".join(part for part in parts if part)


def figures_markdown() -> str:
    """Return Markdown tables of every figure and fact, as ``bench/README.md`` shows them."""
    rows = [
        f"| `{name}` | {figure.unit} | {figure.better or ''} | {_code(figure.says)} |"
        for name, figure in FIGURES.items()
    ]
    facts = [f"| `{name}` | {_code(says)} |" for name, says in FACTS.items()]
    return "\n".join(
        [
            *("| figure | unit | better | what it is |", "| --- | --- | --- | --- |", *rows, ""),
            *("| fact | what it is |", "| --- | --- |", *facts, ""),
        ]
    )


def _code(text: str) -> str:
    return text.replace("``", "`")
