"""A machine of our own: a real systemd as process 1 of new namespaces, over an overlay of ``/``."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).parents[2]
BOOT = Path(__file__).with_name("boot.sh")

#: All but the network: commands that fetch packages use the real machine's.
NAMESPACES = ("--mount", "--pid", "--uts", "--ipc", "--cgroup")

#: setpriv: however the tests end, unshare is killed with them, and takes process 1 with it.
UNSHARE = (
    *("setpriv", "--pdeathsig", "KILL", "unshare", "--propagation", "private", "--net"),
    *(*NAMESPACES[:-1], "--fork", "--kill-child=KILL", "--"),
)

ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
} | {name: value for name, value in os.environ.items() if name.startswith("PIP_")}


class Machine:
    """A booted systemd. Its files, processes, cgroups and interfaces vanish with it.

    The checkout appears in it as /srv/synguard; nothing written there reaches the real one.
    """

    def __init__(self, base: Path) -> None:
        """Prepare to boot over ``base``, an empty directory."""
        self._base = base
        #: Everything in the machine runs below this cgroup.
        self.cgroup = _cgroup2_mount() / f"synguard-test-{os.getpid()}-{base.name}"
        self._unshare: subprocess.Popen[bytes] | None = None
        self._pid = 0

    def __enter__(self) -> Machine:
        """Boot, and return when systemd has no start-up job left."""
        self.cgroup.mkdir()
        try:
            self._boot()
        except BaseException:
            self.power_off()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill everything in it."""
        self.power_off()

    def _boot(self) -> None:
        self._unshare = subprocess.Popen(
            [*UNSHARE, str(BOOT), str(self._base), str(self.cgroup), str(ROOT)], stdin=subprocess.DEVNULL
        )
        self._pid = self._wait_for_systemd(self._unshare, deadline_s=time.monotonic() + 30)
        self.run("systemctl", "is-system-running", "--wait", check=False, timeout_s=60)

    def _wait_for_systemd(self, unshare: subprocess.Popen[bytes], deadline_s: float) -> int:
        children = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children")
        while time.monotonic() < deadline_s:
            if unshare.poll() is not None:
                break
            child = int(children.read_text(encoding="ascii") or 0)
            if child and _listens_to_systemctl(child):
                return child
            time.sleep(0.02)
        raise RuntimeError(f"systemd did not start in its namespaces (unshare: {unshare.poll()})")

    def run(
        self, *command: str, check: bool = True, timeout_s: float = 60, network: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the machine; its output is text. Raises RuntimeError when ``check`` and it fails.

        With ``network`` it keeps the real machine's network, to fetch packages.
        """
        spaces = [*NAMESPACES] if network else [*NAMESPACES, "--net"]
        result = subprocess.run(
            ["nsenter", "--target", str(self._pid), *spaces, "--", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env=ENVIRONMENT,
        )
        if check and result.returncode != 0:
            raise RuntimeError(f"{command} ended with {result.returncode}: {result.stdout}{result.stderr}")
        return result

    def poll(self, *command: str, want: str, deadline_s: float = 20) -> str:
        """Run a command until its output has ``want`` and return it. Raises TimeoutError with the last."""
        until = time.monotonic() + deadline_s
        while time.monotonic() < until:
            output = self.run(*command, check=False).stdout
            if want in output:
                return output
            time.sleep(0.05)
        raise TimeoutError(f"{command} never said {want!r}, but: {output}")

    def write(self, path: str, text: str) -> None:
        """Write a file in the machine."""
        (Path(f"/proc/{self._pid}/root") / path.lstrip("/")).write_text(text, encoding="utf-8")

    def exists(self, path: str) -> bool:
        """Tell whether the machine has such a file."""
        return self.run("test", "-e", path, check=False).returncode == 0

    def power_off(self) -> None:
        """Kill process 1, and so everything in its namespaces, and remove its cgroups. Harmless when off."""
        if self._unshare is not None:
            self._unshare.kill()
            self._unshare.wait()
            self._unshare = None
        _remove_cgroup(self.cgroup, deadline_s=time.monotonic() + 10)


def _listens_to_systemctl(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return (
        command.startswith(b"/lib/systemd/systemd") and Path(f"/proc/{pid}/root/run/systemd/private").exists()
    )


def _cgroup2_mount() -> Path:
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, mount_point, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(mount_point)
    raise RuntimeError("cgroup2 is mounted nowhere here: mount -t cgroup2 cgroup2 /sys/fs/cgroup")


def _remove_cgroup(top: Path, deadline_s: float) -> None:
    while top.exists():
        try:
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()
        except OSError:  # Its last processes are still being reaped.
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.02)
