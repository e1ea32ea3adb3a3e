"""A result on disk: written whole, read with clear errors, and documented."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from bench.results import machine as machine_module
from bench.results.cells import cells_of, has_labels, name_of
from bench.results.figures import FACTS, FIGURES
from bench.results.machine import this_machine, version_in
from bench.results.schema import figures_markdown, json_schema
from bench.results.store import ResultFile, read_result
from synguard.errors import SynguardError, UsageError
from tests.bench.made_results import realistic, result, scenario, trial, trials


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """A result with missing figures, invalid trials and time lines comes back as it was."""
    file = ResultFile(tmp_path / "new" / "result.json")
    file.write(realistic())
    assert read_result(file.path) == realistic()


def test_a_failed_write_leaves_the_last_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk fills up, what was done before is still whole, and nothing else lies about."""
    file = ResultFile(tmp_path / "result.json")
    file.write(result(scenario([trial()])))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SynguardError, match="No space left"):
        file.write(realistic())
    assert len(read_result(file.path).scenarios[0].trials) == 1
    assert list(tmp_path.iterdir()) == [file.path]


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    """A figure that is no number is refused as it is kept, not when somebody wants to read it."""
    file = ResultFile(tmp_path / "result.json")
    with pytest.raises(msgspec.ValidationError, match="got `bool`"):
        file.write(result(scenario([trial(missed=True)])))
    assert not file.path.exists()


def test_the_file_is_for_everybody_to_read(tmp_path: Path) -> None:
    """A result that root's run wrote can be read without root."""
    file = ResultFile(tmp_path / "result.json")
    file.write(result())
    assert file.path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (msgspec.json.encode(realistic())[:-2000], "cut off"),
        (b"", "cut off"),
        (b"# a scorecard", "not JSON"),
        (b'{"scenarios": []}', "not a result"),
        (b"[1, 2]", "not a result"),
        (b'{"schema": 2, "machine": {}, "scenarios": []}', "schema version 2, and this bench reads 1"),
        (b'{"schema": 1, "machine": {}, "scenarios": []}', "not a whole result"),
    ],
)
def test_what_is_no_result_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    """A truncated file, another format and another version are told apart, and the file is named."""
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        read_result(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_the_users_error(tmp_path: Path) -> None:
    """A path that leads nowhere is wrong usage, and says so."""
    with pytest.raises(UsageError, match="No such file"):
        read_result(tmp_path / "nothing.json")


def test_a_ragged_time_line_is_refused(tmp_path: Path) -> None:
    """Columns of unequal length are no time line."""
    made = realistic()
    line = next(s for s in made.scenarios if s.scenario == "one-flood").trials[0].timeline
    line["half_open"].pop()
    path = tmp_path / "result.json"
    ResultFile(path).write(made)
    with pytest.raises(UsageError, match="unequal length"):
        read_result(path)


def test_every_figure_and_fact_is_documented() -> None:
    """The schema and the Markdown table name each figure with its unit, and each fact."""
    trial_schema = json_schema()["$defs"]["Trial"]["properties"]
    figures = trial_schema["figures"]["properties"]
    assert trial_schema["facts"]["properties"].keys() == FACTS.keys()
    table = figures_markdown()
    for name, figure in FIGURES.items():
        assert figure.unit in figures[name]["description"]
        assert re.search(rf"^\| `{name}` \| {figure.unit} \|", table, re.MULTILINE)
    assert all(f"| `{name}` |" in table for name in FACTS)


def test_this_machine_is_described() -> None:
    """The machine's CPU, memory, kernel and the versions that this process can see are told."""
    here = this_machine()
    assert here.cpus >= 1
    assert here.memory_bytes > 1 << 28
    assert here.kernel == Path("/proc/sys/kernel/osrelease").read_text(encoding="ascii").strip()
    assert here.versions["synguard"]
    assert {"commit", "bcc", "pyroute2", "nginx", "nft", "iptables", "hping3", "nmap", "trafgen"} <= set(
        here.versions
    )


def test_what_is_missing_has_no_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that is not there has null for a version, not an error."""
    monkeypatch.setattr(machine_module, "_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    versions = this_machine().versions
    assert versions["nginx"] is None
    assert versions["commit"] is None
    assert versions["python"]


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("nginx version: nginx/1.22.1", "1.22.1"),
        ("nftables v1.0.6 (Lester Gooch #5)", "1.0.6"),
        (
            "hping3 version 3.0.0-alpha-2 ($Id: release.h,v 1.4 2004/04/09 23:38:56 antirez Exp $)",
            "3.0.0-alpha-2",
        ),
        ("Nmap version 7.93 ( https://nmap.org )\nPlatform: x86_64", "7.93"),
        ("usage: whatever", None),
    ],
)
def test_versions_are_found_in_what_programs_say(said: str, version: str | None) -> None:
    """The first number with a dot is the version, whatever stands around it."""
    assert version_in(said) == version


def test_cells_keep_invalid_trials_apart() -> None:
    """A cell's figures come from its valid trials alone, and only from those in which they are known."""
    made = [
        *trials({"defence": "none"}, good_succeeded=[90, 80], good_attempted=[100, 100]),
        trial({"defence": "none"}, 3, invalid=["rate-held: no"], good_succeeded=0, good_attempted=100),
        trial({"defence": "none"}, 3, good_succeeded=None, good_attempted=100),
        trial({"defence": "cookies"}, 1),
    ]
    none, cookies = cells_of(made)
    assert none.values("good_succeeded") == [90, 80]
    assert none.good_connections() == (170, 200)
    assert len(none.invalid) == 1
    assert cookies.good_success() is None
    assert cookies.spread("good_succeeded") is None


def test_labels_match_by_value_and_by_any_of_several() -> None:
    """A number matches whether it has a point or not, a list matches any of its values, True is not 1."""
    labels = {"defence": "none", "syn_per_s": 1000, "timestamps": True}
    assert has_labels(labels, {})
    assert has_labels(labels, {"syn_per_s": 1000.0})
    assert has_labels(labels, {"defence": ["cookies", "none"], "timestamps": True})
    assert not has_labels(labels, {"timestamps": 1})
    assert not has_labels(labels, {"shape": "bare"})


def test_cells_are_named_by_their_labels() -> None:
    """A cell's name has its labels with large numbers made readable."""
    assert name_of({"defence": "none", "syn_per_s": 60000}) == "defence none, syn_per_s 60,000"
    assert name_of({}) == "the only cell"
