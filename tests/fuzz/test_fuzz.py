"""The parser withstands libFuzzer, ASan and UBSan, which find mistakes that are made on purpose."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fuzz.build import altered_headers, build_target
from tests.fuzz.fuzzer import fuzz, lines_run, replay
from tests.fuzz.seeds import write_seeds

SEED = 1
RUNS = 300_000

OVERREAD = "AddressSanitizer: heap-buffer-overflow"
#: Whichever comes first: a byte behind the frame is read, or what should be cut off is not.
PASSED_THE_END = f"{OVERREAD}|finding: result"

#: What a careless change could do to ``packet.h``, and what the fuzzer says of it.
MISTAKES = {
    "one byte behind the frame": (
        "packet->flags = ((u8 *)tcp)[13];",
        "packet->flags = ((u8 *)tcp)[13] | (*(volatile u8 *)cursor->end & 0);",
        OVERREAD,
    ),
    "tag beyond the frame": ("(void *)(tag + 1) > cursor->end", "0", PASSED_THE_END),
    "extension beyond the frame": ("(void *)(extension + 1) > cursor->end", "0", PASSED_THE_END),
    "segment beyond the frame": ("(void *)(tcp + 1) > cursor->end", "0", PASSED_THE_END),
    "shift by the whole width": ("if (bits <= 0)", "if (bits < 0)", "runtime error: shift exponent 64"),
    "field left alone": ("packet->bare = tcp->doff == 5;", "", "finding: bare is another"),
    "field of another": ("&ip->daddr, 16)", "&ip->saddr, 16)", "finding: destination is another"),
    "short IPv4 header": (" || header_bytes < sizeof(*ip)", "", "finding: result"),
    "authentication header's length": ("->length + 2) * 4", "->length + 1) * 8", "finding: "),
    "one extension header less": (
        "int result = leads_to(next);\n\n\tSTEP_OVER(cursor, &next, result);",
        "int result = leads_to(next);\n",
        "finding: result",
    ),
    "options beyond the frame": ("(void *)(words + 5) <= cursor->end", "1", f"{OVERREAD}|finding: "),
    "clock of an ACK in any segment": ("is_equal(tcp->doff, 8)", "1", "finding: has_timestamp is another"),
    "padding taken for a segment": (
        "(NET16(ip->tot_len) < header_bytes + sizeof(struct tcphdr))",
        "(0)",
        "finding: result",
    ),
}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return a folder with the first inputs."""
    write_seeds(tmp_path / "corpus")
    return tmp_path / "corpus"


def test_the_parser_withstands_the_fuzzer(corpus: Path, tmp_path: Path) -> None:
    """So many runs find nothing, and what they find new takes the parser through each of its lines."""
    result = fuzz(build_target(tmp_path / "target"), corpus, tmp_path, runs=RUNS, seed=SEED)
    assert result.found is None, result.output
    assert result.executions >= RUNS
    ran = lines_run(corpus, tmp_path / "counting")
    assert len(ran) > 100
    assert [line for line, was_run in ran.items() if not was_run] == []


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_parser_is_found(
    name: str, corpus: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The fuzzer stops at it within the same number of runs, keeps the input, and that shows it again."""
    old, new, said = MISTAKES[name]
    target = build_target(tmp_path / "target", altered_headers(tmp_path, old, new))
    result = fuzz(target, corpus, tmp_path / "findings", runs=RUNS, seed=SEED)
    assert result.found is not None
    assert re.search(said, result.finding)
    capfd.readouterr()
    assert replay(target, result.found).returncode != 0
    assert re.search(said, capfd.readouterr().err)
