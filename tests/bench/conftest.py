"""What the tests of the bench share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.net.namespaces import Topology


@pytest.fixture
def topology() -> Iterator[Topology]:
    """Server, client and attacker, each in a namespace."""
    with Topology() as built:
        yield built
