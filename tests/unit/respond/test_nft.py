import sys

import pytest

from synguard.errors import UnsupportedError
from synguard.respond import nft


def test_missing_binding_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where netfilter's binding is missing, the message names the package that brings it."""
    monkeypatch.setitem(sys.modules, "nftables", None)
    with pytest.raises(UnsupportedError, match="python3-nftables"):
        nft.ruleset()
