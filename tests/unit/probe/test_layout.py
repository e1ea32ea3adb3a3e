"""The Python mirror of the probe's byte layouts agrees with what a C compiler makes of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import synguard.probe
from synguard.probe import address_layout, dropped, layout, response_layout, sight_layout

BPF = Path(synguard.probe.__file__).parent / "bpf"

WITNESS = """
#include <stddef.h>
#include <stdio.h>
#include <stdint.h>
typedef uint8_t u8; typedef uint16_t u16; typedef uint32_t u32; typedef uint64_t u64; typedef int64_t s64;
#include "layout.h"
#define NAME(counter) puts(#counter);
#define SIZE(type) printf("%s %zu\\n", #type, sizeof(struct type));
#define AT(type, field) printf("%s.%s %zu\\n", #type, #field, offsetof(struct type, field));
#define VALUE(macro) printf("%s %llu\\n", #macro, (unsigned long long)(macro));
int main(void)
{
    puts("[handshake counters]"); HANDSHAKE_COUNTERS(NAME)
    puts("[total counters]"); TOTAL_COUNTERS(NAME)
    puts("[probe kinds]"); printf("%d fin\\n%d null\\n%d xmas\\n", PROBE_FIN, PROBE_NULL, PROBE_XMAS);
    puts("[numbers]");
    SIZE(address) SIZE(listener_key) SIZE(block_key) SIZE(block) SIZE(totals) SIZE(settings)
    SIZE(dropped) SIZE(answer) SIZE(listener_rule) SIZE(spared_key) AT(source, clock_ns)
    SIZE(source) AT(source, last_ns) AT(source, members) AT(source, cohorts)
    AT(source, probes)
    SIZE(listener) AT(listener, last_ns) AT(listener, bare_attempts) AT(listener, bogon_attempts)
    AT(listener, patterned_attempts) AT(listener, greylisted) AT(listener, answer_ns)
    AT(listener, answer) AT(listener, handshake_time)
    AT(listener, syn_ttl) AT(listener, completed_ttl) AT(listener, sketch_epoch)
    AT(listener, sketch) AT(listener, cohorts)
    SIZE(interfaces) SIZE(flow) SIZE(flows) AT(flows, shown)
    VALUE(LISTENER_COHORT_SHIFT) VALUE(LISTENER_COHORTS) VALUE(SOURCE_COHORT_SHIFT) VALUE(SOURCE_COHORTS)
    VALUE(HANDSHAKE_TIME_BINS) VALUE(SKETCH_EPOCH_SHIFT) VALUE(BLOCK_LENGTHS_MAX)
    VALUE(TTL_BINS) VALUE(SKETCH_REGISTERS) VALUE(INTERFACE_SLOTS) VALUE(FLOW_CELLS) VALUE(FLOW_SHOWN_BITS)
    return 0;
}
"""


#: What the daemon takes for each of the witness's numbers.
MIRRORED = {
    "address": address_layout.ADDRESS.size,
    "listener_key": layout.LISTENER_KEY.size,
    "block_key": response_layout.BLOCK_KEY.size,
    "block": response_layout.BLOCK.size,
    "totals": layout.TOTALS.size,
    "settings": layout.SETTINGS.size,
    "dropped": dropped.DROPPED.size,
    "answer": response_layout.ANSWER.size,
    "listener_rule": response_layout.LISTENER_RULE.size,
    "spared_key": response_layout.SPARED_KEY.size,
    "source": layout.SOURCE_BYTES,
    "source.clock_ns": response_layout.SOURCE_CLOCK_NS,
    "source.last_ns": layout.SOURCE_LAST_NS,
    "source.members": layout.SOURCE_MEMBERS,
    "source.cohorts": layout.SOURCE_COHORT_WORDS,
    "source.probes": layout.SOURCE_PROBES,
    "listener": layout.LISTENER_BYTES,
    "listener.last_ns": layout.LISTENER_LAST_NS,
    "listener.bare_attempts": layout.LISTENER_BARE_ATTEMPTS,
    "listener.bogon_attempts": layout.LISTENER_BOGON_ATTEMPTS,
    "listener.patterned_attempts": layout.LISTENER_PATTERNED_ATTEMPTS,
    "listener.greylisted": layout.LISTENER_RESPONSES,
    "listener.answer_ns": layout.LISTENER_ANSWER_NS,
    "listener.answer": layout.LISTENER_ANSWER,
    "listener.handshake_time": layout.LISTENER_HANDSHAKE_TIME,
    "listener.syn_ttl": layout.LISTENER_SYN_TTL,
    "listener.completed_ttl": layout.LISTENER_COMPLETED_TTL,
    "listener.sketch_epoch": layout.LISTENER_SKETCH_EPOCH,
    "listener.sketch": layout.LISTENER_SKETCH,
    "listener.cohorts": layout.LISTENER_COHORT_RECORDS,
    "interfaces": sight_layout.INTERFACES_BYTES,
    "flow": sight_layout.FLOW.size,
    "flows": sight_layout.FLOWS_BYTES,
    "flows.shown": sight_layout.FLOWS_SHOWN,
    "LISTENER_COHORT_SHIFT": layout.LISTENER_COHORT_SHIFT,
    "LISTENER_COHORTS": layout.LISTENER_COHORTS,
    "SOURCE_COHORT_SHIFT": layout.SOURCE_COHORT_SHIFT,
    "SOURCE_COHORTS": layout.SOURCE_COHORTS,
    "HANDSHAKE_TIME_BINS": layout.HANDSHAKE_TIME_BINS,
    "SKETCH_EPOCH_SHIFT": layout.SKETCH_EPOCH_SHIFT,
    "BLOCK_LENGTHS_MAX": layout.BLOCK_LENGTHS_MAX,
    "TTL_BINS": layout.TTL_BINS,
    "SKETCH_REGISTERS": layout.SKETCH_REGISTERS,
    "INTERFACE_SLOTS": sight_layout.INTERFACE_SLOTS,
    "FLOW_CELLS": sight_layout.FLOW_CELLS,
    "FLOW_SHOWN_BITS": sight_layout.FLOW_SHOWN_BITS,
}


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Return what a host-compiled program prints of the C layouts, by section."""
    folder = tmp_path_factory.mktemp("witness")
    (folder / "witness.c").write_text(WITNESS)
    subprocess.run(["gcc", f"-I{BPF}", "-o", "witness", "witness.c"], cwd=folder, check=True)
    printed = subprocess.run([folder / "witness"], capture_output=True, text=True, check=True).stdout
    sections: dict[str, list[str]] = {}
    for line in printed.splitlines():
        if line.startswith("["):
            lines = sections[line.strip("[]")] = []
        else:
            lines.append(line)
    return sections


def test_counters_have_the_same_names_in_the_same_order(witness: dict[str, list[str]]) -> None:
    """A counter never shows up under another one's name."""
    assert tuple(witness["handshake counters"]) == layout.HANDSHAKE_COUNTERS
    assert tuple(witness["total counters"]) == layout.TOTAL_COUNTERS
    probes = [f"{kind} {name.removesuffix('_probes')}" for kind, name in enumerate(layout.PROBE_COUNTERS)]
    assert witness["probe kinds"] == probes


def test_sizes_and_offsets_agree(witness: dict[str, list[str]]) -> None:
    """Every record is read from where the kernel wrote it."""
    assert dict(line.rsplit(" ", 1) for line in witness["numbers"]) == {
        name: str(value) for name, value in MIRRORED.items()
    }
