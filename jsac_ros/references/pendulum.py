"""SAC with a value function on the pendulum: the plots of the published notebook, its test in Gymnasium, a video."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import gymnasium
import numpy as np

from jsac_ros.agent.agent import TrainState
from jsac_ros.agent.policy import make_act
from jsac_ros.references.environments.pendulum import MAX_TORQUE, TIME_STEP
from jsac_ros.references.loop import Reference, Trained, one
from jsac_ros.references.python_loop import GYMNASIUM
from jsac_ros.report import film
from jsac_ros.report.style import BLUE, PALE_BLUE, plt
from jsac_ros.training.environment import Environment
from jsac_ros.training.evaluation import evaluate
from jsac_ros.training.spaces import ACTION
from jsac_ros.types import Action, Observation

TEST_EPISODES = 10
TEST_SEED = 10_000  # initial states that did not occur in training
NOTEBOOK_SCORE = -231.7
PANELS = ("actor_loss", "critic_loss", "value_loss", "temperature_loss")
SMOOTHED = 100  # updates in a moving average
SIZE = 320  # pixels of the video


def test_scores(reference: Reference, learned: TrainState, seen: Callable[[Any, float], None]) -> np.ndarray:
    """Returns of TEST_EPISODES episodes of the deterministic policy in Gymnasium's environment, float64 [episodes].

    seen: called with the environment and the torque (N m) before each step.
    """
    act, params = make_act(reference.agent), reference.agent.policy_params(learned)
    env = gymnasium.make(GYMNASIUM[reference.config.train.environment])
    environment = Environment(env, reference.environment.spaces, TEST_SEED)

    def choose(observation: Observation) -> Action:
        action = act(params, observation, np.zeros(2, np.uint32), True)
        seen(env, MAX_TORQUE * float(action[ACTION][0]))
        return action

    return np.array([episode.episode_return for episode in evaluate(environment, choose, TEST_EPISODES)])


def draw(angle: float, torque: float) -> np.ndarray:
    """Draws the pendulum and a bar for the torque, uint8 [SIZE, SIZE, 3]. angle: rad from upright, counter-clockwise."""
    picture = np.full((SIZE, SIZE, 3), 255, np.uint8)
    centre, length = SIZE // 2, 0.38 * SIZE
    tip = (round(centre - length * math.sin(angle)), round(centre - length * math.cos(angle)))
    cv2.line(picture, (centre, centre), tip, (207, 58, 58), 18, cv2.LINE_AA)
    cv2.circle(picture, (centre, centre), 6, (31, 41, 51), -1, cv2.LINE_AA)
    end = round(centre - 0.2 * SIZE * torque)
    cv2.line(picture, (centre, SIZE - 12), (end, SIZE - 12), (29, 95, 209), 8, cv2.LINE_AA)
    return picture


def plot(trained: Trained, path: Path) -> None:
    """The notebook's five panels for the first seed: score, and the losses of actor, critic, value and temperature."""
    ended = np.asarray(trained.episodes.ended)[0, :, 0]
    scores = np.asarray(trained.episodes.episode_return)[0, :, 0][ended]
    figure, axes = plt.subplots(1, 5, figsize=(20, 3.6), layout="constrained")
    axes[0].plot(np.flatnonzero(ended), scores, color=BLUE)
    axes[0].set(title=f"frame {len(ended)}: score {scores[-10:].mean():.0f}", xlabel="frame")
    for axis, name in zip(axes[1:], PANELS, strict=True):
        values = np.asarray(trained.metrics[name])[0]
        smooth = np.convolve(values[np.isfinite(values)], np.ones(SMOOTHED) / SMOOTHED, mode="valid")
        axis.plot(values, color=PALE_BLUE, linewidth=0.5)
        axis.plot(np.arange(len(values) - len(smooth), len(values)), smooth, color=BLUE)
        axis.set(title=name.replace("_", " "), xlabel="frame")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def report(reference: Reference, trained: Trained, folder: Path) -> dict:
    """Tests every seed, plots the first one and films its first test episode."""
    plot(trained, folder / "learning.png")
    frames: list[np.ndarray] = []

    def film_first(env: Any, torque: float) -> None:
        if len(frames) < reference.environment.time_limit:
            frames.append(draw(float(env.unwrapped.state[0]), torque))

    scores = [test_scores(reference, one(trained.state, n), film_first) for n in range(len(trained.episodes.ended))]
    film.write(folder / "video.mp4", frames, 1.0 / TIME_STEP)
    return {
        "frames": int(reference.config.train.steps),
        "test_episodes": TEST_EPISODES,
        "mean_test_score": [round(float(s.mean()), 1) for s in scores],
        "test_scores": [s.round(1).tolist() for s in scores],
        "notebook_score": NOTEBOOK_SCORE,
    }
