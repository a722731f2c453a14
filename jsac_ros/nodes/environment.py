"""Environment: a Gymnasium environment in the place of robot and actor, for asynchronous learning without a robot.

Acts with the newest policy as fast as `replay.min_updates_per_step` lets it: replay acknowledges a step when the learner
has kept up, and a few unacknowledged steps are as far as it goes ahead. Every `train.evaluate_every` steps it evaluates, in
an environment apart, while learning goes on; a video of the last policy is its last work.

Hears   transition_ack, the policy mailbox
Says    transitions, episode, control_status (a tick is an environment step)
A process of its own like the actor, whose place it takes: the learner and replay are the same processes for both.
"""

from __future__ import annotations

import secrets
import sys
import time

import numpy as np

from jsac_ros import config as configuration
from jsac_ros.control.timing import NOTHING
from jsac_ros.envs.gymnasium_task import EVALUATION_EPISODES, GymnasiumTask, make, play, record_video
from jsac_ros.msg import ControlStatus, Episode
from jsac_ros.nodes.acting import Acting
from jsac_ros.nodes.actor_reports import TIMINGS
from jsac_ros.nodes.process import WorkingNode, run_folder, run_node
from jsac_ros.nodes.transitions import TransitionSender
from jsac_ros.report.summary import read_totals
from jsac_ros.types import Observation

AHEAD = 100  # steps; at most half of what replay's topic holds
ROBOT = "gymnasium"


class Environment(WorkingNode):
    doing = "acting"

    def __init__(self):
        super().__init__("environment")
        config = self.config
        self.spec = configuration.spec_of(config, 0)
        self.session = secrets.randbits(63)
        task, test = (make(config.train.gymnasium, self.spec.height > 0, config.camera) for _ in range(2))
        seed = config.run.seed + self.session % 1000
        self.task = GymnasiumTask(task, self.spec, seed, self.session)
        self.test = GymnasiumTask(test, self.spec, seed + 10_000)
        self.acting = Acting(config, self.spec, self.session, self.get_logger())
        self.sender = TransitionSender(self, ROBOT, self.session)
        self.before = read_totals(run_folder(config)).total("ticks")  # where it was killed: to within a second
        self.steps, self._said = 0, (time.monotonic(), 0)  # of this process
        self.state = "waiting"
        self.episode = self.create_publisher(Episode, "episode", 10)
        self.status = self.create_publisher(ControlStatus, "control_status", 10)
        self.create_timer(1.0, self._publish_status)

    def close(self) -> None:
        super().close()
        self.acting.close()
        self._publish_status()  # the final counts

    def work(self) -> None:
        """The loop: choose, step, send; wait while replay is behind."""
        self.acting.warm_up()
        while self.acting.version is None and not self.stop.wait(0.05):
            pass
        config, task, began_s = self.config.train, self.task, time.monotonic()
        observation = task.reset()
        self.state = "acting"
        while not self.stop.is_set() and self.before + self.steps < config.steps:
            choice = self.acting.choose(observation, task.episode, task.step, False)
            rows, over = task.act(choice.action)
            for row in rows:
                self.sender.send(row._replace(stamp_ns=time.time_ns(), policy_version=choice.version))
            self.steps += 1
            if over:
                self._publish_episode(task, choice.version, began_s)
            done = self.before + self.steps
            if done % config.evaluate_every == 0 or done == config.steps:
                self._evaluate()
            if over:
                observation, began_s = task.reset(), time.monotonic()
            else:
                observation = task.observation
            while len(self.sender.outbox) > AHEAD and not self.stop.wait(0.001):
                pass
        self.state = "stopped"
        self.sender.drain()
        if self.acting.version and not self.stop.is_set():  # who is interrupted has ten seconds to end
            video = run_folder(self.config) / "video.mp4"
            record_video(config.gymnasium, self.spec, self._best_action, video, self.stop.is_set)
        self.stop.set()

    def _best_action(self, observation: Observation) -> np.ndarray:
        return self.acting.choose(observation, 0, 0, True).action

    def _evaluate(self) -> None:
        """Deterministic episodes, not stored; before anything is learned there is nothing to evaluate."""
        for _ in range(EVALUATION_EPISODES if self.acting.version else 0):
            began_s, version = time.monotonic(), self.acting.version
            play(self.test, self._best_action, self.stop.is_set)
            if self.stop.is_set():
                return
            self._publish_episode(self.test, version, began_s, evaluation=True)

    def _publish_episode(self, task: GymnasiumTask, version: int, began_s: float, evaluation: bool = False) -> None:
        message = Episode(
            robot=ROBOT, session=self.session, episode=task.episode, steps=task.step,
            episode_return=task.episode_return, terminated=task.terminated, truncated=not task.terminated,
            reason="goal or fall" if task.terminated else "time limit", duration=time.monotonic() - began_s,
            policy_version=version, evaluation=evaluation,
        )  # fmt: skip
        message.header.stamp = self.get_clock().now().to_msg()
        self.episode.publish(message)

    def _publish_status(self) -> None:
        now_s, (then_s, before) = time.monotonic(), self._said
        self._said = (now_s, self.steps)
        version, outbox = self.acting.version, self.sender.outbox
        message = ControlStatus(robot=ROBOT, session=self.session, state=self.state, ticks=self.steps)
        message.header.stamp = self.get_clock().now().to_msg()
        for name in TIMINGS:  # an environment keeps no time
            setattr(message, f"{name}_ms", NOTHING)
        message.reason = "the learner's first policy" if version is None else ""
        message.rate_hz = (self.steps - before) / (now_s - then_s)
        message.policy_age_s, message.policy_version = self.acting.policy_age_s, -1 if version is None else version
        message.sent, message.unacknowledged, message.dropped = outbox.sent, len(outbox), outbox.dropped
        message.episode, message.step = max(0, self.task.episode), self.task.step
        self.status.publish(message)


def main(args=None) -> int:
    return run_node(Environment, args)


if __name__ == "__main__":
    sys.exit(main())
