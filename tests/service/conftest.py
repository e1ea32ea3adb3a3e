"""The machine that the service tests install on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service.machine import Machine


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Boot a machine of its own for a test module."""
    with Machine(tmp_path_factory.mktemp("machine")) as booted:
        yield booted
