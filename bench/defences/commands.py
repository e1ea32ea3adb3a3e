"""Runs firewall commands inside a namespace."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from bench.net.enter import call_in, child_environment
from synguard.errors import SynguardError, UnsupportedError

_TIMEOUT_S = 20.0
#: The Debian package of each command.
PACKAGES = {
    "nft": "nftables",
    "iptables": "iptables",
    "ip6tables": "iptables",
    "iptables-restore": "iptables",
    "ip6tables-restore": "iptables",
}


def run_command(namespace: str, argv: Sequence[str], given: str = "", feature: str = "") -> str:
    """Return what a command printed that ran inside the namespace.

    Args:
        namespace: where it runs.
        argv: the command and its arguments.
        given: its standard input.
        feature: what a kernel lacks, most likely, that makes the command fail.

    Raises:
        UnsupportedError: the command is not installed, or it failed and ``feature`` says why.
        SynguardError: it failed otherwise, or took too long.

    """

    def run() -> subprocess.CompletedProcess[str]:
        # A child belongs to the namespace of the thread that starts it.
        return subprocess.run(
            argv,
            input=given,
            capture_output=True,
            env=child_environment(),
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )

    try:
        result = call_in(namespace, run)
    except FileNotFoundError as error:
        package = PACKAGES.get(argv[0], argv[0])
        raise UnsupportedError(f"{argv[0]} is missing; install it: apt-get install {package}") from error
    except subprocess.TimeoutExpired as error:
        raise SynguardError(f"{argv[0]} took longer than {_TIMEOUT_S:g} s") from error
    if result.returncode == 0:
        return result.stdout
    refusal = f"{' '.join(argv)} fails: {result.stderr.strip() or result.returncode}"
    if feature:
        raise UnsupportedError(f"{refusal}; the kernel needs {feature}")
    raise SynguardError(refusal)
