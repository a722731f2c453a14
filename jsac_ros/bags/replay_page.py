"""`report.html` of a replay: first the most interesting moments, then curves of the whole recording."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from jsac_ros.bags.judge import Judge
from jsac_ros.bags.reader import Bag
from jsac_ros.bags.table import Row
from jsac_ros.bags.transitions import open_transitions, with_observations
from jsac_ros.files import write_text
from jsac_ros.report.style import BLUE, MUTED, ORANGE, PALE_BLUE, RED, plt
from jsac_ros.rig import Rig
from jsac_ros.spaces import ImageSpace
from jsac_ros.types import Observation

MOMENTS = 6  # of each kind
APART = 10  # minimum steps between two moments of a kind, so that an event is shown once
STRIP = (-2, -1, 0, 1, 2)  # steps of a filmstrip, times STRIDE
STRIDE = 5
PICTURE_WIDTH = 176
_STYLE = """
body { margin: 0; background: #f5f7fa; color: #1f2933; font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 17px; margin: 0 0 4px; } h3 { font-size: 14px; margin: 16px 0 4px; }
section { background: #fff; border: 1px solid #e4e7eb; border-radius: 12px; padding: 20px 24px; margin-top: 18px; }
p { color: #697586; margin: 0 0 10px; max-width: 80ch; }
.strip { display: flex; gap: 6px; overflow-x: auto; }
figure { margin: 0; } figcaption { color: #697586; font-size: 12px; }
figure img { border-radius: 6px; display: block; } figure.now img { outline: 3px solid #1d5fd1; }
img.plot { max-width: 100%; height: auto; }
"""
KINDS: tuple[tuple[str, str, Callable[[Row], float]], ...] = (
    ("Worst", "The value of the recorded action is lowest.", lambda row: -float(row.q.mean())),
    (
        "Most surprising",
        "The outcome differs most from the critic's prediction (largest TD error).",
        lambda r: abs(r.td_error),
    ),
    ("Least certain", "The critics of the ensemble disagree most.", lambda row: float(row.q.std())),
    ("Most different", "The policy's action differs most from the recorded one.", lambda row: row.difference),
    ("Changed by safety", "A safety rule changed the command.", lambda row: float(len(row.rules)) or float("nan")),
)


def write_page(
    path: Path,
    bag: Bag,
    rig: Rig,
    judges: list[Judge],
    rows: list[Row],
    others: list[Row] | None,
) -> None:
    """Writes the page atomically. Reads the recording once more for the images."""
    chosen = {kind: moments([score(row) for row in rows]) for kind, _, score in KINDS}
    pictures = _pictures(bag, rig, judges[0], rows, chosen) if rig.spaces.images else {}
    sections = []
    for kind, words, _ in KINDS:
        shown = "".join(_moment(rows, i, pictures) for i in chosen[kind])
        sections.append(f"<section><h2>{kind}</h2><p>{words}</p>{shown or '<p>None.</p>'}</section>")
    sections.append(f"<section><h2>The whole recording</h2>{_image(_curves(rows, others))}</section>")
    name = html.escape(str(bag.path))
    judged_by = html.escape(" and ".join(judge.name for judge in judges))
    write_text(
        path,
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Replay</title>'
        f"<style>{_STYLE}</style></head><body><main><h1>{name}</h1>"
        f"<p>{len(rows)} steps, evaluated with {judged_by}. Red pixels influence the critic most.</p>"
        f"{''.join(sections)}</main></body></html>\n",
    )


def moments(scores: list[float], count: int = MOMENTS, apart: int = APART) -> list[int]:
    """Indices of the largest scores, largest first, no two closer than `apart`; NaN is never chosen."""
    found: list[int] = []
    order = np.argsort(-np.nan_to_num(np.array(scores, np.float64), nan=-np.inf), kind="stable")
    for i in map(int, order):
        if len(found) == count or not np.isfinite(scores[i]):
            break
        if all(abs(i - other) >= apart for other in found):
            found.append(i)
    return found


def _strip(rows: list[Row], i: int) -> list[int]:
    """Rows of the filmstrip around row i, within its episode."""
    around = (i + STRIDE * k for k in STRIP)
    return [k for k in around if 0 <= k < len(rows) and rows[k].episode == rows[i].episode]


def _pictures(bag: Bag, rig: Rig, judge: Judge, rows: list[Row], chosen: dict[str, list[int]]) -> dict[int, str]:
    """{row: its newest frames with the saliency over them, as the src of an image}."""
    wanted = {k for found in chosen.values() for i in found for k in _strip(rows, i)}
    pictures, number = {}, 0
    for remade, seen in with_observations(open_transitions(bag, rig), rig.spaces):
        if remade.transition.is_last:
            continue
        if number in wanted:
            pictures[number] = _overlay(seen, rig.spaces.images, judge)
        number += 1
        if number >= len(rows):
            break
    return pictures


def _overlay(seen: Observation, images: tuple[ImageSpace, ...], judge: Judge) -> str:
    """The images side by side."""
    saliency = judge.saliency(seen)
    shown = [_shown(seen[image.name], image, saliency[image.name]) for image in images]
    tallest = max(len(picture) for picture in shown)
    whole = np.hstack([np.pad(picture, ((0, tallest - len(picture)), (0, 0), (0, 0))) for picture in shown])
    coded = cv2.imencode(".jpg", np.ascontiguousarray(whole[..., ::-1]))[1]
    return f"data:image/jpeg;base64,{base64.b64encode(coded.tobytes()).decode()}"


def _shown(stack: np.ndarray, image: ImageSpace, saliency: np.ndarray) -> np.ndarray:
    """The newest frame, red where the saliency is high: uint8 [h, PICTURE_WIDTH, 3]."""
    height = max(1, round(PICTURE_WIDTH * image.height / image.width))
    frame = stack[..., -image.channels :]
    frame = np.repeat(frame, 3, axis=2) if image.channels == 1 else frame
    frame = cv2.resize(frame, (PICTURE_WIDTH, height), interpolation=cv2.INTER_NEAREST).astype(np.float32)
    heat = cv2.resize(saliency, (PICTURE_WIDTH, height))[..., None]
    mixed = frame * (1 - 0.6 * heat) + np.array([255, 40, 40], np.float32) * 0.6 * heat
    return mixed.clip(0, 255).astype(np.uint8)


def _moment(rows: list[Row], i: int, pictures: dict[int, str]) -> str:
    row = rows[i]
    words = (
        f"{row.time_s:.2f} s · episode {row.episode} step {row.step} · reward {row.reward:.3g} · "
        f"Q {row.q.mean():.3g} ± {row.q.std():.2g} · TD error {row.td_error:+.3g} · entropy {row.entropy:.2g} · "
        f"recorded and policy differ by {row.difference:.2g}" + (f" · safety: {', '.join(row.rules)}" if row.rules else "")
    )
    strip = "".join(
        f"<figure{' class=now' if k == i else ''}><img alt='' src='{pictures[k]}'>"
        f"<figcaption>{rows[k].time_s - row.time_s:+.2f} s</figcaption></figure>"
        for k in _strip(rows, i)
        if k in pictures
    )
    return f"<h3>{html.escape(words)}</h3><div class=strip>{strip}</div>"


def _curves(rows: list[Row], others: list[Row] | None) -> Figure:
    time_s = np.array([row.time_s for row in rows])
    time_s[1:][[row.step == 0 for row in rows[1:]]] = np.nan  # no line from one episode to the next
    figure, axes = plt.subplots(6, 1, figsize=(11, 13), sharex=True, layout="constrained")
    q, spread = np.array([row.q.mean() for row in rows]), np.array([row.q.std() for row in rows])
    axes[0].fill_between(time_s, q - spread, q + spread, color=PALE_BLUE, lw=0)
    axes[0].plot(time_s, q, color=BLUE, lw=1)
    if others:
        axes[0].plot(time_s, [row.q.mean() for row in others], color=ORANGE, lw=1)
    axes[0].set_title("value of the recorded action, mean and spread of the ensemble")
    for ax, title, values in (
        (axes[1], "reward", [row.reward for row in rows]),
        (axes[2], "TD error", [row.td_error for row in rows]),
        (axes[3], "entropy", [row.entropy for row in rows]),
        (axes[4], "largest difference between the recorded and the policy's action", [row.difference for row in rows]),
        (axes[5], "age of the frame, ms", [row.frame_age_ms for row in rows]),
    ):
        ax.plot(time_s, values, color=BLUE, lw=1)
        ax.set_title(title)
    if others:
        for ax, values in ((axes[3], [r.entropy for r in others]), (axes[4], [r.difference for r in others])):
            ax.plot(time_s, values, color=ORANGE, lw=1)
    for ax in axes:
        for row in rows:
            if row.step == 0:
                ax.axvline(row.time_s, color=MUTED, lw=0.4)
    for row in rows:
        if row.rules:
            axes[4].plot(row.time_s, 0, marker="|", color=RED)
    axes[-1].set_xlabel("seconds into the recording")
    return figure


def _image(figure: Figure) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    plt.close(figure)
    return f'<img class=plot alt="" src="data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}">'
