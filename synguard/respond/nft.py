"""Talks to nftables, by netfilter's own binding: runs commands in one transaction, and lists the ruleset."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from synguard.errors import SynguardError, UnsupportedError

#: libnftables' parser is not safe for several threads at once.
_ONE_AT_A_TIME = threading.Lock()


def run(commands: Sequence[Mapping[str, Any]]) -> None:
    """Carry out commands as libnftables-json(5) writes them, in this network namespace: all or none.

    Raises:
        UnsupportedError: netfilter's binding is not installed.
        SynguardError: nftables refuses; nothing was changed.

    """
    _answer({"nftables": list(commands)})


def ruleset() -> list[dict[str, Any]]:
    """Return every table, chain, rule and set of this network namespace, as libnftables-json(5) writes them.

    Raises as :func:`run` does.
    """
    answer = _answer({"nftables": [{"list": {"ruleset": None}}]})
    return [entry for entry in answer if "metainfo" not in entry]


def table(family: str, name: str) -> list[dict[str, Any]]:
    """Return one table with all that is in it; nothing where there is none. Raises as :func:`run` does."""
    tables = _answer({"nftables": [{"list": {"tables": None}}]})
    known = {(one["table"]["family"], one["table"]["name"]) for one in tables if "table" in one}
    if (family, name) not in known:
        return []
    answer = _answer({"nftables": [{"list": {"table": {"family": family, "name": name}}}]})
    return [entry for entry in answer if "metainfo" not in entry]


def _answer(request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what libnftables answers: nothing, unless it was asked to list."""
    binding = _binding()
    with _ONE_AT_A_TIME:
        # A context each: one that is kept stays with the network namespace and the caches of its first use.
        nft = binding.Nftables()
        nft.set_json_output(True)
        code, output, error = nft.cmd(json.dumps(request))
    if code != 0:
        raise SynguardError(f"nftables refuses: {' '.join(error.split()) or 'it does not say why'}")
    entries: list[dict[str, Any]] = json.loads(output)["nftables"] if output else []
    return entries


def _binding() -> ModuleType:
    try:
        import nftables  # noqa: PLC0415  # missing where nobody asked for nftables
    except ImportError as error:
        raise UnsupportedError(
            "netfilter's Python binding is missing: install the package python3-nftables "
            "(a virtual environment sees it with --system-site-packages)"
        ) from error
    module: ModuleType = nftables
    return module
