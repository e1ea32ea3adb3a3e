"""Good clients alone open nothing, whatever responses of ours begin and end while they come."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from synguard.detect import Detector, Thresholds
from tests.unit.detect.responding import How, Responding, Rule
from tests.unit.detect.simulation import NAT, WEB, Stream, crowd

rules = st.builds(
    lambda how, start, length: Rule(how, WEB, start * 500, (start + length) * 500),
    st.sampled_from([How.GREYLIST, How.COOKIE]),
    st.integers(1, 16),
    st.integers(1, 10),
)
clients = st.builds(
    lambda per_s, rtt_ms, start, length, watched: crowd(
        per_s, rtt_ms, start_ms=start * 500, stop_ms=(start + length) * 500, watched=watched
    ),
    st.sampled_from([100, 400, 2000]),
    st.sampled_from([0, 20, 80, 150, 300]),
    st.integers(0, 10),
    st.integers(1, 20),
    st.sampled_from([None, None, NAT]),
)


@settings(max_examples=25, deadline=None)
@given(clients, st.lists(rules, min_size=1, max_size=3), st.sampled_from([0.0, 0.01]))
def test_good_clients_open_nothing_under_any_response(comers: Stream, ours: list[Rule], loss: float) -> None:
    """Clients who come and go while a greylist and cookies begin, end and take turns are never a flood."""
    world = Responding(Detector(Thresholds(), 1), comers, rules=tuple(ours), loss=loss, tick_ms=20)
    assert world.run(22_000).actions == []
