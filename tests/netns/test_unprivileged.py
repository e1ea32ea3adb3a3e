"""Guarding as a user who is not root, with the service's three capabilities."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.net.links import attach_xdp
from bench.net.namespaces import Topology, run_in
from synguard.probe.compiler import ProgramType, load_object
from tests.pinning import bpf_filesystem, pinned_sets
from tests.unit.public import public_directory, python_as_nobody

from .devices import everything, shown

pytestmark = [pytest.mark.root, pytest.mark.netns, pytest.mark.kernel]

NOBODY = 65534

#: The command line, with claims in a folder of nobody's.
COMMAND = """
import sys
from pathlib import Path
from synguard.probe import claim
claim.CLAIMS = Path(sys.argv.pop(1))
from synguard.cli import main
main()
"""
THEIRS = "xdp_dispatcher"
THEIR_SOURCE = f"#include <uapi/linux/bpf.h>\nint {THEIRS}(struct xdp_md *frame) {{ return XDP_PASS; }}\n"


class Service:
    """What the service's user may do in the server's network namespace."""

    def __init__(self, topology: Topology, folder: Path) -> None:
        self.topology = topology
        self.pins = folder / "bpf" / "synguard"
        self._claims = folder / "claims"
        for made in (self.pins, self._claims):
            made.mkdir(mode=0o700)
            os.chown(made, NOBODY, NOBODY)
        self._config = folder / "synguard.toml"
        self._config.write_text(f'[probe]\npin_directory = "{self.pins}"\n', encoding="utf-8")

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run ``synguard COMMAND`` for the server's interface."""
        interface = ("--interface", self.topology.server.interface)
        arguments = ("-c", COMMAND, str(self._claims), command, *interface, "--config", str(self._config))
        return run_in(
            self.topology.server,
            lambda: python_as_nobody(
                *arguments, capabilities=("bpf", "net_admin", "perfmon"), timeout_s=90.0
            ),
        )

    def attach(self) -> str:
        """Attach, and return the log."""
        done = self.run("attach")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def program(self) -> int:
        """Return the id of the XDP program on the interface."""
        found = re.search(r"prog/xdp id (\d+)", shown(self.topology.server, self.topology.server.interface))
        assert found is not None
        return int(found[1])


@pytest.fixture
def service(topology: Topology) -> Iterator[Service]:
    """Give nobody a folder for pins and one for claims; nothing is left in the kernel afterwards."""
    with public_directory() as folder, bpf_filesystem(folder / "bpf") as mounted:
        mounted.chmod(0o711)
        yield Service(topology, folder)


def test_what_is_attached_is_taken_over_and_taken_away(service: Service) -> None:
    """By what it pinned alone: the same program goes on, and at the end nothing is left."""
    bare = everything(service.topology.server)
    service.attach()
    first = service.program()
    assert "probe.taken_over" in service.attach()
    assert service.program() == first
    done = service.run("detach")
    assert (done.returncode, done.stdout.count("removed ")) == (0, 4)
    assert everything(service.topology.server) == bare
    assert pinned_sets(service.pins) == []


def test_an_earlier_program_is_replaced_in_its_place(service: Service) -> None:
    """Other code is known by its pins; counts go on, and one program and one set of pins are left."""
    service.attach()
    earlier = service.program()
    (pins,) = pinned_sets(service.pins)
    pins.rename(pins.with_name(f"{pins.name.partition('-program-')[0]}-program-0"))
    said = service.attach()
    assert "probe.replaced" in said
    assert "go on" in said
    assert '"ingress": "xdp-native"' in said
    assert service.program() != earlier
    assert pinned_sets(service.pins) == [pins]


def test_a_strangers_program_stays(service: Service, tmp_path: Path) -> None:
    """Whose it is may not be asked, so it is left where it is, and both commands say so."""
    server = service.topology.server
    source = tmp_path / "their.c"
    source.write_text(THEIR_SOURCE)
    loaded = load_object(source, {THEIRS: ProgramType.XDP})
    attach_xdp(server.namespace, server.interface, loaded.programs[THEIRS], native=True)
    loaded.close()
    theirs = service.program()
    said = service.attach()
    assert '"ingress": "tc-ingress"' in said
    assert f"id {theirs}; whose it is, only CAP_SYS_ADMIN may ask" in said
    done = service.run("detach")
    assert (done.returncode, done.stdout.count("removed ")) == (3, 4)
    assert f"{server.interface}: cannot look at eBPF program {theirs}" in done.stderr
    assert service.program() == theirs
