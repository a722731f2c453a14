"""The operator's requests to an actor, and their answers: what will happen, or why nothing will."""

from __future__ import annotations

from typing import NamedTuple

from jsac_ros.control.ending import VERDICTS

EMERGENCY_STOP = "emergency-stop"  # by a topic, which does not wait behind service calls
VERBS = ("start", "pause", "resume", "stop", "reset", "evaluate")
EVENTS = ("continue", *VERDICTS)  # a person's word on an episode or a reset; the task receives it
MOVING = ("start", "resume", "reset")  # these let the robot move
_IN_CONTROL = ("resetting", "acting", "holding")


class Situation(NamedTuple):
    """The state of an actor on which the answers depend."""

    state: str  # of the session: waiting, resetting, acting, holding, paused, stopped
    waits_for: str = ""  # what delays the first tick ("the learner's first policy"); '' once there are ticks
    stopped: str = ""  # why safety allows no motion until a person releases it; '' if it does
    holds: str = ""  # why there is no motion at the newest tick ("wrist is 0.31 s old, limit 0.20 s"); '' if there may be
    asks: str = ""  # what a reset asks a person to do; '' if nothing
    shadow: bool = False  # another system moves the robot


class Answer(NamedTuple):
    success: bool
    message: str


def answer(verb: str, now: Situation) -> Answer:
    """success: the request will be executed, and the message describes it; else why not, and what to do."""
    if now.waits_for:
        return Answer(False, f"{verb}: not yet, the actor waits for {now.waits_for}; try again then")
    if verb in MOVING and now.stopped:
        return Answer(False, f"{verb}: nothing would move, safety is stopped ({now.stopped}); first: jsac-ros release")
    if verb in MOVING and now.holds and now.state not in _IN_CONTROL:  # else it would move when this ends, minutes later
        return Answer(False, f"{verb}: nothing would begin now: {now.holds}; try again when this has ended")
    return _answer(verb, now)


def _answer(verb: str, now: Situation) -> Answer:
    if now.shadow:
        begins = "an episode begins; another system moves the robot"
    else:
        begins = "the robot moves to where an episode begins, then the policy acts"
    begins += f", once this has ended: {now.holds}" if now.holds else ""
    match verb:
        case "start" | "reset":
            closes = "the episode is closed; " if now.state == "acting" else ""
            return Answer(True, f"{verb}: {closes}{begins}")
        case "resume":
            if now.state != "paused":
                return Answer(False, f"resume: the actor is {now.state}, not paused{_instead(now.state)}")
            return Answer(True, f"resume: {begins}")
        case "pause" | "stop":
            if verb == "pause" and now.state not in _IN_CONTROL:
                return Answer(False, f"pause: the actor is {now.state}; there is nothing to pause")
            after = "jsac-ros resume" if verb == "pause" else "jsac-ros start"
            closes = "the episode is closed and " if now.state == "acting" else ""
            return Answer(True, f"{verb}: {closes}the robot rests until {after}; learning continues")
        case "evaluate":
            when = "the next episode" if now.state in _IN_CONTROL else "the first episode after jsac-ros start"
            return Answer(True, f"evaluate: {when} acts deterministically and is not stored")
        case "continue":
            if not now.asks:
                return Answer(False, "continue: no reset waits for a person")
            return Answer(True, f"continue: confirmed: {now.asks}")
        case _:
            if now.state != "acting":
                return Answer(False, f"{verb}: no episode is open, the actor is {now.state}")
            counts = "as neither success nor failure" if verb == "discard" else f"as a {verb}"
            return Answer(True, f"{verb}: the episode ends here and counts {counts}")


def _instead(state: str) -> str:
    return "; to begin: jsac-ros start" if state in ("stopped", "waiting") else ""
