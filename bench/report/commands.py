"""The commands that read results: report, compare, schema."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench.report.compare import compare_results
from bench.report.compare_text import comparison_text
from bench.report.write import write_report
from bench.results.schema import json_schema
from bench.results.store import read_result
from synguard.cli.output import write

_RESULT = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_RESULT, metavar="FILE.json")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder to write into; FILE's name without .json where it is not given.",
)
def report(file: Path, output: Path | None) -> None:
    """Make a scorecard in Markdown, and plots, of a result."""
    result = read_result(file)
    folder = output or file.with_suffix("")
    path = write_report(result, folder, lambda line: click.echo(f"report: {line}", err=True))
    write(str(path))


@click.command()
@click.argument("before", type=_RESULT, metavar="A.json")
@click.argument("after", type=_RESULT, metavar="B.json")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def compare(before: Path, after: Path, form: str) -> None:
    """Say what changed from one result to another beyond the noise."""
    comparison = compare_results(read_result(before), read_result(after))
    if form == "json":
        write(json.dumps(comparison.as_json(), indent=2))
    else:
        write(comparison_text(comparison, str(before), str(after)))


@click.command()
def schema() -> None:
    """Print the JSON Schema of a result file, with every figure's meaning."""
    write(json.dumps(json_schema(), indent=2))
