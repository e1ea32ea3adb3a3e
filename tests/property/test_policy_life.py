"""A state machine on the policy: alerts, proofs, modes and times in any order bring about no harm."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_network

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from synguard.endpoint import Listener, Network, source_text
from synguard.handshake import ClockProof
from synguard.model import (
    Alert,
    AlertClass,
    AlertKind,
    AlertState,
    Evidence,
    RespondMode,
    Response,
    Severity,
    TopSource,
)
from synguard.respond.pacing import Pacing
from synguard.respond.policy import Decision, Protected, Rules, Situation, decide
from synguard.respond.repeats import Repeats

NOW_S = 1_790_000_000.0
#: Addresses, and networks that hold some of them, in both families.
NETWORKS = [
    ip_network(text)
    for text in (
        "198.51.100.7",
        "198.51.100.8",
        "198.51.100.0/24",
        "198.51.100.0/30",
        "::ffff:198.51.100.7",
        "2001:db8::/64",
        "2001:db8::1",
        "2001:db8::/48",
    )
]
LISTENERS = [Listener.parse("203.0.113.5"), *(Listener.parse(f"203.0.113.5:{port}") for port in range(1, 80))]
IDS = st.integers(1, 2)
#: Counts around the bounds of a proof, and beyond.
PROOFS = st.builds(
    ClockProof,
    st.sampled_from((-1.0, 0.0, 4.2, 60.0, 60.5, 1e9)),
    st.sampled_from((0, 63, 64, 95, 500)),
    st.sampled_from((0, 5, 6, 500)),
    st.sampled_from((0, 0, 1)),
)


def numbers(network: Network) -> tuple[int, int]:
    """Return the first and last address as the probe holds them: IPv4 within ::ffff:0:0/96."""
    first, last = int(network.network_address), int(network.broadcast_address)
    return (first + (0xFFFF << 32), last + (0xFFFF << 32)) if network.version == 4 else (first, last)


def shares(one: Network, other: Network) -> bool:
    """Tell whether two networks share an address."""
    (first, last), (begin, end) = numbers(one), numbers(other)
    return first <= end and begin <= last


def holds(outer: Network, inner: Network) -> bool:
    """Tell whether every address of one network is in the other."""
    (begin, end), (first, last) = numbers(outer), numbers(inner)
    return begin <= first and last <= end


class World:
    """Carries decisions out as the responder promises to, in one mode; keeps what is in force by alert."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.in_force: dict[int, dict[str, Response]] = {}
        self.pacing = Pacing()
        self.repeats = Repeats()
        #: When each response was brought about.
        self.acted_s: list[float] = []

    def held(self) -> int:
        """Return how many responses alerts have in force."""
        return sum(len(responses) for responses in self.in_force.values())

    def own(self, alert: Alert) -> dict[str, Response]:
        """Return what an alert has in force."""
        return self.in_force.setdefault(alert.id, {})

    def decide(self, alert: Alert, facts: Situation, by_hand: int, now_s: float) -> Decision:
        """Decide about an alert and carry it out."""
        own = self.own(alert)
        situation = replace(
            facts,
            blocks_held=self.held() + by_hand,
            actions_last_min=self.pacing.last_min(now_s),
            repeats=self.repeats.count(alert.source, now_s) if alert.source else 0,
            in_force=tuple(own.values()),
        )
        decision = decide(alert, self.rules, situation, now_s)
        if decision.undo:
            own.clear()
        for response in decision.responses:
            self.put(situation.in_force, alert, response, now_s)
        return decision

    def put(self, before: Iterable[Response], alert: Alert, response: Response, now_s: float) -> None:
        """Bring a response about, or let it go on."""
        if (response.response, response.target) not in {(one.response, one.target) for one in before}:
            self.pacing.took(1, now_s)
            self.acted_s.append(now_s)
        if response not in before and response.response == "drop" and alert.source:
            self.repeats.blocked(alert.source, now_s, response.until_s or now_s)
        self.own(alert)[response.target] = response

    def expire(self, now_s: float) -> None:
        """Let end what is over."""
        for own in self.in_force.values():
            for target in [target for target, one in own.items() if (one.until_s or 0.0) <= now_s]:
                del own[target]

    def close(self, alert: Alert) -> None:
        """Let end what ends with an alert; drops last."""
        own = self.own(alert)
        for target in [target for target, one in own.items() if one.response != "drop"]:
            del own[target]


class PolicyLife(RuleBasedStateMachine):
    """Moves everything that bears on decisions, and follows what is in force in dry-run and in enforce."""

    @initialize(
        drop=st.sampled_from(("proven", "always")),
        ttls_s=st.sampled_from(((1.0, 1.0), (60.0, 300.0), (600.0, 86_400.0), (600.0, 2.0))),
        caps=st.tuples(st.sampled_from((1, 4, 100, 5000)), st.sampled_from((1, 5, 200))),
        sources=st.sampled_from(("greylist", "greylist", "none")),
        listeners=st.sampled_from(("cookie", "cookie", "greylist", "none")),
    )
    def begin(
        self, drop: str, ttls_s: tuple[float, float], caps: tuple[int, int], sources: str, listeners: str
    ) -> None:
        """Begin with some settings, and nothing in force."""
        rules = Rules(RespondMode.ENFORCE, drop, ttls_s[0], caps[0], ttls_s[1], caps[1], sources, listeners)
        self.now_s = NOW_S
        self.real = World(rules)
        self.dry = World(replace(rules, mode=RespondMode.DRY_RUN))
        self.alerts: dict[int, Alert] = {}
        self.facts: dict[int, Situation] = {}
        self.protected: tuple[Protected, ...] = ()
        self.by_hand = 0

    @rule(
        number=IDS,
        kind=st.sampled_from((AlertKind.SYN_FLOOD,) * 6 + tuple(AlertKind)),
        alert_class=st.sampled_from((AlertClass.SINGLE_SOURCE,) * 4 + tuple(AlertClass)),
        source=st.one_of(st.sampled_from(NETWORKS), st.none()),
        first=st.integers(0, 3),
        count=st.sampled_from((0, 1, 3, 70)),
    )
    def see(
        self,
        number: int,
        kind: AlertKind,
        alert_class: AlertClass,
        source: IPv4Network | IPv6Network | None,
        first: int,
        count: int,
    ) -> None:
        """Let an alert open, or look otherwise than before; whoever completed there did so still."""
        listeners = tuple(LISTENERS[first : first + count])
        before = self.alerts.get(number)
        self.alerts[number] = Alert(
            number,
            kind,
            alert_class,
            Severity.HIGH,
            AlertState.OPEN,
            NOW_S,
            listeners[0] if listeners else None,
            source,
            top_sources=before.top_sources if before else (),
            listeners=listeners,
        )
        self.decide(number)

    @rule(
        number=IDS,
        alert_class=st.sampled_from((AlertClass.SINGLE_SOURCE, AlertClass.SINGLE_SOURCE, AlertClass.PREFIX)),
        source=st.sampled_from(NETWORKS),
        proof=st.builds(
            ClockProof,
            st.just(4.2),
            st.sampled_from((10, 64, 500)),
            st.sampled_from((3, 40)),
            st.integers(0, 1),
        ),
    )
    def flood(self, number: int, alert_class: AlertClass, source: Network, proof: ClockProof) -> None:
        """Let one source or prefix flood, which is proven to be itself, or nearly."""
        self.facts[number] = Situation((), proof=proof)
        self.see(number, AlertKind.SYN_FLOOD, alert_class, source, 0, 1)

    @rule(number=IDS, source=st.sampled_from(NETWORKS), named=st.booleans())
    def complete(self, number: int, source: Network, named: bool) -> None:
        """Let somebody complete handshakes during an alert, told among its sources or as evidence."""
        if alert := self.alerts.get(number):
            if named:
                top = (*alert.top_sources, TopSource(source, 5000, 3))
                self.alerts[number] = replace(alert, top_sources=top)
            else:
                self.alerts[number] = replace(alert, evidence=(Evidence("live_client", 3, 0.5),))
            self.decide(number)

    @rule(
        number=IDS,
        proof=st.one_of(st.none(), PROOFS, st.just(ClockProof(4.2, 500, 3, 0))),
        cannot_drop=st.sampled_from((None, None, None, "the probe only observes")),
        obstacles=st.sets(st.sampled_from(LISTENERS), max_size=3),
    )
    def learn(
        self, number: int, proof: ClockProof | None, cannot_drop: str | None, obstacles: set[Listener]
    ) -> None:
        """Let the probe and the system tell something else than before."""
        told = dict.fromkeys(obstacles, "a firewall rule treats some clients otherwise")
        self.facts[number] = Situation((), proof=proof, cannot_drop=cannot_drop, obstacles=told, losses=told)
        self.decide(number)

    @rule(networks=st.lists(st.sampled_from(NETWORKS), max_size=2))
    def protect(self, networks: list[Network]) -> None:
        """Let the never-touch list change, and decide anew, as the responder does."""
        self.protected = tuple(Protected(one, "it is on the allow list") for one in networks)
        for number in list(self.alerts):
            self.decide(number)

    @rule(blocks=st.integers(0, 4))
    def block_by_hand(self, blocks: int) -> None:
        """Let people hold so many blocks, as far as there is room."""
        room = self.real.rules.max_blocks - max(self.real.held(), self.dry.held())
        self.by_hand = min(blocks, room)

    @rule(later_s=st.sampled_from((0.0, 0.05, 1.0, 29.0, 61.0, 599.0, 90_000.0)))
    def wait(self, later_s: float) -> None:
        """Let time pass, and what is over end."""
        self.now_s += later_s
        for world in (self.real, self.dry):
            world.expire(self.now_s)

    @rule(number=IDS)
    def decide(self, number: int) -> None:
        """Decide about an alert as it is now."""
        alert = self.alerts.get(number)
        if alert is None:
            return
        facts = replace(self.facts.get(number, Situation(())), protected=self.protected)
        off = replace(self.real.rules, mode=RespondMode.OFF)
        over = replace(alert, state=AlertState.CLOSED)
        assert decide(alert, off, facts, self.now_s).responses == ()
        assert decide(over, self.real.rules, facts, self.now_s).responses == ()
        before = dict(self.real.own(alert))
        real = self.real.decide(alert, facts, self.by_hand, self.now_s)
        dry = self.dry.decide(alert, facts, self.by_hand, self.now_s)
        assert real.reason
        assert all(one.mode is RespondMode.DRY_RUN for one in dry.responses)
        as_real = tuple(replace(one, mode=RespondMode.ENFORCE) for one in dry.responses)
        assert replace(dry, responses=as_real) == real
        for response in real.responses:
            self.check(alert, facts, response, is_new=response != before.get(response.target))
        self.check_standing(alert, facts)

    def check_standing(self, alert: Alert, facts: Situation) -> None:
        """Hold the drops that an alert has in force, new or not, against what it tells now."""
        is_one = alert.kind is AlertKind.SYN_FLOOD and alert.alert_class is AlertClass.SINGLE_SOURCE
        others = facts.proof.others if facts.proof and self.real.rules.drop == "proven" else 0
        for held in self.real.own(alert).values():
            if held.response == "drop" and is_one and held.target == source_text(alert.source or NETWORKS[0]):
                assert not others, "a drop outlives its proof"
            if held.response == "drop" and alert.kind is AlertKind.SYN_FLOOD:
                assert not self.somebody_lives_at(alert, held), "a drop outlives a handshake at its source"
                target = ip_network(held.target)
                assert not any(shares(one.network, target) for one in self.protected), "or its protection"

    def somebody_lives_at(self, alert: Alert, response: Response) -> bool:
        """Tell whether handshakes were completed at a response's target, as far as the alert tells."""
        if held := [one for one in alert.top_sources if one.completed]:
            return any(shares(one.source, ip_network(response.target)) for one in held)
        return bool(alert.evidence) and source_text(alert.source or NETWORKS[0]) == response.target

    def check(self, alert: Alert, facts: Situation, response: Response, *, is_new: bool) -> None:
        """Hold one response against every promise."""
        assert alert.kind is AlertKind.SYN_FLOOD
        assert facts.cannot_drop is None
        assert response.until_s is not None
        rules = self.real.rules
        longest_s = max(rules.block_ttl_s, rules.block_ttl_max_s)
        assert self.now_s < response.until_s <= self.now_s + longest_s < math.inf
        if response.target in {str(one) for one in LISTENERS if one.port}:
            assert response.response in {"cookie", "greylist"}
            assert alert.alert_class in {AlertClass.SPOOFED, AlertClass.DISTRIBUTED}
            return
        target = ip_network(response.target)
        assert not any(holds(one.network, target) for one in self.protected)
        if response.response == "greylist":
            return
        assert response.response == "drop"
        assert alert.alert_class is AlertClass.SINGLE_SOURCE
        assert not any(shares(one.network, target) for one in self.protected)
        assert not self.somebody_lives_at(alert, response)
        if is_new and rules.drop != "always":
            self.check_proof(facts.proof)

    def check_proof(self, proof: ClockProof | None) -> None:
        """Hold the proof of a new drop against what counts as one."""
        assert proof is not None
        assert 0 <= proof.seconds_old <= 60
        assert proof.matched >= 64
        assert proof.missed * 20 <= proof.matched + proof.missed
        assert proof.others == 0

    @rule(number=IDS)
    def close(self, number: int) -> None:
        """Let an alert close."""
        if alert := self.alerts.pop(number, None):
            for world in (self.real, self.dry):
                world.close(alert)

    @invariant()
    def caps_are_kept(self) -> None:
        """Neither are more responses held than allowed, nor more brought about in any minute."""
        if not hasattr(self, "real"):
            return
        rules = self.real.rules
        assert self.real.held() + self.by_hand <= rules.max_blocks
        assert all(len(own) <= 64 for own in self.real.in_force.values())
        lately = [at_s for at_s in self.real.acted_s if at_s > self.now_s - 60]
        assert len(lately) <= rules.max_actions_per_min


TestPolicyLife = PolicyLife.TestCase
TestPolicyLife.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
