"""Pins of a user who is not root, as the service's user will be: in a folder of its own, by capabilities."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from synguard.probe.pins import PinFolder, remove_pins
from tests.pinning import bpf_filesystem, pinned_sets
from tests.unit.public import public_directory, python_as_nobody

pytestmark = [pytest.mark.root, pytest.mark.kernel]

NOBODY = 65534

#: What a daemon does but for attaching and detaching: look for pins, load, pin.
LOAD_AND_PIN = """
import sys
from pathlib import Path
import structlog
from synguard.config.settings import ProbeSettings
from synguard.daemon import keeping
from synguard.probe import claim
from synguard.probe.known import KnownPrograms
from synguard.probe.probe import Groups, Probe, Sizes
claim.CLAIMS = Path(sys.argv[1])
keeping.detach_others = lambda *_: []
settings = ProbeSettings(keep_attached=True, pin_directory=sys.argv[2])
keeper = keeping.Keeper(settings, KnownPrograms(), structlog.get_logger())
probe = Probe.load(Sizes(64, 64, 8, 8), Groups(), keeper.load)
keeper.store(probe.loaded)
keeper.settle([], 0.0)
keeper.close()
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """Return a folder that everybody may enter, with a BPF file system in it."""
    with public_directory() as folder, bpf_filesystem(folder / "bpf") as mounted:
        mounted.chmod(0o755)
        claims = folder / "claims"
        claims.mkdir()
        os.chown(claims, NOBODY, NOBODY)
        yield folder


def load_and_pin(public: Path) -> str:
    """Load and pin as nobody with three capabilities; return what was logged."""
    done = python_as_nobody(
        *("-c", LOAD_AND_PIN, str(public / "claims"), str(public / "bpf" / "ours")),
        capabilities=("bpf", "net_admin", "perfmon"),
        timeout_s=90.0,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_user_without_root_pins_and_takes_over(public: Path) -> None:
    """In a folder given to it, it pins what its next process takes over; and root may clean up."""
    ours = public / "bpf" / "ours"
    ours.mkdir(mode=0o700)
    os.chown(ours, NOBODY, NOBODY)
    assert "pins.unavailable" not in load_and_pin(public)
    (pins,) = pinned_sets(ours)
    for path in (pins.parent, pins):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (NOBODY, 0o700)
    assert {path.stat().st_mode & 0o777 for path in pins.iterdir()} == {0o600}
    assert "probe.taken_over" in load_and_pin(public)
    assert pinned_sets(ours) == [pins]
    PinFolder(ours).check()  # root gave that folder away, and goes on with what it finds there
    assert remove_pins([ours]) == [f"{pins.parent}: pinned programs and maps"]
    assert list(ours.iterdir()) == []


def test_a_user_without_a_folder_of_its_own_is_told_what_it_needs(public: Path) -> None:
    """The probe is loaded all the same; it only does not outlive the daemon."""
    said = load_and_pin(public)
    assert "pins.unavailable" in said
    assert "give that user a folder" in said
    assert "does not stay attached" in said
    assert pinned_sets(public / "bpf" / "ours") == []
