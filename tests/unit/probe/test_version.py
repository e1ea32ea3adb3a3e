"""Versions of the probe: what a changed source keeps, and what it makes anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import pytest

from synguard.probe.probe import SOURCE, Groups, Sizes
from synguard.probe.version import ProbeVersion

HEADER = """
#define RING 16
/* A cell. */
struct cell {
	u64 count; /* of packets */
};
enum phase { FREE, TAKEN };
"""
MAIN = """
#include "cell.h"
BPF_TABLE("array", u32, struct cell, cells, 4);

static __always_inline int counted(struct cell *cell)
{
	if (cell) {
		cell->count++;
	}
	return 1;
}

int program(struct xdp_md *frame)
{
	return counted(0);
}
"""
SETTINGS = {"MAX_SOURCES": 64}


def version(
    folder: Path, old: str = "cell", new: str = "cell", defines: Mapping[str, int] = SETTINGS
) -> ProbeVersion:
    """Return the version of the source with one text in it replaced by another."""
    assert old in MAIN + HEADER
    (folder / "cell.h").write_text(HEADER.replace(old, new))
    (folder / "main.c").write_text(MAIN.replace(old, new))
    return ProbeVersion.of(folder / "main.c", defines)


def test_the_same_source_is_the_same_probe(tmp_path: Path) -> None:
    """Both versions depend on nothing but texts and definitions, whatever order these come in."""
    one = version(tmp_path, defines={"a": 1, "b": 2})
    assert one == version(tmp_path, defines={"b": 2, "a": 1})
    assert ProbeVersion.of(SOURCE, {}) == ProbeVersion.of(SOURCE, {})


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("u64 count;", "u32 count;"),
        ("#define RING 16", "#define RING 32"),
        ("FREE, TAKEN", "TAKEN, FREE"),
        ('"array"', '"hash"'),
        ("cells, 4", "cells, 8"),
    ],
)
def test_a_changed_declaration_is_another_layout(tmp_path: Path, old: str, new: str) -> None:
    """What maps hold means something else then, so they cannot be read on."""
    before, after = version(tmp_path), version(tmp_path, old, new)
    assert before.layout != after.layout
    assert before.program != after.program


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cell->count++", "cell->count += 2"),
        ("counted(0)", "counted(0) + 1"),
        ("of packets", "of frames"),
        ("int program(", "int other(struct cell *cell)\n{\n\treturn 0;\n}\n\nint program("),
    ],
)
def test_changed_code_is_another_program_of_the_same_layout(tmp_path: Path, old: str, new: str) -> None:
    """New code may go on with the maps that are there; a comment changes the text, and no layout."""
    before, after = version(tmp_path), version(tmp_path, old, new)
    assert before.layout == after.layout
    assert before.program != after.program


@pytest.mark.parametrize("record", [Sizes(), Groups()])
def test_other_sizes_or_groups_are_another_layout(record: Sizes | Groups) -> None:
    """Maps of another size, or keyed by prefixes of another length, cannot be taken over."""
    before = ProbeVersion.of(SOURCE, record.defines())
    for field in fields(record):
        changed = replace(record, **{field.name: getattr(record, field.name) + 1})
        assert ProbeVersion.of(SOURCE, changed.defines()).layout != before.layout
