"""A run as the reporter would write it down: a learner that improves, a restart of the actor, a few late ticks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from jsac_ros.config import SystemConfig
from jsac_ros.parameters import dump
from jsac_ros.report import figures, page, write
from jsac_ros.report.tables import PERCENTILES, Table

RATE_HZ, STEPS, RESET_S = 25.0, 100, 2.4


@pytest.fixture
def undrawn(monkeypatch):
    """Pages and curves without their drawings, which take nearly all of their time."""
    for name in ("timing", "health", "interventions", "losses", "processes"):
        monkeypatch.setattr(figures, name, lambda *_: None)
    for name in ("learning_curve", "drawn_timeline"):
        monkeypatch.setattr(page, name, lambda *_: None)
    monkeypatch.setattr(write, "learning_curve", lambda *_: None)
    monkeypatch.setattr(write, "_draw", lambda _, path: path.touch())


def write_run(folder: Path, minutes: float = 10.0, histograms: bool = True, seed: int = 0) -> Path:
    """Fills `folder` with config.yaml, episodes.csv, metrics.csv, baseline.json and control_histograms.json."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    dump(SystemConfig(), folder / "config.yaml")
    baselines = {"random": 40.2, "still": 57.1, "servo": 262.4}
    (folder / "baseline.json").write_text(json.dumps({name: {"return_mean": v} for name, v in baselines.items()}))
    _write_episodes(folder, minutes, random)
    _write_metrics(folder, int(minutes * 60), random)
    if histograms:
        _write_histograms(folder, random)
    return folder


def _write_episodes(folder: Path, minutes: float, random: np.random.Generator) -> None:
    table = Table(folder / "episodes.csv")
    count = int(minutes * 60 / (STEPS / RATE_HZ + RESET_S))
    for k in range(count):
        skill = 1 / (1 + np.exp(-(k - count / 2) / (count / 9)))
        table.append(
            {
                "time_s": 8 + (k + 1) * (STEPS / RATE_HZ + RESET_S), "unix_s": "1700000000.0",
                "env_steps": (k + 1) * STEPS, "robot": "ur5", "session": 7, "episode": k, "steps": STEPS,
                "episode_return": 45 + 165 * skill + random.normal(0, 12 + 25 * skill),
                "success": bool(random.random() < 0.95 * skill), "terminated": False, "truncated": True,
                "reason": "time limit", "duration": STEPS / RATE_HZ, "reset_duration": RESET_S,
                "policy_version": 200 * k, "evaluation": False,
            }
        )  # fmt: skip
    table.close()


def _write_metrics(folder: Path, seconds: int, random: np.random.Generator) -> None:
    table = Table(folder / "metrics.csv")
    restart = seconds // 2
    for s in range(seconds):
        session, began = (7, 0) if s < restart else (8, restart)
        late = random.gamma(1.2, 0.15, int(RATE_HZ))
        share = s / seconds
        row = {
            "time_s": float(8 + s), "unix_s": f"{1700000008 + s}.000", "control.robot": "ur5",
            "control.session": session, "control.state": "acting", "control.reason": "",
            "control.ticks": int((s + 1 - began) * RATE_HZ), "control.missed": int(session == 8),
            "control.rate_hz": RATE_HZ,
            "control.policy_age_s": random.uniform(0.05, 0.4), "control.policy_version": int(30 * s),
            "control.sent": int((s + 1 - began) * 16), "control.episode": 0, "control.step": 0,
            "learner.state": "learning", "learner.updates": int(38 * s),
            "learner.updates_per_s": random.normal(38, 1.5),
            "learner.update_ms": random.normal(22, 1), "learner.batch_wait_share": abs(random.normal(0.003, 0.002)),
            "learner.metric.critic_loss": 1.5 * np.exp(-3 * share) + abs(random.normal(0, 0.1)),
            "learner.metric.actor_loss": -60 * share + random.normal(0, 3),
            "learner.metric.temperature": 0.05 * np.exp(-2 * share), "learner.metric.entropy": 2 - 6 * share,
            "replay.stored": 16 * s, "replay.received": 16 * (s + 1), "replay.lost": 0,
            "safety.state": "moving", "safety.emergency_stop": False, "safety.ticks": 125 * s,
            "safety.rule.acceleration": 21 * s, "safety.rule.joint_limits": s // 9, "safety.rule.workspace": s // 4,
        }  # fmt: skip
        for name, offset in (("lateness_ms", 0.0), ("obs_to_command_ms", 18.0), ("image_age_ms", 12.0)):
            values = (*np.quantile(late, (0.5, 0.99, 0.999)), late.max())
            row |= {f"control.{name}.{p}": offset + v for p, v in zip(PERCENTILES, values)}
        for name, mb, cpu in (("safety", 71, 0.14), ("replay", 240, 0.12), ("learner", 880, 1.4), ("actor", 410, 0.2)):
            size = mb * (1 + 0.2 * share)
            row |= {f"process.{name}.rss_mb": size, f"process.{name}.peak_rss_mb": size + 3,
                    f"process.{name}.cpu": abs(random.normal(cpu, 0.02))}  # fmt: skip
        table.append(row)
    table.close()


def _write_histograms(folder: Path, random: np.random.Generator) -> None:
    edges = np.concatenate(([0.0], 0.01 * 10 ** (np.arange(241) / 40)))
    document = {}
    for name, offset, scale in (
        ("lateness", 0.0, 0.2), ("done", 1.5, 0.5), ("obs_to_command", 10.0, 6.0),
        ("image_age", 6.0, 6.0), ("joint_age", 1.0, 3.0), ("image_joint_skew", 0.5, 3.0),
        ("inference", 0.8, 0.15), ("policy_age", 50.0, 200.0),
    ):  # fmt: skip
        values = offset + random.gamma(1.3, scale, 15_000)
        counts = np.histogram(values, np.append(edges, np.inf))[0]
        document[name] = {"edges_ms": edges.tolist(), "counts": counts.tolist(), "max": float(values.max())}
    (folder / "control_histograms.json").write_text(json.dumps(document))
