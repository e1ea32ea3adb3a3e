"""The house rules that no linter knows, and the promises of the Makefile."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

MODULE_LINES_MAX = 300
FUNCTION_LINES_MAX = 40

Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules(*folders: str) -> list[Path]:
    """Return every Python file of these folders."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def functions(path: Path) -> Iterator[Function]:
    """Yield every function and method of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def where(path: Path, node: Function) -> str:
    """Return a function's place as editors understand it."""
    return f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"


def test_every_module_says_what_it_is_for() -> None:
    """Each module of the product and the benchmarks opens with a sentence of purpose."""
    silent = [
        path.relative_to(ROOT)
        for path in modules("synguard", "bench")
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent


def test_modules_can_be_read_in_one_go() -> None:
    """No module is longer than 300 lines."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in modules("synguard", "bench")
    }
    assert not {path: lines for path, lines in lengths.items() if lines > MODULE_LINES_MAX}


def test_functions_fit_on_a_screen() -> None:
    """No function is longer than 40 lines, its docstring left out."""
    too_long = []
    for path in modules("synguard", "bench", "tests"):
        for node in functions(path):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            if (node.end_lineno or 0) - first.lineno >= FUNCTION_LINES_MAX:
                too_long.append(where(path, node))
    assert not too_long


def test_every_test_says_what_it_shows() -> None:
    """Each test function's docstring is one sentence, which states a behaviour."""
    wrong = []
    for path in modules("tests"):
        for node in functions(path):
            docstring = ast.get_docstring(node) or ""
            if node.name.startswith("test_") and not docstring.endswith("."):
                wrong.append(where(path, node))
    assert not wrong


def dependencies() -> list[str]:
    """Return what the project and its extras ask of pip; that one extra contains another is left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for extra in project["optional-dependencies"].values() for one in extra]
    return [one for one in [*project["dependencies"], *extras] if not one.startswith("synguard[")]


def test_bcc_is_never_asked_of_pip() -> None:
    """PyPI's bcc is another package: neither the dependencies nor the extras name it."""
    assert not [one for one in dependencies() if re.match(r"bcc|bpfcc|nftables", one)]


def test_every_dependency_has_a_lower_bound_and_no_upper_one() -> None:
    """Each dependency is pinned from below only, so that a security fix is never held back."""
    assert not [one for one in dependencies() if not re.fullmatch(r"[\w-]+>=[\d.]+", one)]


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run make in the checkout."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory", *arguments],
        env=outer | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_make_alone_lists_what_it_can_do() -> None:
    """The default target names every target that a person would use."""
    listed = re.findall(r"^  ([a-z-]+) ", make().stdout, re.MULTILINE)
    assert listed == [
        *("help", "run", "demo", "bench", "test", "fuzz", "lint"),
        *("install", "uninstall", "deb", "clean"),
    ]


@pytest.mark.parametrize("target", ["run", "demo", "bench", "test", "install", "uninstall"])
def test_without_root_make_says_what_to_do(target: str, tmp_path: Path) -> None:
    """Every target that needs root ends with 3 and names the command to use, before doing anything."""
    fake_id = tmp_path / "id"
    fake_id.write_text("#!/bin/sh\necho 65534\n", encoding="ascii")
    fake_id.chmod(0o755)
    result = make(target, PATH=f"{tmp_path}:{os.environ['PATH']}", DESTDIR="")
    assert f"run 'sudo make {target}'" in result.stderr
    assert "Error 3" in result.stderr
    assert result.stdout == ""


def test_ci_runs_the_command_of_the_readme() -> None:
    """Continuous integration runs ``make test`` and nothing of its own."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "exec make test\n" in script
    assert "pytest" not in re.sub(r"^#.*$", "", script, flags=re.MULTILINE)
