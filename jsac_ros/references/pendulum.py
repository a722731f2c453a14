"""SAC with a value function on the pendulum: the notebook's plots, its test on Gymnasium's environment, a video."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import cv2
import gymnasium
import numpy as np

from jsac_ros.agent.algorithm import algorithm_of
from jsac_ros.config import SystemConfig
from jsac_ros.envs import ENVIRONMENTS
from jsac_ros.envs.pendulum import TIME_STEP
from jsac_ros.references import video
from jsac_ros.references.loop import Trained, one
from jsac_ros.references.python_loop import GYMNASIUM, to_gymnasium
from jsac_ros.report.style import BLUE, PALE_BLUE, plt

TEST_EPISODES = 10
TEST_SEED = 10_000  # starts that training did not see
NOTEBOOK_SCORE = -231.7
PANELS = ("actor_loss", "critic_loss", "value_loss", "temperature_loss")
SMOOTHED = 100  # updates
SIZE = 320  # pixels of the video


def test_scores(config: SystemConfig, agent, on_step: Callable[[gymnasium.Env, float], None] | None = None):
    """Returns of TEST_EPISODES episodes of the deterministic policy on Gymnasium's environment, float64 [episodes].

    on_step: called with the environment and the torque after each step of the first episode.
    """
    spec = ENVIRONMENTS[config.train.environment].spec
    algorithm, environment = algorithm_of(config.agent), gymnasium.make(GYMNASIUM[config.train.environment])
    act, parameters = algorithm.make_act(config.agent, spec), algorithm.policy_parameters(agent)
    image, key = np.zeros(spec.image_shape, np.uint8), np.zeros(2, np.uint32)
    scores = np.zeros(TEST_EPISODES)
    for episode in range(TEST_EPISODES):
        observation, _ = environment.reset(seed=TEST_SEED + episode)
        over = False
        while not over:
            action = to_gymnasium(environment, np.asarray(act(parameters, image, observation, key, True)), spec)
            observation, reward, terminated, truncated, _ = environment.step(action)
            scores[episode] += reward
            over = terminated or truncated
            if on_step and episode == 0:
                on_step(environment, float(action[0]))
    return scores


def draw(angle: float, torque: float) -> np.ndarray:
    """The pendulum, uint8 [SIZE, SIZE, 3]; angle in rad from upright, counter-clockwise; the torque as a bar."""
    picture = np.full((SIZE, SIZE, 3), 255, np.uint8)
    centre, length = SIZE // 2, 0.38 * SIZE
    tip = (round(centre - length * math.sin(angle)), round(centre - length * math.cos(angle)))
    cv2.line(picture, (centre, centre), tip, (207, 58, 58), 18, cv2.LINE_AA)
    cv2.circle(picture, (centre, centre), 6, (31, 41, 51), -1, cv2.LINE_AA)
    end = round(centre - 0.2 * SIZE * torque)
    cv2.line(picture, (centre, SIZE - 12), (end, SIZE - 12), (29, 95, 209), 8, cv2.LINE_AA)
    return picture


def plot(trained: Trained, path: Path) -> None:
    """The five panels of the notebook, one seed: score, and the losses of actor, Qs, V and temperature."""
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


def report(config: SystemConfig, trained: Trained, folder: Path) -> dict:
    """Tests every seed, draws the panels of the first and films its first test episode."""
    plot(trained, folder / "learning.png")
    frames: list[np.ndarray] = []

    def film(environment: gymnasium.Env, torque: float) -> None:
        frames.append(draw(float(environment.unwrapped.state[0]), torque))

    scores = []
    for seed in range(len(trained.episodes.ended)):
        agent = one(trained.agent, seed)
        scores.append(test_scores(config, agent, film if seed == 0 else None))
    video.write(folder / "test_episode.mp4", frames, 1.0 / TIME_STEP)
    return {
        "frames": int(config.train.steps),
        "test_episodes": TEST_EPISODES,
        "mean_test_score": [round(float(s.mean()), 1) for s in scores],
        "test_scores": [s.round(1).tolist() for s in scores],
        "notebook_score": NOTEBOOK_SCORE,
    }
