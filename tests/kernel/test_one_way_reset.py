import pytest

from tests.kernel.test_one_way import blind_wire  # noqa: F401
from tests.kernel.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.kernel]


def test_a_reset_that_acknowledges_one_aborts_nothing(blind_wire: Wire) -> None:
    """An ISN of ours that nobody has seen is not 0."""
    connection = blind_wire.connection()
    blind_wire.syn(connection)
    with blind_wire.counted() as moved:
        blind_wire.segment(connection, "RA", seq=connection.isn + 1000, ack=1)
    assert moved() == {}
