"""The settings file: what it gives, and what it says when something in it is wrong."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import msgspec
import pytest

from synguard.config import Settings, default_toml, load, settings_reference
from synguard.errors import UsageError
from synguard.model import RespondMode

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a settings file and returns its path."""

    def write_text(text: str) -> Path:
        path = tmp_path / "synguard.toml"
        path.write_text(text)
        return path

    return write_text


def complaint(path: Path) -> str:
    """Return what loading the file at ``path`` complains of."""
    with pytest.raises(UsageError) as caught:
        load(path)
    return str(caught.value)


def test_defaults_without_a_file(tmp_path: Path) -> None:
    """Without a file named and without one at the default path, every setting is its default."""
    settings = load(None, default_path=tmp_path / "absent.toml")
    assert settings == Settings()
    assert settings.respond.mode is RespondMode.DRY_RUN
    assert settings.probe.poll_interval_ms == 50
    assert settings.history.database_path == Path("/var/lib/synguard/synguard.db")


def test_default_path_is_read_when_it_exists(write: Write) -> None:
    """The file at the default path counts although nobody named it."""
    path = write("[probe]\nmax_sources = 100\n")
    assert load(None, default_path=path).probe.max_sources == 100


def test_a_file_sets_some_and_leaves_the_rest(write: Write) -> None:
    """A setting in the file replaces its default alone; integers will do for numbers."""
    settings = load(write('[respond]\nmode = "enforce"\n[detect]\nhalf_open_per_s = 7\n'))
    assert settings.respond.mode is RespondMode.ENFORCE
    assert settings.detect.half_open_per_s == 7.0
    assert settings.respond.drop == "proven"


def test_networks_are_objects(write: Write) -> None:
    """Addresses and networks of the file come as network objects."""
    settings = load(write('[respond]\nallow = ["192.0.2.7", "2001:db8::/32"]\n'))
    assert settings.respond.allow_networks == (ip_network("192.0.2.7/32"), ip_network("2001:db8::/32"))
    assert settings.respond.trusted_aggregator_networks == ()


def test_settings_cannot_be_changed() -> None:
    """Nobody changes a setting behind the others' backs."""
    with pytest.raises(AttributeError):
        Settings().probe.max_sources = 1  # type: ignore[misc]


WRONG = [
    (
        "[detect]\n\nmin_attempts = 0\n",
        "line 3: detect.min_attempts: 0 is refused",
        "integer from 1 to 100000",
    ),
    (
        '[detect]\nmin_attempts = "x"\n',
        "line 2: detect.min_attempts: 'x' is refused",
        "integer from 1 to 100000",
    ),
    ("[detect]\nmin_attempts = true\n", "line 2: detect.min_attempts: True is refused", "integer"),
    ("[detect]\nclose_after_s = nan\n", "line 2: detect.close_after_s: nan is refused", "from 0.5 to 600"),
    ("[detect]\nclose_after_s = inf\n", "line 2: detect.close_after_s: inf is refused", "from 0.5 to 600"),
    (
        '[respond]\nmode = "kill"\n',
        "line 2: respond.mode: 'kill' is refused",
        '"off" or "dry-run" or "enforce"',
    ),
    ('[respond]\ndrop = "all"\n', "line 2: respond.drop: 'all' is refused", '"proven" or "always"'),
    (
        "[respond]\nssh_ports = [22,\n 70000]\n",
        "line 3: respond.ssh_ports: 70000 is refused",
        "integers from 1 to",
    ),
    (
        '[respond]\nallow = ["10.0.0.0/8",\n "10.0.0.300"]\n',
        "line 3: respond.allow: '10.0.0.300'",
        "198.51.100.0/24",
    ),
    (
        '[respond]\nallow = ["10.0.0.1/8"]\n',
        "line 2: respond.allow: '10.0.0.1/8'",
        "did you mean 10.0.0.0/8?",
    ),
    (
        '[respond]\nallow = "10.0.0.0/8"\n',
        "line 2: respond.allow: '10.0.0.0/8' is refused",
        "addresses or networks",
    ),
    ('[probe]\ninterfaces = ["eth0", "a/b"]\n', "line 2: probe.interfaces: 'a/b'", "1 to 15 characters"),
    ("probe = { ipv6_prefix = 3 }\n", "line 1: probe.ipv6_prefix: 3 is refused", "from 16 to 128"),
    ("log.level = 3\n", "line 1: log.level: 3 is refused", '"debug" or "info"'),
    ("[detect]\nmin_atempts = 3\n", "line 2: detect.min_atempts:", "did you mean detect.min_attempts?"),
    ("[probe]\nmin_attempts = 3\n", "line 2: probe.min_attempts:", "did you mean detect.min_attempts?"),
    ("[log]\nzzz = 3\n", "line 2: log.zzz:", "[log] has level, format"),
    ("[history]\nmode = 'off'\n", "line 2: history.mode:", "did you mean respond.mode?"),
    ("[respnd]\nmode = 'off'\n", "line 1: respnd:", "did you mean respond?"),
    ("[zzz]\n", "line 1: zzz:", "the sections are probe, detect"),
    ("detect = 3\n", "line 1: detect: 3 is not a table", "[detect]"),
    ("[detect]\nallowance_floor_ms = 900\n", "detect.allowance_cold_ms: 500 is not between", "(900)"),
    (
        "[detect]\nallowance_cap_ms = 10\n",
        "detect.allowance_floor_ms: 50 is above",
        "detect.allowance_cap_ms (10)",
    ),
    (
        "[log]\n[respond]\nblock_ttl_s = 100000\n",
        "line 3: respond.block_ttl_s: 100000 is above",
        "respond.block_ttl_max_s (86400)",
    ),
    ("[respond]\nlistener_response = 'drop'\n", "line 2: respond.listener_response: 'drop'", '"cookie" or'),
    ("[respond]\nmax_actions_per_min = 0\n", "line 2: respond.max_actions_per_min: 0", "from 1 to 65536"),
    (f'[control]\nsocket = "/{"s" * 107}"\n', "line 2: control.socket:", "longer than 107 bytes"),
    ('[history]\ndatabase = ""\n', "line 2: history.database: ''", "is not a path"),
]


@pytest.mark.parametrize(("text", "place", "allowed"), WRONG)
def test_a_wrong_setting_is_refused_in_words(write: Write, text: str, place: str, allowed: str) -> None:
    """The file, the line, the key, the value and what is allowed are all said."""
    path = write(text)
    said = complaint(path)
    assert said.startswith(f"{path}: ")
    assert place in said
    assert allowed in said


def test_everything_wrong_is_said_at_once(write: Write) -> None:
    """Two mistakes are two lines, so that nobody mends the file step by step."""
    said = complaint(write("[detect]\nmin_attempts = 0\n[log]\nlevel = 1\n"))
    assert [line.rpartition("toml: ")[2][:6] for line in said.splitlines()] == ["line 2", "line 4"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[probe]\nmax_sources = \n", "line 2, column"),
        ("[probe]\nmax_sources = 1\nmax_sources = 2\n", "line 3, column"),
        ("[probe]\ninterfaces = [\n", "line 2 (the end)"),
        ("[probe\n", "line 1, column"),
    ],
)
def test_a_syntax_error_names_its_line(write: Write, text: str, place: str) -> None:
    """What is not TOML is refused with the file and the line."""
    path = write(text)
    assert complaint(path).startswith(f"{path}: {place}")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file in another encoding is refused with the line of the first bad byte."""
    path = tmp_path / "latin.toml"
    path.write_bytes(b"[log]\n# caf\xe9\n")
    assert complaint(path) == f"{path}: line 2: not UTF-8 text"


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    """A file that was named and cannot be read is an error, never the defaults."""
    assert complaint(tmp_path / "absent.toml") == f"{tmp_path}/absent.toml: there is no such file"
    assert complaint(tmp_path) == f"{tmp_path}: cannot be read: Is a directory"


def test_overrides_replace_settings() -> None:
    """Options win over the file; those that were not given change nothing."""
    settings = Settings().with_overrides(
        {"respond.mode": "enforce", "probe.interfaces": ["eth1"], "history.database": None}
    )
    assert settings.respond.mode is RespondMode.ENFORCE
    assert settings.probe.interfaces == ("eth1",)
    assert settings.history == Settings().history


def test_overrides_keep_what_the_file_said(write: Write) -> None:
    """An option changes its own setting and leaves those of the file."""
    settings = load(write('[respond]\nallow = ["192.0.2.0/24"]\n')).with_overrides({"respond.mode": "off"})
    assert settings.respond.allow == ("192.0.2.0/24",)


def test_a_wrong_override_names_the_option() -> None:
    """A wrong value on the command line is refused by the name the person typed."""
    with pytest.raises(UsageError, match=r'^--respond: \'kill\' is refused; allowed: "off"'):
        Settings().with_overrides({"respond.mode": "kill"}, {"respond.mode": "--respond"})
    with pytest.raises(UsageError, match=r"^respond\.mod: .*did you mean respond\.mode"):
        Settings().with_overrides({"respond.mod": "off"})


def test_overrides_are_checked_together_with_the_file() -> None:
    """An option that contradicts another setting is refused too."""
    with pytest.raises(UsageError, match=r"^detect\.allowance_floor_ms: 50 is above"):
        Settings().with_overrides({"detect.allowance_cap_ms": 20})
    with pytest.raises(UsageError, match=r"^respond\.block_ttl_s: 600 is above respond\.block_ttl_max_s"):
        Settings().with_overrides({"respond.block_ttl_max_s": 599})


def test_a_repeaters_blocks_may_all_last_as_long_as_the_first() -> None:
    """Doubling is turned off by a most that is no more than the first block's time."""
    settings = Settings().with_overrides({"respond.block_ttl_max_s": 600})
    assert settings.respond.block_ttl_max_s == settings.respond.block_ttl_s


def test_default_file_loads_to_the_defaults(write: Write) -> None:
    """What ``config default`` prints is a settings file that changes nothing."""
    assert load(write(default_toml())) == Settings()


def test_default_file_has_and_explains_every_setting() -> None:
    """Every setting stands in the default file under a comment saying what is allowed."""
    text = default_toml()
    assert tomllib.loads(text) == msgspec.json.decode(msgspec.json.encode(Settings()))
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if " = " in line and not line.startswith("#"):
            assert lines[number - 1].startswith("# "), line
    assert text.count("# Allowed: ") == sum(len(table) for table in tomllib.loads(text).values())


def test_reference_has_a_row_for_every_setting() -> None:
    """The README's table names each setting with its default."""
    rows = settings_reference().splitlines()
    keys = [f"{s}.{k}" for s, table in msgspec.to_builtins(Settings()).items() for k in table]
    assert [row.split("`")[1] for row in rows[2:]] == keys
    assert "| `probe.poll_interval_ms` | `50` | ms | an integer from 20 to 1000 |" in settings_reference()
