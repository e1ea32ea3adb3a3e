"""What of a decision's responses the caps leave: on entries, on actions in a minute, on one alert; pure."""

from __future__ import annotations

from collections import Counter

from synguard.model import Response
from synguard.respond.situation import Decision, Rules, Situation

#: Responses that one alert may have in force, at most; the hardest hit listeners come first.
MOST_OF_ONE_ALERT = 64


def carried_out(
    wanted: tuple[Response, ...],
    rules: Rules,
    situation: Situation,
    *,
    note: str = "",
    retry: bool = False,
    undo: bool = False,
) -> Decision:
    """Return the decision that brings about what is wanted, as far as it can be and the caps allow."""
    if situation.cannot_drop is not None:
        return Decision((), situation.cannot_drop, retry=True, undo=undo)
    kept, refusal, may_pass = _within_caps(wanted, rules, situation)
    told = [kept[0].reason] if kept else []
    counts = Counter(response.response for response in kept[1:])
    told += [f"{word} at {more} more" for word, more in sorted(counts.items())]
    if refusal:
        told.append(f"nothing at {len(wanted) - len(kept)} more: {refusal}" if kept else refusal)
    if note:
        told.append(note)
    return Decision(kept, "; ".join(told), retry or may_pass, undo)


def _within_caps(
    wanted: tuple[Response, ...], rules: Rules, situation: Situation
) -> tuple[tuple[Response, ...], str, bool]:
    """Return what the caps leave of what is wanted, why not the rest, and whether that may pass by itself.

    What is in force already takes neither room nor an action.
    """
    places = {held.target for held in situation.in_force}
    standing = {(held.response, held.target) for held in situation.in_force}
    own = MOST_OF_ONE_ALERT - len(places)
    entries = rules.max_blocks - situation.blocks_held
    actions = rules.max_actions_per_min - situation.actions_last_min
    kept: list[Response] = []
    refusals: dict[str, bool] = {}
    for response in wanted:
        takes_place = response.target not in places
        is_new = (response.response, response.target) not in standing
        if takes_place and own <= 0:
            refusals[f"an alert has {MOST_OF_ONE_ALERT} responses at most"] = False
        elif takes_place and entries <= 0:
            refusals[f"{rules.max_blocks} responses are held, the most allowed (respond.max_blocks)"] = True
        elif is_new and actions <= 0:
            most = f"{rules.max_actions_per_min} responses in a minute are the most allowed"
            refusals[f"{most} (respond.max_actions_per_min)"] = True
        else:
            kept.append(response)
            own, entries, actions = own - takes_place, entries - takes_place, actions - is_new
    return tuple(kept), ", and ".join(refusals), any(refusals.values())
