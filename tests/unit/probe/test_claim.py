"""Claims: one holder each, and nothing left of those that nobody can ask for any more."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from synguard.errors import SynguardError
from synguard.probe import claim
from synguard.probe.claim import (
    claim_database,
    claim_interface,
    claim_pins,
    claimed_interfaces,
    prune_claims,
)

HOLD_AND_DIE = """
import os, signal, sys
from pathlib import Path
from synguard.probe import claim
claim.CLAIMS = Path(sys.argv[1])
held = claim.claim_interface("left0"), claim.claim_database(Path("/left.db"))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep claims in a folder of the test's own."""
    monkeypatch.setattr(claim, "CLAIMS", tmp_path / "claims")
    return claim.CLAIMS


def left_by_a_killed_process(folder: Path) -> None:
    """Let a process take a claim on an interface and on a database, and die of SIGKILL."""
    subprocess.run([sys.executable, "-c", HOLD_AND_DIE, str(folder)], check=False)


def test_a_database_has_one_writer_under_all_its_names(tmp_path: Path) -> None:
    """The second is told the first one's pid and what to do, also by way of a symbolic link."""
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "synguard.db")
    with closing(claim_database(tmp_path / "synguard.db")):
        with pytest.raises(SynguardError, match=r"with pid \d+ writes .*synguard.db; .* --database"):
            claim_database(link)
        claim_database(tmp_path / "other.db").close()
    claim_database(link).close()


def test_a_closed_claim_leaves_no_file(claims: Path, tmp_path: Path) -> None:
    """A daemon that stops in order leaves nothing in the folder."""
    claim_interface("net0").close()
    claim_database(tmp_path / "synguard.db").close()
    assert list(claims.iterdir()) == []


def test_what_a_killed_daemon_knew_of_an_interface_is_kept(claims: Path) -> None:
    """Its successor in the same namespace needs it; its database's claim is of no use to anybody."""
    left_by_a_killed_process(claims)
    assert len(list(claims.iterdir())) == 2
    prune_claims()
    assert claimed_interfaces() == ["left0"]
    assert len(list(claims.iterdir())) == 1


def test_notes_are_left_to_a_successor_on_purpose_too(claims: Path) -> None:
    """What a daemon leaves attached comes with what is known of it, until somebody takes it away."""
    first = claim_interface("kept0")
    first.note(made_clsact=True, pin_directory="/sys/fs/bpf/synguard")
    first.leave()
    second = claim_interface("kept0")
    assert second.made_clsact
    assert second.pin_directory == Path("/sys/fs/bpf/synguard")
    second.note(made_clsact=False)
    assert second.pin_directory is not None
    second.close()
    assert list(claims.iterdir()) == []


def test_pins_have_one_keeper(tmp_path: Path) -> None:
    """The second is told who it is and which setting helps."""
    with (
        closing(claim_pins(tmp_path)),
        pytest.raises(SynguardError, match=r"pid \d+ keeps its probe pinned in .*probe.pin_directory"),
    ):
        claim_pins(tmp_path)


def test_claims_of_a_namespace_that_is_gone_are_removed(claims: Path) -> None:
    """Nobody can ask for them any more; those that are held stay, whatever they are called."""
    left_by_a_killed_process(claims)
    (left,) = claims.glob("netns-*")
    left.rename(claims / "netns-1-left0.lock")
    with closing(claim.Claim(claims / "netns-2-held0.lock", "held by {pid}")):
        prune_claims()
        assert [path.name for path in claims.iterdir()] == ["netns-2-held0.lock"]
