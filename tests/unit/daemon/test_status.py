"""What status makes of what is known elsewhere."""

from __future__ import annotations

from synguard.daemon.status import _expected_losses
from synguard.probe.loss import greylist_loss, handshake_loss, known_from_syn_per_s


def test_expected_losses_are_those_that_are_stated() -> None:
    """At the rate of all listeners together, and at the rates of floods, each hold time has its share."""
    listeners = [{"attempts_per_s": rate} for rate in (1_500_000.04, None, 500_000.0)]
    rows = list(_expected_losses(listeners))
    assert [row["attempts_per_s"] for row in rows] == [2_000_000.0, 100_000, 1_000_000]
    for row in rows:
        shares = {each["hold_s"]: each["lost_share"] for each in row["handshakes"]}
        assert shares == {hold_s: handshake_loss(row["attempts_per_s"], hold_s) for hold_s in (0.1, 0.2, 1.0)}
        again = {each["hold_s"]: each["lost_share"] for each in row["greylisted"]}
        assert again == {hold_s: greylist_loss(row["attempts_per_s"], hold_s) for hold_s in (1.0, 3.0)}
        assert row["sources_known_from_syn_per_s"] == known_from_syn_per_s(row["attempts_per_s"])
    assert next(_expected_losses([]))["handshakes"][2]["lost_share"] == 0
