"""Whether the person or the policy acts, from the buttons and the motion of a person's device.

A button that is already held when the device is first received counts only after it has been released.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import Field

from jsac_ros.control.actions import ActionPart
from jsac_ros.types import Action

Button = Annotated[int, Field(ge=0, le=255)] | Annotated[str, Field(min_length=1, max_length=1)]  # its index, or a key
Use = Literal["enable", "take_over", "open", "close", "success", "failure", "discard", "pause", "emergency_stop"]
VERBS = ("success", "failure", "discard", "pause", "emergency_stop")
Buttons = frozenset[int | str]


class Said(NamedTuple):
    """The meaning of a message of the device."""

    holds: bool  # the person acts; else the policy
    action: Action  # some of its parts
    verbs: tuple[str, ...]  # of VERBS, whose buttons were pressed with this message


class Takeover:
    """The state of one device. Call `hear` and then `decide` with each of its messages."""

    def __init__(self, buttons: Mapping[Use, Button], hand_back_s: float, silent_s: float):
        """buttons, hand_back_s, silent_s: as in `teleop.Mapping`."""
        self._buttons: dict[str, int | str] = dict(buttons.items())
        self._hand_back_s, self._silent_s = hand_back_s, silent_s
        self._heard_s = self._wanted_s = -math.inf
        self._held: Buttons = frozenset()
        self._down: Buttons = frozenset()  # pressed with the newest message
        self._stuck: set[int | str] = set()  # held since before the first message of the device
        self.taken = False
        self._grip = 0.0  # 1 open, -1 closed; 0: unchanged

    def hear(self, buttons: Buttons, now_s: float) -> bool:
        """Takes a message. Returns whether it is the first one, or the first after a silence."""
        begins = now_s - self._heard_s > self._silent_s
        if begins:
            self._stuck = set(buttons) - {self._buttons.get("emergency_stop")}
        self._heard_s = now_s
        self._stuck &= buttons
        held = buttons - self._stuck
        self._down, self._held = held - self._held, held
        return begins

    def decide(self, moves: bool, now_s: float) -> bool:
        """Decides whether the person takes over or hands back; returns whether anything may move. moves: the device moves."""
        by_button, enable = "take_over" in self._buttons, self._buttons.get("enable")
        enabled = enable is None or enable in self._held
        if enable is None:
            wants = moves or bool(self._down & self._grips)
        else:
            wants = enable in self._down if by_button else enabled
        if wants:
            self._wanted_s = now_s
        if self._buttons.get("take_over") in self._down:
            self.taken = not self.taken
        elif by_button:
            self.taken |= wants
        else:
            self.taken = now_s - self._wanted_s <= self._hand_back_s
        for name, grip in (("open", 1.0), ("close", -1.0)):
            if self._buttons.get(name) in self._down:
                self._grip = grip
        if not self.taken:
            self._grip = 0.0
        return self.taken and enabled

    @property
    def _grips(self) -> Buttons:
        return frozenset(button for name, button in self._buttons.items() if name in ("open", "close"))

    def gripped(self, part: ActionPart) -> Action:
        """The action of a gripper: none until the first press, so that it keeps its state from before the takeover."""
        return {part.space.name: np.full(part.space.size, self._grip, np.float32)} if self._grip else {}

    def verbs(self) -> tuple[str, ...]:
        """The verbs of the newest message; success and failure pressed together count as neither."""
        said = [verb for verb in VERBS if self._buttons.get(verb) in self._down]
        both = {"success", "failure"} <= set(said)
        return tuple(verb for verb in said if not (both and verb in ("success", "failure")))
