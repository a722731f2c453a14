"""What limits a run, in sentences. Each rule compares measurements with what learning needs, and names the cure.

A rule is a small function of the evidence; it returns None if it finds nothing or if nothing was measured. `RULES` lists them
in the order of importance: a late image, for example, spoils everything that is learned from it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jsac_ros.control.ending import FALSE_GOAL, GOAL, MISSED_GOAL
from jsac_ros.report.evidence import Evidence
from jsac_ros.report.summary import WINDOW
from jsac_ros.report.tables import number, without_figures

FEW_STEPS = 1000  # a run with fewer is too short to judge
SHAPING = {  # rule of safety that changes a command -> what relaxes it
    "acceleration": "`safety.max_joint_acceleration_rad_s2` (prismatic joints: `max_prismatic_acceleration_m_s2`)",
    "jerk": "`safety.max_joint_jerk_rad_s3` (prismatic joints: `max_prismatic_jerk_m_s3`)",
    "speed": "`safety.max_joint_speed_rad_s` (prismatic joints: `max_prismatic_speed_m_s`)",
    "joint_limit": "`safety.joint_lower, safety.joint_upper`",
    "box": "`safety.box_lower, safety.box_upper`",
}
BLACK, WHITE, FLAT = 25.0, 230.0, 4.0  # of 255: mean of a dark and of a bright image, standard deviation of a blank one


class Advice(NamedTuple):
    name: str  # of the rule
    finding: str  # what was measured
    cure: str  # the setting or the command that changes it, set in backticks


Rule = Callable[[Evidence], Advice | None]


def advise(evidence: Evidence) -> list[Advice]:
    """The advice of all rules, most important first; empty if no measurement indicates a limit."""
    return [advice for rule in RULES if (advice := rule(evidence))]


# -- images --------------------------------------------------------------------------------------------------------


def dark_camera(e: Evidence) -> Advice | None:
    """An image that is nearly black, nearly white or uniform contains no information for the policy."""
    for name, frames in e.brightness.items():
        if name in e.config.cameras and e.config.cameras[name].depth_range_m:
            continue
        mean, contrast = np.median(frames, axis=0)
        kinds = {"dark": mean < BLACK, "overexposed": mean > WHITE, "without contrast": contrast < FLAT}
        if kind := next((kind for kind, found in kinds.items() if found), ""):
            finding = f"Image {name} is {kind}: its mean is {mean:.0f} of 255, its standard deviation {contrast:.0f}."
            return Advice(
                "camera", finding, "Light the scene, open the lens or set the exposure of the camera's driver by hand."
            )
    return None


def image_age(e: Evidence) -> Advice | None:
    """With old images the robot acts on a past state of the scene."""
    age_ms, period_ms = e.summary["control"]["image_age_ms"]["p50"], 1e3 * e.config.control.period_s
    if age_ms is None or age_ms < max(1.5 * period_ms, 50.0):
        return None
    return Advice(
        "image age",
        f"The image behind an action is {age_ms:.0f} ms old at the median, {age_ms / period_ms:.1f} control periods.",
        "Shorten the exposure, raise the camera's rate, lower its resolution or compress it (`cameras.NAME.compressed`); "
        "`jsac-ros doctor CONFIG` measures rate and age. If that is not possible, raise `control.period_s`.",
    )


def image_phase(e: Evidence) -> Advice | None:
    """If camera and control drift relative to each other, the age of the image varies from tick to tick."""
    period_ms, camera = 1e3 * e.config.control.period_s, next(iter(e.config.cameras), "")
    if e.config.control.trigger != "clock" or not camera:
        return None
    low, high = e.late("control.image_age_ms.p50"), e.late("control.image_age_ms.p99")
    if not high - low > 0.35 * period_ms:
        return None
    return Advice(
        "image phase",
        f"Within a second the age of the image varies from {low:.0f} ms (median) to {high:.0f} ms (p99) in a period of "
        f"{period_ms:.0f} ms: camera and control are not synchronised.",
        f"`control.trigger={camera}` starts each tick when an image arrives; set the camera to {1e3 / period_ms:.0f} images "
        "per second, the rate of control.",
    )


# -- time ----------------------------------------------------------------------------------------------------------


def missed_ticks(e: Evidence) -> Advice | None:
    """At a skipped tick the previous action continues."""
    ticks, missed = e.summary["control"]["ticks"], e.summary["control"]["missed"]
    if ticks < 500 or missed < 1e-3 * ticks:
        return None
    return Advice(
        "missed ticks",
        f"{missed:,} of {ticks:,} control ticks ({missed / ticks:.1%}) were at least one period late and were skipped.",
        "`jsac-ros doctor` checks whether control can have real-time priority; `realtime.actor_cpu=N` reserves a core for it; "
        f"a longer `control.period_s` (now {e.config.control.period_s:g}) gives it more time.",
    )


def holds(e: Evidence) -> Advice | None:
    """Nothing is learned while the robot is held, and a hold cuts the episode short."""
    share = e.share("control.state", "holding")
    if share < 0.02:
        return None
    reasons = Counter(without_figures(row.get("control.reason", "")) for row in e.rows if row.get("control.state") == "holding")
    reason = reasons.most_common(1)[0][0] or "not known"
    return Advice(
        "holds",
        f"The actor held the robot for {share:.0%} of the run, most often with the reason: {reason}.",
        "`jsac-ros doctor CONFIG` measures rate and age of cameras and joints while the drivers run; the limits are "
        "`cameras.NAME.max_age_s` and `robot.joint_max_age_s`.",
    )


def stale_data(e: Evidence) -> Advice | None:
    """Occasional late messages make safety brake briefly, without a visible hold."""
    minutes = max(e.summary["duration_s"] / 60, 1e-3)
    counts = {name: e.grown(f"safety.rule.{name}") for name in ("stale_joints", "stale_image", "stale_command")}
    worst = max(counts, key=lambda name: counts[name])
    if counts[worst] < max(2 * minutes, 5):
        return None
    cures = {
        "stale_joints": "Raise the rate of the joint states, or `safety.joint_max_age_s` if the robot's speed allows it.",
        "stale_image": "`jsac-ros doctor CONFIG` measures the camera; the limit is `cameras.NAME.max_age_s`.",
        "stale_command": "The actor's commands come too late: see missed ticks; the limit is `safety.command_max_age_s`.",
    }
    kind, count = worst.replace("_", " "), counts[worst]
    finding = f"Safety braked {count:,.0f} times because of a {kind}, {count / minutes:.1f} times a minute."
    return Advice("stale data", finding, cures[worst])


def resets(e: Evidence) -> Advice | None:
    """Nothing is learned during resets."""
    acting, resetting = (sum(number(row, name, 0.0) for row in e.episodes) for name in ("duration", "reset_duration"))
    if len(e.episodes) < WINDOW or resetting <= 0.4 * (acting + resetting):  # both are 0 in training without a robot
        return None
    share, each_s = resetting / (acting + resetting), resetting / len(e.episodes)
    return Advice(
        "resets",
        f"Resets take {share:.0%} of the robot's time, {each_s:.1f} s per episode.",
        "Lengthen the episodes (`task.episode_s`) or shorten the parts of the reset (docs/tasks.md; in the shipped tasks "
        "`task.reset_s`, `task.settle_s`).",
    )


# -- actions -------------------------------------------------------------------------------------------------------


def safety_cuts(e: Evidence) -> Advice | None:
    """The store has the policy's actions; if safety changes most of them, it learns about actions that were not executed."""
    ticks = e.summary["control"]["ticks"]
    counts = {name: e.grown(f"safety.rule.{name}") for name in SHAPING}
    worst = max(counts, key=lambda name: counts[name])
    if ticks < FEW_STEPS or counts[worst] < 0.25 * ticks or e.changed < 0.25:
        return None
    finding = f"Rule {worst} changed {min(counts[worst] / ticks, 1.0):.0%} of the commands"
    if math.isfinite(e.changed):
        finding += f"; the executed actions differ from the policy's by {e.changed:.0%} of their size"
    return Advice(
        "safety cuts commands",
        finding + ".",
        f"Lower the scale of the action (`actions.NAME.scale`), or raise {SHAPING[worst]} if the robot and its "
        "surroundings allow it (docs/safety.md).",
    )


def saturated_actions(e: Evidence) -> Advice | None:
    """Actions at their bounds: their scale is too small, or the critic does not distinguish actions within the bounds."""
    for name, values in e.actions.items():
        is_gripper = getattr(getattr(e.config.actions, name, None), "type", "") == "gripper"  # opened or closed all the way
        share = float((np.abs(values) > 0.98).mean()) if len(values) >= 200 else 0.0
        if share > 0.6 and not is_gripper:
            return Advice(
                "saturated actions",
                f"{share:.0%} of the values of the newest {name} actions are at their bounds.",
                f"Raise `actions.{name}.scale` if the robot is too slow for the task; otherwise keep the policy wider with "
                "`agent.target_entropy=max_std`, `agent.target_entropy_std=0.3`.",
            )
    return None


# -- data and updates ----------------------------------------------------------------------------------------------


def lost_transitions(e: Evidence) -> Advice | None:
    lost, dropped = e.summary["transitions"]["lost"], e.grown("control.dropped")
    if not lost and not dropped:
        return None
    return Advice(
        "lost transitions",
        f"{lost:,} transitions never reached the store; the actor dropped {dropped:,.0f}.",
        "`logs/replay.log` in the run folder has the reason: a full disk, a slow network or a long absence of the replay "
        "process.",
    )


def warm_up(e: Evidence) -> Advice | None:
    """Actions are random until there are enough transitions to learn from."""
    share = e.share("control.state", "acting") and sum(
        row.get("replay.waiting_for", "").startswith("warm-up") for row in e.rows
    ) / len(e.rows)
    if share < 0.3:
        return None
    return Advice(
        "warm-up",
        f"For {share:.0%} of the run actions were random and nothing was learned: replay collected its first transitions.",
        f"Run longer, or lower `replay.warmup_steps` (now {e.config.replay.warmup_steps:,}).",
    )


def update_ratio(e: Evidence) -> Advice | None:
    """Updates per environment step: fewer than about one does not make full use of the data."""
    steps, updates = e.summary["env_steps"] - e.config.replay.warmup_steps, e.series("learner.updates")
    if steps < FEW_STEPS or not len(updates) or (ratio := (updates[-1] - updates[0]) / steps) >= 0.5:
        return None
    finding = f"The learner made {ratio:.2f} updates per step of the robot"
    if e.share("learner.state", "waiting") > 0.3 and e.config.replay.max_updates_per_step:
        cure = f"Raise `replay.max_updates_per_step` (now {e.config.replay.max_updates_per_step:g}), which limits learning."
        return Advice("few updates", finding + ".", cure)
    rate = e.summary["learner"]["updates_per_s"]
    return Advice(
        "few updates",
        finding + (f" ({rate:.1f} a second)." if rate else "."),
        f"`jsac-ros doctor` shows whether JAX sees a GPU. Without one, lower `replay.batch_size` (now "
        f"{e.config.replay.batch_size}), `agent.hidden` or the image size (`cameras.NAME.height`, `cameras.NAME.width`).",
    )


def batch_wait(e: Evidence) -> Advice | None:
    share = e.summary["learner"]["batch_wait_share"]
    if share is None or share < 0.1 or e.config.replay.max_updates_per_step:
        return None
    return Advice(
        "learner waits for batches",
        f"The learner spent {share:.0%} of its time waiting for replay.",
        f"Raise `replay.slots` (now {e.config.replay.slots}), lower `realtime.replay_nice`, or run fewer other programs on "
        "this computer.",
    )


def policy_age(e: Evidence) -> Advice | None:
    age_s = e.summary["policy_age_s"]["p50"]
    if age_s is None or age_s < 2.0:
        return None
    return Advice(
        "policy age",
        f"The robot acts with a policy that is {age_s:.1f} s old at the median.",
        f"Lower `learner.publish_period` (now {e.config.learner.publish_period}), or make updates faster: see few updates.",
    )


def restarts(e: Evidence) -> Advice | None:
    sessions = {part: len({row.get(f"{part}.session") for row in e.rows} - {"", None}) for part in ("control", "learner")}
    names = {"control": "actor", "learner": "learner"}
    robots = len({row.get("control.robot") for row in e.rows} - {"", None})
    found = [names[part] for part, count in sessions.items() if count > (max(robots, 1) if part == "control" else 1)]
    if not found:
        return None
    logs = ", ".join(f"`logs/{name}.log`" for name in found)
    return Advice(
        "restarts", f"{' and '.join(found)} restarted during the run.".capitalize(), f"The end of {logs} has the reason."
    )


# -- learning ------------------------------------------------------------------------------------------------------


def skipped_updates(e: Evidence) -> Advice | None:
    skipped = e.series("learner.skipped_updates").max(initial=0.0)
    if not skipped:
        return None
    return Advice(
        "updates skipped",
        f"{skipped:,.0f} updates were skipped because a loss or gradient was not finite.",
        f"Lower `agent.learning_rate` (now {e.agent('learning_rate')}), and look for observations and rewards far from 1.",
    )


def below_still(e: Evidence) -> Advice | None:
    """Worse than doing nothing: the reward favours rest, or exploration does not reach what it rewards."""
    still, last = e.baselines.get("still"), e.summary["return_last10_mean"]
    if still is None or last is None or len(e.episodes) < 2 * WINDOW or last >= still:
        return None
    return Advice(
        "below standing still",
        f"The last {WINDOW} episodes return {last:.1f} on average; standing still returns {still:.1f}.",
        "Learn longer; otherwise change the reward so that a movement in the right direction is rewarded at once "
        "(docs/tasks.md), or start with demonstrations (`replay.demonstrations=FOLDER`).",
    )


def classifier(e: Evidence) -> Advice | None:
    """The task's own measure contradicts the success classifier: the policy finds states that its examples lack."""
    reasons = [reason for row in e.episodes if (reason := row.get("reason", "")) in (GOAL, FALSE_GOAL, MISSED_GOAL)][
        -5 * WINDOW :
    ]
    false, missed = reasons.count(FALSE_GOAL), reasons.count(MISSED_GOAL)
    if false + missed < max(2, 0.05 * len(reasons)):
        return None
    return Advice(
        "classifier and truth differ",
        f"Of the last {len(reasons)} episodes with a success, the classifier wrongly reported {false} and missed {missed}.",
        "Record more examples of the states that it misjudges, and train it again (`jsac-ros classifier`, docs/rewards.md).",
    )


def no_progress(e: Evidence) -> Advice | None:
    """The returns of the last episodes are within the spread of the first."""
    returns = np.array([number(row, "episode_return") for row in e.episodes])
    if len(returns) < 5 * WINDOW or e.summary["updates"] < FEW_STEPS:
        return None
    first, last = returns[: 2 * WINDOW], returns[-2 * WINDOW :]
    significant = first.mean() + 2 * first.std() / math.sqrt(len(first))
    if last.mean() > min(significant, max(e.baselines.values(), default=math.inf)):
        return None
    return Advice(
        "no progress",
        f"The first {2 * WINDOW} episodes return {first.mean():.1f} on average, the last {2 * WINDOW} {last.mean():.1f}.",
        "Check that the goal can be seen in the images (`jsac-ros report RUN_FOLDER --picture OUT.png`) and that the "
        "reward grows on the way to it; demonstrations (`replay.demonstrations=FOLDER`) show what exploration does not find.",
    )


def entropy_high(e: Evidence) -> Advice | None:
    """The entropy is closer to that of uniform actions than to the target."""
    target, entropy = _target_entropy(e), e.late("learner.metric.entropy")
    if target is None or e.summary["updates"] < FEW_STEPS:
        return None
    uniform = e.action_size * math.log(2.0)
    if not entropy > (target + uniform) / 2:
        return None
    return Advice(
        "entropy is high",
        f"The policy is still nearly random: its entropy is {entropy:.1f} nats, the target {target:.1f}, that of uniform "
        f"actions {uniform:.1f}.",
        f"Learn longer, lower `agent.initial_temperature` (now {e.agent('initial_temperature')}) or raise "
        f"`agent.temperature_learning_rate` (now {e.agent('temperature_learning_rate')}).",
    )


def entropy_low(e: Evidence) -> Advice | None:
    """The entropy is far below the target: the temperature adapted too late."""
    target, entropy = _target_entropy(e), e.late("learner.metric.entropy")
    if target is None or not entropy < target - e.action_size:
        return None
    return Advice(
        "entropy is low",
        f"The policy hardly explores: its entropy is {entropy:.1f} nats, the target {target:.1f}.",
        f"Raise `agent.temperature_learning_rate` (now {e.agent('temperature_learning_rate')}) or `agent.initial_temperature` "
        f"(now {e.agent('initial_temperature')}).",
    )


def _target_entropy(e: Evidence) -> float | None:
    """The target of agent/temperature.py, nats; None without a temperature or without actions."""
    match e.agent("target_entropy"), e.action_size:
        case _, 0:
            return None
        case "minus_actions", size:
            return -float(size)
        case "minus_half_actions", size:
            return -size / 2
        case "max_std", size:
            return size * (0.5 * math.log(2 * math.pi * math.e) + math.log(e.agent("target_entropy_std")))
    return None


def q_above_returns(e: Evidence) -> Advice | None:
    """Q exceeds the largest plausible value: the best episode's mean reward forever, plus the entropy bonus."""
    q, discount = e.late("learner.metric.q_mean"), e.agent("discount")
    if not e.episodes or not math.isfinite(q) or discount is None or discount >= 1.0:
        return None
    best = max(number(row, "episode_return") / max(number(row, "steps"), 1.0) for row in e.episodes)
    entropy = e.late("learner.metric.temperature") * max(e.late("learner.metric.entropy"), 0.0)
    bound = (best + (entropy if math.isfinite(entropy) else 0.0)) / (1.0 - discount)
    if q < bound + 0.5 * abs(bound) + 1.0:
        return None
    return Advice(
        "Q above returns",
        f"The mean Q of the stored states is {q:.1f}; the best episode's mean reward forever would be worth {bound:.1f}.",
        f"Raise `agent.q_count` (now {e.agent('q_count')}), lower `agent.learning_rate` (now {e.agent('learning_rate')}) or "
        f"`agent.discount` (now {discount:g}); keep `agent.layer_norm=true`.",
    )


RULES: tuple[Rule, ...] = (
    dark_camera, holds, stale_data, image_age, missed_ticks, lost_transitions, restarts, skipped_updates, safety_cuts,
    image_phase, warm_up, update_ratio, batch_wait, policy_age, below_still, classifier, q_above_returns, entropy_high,
    entropy_low, saturated_actions, no_progress, resets,
)  # fmt: skip
