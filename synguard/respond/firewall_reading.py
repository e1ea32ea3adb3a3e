"""Reads this network namespace's firewall: nftables, and both kinds of iptables."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from synguard.errors import SynguardError
from synguard.respond import firewall_iptables as iptables
from synguard.respond.firewall_rules import Ruleset, parse
from synguard.respond.nft import ruleset

#: What is left to nftables' own module: only that drops by our own rules.
OUR_TABLE = ("inet", "synguard")
#: The tables that iptables-legacy has loaded, by family. (``/proc/net`` would be that of the main thread.)
_LEGACY_TABLES = {"ip": "ip_tables_names", "ip6": "ip6_tables_names"}
_PROC_NET = Path("/proc/thread-self/net")
_PREFIX = {"ip": "iptables", "ip6": "ip6tables"}
#: Where a service finds them as well.
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin"
_TIMEOUT_S = 5.0
_BYTES_MAX = 32 * 1024 * 1024


def read_rules() -> Ruleset:
    """Return the firewall as of now. Raises SynguardError for what there is and cannot be read."""
    rules = _nftables()
    for family in _LEGACY_TABLES:
        if iptables.has_unnamed(rules, family):
            saved = _printed([f"{_PREFIX[family]}-nft-save"])
            if saved is not None:
                iptables.explain(rules, iptables.parse(saved, family))
        _add_legacy(rules, family)
    return rules


def _nftables() -> Ruleset:
    objects = ruleset()
    try:
        return parse(objects, without=OUR_TABLE)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SynguardError(f"the rules of nftables are not understood: {error!r}") from error


def _add_legacy(rules: Ruleset, family: str) -> None:
    """Add the chains of iptables-legacy; raises SynguardError where there may be some that cannot be read."""
    try:
        names = (_PROC_NET / _LEGACY_TABLES[family]).read_text(encoding="ascii").split()
    except FileNotFoundError:
        return
    except OSError:
        names = ["?"]
    if not names:
        return
    command = f"{_PREFIX[family]}-legacy-save"
    printed = _printed([command])
    if printed is None:
        raise SynguardError(
            f"rules of {_PREFIX[family]}-legacy may be there (table {', '.join(names)}), and {command} "
            "does not tell them"
        )
    try:
        legacy = iptables.parse(printed, family, kind="legacy ")
    except ValueError as error:
        raise SynguardError(f"{command}: {error}") from error
    rules.chains |= legacy.chains


def _printed(command: Sequence[str]) -> str | None:
    """Return what a command prints; None where it is missing, fails, or is not done in time."""
    path = shutil.which(command[0], path=_PATH)
    if path is None:
        return None
    try:
        done = subprocess.run([path, *command[1:]], capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0 or len(done.stdout) > _BYTES_MAX:
        return None
    return done.stdout.decode(errors="replace")
