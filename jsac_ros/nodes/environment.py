"""Environment: a Gymnasium environment instead of robot and actor, for asynchronous learning without a robot.

It acts with the newest policy as fast as `replay.min_updates_per_step` permits: replay acknowledges a transition when the
learner has kept up, and acting pauses while too many are unacknowledged. Every `train.evaluate_every` steps it evaluates the
policy in a separate environment while learning continues; at the end it films the last policy.

Subscribes   transition_ack, the policy mailbox
Publishes    transitions, episode, control_status (a tick is an environment step)
A process that replaces the actor; learner and replay are the same for both.
"""

from __future__ import annotations

import secrets
import sys
import time

from jsac_ros.control.timing import NOTHING
from jsac_ros.msg import ControlStatus
from jsac_ros.msg import Episode as EpisodeMessage
from jsac_ros.nodes.acting import Acting
from jsac_ros.nodes.actor_reports import TIMINGS
from jsac_ros.nodes.process import WorkingNode, run_folder, run_node
from jsac_ros.nodes.transitions import TransitionSender
from jsac_ros.report.summary import read_totals
from jsac_ros.rig import read_spaces
from jsac_ros.run_key import RunKey
from jsac_ros.training import environment as environments
from jsac_ros.training import evaluation
from jsac_ros.training.environment import ROBOT
from jsac_ros.training.episodic import play
from jsac_ros.types import Action, Observation, Transition

AHEAD = 100  # most unacknowledged transitions; at most half the queue of replay's topic


class Environment(WorkingNode):
    doing = "acting"
    kinds = ("agent",)

    def __init__(self):
        super().__init__("environment")
        config = self.config
        self.folder, self.session = run_folder(config), secrets.randbits(63)
        spaces, seed = read_spaces(self.folder), config.run.seed + self.session % 1000
        env, test = (environments.make(config.train.environment, config.train) for _ in range(2))
        self.environment = environments.Environment(env, spaces, seed, self.session, time.time_ns)
        self.test = environments.Environment(test, spaces, seed + evaluation.SEED)
        self.acting = Acting(config, spaces, self.session, self.get_namespace(), self.get_logger())
        self.sender = TransitionSender(self, ROBOT, self.session, RunKey.of(config))
        self.before = read_totals(self.folder).total("ticks")  # steps of earlier processes (after a kill: to within a second)
        self.steps, self._said = 0, (time.monotonic(), 0)  # of this process
        self.state = "waiting"
        self.episode = self.create_publisher(EpisodeMessage, "episode", 10)
        self.status = self.create_publisher(ControlStatus, "control_status", 10)
        self.create_timer(1.0, self._publish_status)

    def close(self) -> None:
        super().close()
        self.acting.close()
        self._publish_status()  # the final counts

    def work(self) -> None:
        """The loop: choose an action, step, send the transition; wait while replay is behind."""
        self.acting.warm_up()
        while self.acting.version is None and not self.stop.wait(0.05):
            pass
        train, environment, over = self.config.train, self.environment, True
        self.state = "acting"
        while not self.stop.is_set() and self.before + self.steps < train.steps:
            if over:
                environment.reset()
                began_s = time.monotonic()
            choice = self.acting.choose(environment.observation, environment.episode, environment.step, False)
            transitions, over = environment.act(choice.action, choice.version)
            self._send(transitions)
            self.steps += 1
            if over:
                self._publish_episode(environment, choice.version, began_s)
            done = self.before + self.steps
            if done % train.evaluate_every == 0 or done == train.steps:
                self._evaluate()
            while len(self.sender.outbox) > AHEAD and not self.stop.wait(0.001):
                pass
        self._send(environment.stop())
        self.state = "stopped"
        self.sender.drain()
        if self.acting.version and not self.stop.is_set():  # an interrupted process has only ten seconds to exit
            self._film()
        self.stop.set()

    def _send(self, transitions: list[Transition]) -> None:
        for transition in transitions:
            self.sender.send(transition)

    def _film(self) -> None:
        config, spaces, path = self.config.train, self.environment.spaces, self.folder / "video.mp4"
        opened = lambda: environments.drawing(config.environment, config, spaces, evaluation.SEED)
        if reason := evaluation.film(opened, self._best_action, path, self.stop.is_set):
            self.get_logger().info(reason)

    def _best_action(self, observation: Observation) -> Action:
        return self.acting.choose(observation, 0, 0, True).action

    def _evaluate(self) -> None:
        """Runs deterministic episodes, which are not stored; none before the first update."""
        for _ in range(self.config.train.evaluation_episodes if self.acting.version else 0):
            began_s, version = time.monotonic(), self.acting.version
            play(self.test, self._best_action, self.stop.is_set)
            if self.stop.is_set():
                return
            self._publish_episode(self.test, version, began_s, apart=True)

    def _publish_episode(
        self, environment: environments.Environment, version: int, began_s: float, apart: bool = False
    ) -> None:
        episode = evaluation.episode_of(environment, self.before + self.steps, apart)
        message = EpisodeMessage(
            robot=ROBOT, session=self.session, episode=environment.episode - 1, steps=episode.steps,
            episode_return=episode.episode_return, success=episode.success, terminated=episode.terminated,
            truncated=not episode.terminated, reason=episode.reason, duration=time.monotonic() - began_s,
            policy_version=version, evaluation=apart,
        )  # fmt: skip
        message.header.stamp = self.get_clock().now().to_msg()
        self.episode.publish(message)

    def _publish_status(self) -> None:
        now_s, (then_s, before) = time.monotonic(), self._said
        self._said = (now_s, self.steps)
        version, outbox = self.acting.version, self.sender.outbox
        message = ControlStatus(robot=ROBOT, session=self.session, state=self.state, ticks=self.steps)
        message.header.stamp = self.get_clock().now().to_msg()
        for name in TIMINGS:  # an environment has no timing
            setattr(message, f"{name}_ms", NOTHING)
        message.reason = "the learner's first policy" if version is None else ""
        message.rate_hz = (self.steps - before) / (now_s - then_s)
        message.policy_age_s, message.policy_version = self.acting.policy_age_s, -1 if version is None else version
        message.sent, message.unacknowledged, message.dropped = outbox.sent, len(outbox), outbox.dropped
        message.episode, message.step = self.environment.episode, self.environment.step
        self.status.publish(message)


def main(args=None) -> int:
    return run_node(Environment, args)


if __name__ == "__main__":
    sys.exit(main())
