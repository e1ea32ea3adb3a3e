"""How the suite behaves where the kernel tiers cannot run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SUITE = """
import pytest

@pytest.mark.kernel
def test_needs_a_kernel(): pass

@pytest.mark.netns
def test_needs_namespaces(): pass

def test_needs_nothing(): pass
"""

NOT_ROOT = """
import os
os.geteuid = lambda: 65534
"""


def run_suite(folder: Path, *options: str, ci: bool = False) -> subprocess.CompletedProcess[str]:
    """Run ``SUITE`` by a pytest of its own, as a user who seems not to be root."""
    (folder / "test_suite.py").write_text(SUITE, encoding="utf-8")
    (folder / "conftest.py").write_text(NOT_ROOT, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"PYTHONPATH": str(ROOT)} | ({"CI": "true"} if ci else {})
    markers = ["-o", "markers=kernel\nnetns", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", folder, *markers, *options, folder],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_kernel_test_fails_where_it_cannot_run(tmp_path: Path) -> None:
    """Without root the kernel tiers fail, name what is missing, and the rest still runs."""
    result = run_suite(tmp_path)
    assert result.returncode == pytest.ExitCode.TESTS_FAILED
    assert "missing root (run 'sudo make test')" in result.stdout
    assert "1 passed, 2 errors" in result.stdout
    assert "skipped" not in result.stdout


def test_leaving_the_kernel_out_is_said_loudly(tmp_path: Path) -> None:
    """With --without-kernel the run passes, and its summary says how many tests were left out."""
    result = run_suite(tmp_path, "--without-kernel")
    assert result.returncode == pytest.ExitCode.OK
    assert "NOT TESTED: 2 tests of the kernel tiers" in result.stdout
    assert "1 passed, 2 deselected" in result.stdout


def test_ci_may_not_leave_the_kernel_out(tmp_path: Path) -> None:
    """In continuous integration --without-kernel is a usage error."""
    result = run_suite(tmp_path, "--without-kernel", ci=True)
    assert result.returncode == pytest.ExitCode.USAGE_ERROR
    assert "not for continuous integration" in result.stderr
