"""Places to examine: a network and a mount namespace that end with the command run in them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from bench.defences.guard import synguard_command

TIMEOUT_S = 60.0

#: A host with one network, in order as far as a namespace can be: what a test seeds comes after it.
HOST = """
ip link set lo up
ip link add v0 type veth peer v1
ip address add 192.0.2.1/24 dev v0
ip link set v0 up
ip link set v1 up
cd /proc/sys/net
echo 1 > ipv4/tcp_syncookies
echo 4096 > core/somaxconn
echo 4096 > ipv4/tcp_max_syn_backlog
echo 5 > ipv4/tcp_synack_retries
echo 0 > ipv4/conf/all/rp_filter
echo 1 > ipv4/conf/v0/rp_filter
"""


class Examined(NamedTuple):
    """What doctor found in a place."""

    exit_code: int
    findings: list[dict[str, Any]]

    @classmethod
    def read(cls, done: subprocess.CompletedProcess[str]) -> Self:
        """Return what ``synguard doctor --format json`` has written."""
        return cls(done.returncode, json.loads(done.stdout))

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the findings of that name."""
        return [finding for finding in self.findings if finding["name"] == name]

    def one(self, name: str) -> dict[str, Any]:
        """Return the only finding of that name."""
        (finding,) = self.named(name)
        return finding


class Place:
    """Where doctor is run as a person would run it, in namespaces of its own.

    Args:
        folder: for the settings, the history and the control socket.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "history" / "synguard.db"
        self._settings = folder / "synguard.toml"
        self.configure()

    def configure(self, probe: str = "", history: str = "") -> None:
        """Write the settings, with these lines in two of their sections."""
        self._settings.write_text(
            f'[probe]\n{probe}\n[history]\ndatabase = "{self.database}"\n{history}\n'
            f'[control]\nsocket = "{self.folder}/control.sock"\ngroup = "root"\n',
            encoding="utf-8",
        )

    def examine(
        self, fault: str = "", *, interfaces: Sequence[str] = ("v0",), within: Sequence[str] = ()
    ) -> Examined:
        """Run ``synguard doctor --format json`` on the host, after these lines of shell.

        Args:
            fault: what to do to the host before.
            interfaces: what to look at.
            within: a command that runs the one that follows it, as ``setpriv`` does.

        """
        named = [word for name in interfaces for word in ("--interface", name)]
        done = self.run(fault, ("doctor", "--format", "json", *named), within)
        assert done.returncode in (0, 1), done.stderr
        return Examined.read(done)

    def run(
        self, fault: str, arguments: Sequence[str], within: Sequence[str] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of synguard with the settings on the host, after these lines of shell."""
        return subprocess.run(
            self._command(fault, arguments, within),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )

    def attached(self, fault: str, interface: str) -> str:
        """Return how a daemon's probe attaches there on ingress; the daemon ends as soon as it has told."""
        command = self._command(fault, ("run", "--interface", interface))
        said = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as daemon:
            assert daemon.stdout is not None
            for line in daemon.stdout:
                said.append(line)
                if '"probe.attached"' in line:
                    daemon.terminate()
                    return str(json.loads(line)["ingress"])
        raise AssertionError("".join(said))

    def _command(
        self, fault: str, arguments: Sequence[str], within: Sequence[str] = ()
    ) -> Sequence[str | Path]:
        command = (*within, *synguard_command(*arguments, "--config", str(self._settings)))
        script = f'{HOST}\n{fault}\ncd "$0"\nexec "$@"'
        return ("unshare", "--net", "--mount", "sh", "-ec", script, self.folder, *command)


def python_within(code: str, *arguments: str) -> tuple[str, ...]:
    """Return a command that runs Python code, and then the command that follows it as its child."""
    ending = "\nimport subprocess, sys\nsys.exit(subprocess.call(sys.argv[1 + EXTRA:]))"
    return (sys.executable, "-c", code + ending.replace("EXTRA", str(len(arguments))), *arguments)
