"""nmap, as people run it, from a host of the stage; bounded in time whatever happens to this process."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence

from bench.flood.commands import PACKAGES
from bench.net.links import Endpoint
from bench.net.namespaces import start_in
from synguard.errors import SynguardError, UnsupportedError

_DONE = re.compile(r"Nmap done: \d+ IP address")
_KILL_AFTER_S = 2


def scan(host: Endpoint, targets: Sequence[str], *options: str, bound_s: float = 75.0) -> str:
    """Run one whole scan from a host and return what nmap says.

    No name is looked up and nobody is asked whether he is there; the rest is nmap's default or an option.

    Raises:
        UnsupportedError: nmap is not installed.
        SynguardError: it failed, or was not done within ``bound_s``; with its own words.

    """
    if shutil.which("nmap") is None:
        raise UnsupportedError(f"there is no nmap here: install Debian's package {PACKAGES['nmap']}")
    nmap = ["nmap", "-n", "-Pn", *options, *targets]
    argv = ["timeout", "-k", str(_KILL_AFTER_S), f"{bound_s:g}", *nmap]
    process = start_in(
        host, argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    said, _ = process.communicate(timeout=bound_s + 2 * _KILL_AFTER_S)
    if process.returncode or not _DONE.search(said):
        raise SynguardError(f"{' '.join(nmap)} did not do: {said.strip()[-500:]}")
    return str(said)
