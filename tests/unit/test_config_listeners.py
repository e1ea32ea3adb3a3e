"""Thresholds of single listeners in the settings file, and how they reach the detector."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from synguard.config import DetectSettings, Settings, default_toml, load
from synguard.config.detecting import PER_LISTENER
from synguard.detect import Thresholds
from synguard.endpoint import Listener
from synguard.errors import UsageError
from synguard.tuning import thresholds_of

WEB = Listener.parse("203.0.113.5:443")


def written(directory: Path, text: str) -> Path:
    """Return a settings file with this text."""
    path = directory / "synguard.toml"
    path.write_text(text)
    return path


def complaint(directory: Path, text: str) -> str:
    """Return what loading a file with this text complains of, without the file's name."""
    with pytest.raises(UsageError) as caught:
        load(written(directory, text))
    return str(caught.value).replace(f"{directory}/synguard.toml: ", "")


@pytest.mark.parametrize(
    "text",
    [
        '[detect.listeners."203.0.113.5:443"]\nhalf_open_per_s = 400\nslow_floods = false\n',
        "[detect]\nlisteners.'203.0.113.5:443' = { half_open_per_s = 400, slow_floods = false }\n",
        '[detect.listeners]\n"*:443".slow_floods = false\n"203.0.113.5".half_open_per_s = 400\n',
    ],
)
def test_a_listener_has_its_own(tmp_path: Path, text: str) -> None:
    """However TOML lets it be written, a listener's thresholds reach the detector, and no other's change."""
    thresholds = thresholds_of(load(written(tmp_path, text)))
    found = thresholds.for_listener(WEB)
    assert (found.half_open_per_s, found.slow_floods) == (400.0, False)
    assert (found.half_open_ratio, found.min_attempts) == (0.1, 40)
    assert thresholds.for_listener(Listener.parse("203.0.113.6:80")) == thresholds


@pytest.mark.parametrize("name", ["[2001:db8::5]:443", "[2001:DB8:0::5]:443", "2001:db8::5", "[2001:db8::5]"])
def test_ipv6_listeners(tmp_path: Path, name: str) -> None:
    """An IPv6 address may be written as people write it."""
    settings = load(written(tmp_path, f'[detect.listeners."{name}"]\nmin_attempts = 3\n'))
    found = thresholds_of(settings).for_listener(Listener.parse("[2001:db8::5]:443"))
    assert found.min_attempts == 3


HERE = "whose names are in quotes, with any of half_open_per_s, half_open_ratio"
TABLE = '[detect.listeners."203.0.113.5:443"]\n'
KEY = 'detect.listeners."203.0.113.5:443"'
WRONG = [
    (f"{TABLE}\nmin_attempts = 0\n", f"line 3: {KEY}.min_attempts: 0 is refused", "from 1 to 100000"),
    (f"{TABLE}slow_floods = 1\n", f"line 2: {KEY}.slow_floods: 1 is refused", "true or false"),
    (f"{TABLE}half_open_per_s = nan\n", f"line 2: {KEY}.half_open_per_s: nan", "from 0.1 to"),
    (f"{TABLE}half_open_pers = 4\n", f"line 2: {KEY}.half_open_pers: ", "did you mean half_open_per_s?"),
    (f"{TABLE}zzz = 4\n", f"line 2: {KEY}.zzz: there is no such setting", "here are half_open_per_s, "),
    (f"{TABLE}listeners = 4\n", f"line 2: {KEY}.listeners: cannot be set here", "only for all in [detect]"),
    (f"{TABLE}scan_targets = 4\n", f"line 2: {KEY}.scan_targets: cannot be set here", "here are half_open"),
    ('[detect.listeners."web:80"]\n', "line 1: detect.listeners.\"web:80\": 'web:80' is not ADDR:PORT", HERE),
    ("[detect.listeners.203.0.113.5]\n", "line 1: detect.listeners.203: '203' is not ADDR:PORT", HERE),
    ('[detect.listeners."*"]\n', "line 1: detect.listeners.\"*\": '*' is not ADDR:PORT", HERE),
    ('[detect.listeners."[::1"]\n', "line 1: detect.listeners.\"[::1\": '[::1' is not", "[ADDR6]:PORT"),
    ('[detect.listeners."::1:0"]\n[detect.listeners."*:0"]\n', "line 2: ", "'*:0' names port 0"),
    ('[detect.listeners."1.2.3.4:65536"]\n', "line 1: ", "'1.2.3.4:65536' is not ADDR:PORT"),
    ('[detect.listeners."0.0.0.0:443"]\n', "line 1: ", "write *:PORT"),
    ('[detect.listeners."[::]:443"]\n', "line 1: ", "write *:PORT"),
    ('[detect.listeners."[::ffff:192.0.2.7]:443"]\n', "line 1: ", "is how a socket writes 192.0.2.7"),
    ('[detect.listeners."[fe80::1%eth0]:22"]\n', "line 1: ", "leave out what follows the %"),
    (
        '[detect.listeners."::1"]\n[detect.listeners."0::1"]\n',
        'line 2: detect.listeners."0::1": is the same as "::1"',
        "put both into one table",
    ),
    ("[detect]\nlisteners = 3\n", "line 2: detect.listeners: 3 is refused", "at most 256 tables"),
    (
        f"{TABLE.replace(']', ']]', 1).replace('[', '[[', 1)}",
        f"line 1: {KEY}: [{{}}] is not a table",
        f"write [{KEY}]",
    ),
    (
        '[detect.listeners]\n# so\n"*:443" = 400\n',
        'line 3: detect.listeners."*:443": 400 is not a table',
        'write [detect.listeners."*:443"]',
    ),
]


@pytest.mark.parametrize(("text", "place", "allowed"), WRONG)
def test_a_wrong_table_is_refused_in_words(tmp_path: Path, text: str, place: str, allowed: str) -> None:
    """The line, the key, the value and what is allowed are said, and nothing else."""
    said = complaint(tmp_path, text)
    assert said.startswith(place)
    assert allowed in said
    assert len(said.splitlines()) == 1


def test_each_wrong_value_is_said(tmp_path: Path) -> None:
    """Two mistakes in two tables are two lines, in the file's order."""
    said = complaint(tmp_path, f'[detect.listeners."*:25"]\nmin_attempts = 0\n{TABLE}half_open_ratio = 2\n')
    assert [line.partition(":")[0] for line in said.splitlines()] == ["line 2", "line 4"]


def test_too_many_tables(tmp_path: Path) -> None:
    """More tables than are allowed are refused as a whole."""
    tables = "".join(f'"*:{port}" = {{}}\n' for port in range(1, 258))
    said = complaint(tmp_path, f"[detect.listeners]\n{tables}")
    assert said.startswith("line 1: detect.listeners: ")
    assert "at most 256 tables" in said
    fewer = tables.partition("\n")[2]
    assert len(load(written(tmp_path, f"[detect.listeners]\n{fewer}")).detect.listeners) == 256


@pytest.mark.parametrize(
    ("text", "table"),
    [
        (f"{TABLE}allowance_floor_ms = 900\n", (1, KEY)),
        (f"{TABLE}allowance_cap_ms = 100\n", (1, KEY)),
        (
            '[detect.listeners."203.0.113.5"]\nallowance_cap_ms = 600\n'
            '[detect.listeners."*:443"]\nallowance_cold_ms = 700\n',
            (3, 'detect.listeners."*:443"'),
        ),
        (
            f'{TABLE}allowance_floor_ms = 400\n[detect.listeners."*:443"]\nallowance_cold_ms = 300\n',
            (1, KEY),
        ),
    ],
)
def test_allowances_hold_for_each_listener(tmp_path: Path, text: str, table: tuple[int, str]) -> None:
    """Allowances that no handshake could keep are refused wherever tables meet, at the most exact one."""
    line, key = table
    said = complaint(tmp_path, text)
    assert said.startswith(f"line {line}: {key}: here allowance_floor_ms is ")
    assert said.endswith("none may be above the next")
    assert len(said.splitlines()) == 1


def test_allowances_that_never_meet(tmp_path: Path) -> None:
    """Tables that no listener has together may contradict each other."""
    text = (
        '[detect.listeners."203.0.113.5:80"]\nallowance_floor_ms = 400\n'
        '[detect.listeners."*:443"]\nallowance_cold_ms = 300\n'
        f"{TABLE}allowance_floor_ms = 200\n"
    )
    load(written(tmp_path, text))


def test_options_keep_the_tables(tmp_path: Path) -> None:
    """An option on the command line leaves what the file says of listeners, and is checked with it."""
    settings = load(written(tmp_path, f"{TABLE}allowance_cold_ms = 700\n"))
    assert settings.with_overrides({"respond.mode": "off"}).detect == settings.detect
    with pytest.raises(UsageError, match=r"^detect\.listeners\.\"203.* allowance_cap_ms 600;"):
        settings.with_overrides({"detect.allowance_cap_ms": 600})


def test_the_default_file_shows_an_example(tmp_path: Path) -> None:
    """The example in the default file, its comment signs taken away, is a file that loads."""
    lines = default_toml().splitlines()
    begin = lines.index("[detect.listeners]")
    example = [line.removeprefix("#").strip() for line in lines[begin : lines.index("", begin)]]
    settings = load(written(tmp_path, "\n".join(example)))
    assert settings.detect.listeners["203.0.113.5:443"] == {"half_open_per_s": 400.0, "half_open_ratio": 0.2}
    assert len(settings.detect.listeners) == 2
    assert tomllib.loads(default_toml())["detect"]["listeners"] == {}


def test_settings_and_thresholds_have_the_same_names_and_defaults() -> None:
    """The detector's own defaults are those of the file; what one listener may have is among them."""
    ours = {f.name: f.default for f in fields(Thresholds)}
    theirs = msgspec.structs.asdict(DetectSettings())
    del theirs["listeners"]
    assert {name: ours.get(name) for name in theirs} == theirs
    assert set(PER_LISTENER) <= set(theirs)
    assert thresholds_of(Settings()) == Thresholds()


def test_trusted_aggregators_reach_the_detector(tmp_path: Path) -> None:
    """A trusted address is known as the source that it is seen as: in IPv6 its prefix."""
    text = '[respond]\ntrusted_aggregators = ["192.0.2.7", "2001:db8:1:2::7", "2001:db8:8000::/40"]\n'
    thresholds = thresholds_of(load(written(tmp_path, text)))
    seen = ["192.0.2.7/32", "2001:db8:1:2::/64", "2001:db8:8001::/48"]
    assert all(thresholds.trusts(ip_network(source)) for source in seen)
    unseen = ["192.0.2.0/24", "192.0.2.8/32", "2001:db8:1:3::/64", "2001:db8::/32"]
    assert not any(thresholds.trusts(ip_network(source)) for source in unseen)
