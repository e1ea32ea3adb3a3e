"""Real servers in a namespace: where they listen, with what queue, and that nothing of them stays."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Literal

import pytest

from bench.measure.usage import family
from bench.net.enter import child_environment, command_in
from bench.net.namespaces import Topology
from bench.peers.servers import serve
from bench.scenario.model import ServerSpec
from synguard.errors import SynguardError, UnsupportedError

pytestmark = [pytest.mark.root, pytest.mark.netns]

PORT = 8080


def listeners(topology: Topology) -> dict[str, int]:
    """Return every listening address and port of the server's, with its queue's limit."""
    argv = command_in(topology.server.namespace, ["ss", "--no-header", "-ltn"])
    table = subprocess.run(argv, env=child_environment(), capture_output=True, text=True, check=True).stdout
    return {words[3]: int(words[2]) for words in map(str.split, table.splitlines())}


def addresses(topology: Topology) -> list[str]:
    """Return the server's own addresses."""
    return [str(topology.server.ipv4.ip), str(topology.server.ipv6.ip)]


@pytest.mark.parametrize("kind", ["accept-loop", "nginx"])
def test_a_server_listens_on_both_families_with_its_queue(
    topology: Topology, kind: Literal["accept-loop", "nginx"]
) -> None:
    """Once the block begins it listens on both addresses with the queue asked for; after it nowhere."""
    spec = ServerSpec(kind=kind, port=PORT, queue_entries=77)
    with serve(spec, topology.server, addresses(topology)) as pids:
        found = listeners(topology)
        processes = [process for pid in pids for process in family(pid)]
    assert found == {"198.18.0.1:8080": 77, "[2001:2:0:1::1]:8080": 77}
    assert listeners(topology) == {}
    assert processes
    assert not [process for process in processes if Path(f"/proc/{process}").exists()]


def test_no_server_listens_nowhere(topology: Topology) -> None:
    """The server of kind ``none`` is no process and no socket."""
    with serve(ServerSpec(kind="none"), topology.server, addresses(topology)) as pids:
        assert pids == ()
        assert listeners(topology) == {}


def test_nginx_leaves_no_files(topology: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of nginx's files are in one folder of its own, which is gone afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serve(ServerSpec(kind="nginx"), topology.server, addresses(topology)) as (pid,):
        (folder,) = tmp_path.iterdir()
        assert (folder / "nginx.pid").read_text(encoding="ascii") == f"{pid}\n"
        opened = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
        files = [name for name in opened if name.startswith("/") and not name.startswith("/dev/")]
        assert files
        assert all(name.startswith(str(folder)) for name in files)
    assert list(tmp_path.iterdir()) == []


def test_nginx_that_cannot_start_says_why(topology: Topology) -> None:
    """An address that is not the server's is refused in nginx's own words."""
    with (
        pytest.raises(SynguardError, match="Cannot assign requested address"),
        serve(ServerSpec(kind="nginx"), topology.server, ["198.18.0.99"]),
    ):
        pass


def test_without_nginx_the_package_is_named(topology: Topology, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nginx is missing, the error says what to install."""
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with (
        pytest.raises(UnsupportedError, match="nginx-light"),
        serve(ServerSpec(kind="nginx"), topology.server, addresses(topology)),
    ):
        pass
