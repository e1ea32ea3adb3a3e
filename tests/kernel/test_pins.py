"""Pins: a set is taken over whole or not at all, from a folder that nobody else may write."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from synguard.errors import SynguardError
from synguard.probe import claim
from synguard.probe.compiler import LoadedObject, ProgramType, load_object
from synguard.probe.pinned_objects import pin
from synguard.probe.pinned_set import BrokenPinsError, open_set
from synguard.probe.pins import PinError, PinFolder, remove_pins
from synguard.probe.version import ProbeVersion
from tests.pinning import bpf_filesystem

pytestmark = [pytest.mark.root, pytest.mark.kernel]

SOURCE = """
#include <uapi/linux/bpf.h>
BPF_TABLE("array", u32, u64, seen, 4);
BPF_TABLE("percpu_array", u32, u64, a_map_with_a_long_name, 4);
int counts_in(struct xdp_md *frame) { u32 zero = 0; u64 *cell = seen.lookup(&zero);
	if (cell) (*cell)++; return XDP_PASS; }
int counts_out(struct __sk_buff *frame) { u32 zero = 0; u64 *cell = a_map_with_a_long_name.lookup(&zero);
	if (cell) (*cell)++; return -1; }
"""
PROGRAMS = {"counts_in": ProgramType.XDP, "counts_out": ProgramType.SCHED_CLS}
SIZES = {"seen": 4}
VERSION = ProbeVersion("1a", "2b")


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small program with maps, and one whose maps are called as ours."""
    folder = tmp_path_factory.mktemp("sources")
    (folder / "counts.c").write_text(SOURCE)
    (folder / "ours.c").write_text(SOURCE.replace("seen", "totals"))
    return folder


@pytest.fixture(scope="module")
def loaded(sources: Path) -> Iterator[LoadedObject]:
    """Load the program."""
    found = load_object(sources / "counts.c", PROGRAMS)
    yield found
    found.close()


@pytest.fixture(scope="module")
def other(sources: Path) -> Iterator[LoadedObject]:
    """Load the same program another time: its maps are alike, and others."""
    found = load_object(sources / "counts.c", PROGRAMS)
    yield found
    found.close()


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a directory in a BPF file system of the test's own, with claims of its own."""
    monkeypatch.setattr(claim, "CLAIMS", tmp_path / "claims")
    with bpf_filesystem(tmp_path / "bpf") as mounted:
        yield mounted / "synguard"


@pytest.fixture
def pins(directory: Path, loaded: LoadedObject) -> Path:
    """Return a stored set of pins."""
    folder = PinFolder(directory)
    folder.create()
    return folder.store(loaded, VERSION)


def test_what_was_stored_is_opened(pins: Path, loaded: LoadedObject) -> None:
    """Programs and maps come back under their names, also under names that the kernel cuts."""
    loaded.maps["seen"].update(bytes(4), (23).to_bytes(8, "little"))
    found = open_set(pins, PROGRAMS, SIZES)
    assert found.programs.keys() == loaded.programs.keys()
    assert {name: one.info for name, one in found.maps.items()} == {
        name: one.info for name, one in loaded.maps.items()
    }
    assert found.maps["seen"].lookup(bytes(4)) == (23).to_bytes(8, "little")
    found.close()


def test_programs_can_be_loaded_over_maps_that_are_there(sources: Path, loaded: LoadedObject) -> None:
    """New code uses the maps that it is given, and makes none."""
    given = {name: type(one)(os.dup(one.fd), one.info, one.value_bytes) for name, one in loaded.maps.items()}
    found = load_object(sources / "counts.c", PROGRAMS, maps=given)
    assert {name: one.info.id for name, one in found.maps.items()} == {
        name: one.info.id for name, one in loaded.maps.items()
    }
    assert found.programs.keys() == PROGRAMS.keys()
    found.close()


def test_maps_that_the_code_does_not_have_are_refused(sources: Path, loaded: LoadedObject) -> None:
    """Maps of another layout are not put under code that knows nothing of them."""
    given = {"seen": loaded.maps["seen"]}
    with pytest.raises(SynguardError, match=r"other maps than those given.*a_map_with_a_long_name"):
        load_object(sources / "counts.c", PROGRAMS, maps=given)


def replace_pin(entry: Path, fd: int) -> None:
    """Let a pin's name lead to something else."""
    entry.unlink()
    pin(fd, entry)


def exchange(one: Path, other: Path) -> None:
    """Let each of two pins have the other's name."""
    one.rename(one.with_name("new"))
    other.rename(one)
    one.with_name("new").rename(other)


def empty(pins: Path) -> None:
    """Remove every pin."""
    for entry in pins.iterdir():
        entry.unlink()


def open_descriptors() -> set[str]:
    """Return the descriptors that this process has open."""
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def link_away(entry: Path) -> None:
    """Let a pin's name lead to the pin by a symbolic link."""
    entry.rename(entry.with_name("new"))
    entry.symlink_to(entry.with_name("new"))


Damage = Callable[[Path, LoadedObject], object]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "a map is missing": (lambda pins, _: (pins / "map-seen").unlink(), "1 of the 2 maps .* are missing"),
    "a program is missing": (
        lambda pins, _: (pins / "program-counts_in").unlink(),
        "missing or unknown programs: counts_in",
    ),
    "nothing is there": (lambda pins, _: empty(pins), "missing or unknown"),
    "a map of the same shape": (
        lambda pins, other: replace_pin(pins / "map-seen", other.maps["seen"].fd),
        "map-seen is another map",
    ),
    "maps are exchanged": (
        lambda pins, _: exchange(pins / "map-seen", pins / "map-a_map_with_a_long_name"),
        "is another map",
    ),
    "a program is a map": (
        lambda pins, other: replace_pin(pins / "program-counts_in", other.maps["seen"].fd),
        "program-counts_in is no program",
    ),
    "a map is a program": (
        lambda pins, other: replace_pin(pins / "map-seen", other.programs["counts_in"]),
        "map-seen is no map",
    ),
    "a program of another kind": (
        lambda pins, other: replace_pin(pins / "program-counts_in", other.programs["counts_out"]),
        "program-counts_in is another program",
    ),
    "a program of another load": (
        lambda pins, other: replace_pin(pins / "program-counts_in", other.programs["counts_in"]),
        "map-seen is another map",
    ),
    "a map too many": (
        lambda pins, other: pin(other.maps["seen"].fd, pins / "map-more"),
        "map-more is another map",
    ),
    "a program too many": (
        lambda pins, other: pin(other.programs["counts_in"], pins / "program-more"),
        "missing or unknown programs: more",
    ),
    "a stranger's name": (
        lambda pins, other: pin(other.maps["seen"].fd, pins / "theirs"),
        "theirs is not ours",
    ),
    "a folder inside": (lambda pins, _: (pins / "map-folder").mkdir(), "map-folder is not ours"),
    "a link": (lambda pins, _: link_away(pins / "map-seen"), "is not ours"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_set_that_is_not_whole_is_not_opened(pins: Path, other: LoadedObject, damage: str) -> None:
    """Whatever is missing, exchanged or too much is named, and no descriptor stays open."""
    inflict, words = DAMAGES[damage]
    inflict(pins, other)
    before = open_descriptors()
    with pytest.raises(BrokenPinsError, match=words):
        open_set(pins, PROGRAMS, SIZES)
    assert open_descriptors() == before


def test_maps_of_another_size_are_not_opened(pins: Path) -> None:
    """The number of entries must be the one that the settings ask for."""
    with pytest.raises(BrokenPinsError, match="map-seen has 4 entries"):
        open_set(pins, PROGRAMS, {"seen": 5})


def test_values_of_another_size_are_not_opened(directory: Path, sources: Path) -> None:
    """A map that the daemon decodes must have values of the size that it decodes."""
    ours = load_object(sources / "ours.c", PROGRAMS)
    folder = PinFolder(directory)
    folder.create()
    pins = folder.store(ours, VERSION)
    ours.close()
    with pytest.raises(BrokenPinsError, match="map-totals has values of 8 bytes"):
        open_set(pins, PROGRAMS, {})


def test_storing_puts_a_whole_set_in_the_place_of_a_broken_one(
    directory: Path, pins: Path, loaded: LoadedObject
) -> None:
    """What an interrupted daemon left half made is no obstacle."""
    (pins / "map-seen").unlink()
    half_made = pins.with_name("new")
    half_made.mkdir()
    pin(loaded.maps["seen"].fd, half_made / "map-seen")
    assert PinFolder(directory).store(loaded, VERSION) == pins
    open_set(pins, PROGRAMS, SIZES).close()
    assert list(pins.parent.iterdir()) == [pins]


def test_what_is_not_ours_stays(directory: Path, pins: Path, other: LoadedObject) -> None:
    """Removing our pins leaves other people's beside them, and the folder that these are in."""
    pin(other.maps["seen"].fd, pins.with_name("theirs"))
    folder = PinFolder(directory)
    assert folder.strangers() == ["theirs"]
    assert remove_pins([directory]) == [f"{folder.path}: pinned programs and maps"]
    assert [path.name for path in folder.path.iterdir()] == ["theirs"]


def test_removing_leaves_no_folder_and_says_nothing_the_second_time(directory: Path, pins: Path) -> None:
    """Where nothing is, nothing is said to have been removed."""
    assert remove_pins([directory]) == [f"{pins.parent}: pinned programs and maps"]
    assert not directory.exists()
    assert remove_pins([directory]) == []


def test_a_symbolic_link_is_not_followed(directory: Path, pins: Path, tmp_path: Path) -> None:
    """Removing pins removes nothing of what a link in their place leads to."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    (pins.parent / "layout-1-program-2").symlink_to(kept)
    (pins / "map-link").symlink_to(kept)
    remove_pins([directory])
    assert (kept / "file").exists()
    assert not directory.exists()


@pytest.mark.parametrize("spoil", ["mode", "owner", "link"])
def test_a_folder_that_others_may_write_is_not_trusted(directory: Path, pins: Path, spoil: str) -> None:
    """Whoever may write it could have put anything there; it says whose it is, and what to do."""
    folder = pins.parent
    if spoil == "mode":
        folder.chmod(0o770)
    elif spoil == "owner":
        os.chown(folder, 65534, 65534)
    else:
        folder.rename(directory / "elsewhere")
        folder.symlink_to(directory / "elsewhere")
    with pytest.raises(PinError, match="`synguard detach` removes it"):
        PinFolder(directory).check()
    assert len(remove_pins([directory])) == 1
    assert not folder.exists()


def test_without_a_bpf_file_system_it_says_what_to_do(tmp_path: Path) -> None:
    """In any other file system nothing can be pinned, and nothing is made."""
    folder = PinFolder(tmp_path / "deep" / "synguard")
    with pytest.raises(PinError, match="mount -t bpf bpf /sys/fs/bpf"):
        folder.create()
    assert list(tmp_path.iterdir()) == []
