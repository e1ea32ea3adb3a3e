"""What is going on and what to do next, in sentences that a person understands at three in the morning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synguard.endpoint import Listener
from synguard.model import AlertClass, AlertState
from synguard.telling.figures import figure
from synguard.telling.responses import meanwhile
from synguard.telling.wording import is_blind, what


@dataclass(frozen=True, slots=True)
class Story:
    """Two texts; ``{where}``, ``{source}``, ``{sources}`` and ``{is_}`` stand for the alert's own.

    ``{meanwhile}`` stands for what is done about it.
    """

    #: What is going on. The rate follows after a colon.
    opening: str
    #: What it means, and what to do.
    means: str


_HARMLESS_SCAN = (
    "It costs the server nothing, but somebody is looking for a way in: see what else came from there, and "
    "that only ports answer which should. To shut it out for an hour: `synguard block add {source} --ttl 1h`."
)

STORIES: Mapping[tuple[str, str | None], Story] = {
    ("syn-flood", "spoofed"): Story(
        "{where} {is_} flooded with SYNs whose sources cannot be believed",
        "The addresses are probably other people's: block none of them by hand. {meanwhile} If the line "
        "itself is full, ask your provider to filter what goes to {where}.",
    ),
    ("syn-flood", "distributed"): Story(
        "{where} {is_} flooded with SYNs of many sources, {sources}, that seem to be real",
        "No source stands out, so blocking single ones changes little. {meanwhile} If the top sources share "
        "networks, ask your provider to filter those.",
    ),
    ("syn-flood", "single-source"): Story(
        "{source} floods {where} with SYNs and does not complete the handshakes",
        "{meanwhile} The address may be spoofed, and a block then cuts off whoever really has it. If you "
        "know that it is not, or nobody there is a client of yours: `synguard block add {source} --ttl 1h`.",
    ),
    ("syn-flood", "prefix"): Story(
        "The addresses of {source} together flood {where} with SYNs, each too few to stand out",
        "{meanwhile} A block cuts off everybody in {source}, good clients as well; find out whose network it "
        "is. If nobody there is a client of yours: `synguard block add {source} --ttl 1h`.",
    ),
    ("scan", "half-open"): Story(
        "{source} asks one target after the other and completes no handshake: a half-open port scan",
        _HARMLESS_SCAN,
    ),
    ("scan", "closed-ports"): Story(
        "{source} asks for one closed port after the other: a port scan", _HARMLESS_SCAN
    ),
    ("scan", "fin"): Story("{source} sends FINs that belong to no connection: a port scan", _HARMLESS_SCAN),
    ("scan", "null"): Story(
        "{source} sends segments without any flag, as no connection does: a port scan", _HARMLESS_SCAN
    ),
    ("scan", "xmas"): Story(
        "{source} sends segments with FIN, PSH and URG, as no connection does: a port scan", _HARMLESS_SCAN
    ),
    ("reflection", None): Story(
        "Somebody sends SYNs in the name of {source}, so that our SYN-ACKs hit it: {where} {is_} used as a "
        "reflector",
        "It does no harm here, but there. Each SYN is answered up to six times: a lower "
        "net.ipv4.tcp_synack_retries makes that fewer. Whoever runs {source} may complain: they never asked.",
    ),
    ("overload", None): Story(
        "{where} {is_} overloaded: clients complete handshakes faster than the application accepts them",
        "This is no attack, and no block helps. Look at the program behind {where}: is it slow, hung, or out "
        "of workers? `ss -lnt` shows its accept queue; a longer one (its backlog, net.core.somaxconn) bears "
        "short peaks only.",
    ),
}

#: Floods that are answered at the listeners, since nobody in particular can be blamed.
_OF_LISTENERS = (AlertClass.SPOOFED, AlertClass.DISTRIBUTED)
#: By whether it goes on, and whether there are several of them.
_IS = {(True, False): "is", (True, True): "are", (False, False): "was", (False, True): "were"}

_BLIND_STILL = "synguard does not see all that it should: while that lasts, silence is no sign of safety."
_BLIND_ONCE = (
    "synguard did not see all that it should: that nothing was raised meanwhile is no sign of safety."
)
#: What lets real clients in where synguard does nothing about a flood on listeners.
_KERNEL_COOKIES = "SYN cookies let real clients in meanwhile: `synguard doctor` says whether they are on."
#: What follows where SYNs of a source are dropped.
_UNDO = (
    "If good clients are behind {source}: `synguard block remove {source}`, or `synguard respond dry-run` "
    "for all."
)

_IMPACT = {
    "none": "none: the queues have room, and clients are answered as always",
    "cookies": "the SYN queue is full and the kernel answers with SYN cookies: clients get in, some slower",
    "dropping": "the kernel drops SYNs: new clients wait for seconds, or fail",
    "accept-queue-full": "the accept queue is full: the application takes connections too slowly",
    "unknown": "unknown: the sockets behind it are not this machine's own, or could not be asked",
}


def opening(alert: Mapping[str, Any], rate: str) -> str:
    """Return one sentence that says what is going on; ``rate`` is a clause, or empty."""
    if is_blind(alert):
        return _BLIND_STILL if _goes_on(alert) else _BLIND_ONCE
    story = STORIES.get((alert["kind"], alert["class"]))
    text = _told(story.opening, alert) if story else f"{what(alert)}: {where(alert)}"
    return f"{text}: {rate}." if rate else f"{text}."


def means(alert: Mapping[str, Any]) -> str | None:
    """Return what it means and what to do next, or None where nothing is known to say."""
    story = STORIES.get((alert["kind"], alert["class"]))
    if story is None:
        return None
    of_listener = alert["class"] in _OF_LISTENERS
    if not _goes_on(alert):
        return f"It is over. {_told(story.means, alert, _KERNEL_COOKIES if of_listener else '')}"
    action = alert["action"]
    done = meanwhile(action, of_listener=of_listener)
    if done and action["response"] == "drop":
        return _told(f"{done} {_UNDO}", alert)
    return _told(story.means, alert, done or (_KERNEL_COOKIES if of_listener else ""))


def impact_words(impact: str) -> str:
    """Return what an alert's impact means."""
    return _IMPACT.get(impact, impact)


def where(alert: Mapping[str, Any]) -> str:
    """Return what is hit: ``203.0.113.5:443 and 4 more listeners``."""
    names = alert.get("listeners") or list(filter(None, [alert["listener"]]))
    if not names:
        return "several targets"
    more = len(names) - 1
    # Where answers are not seen, nobody knows which ports are closed.
    are_closed = _is_closed(names[0]) and alert["answered"] is not None
    first = f"{names[0]} (closed ports)" if are_closed else names[0]
    return first if not more else f"{first} and {more} more listener{'s' if more > 1 else ''}"


def _goes_on(alert: Mapping[str, Any]) -> bool:
    return bool(alert["state"] == AlertState.OPEN)


def _is_closed(listener: str) -> bool:
    try:
        return Listener.parse(listener).port == 0
    except ValueError:
        return False


def _told(text: str, alert: Mapping[str, Any], done: str = "") -> str:
    count = alert["sources_estimated"]
    several = len(alert.get("listeners") or ()) > 1
    told = text.replace("{meanwhile}", done).strip()
    return told.format(
        where=where(alert),
        source=alert["source"] or "one source",
        sources="their number unknown" if count is None else f"about {figure(count)}",
        is_=_IS[_goes_on(alert), several],
    )
