"""Scripted person: replaces a person by the task's expert, or by an intervener that takes over when there is no progress.

It uses the ground truth of the simulation and acts shortly before each of the actor's ticks, so that demonstrations,
interventions and learning from both can be tested without a person.

Subscribes  sim_truth, policy_command (one a tick), episode
Publishes   person_action
A process because a person acts independently of the actor, too.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from rclpy.qos import qos_profile_sensor_data

from jsac_ros.control import realtime
from jsac_ros.msg import Action, Episode, PersonAction, SimTruth, Vector
from jsac_ros.nodes.process import JsacNode, run_node
from jsac_ros.rig import Rig
from jsac_ros.tasks.expert import hand_of
from jsac_ros.types import Arrays

TRUTH_MAX_AGE_S = 0.2
LEAD_S = 0.025  # before the tick: with an older ground truth the hand would oscillate about its target


class ScriptedPerson(JsacNode):
    def __init__(self):
        super().__init__("scripted_person")
        self._hand = hand_of(Rig(self.config))
        self._hand.begin()
        self._truth: tuple[float, Arrays] = (-TRUTH_MAX_AGE_S, {})
        self._acting = False  # whether this node acted last
        self._policy_acts = False  # whether the policy acted at the newest tick
        period_s = self.config.control.period_s
        self._before_tick = self.create_timer(period_s - min(LEAD_S, period_s / 2), self._act)
        self._before_tick.cancel()  # each tick starts it
        self._publisher = self.create_publisher(PersonAction, "person_action", 1)
        self.create_subscription(SimTruth, "sim_truth", self._on_truth, qos_profile_sensor_data)
        self.create_subscription(Action, "policy_command", self._on_command, 1)
        self.create_subscription(Episode, "episode", self._on_episode, 10)

    def run(self) -> None:
        # Real-time priority, as a real person is not slowed down by the learner or the simulator.
        measures = realtime.short_switch_interval(), *realtime.process_first(self.config.realtime.fifo_priority)
        self.get_logger().info("; ".join(map(str, measures)))
        super().run()

    def _on_truth(self, message: SimTruth) -> None:
        truth = {vector.name: np.asarray(vector.values, np.float64) for vector in message.values}
        if unusable := [name for name, values in truth.items() if not np.isfinite(values).all()]:
            raise ValueError(f"{', '.join(unusable)} not finite; expected the poses of the simulation")
        self._truth = (time.monotonic(), truth)

    def _on_command(self, message: Action) -> None:
        """Called once per tick. Only a command of the policy has a version."""
        self._policy_acts = message.policy_version >= 0
        self._before_tick.reset()

    def _act(self) -> None:
        """Publishes the action for the next tick."""
        self._before_tick.cancel()
        heard_s, truth = self._truth
        if time.monotonic() - heard_s > TRUTH_MAX_AGE_S:
            return
        if self.config.person.by == "intervener" and not (self._policy_acts or self._acting):
            return
        action = None
        with self.refusals.guard("sim_truth"):
            action = self._answer(truth)
        self._acting = action is not None
        parts = [Vector(name=name, values=values) for name, values in (action or {}).items()]
        self._publisher.publish(PersonAction(holds=self._acting, action=parts))

    def _answer(self, truth: Arrays) -> Arrays | None:
        """Raises ValueError if the truth is of another scene: only the hand knows which values it needs."""
        try:
            return self._hand(truth)
        except LookupError as error:
            raise ValueError(f"it lacks {error} of this task's scene; it has {', '.join(truth) or 'nothing'}") from None

    def _on_episode(self, _) -> None:
        self._hand.begin()
        self._acting = False


def main(args=None) -> int:
    return run_node(ScriptedPerson, args)


if __name__ == "__main__":
    sys.exit(main())
