"""SAC with prioritised replay on two phases of a rocket's return: random starts, trajectories, an animation."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from jsac_ros.references.environments import rocket, rocket_phases
from jsac_ros.references.environments.rocket import LENGTH, Rocket
from jsac_ros.references.flights import Flights, fly
from jsac_ros.references.loop import Reference, Trained, one
from jsac_ros.report import film
from jsac_ros.report.style import BLUE, GREEN, RED, plt

STARTS = 100
TEST_SEED = 10_000
PERIOD_S = {"rocket_landing": rocket_phases.LANDING_PERIOD_S, "rocket_flip_over": rocket_phases.FLIP_PERIOD_S}
MAX_PRESSURE = {
    "rocket_landing": rocket_phases.LANDING_MAX_PRESSURE,
    "rocket_flip_over": rocket_phases.FLIP_MAX_PRESSURE,
}
SIZE = (480, 480)  # rows, columns of the animation


def path_of(flights: Flights, index: int) -> tuple[Rocket, np.ndarray]:
    """States of one flight, the initial one included, [t + 1] each, and its actions [t, 3]."""
    steps = int(np.asarray(flights.flying)[:, index].sum())
    states = Rocket(
        *(
            np.concatenate([np.asarray(start)[index : index + 1], np.asarray(path)[:steps, index]])
            for start, path in zip(flights.start, flights.states, strict=True)
        )
    )
    return states, np.asarray(flights.actions)[:steps, index]


def plot(name: str, flights: Flights, path: Path) -> None:
    """Plots the trajectories of all starts, and speed, attitude, controls and pressure of the first. name: of the phase."""
    figure, axes = plt.subplots(2, 3, figsize=(14, 7), layout="constrained")
    success = np.asarray(flights.success)
    for index in range(len(success)):
        states, _ = path_of(flights, index)
        axes[0, 0].plot(states.x, states.z, color=GREEN if success[index] else RED, linewidth=0.6, alpha=0.6)
    axes[0, 0].set(title=f"{success.sum()} of {len(success)} starts succeed", xlabel="x, m", ylabel="z, m")
    states, actions = path_of(flights, 0)
    time_s = PERIOD_S[name] * np.arange(len(states.x))
    panels = (
        (axes[0, 1], "Speed, m/s", {"vx": states.vx, "vz": states.vz}),
        (axes[0, 2], "Attitude, degrees", {"attitude": np.degrees(states.attitude)}),
        (axes[1, 1], "Dynamic pressure over its limit", {"q": rocket.dynamic_pressure(states) / MAX_PRESSURE[name]}),
        (axes[1, 2], "Propellant, kg", {"propellant": states.propellant}),
    )
    for axis, title, lines in panels:
        for label, values in lines.items():
            axis.plot(time_s, values, label=label)
        axis.set(title=title, xlabel="s")
        if len(lines) > 1:
            axis.legend()
    throttle = 0.5 * (actions[:, 0] + 1.0)
    for label, values in {"throttle": throttle, "gimbal": actions[:, 1], "side": actions[:, 2]}.items():
        axes[1, 0].step(time_s[:-1], values, where="post", label=label, linewidth=1.0)
    axes[1, 0].set(title="Controls", xlabel="s")
    axes[1, 0].legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_learning(trained: Trained, path: Path) -> None:
    """Plots success rate and mean return over the steps of all environments, for the first seed."""
    ended = np.asarray(trained.episodes.ended)[0]
    returns, success = np.asarray(trained.episodes.episode_return)[0], np.asarray(trained.episodes.success)[0]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    parts = np.array_split(np.arange(len(ended)), 60)
    steps = [part[-1] * ended.shape[1] for part in parts]
    for axis, values, title in ((axes[0], returns, "Return"), (axes[1], success, "Share of episodes that succeed")):
        axis.plot(steps, [values[p][ended[p]].mean() if ended[p].any() else np.nan for p in parts], color=BLUE)
        axis.set(title=title, xlabel="steps")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw(states: Rocket, actions: np.ndarray, at: int) -> np.ndarray:
    """Draws the rocket at one step, beside a map of the flight so far, uint8 [*SIZE, 3]."""
    picture = np.full((*SIZE, 3), 255, np.uint8)
    middle, scale = np.array([SIZE[1] * 0.6, SIZE[0] * 0.5]), 4.0  # pixels per m

    def line(start, end, colour, width):
        ends = [tuple(int(v) for v in np.round(p)) for p in (start, end)]
        cv2.line(picture, *ends, colour, width, cv2.LINE_AA)

    x, z, attitude = float(states.x[at]), float(states.z[at]), float(states.attitude[at])
    nose = np.array([math.sin(attitude), -math.cos(attitude)])  # picture rows grow downwards
    foot, top = middle - 0.5 * LENGTH * scale * nose, middle + 0.5 * LENGTH * scale * nose
    ground = foot[1] + scale * z
    if ground < SIZE[0]:
        cv2.rectangle(picture, (0, int(ground)), (SIZE[1], SIZE[0]), (205, 213, 220), -1)
        pad = foot[0] - scale * x
        line((pad - scale * 10, ground), (pad + scale * 10, ground), (26, 143, 90), 6)
    throttle, gimbal, side = 0.5 * (actions[at, 0] + 1.0), rocket.MAX_GIMBAL * actions[at, 1], actions[at, 2]
    flame = np.array([math.sin(attitude - gimbal), -math.cos(attitude - gimbal)])
    line(foot, foot - 80 * throttle * flame, (217, 115, 13), 9)
    line(top, top - 40 * side * np.array([math.cos(attitude), math.sin(attitude)]), (13, 138, 152), 4)
    line(foot, top, (31, 41, 51), 15)
    _draw_map(picture, states, at)
    return picture


def _draw_map(picture: np.ndarray, states: Rocket, at: int) -> None:
    """Draws the flight so far at the left edge, with equal scales on both axes."""
    extent = max(np.ptp(states.x), np.ptp(states.z), 1.0)
    points = np.stack([states.x - states.x.min(), states.z.max() - states.z], axis=1) / extent * 150 + 20
    cv2.polylines(picture, [np.round(points[: at + 1]).astype(np.int32)], False, (29, 95, 209), 2, cv2.LINE_AA)
    text = f"z {states.z[at]:.0f} m  v {math.hypot(states.vx[at], states.vz[at]):.0f} m/s"
    cv2.putText(picture, text, (20, SIZE[0] - 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (31, 41, 51), 1, cv2.LINE_AA)


def report(reference: Reference, trained: Trained, folder: Path) -> dict:
    """Tests every seed from STARTS random initial states; plots and films the first seed."""
    name = reference.config.train.environment
    plot_learning(trained, folder / "learning.png")
    succeeded, pressure = [], []
    for seed in range(len(trained.episodes.ended)):
        flights = fly(reference, one(trained.state, seed), TEST_SEED, STARTS)
        succeeded.append(int(flights.success.sum()))
        pressure.append(float(rocket.dynamic_pressure(flights.states).max() / MAX_PRESSURE[name]))
        if seed == 0:
            plot(name, flights, folder / "trajectories.png")
            states, actions = path_of(flights, 0)
            film.write(folder / "video.mp4", (draw(states, actions, at) for at in range(len(actions))), 1.0 / PERIOD_S[name])
    return {
        "steps": int(reference.config.train.steps),
        "starts": STARTS,
        "succeeded": succeeded,
        "highest_pressure_over_limit": [round(p, 2) for p in pressure],
    }
