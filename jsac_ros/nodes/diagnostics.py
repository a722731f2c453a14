"""Statuses as ROS diagnostics, named `jsac_ros/<node with namespace>: <what>`, with the robot as hardware id, so that
rqt_robot_monitor and a diagnostic_aggregator (config/layouts/diagnostics.yaml) show them as a tree."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

from jsac_ros.control.timing import Percentiles

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def status(node: Node, what: str, level: bytes, message: str, values: Mapping[str, object]) -> DiagnosticStatus:
    """One diagnostics entry of a node. Numbers are formatted with four digits."""
    full = node.get_fully_qualified_name().strip("/")
    namespace, _, _ = full.rpartition("/")  # of this robot, if there are several
    shown = {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in values.items()}
    return DiagnosticStatus(
        name=f"jsac_ros/{full}: {what}", level=level, message=message,
        hardware_id="/".join(filter(None, (namespace, node.config.robot.type))),
        values=[KeyValue(key=key, value=value) for key, value in shown.items()],
    )  # fmt: skip


def percentiles(prefix: str, values: Percentiles) -> dict[str, float]:
    return {f"{prefix} {name} ms": float(value) for name, value in zip(("p50", "p99", "p99.9", "max"), values)}


def array_of(stamp, *entries: DiagnosticStatus) -> DiagnosticArray:
    message = DiagnosticArray(status=list(entries))
    message.header.stamp = stamp
    return message


_SAFETY_LEVEL = {"ready": OK, "moving": OK, "waiting": WARN, "holding": WARN, "stopped": ERROR}
# "stopped" is not an error: a person stopped the actor, or the run is complete. Errors are reported by safety.
_ACTOR_LEVEL = {
    "acting": OK, "shadow": OK, "resetting": OK, "waiting": WARN, "holding": WARN, "paused": WARN, "stopped": WARN,
}  # fmt: skip


def safety_diagnostics(node: Node, stamp, safety, gate: Percentiles, period_ms: float, alarm: bool) -> DiagnosticArray:
    """State and rules of safety (an error if `alarm`), and the timing of its watch (a warning if it skips ticks).

    safety: msg/SafetyStatus; gate: durations of commands."""
    level = ERROR if alarm else _SAFETY_LEVEL[safety.state]
    rules = dict(zip(safety.rule_names, safety.rule_counts))
    lateness = Percentiles(*map(float, safety.lateness_ms))
    late = lateness.max > period_ms
    return array_of(
        stamp,
        status(node, "state", level, safety.reason or safety.state, {"state": safety.state} | rules),
        status(
            node,
            "timing",
            WARN if late else OK,
            "a tick was late by more than a period" if late else "on time",
            {"ticks": safety.ticks, "missed": safety.missed} | percentiles("lateness", lateness) | percentiles("command", gate),
        ),
    )


def refusal_diagnostics(node: Node, stamp, refused: Mapping[str, int], new: int) -> DiagnosticArray:
    """refused: {topic or service: number of refused messages}; new: in the last second, a warning if not 0."""
    message = f"{new} messages refused in the last second" if new else "none refused in the last second"
    return array_of(stamp, status(node, "refused", WARN if new else OK, message, dict(sorted(refused.items()))))


def disk_diagnostics(node: Node, stamp, problems: Mapping[str, str]) -> DiagnosticArray:
    """problems: {file: why it could not be written}; an error while there are any."""
    message = "; ".join(sorted(set(problems.values()))) or "everything is written"
    return array_of(stamp, status(node, "disk", ERROR if problems else OK, message, {}))


def actor_diagnostics(node: Node, stamp, control, timings: dict[str, Percentiles], missed: int) -> DiagnosticArray:
    """State and policy of the actor, and the timing of its loop (a warning if it missed ticks).

    control: msg/ControlStatus; timings: of the last second; missed: ticks since the previous message."""
    values = {"ticks": control.ticks, "missed": control.missed, "rate Hz": control.rate_hz}
    for name, last in timings.items():
        values |= percentiles(name.replace("_", " "), last)
    return array_of(
        stamp,
        status(
            node,
            "state",
            _ACTOR_LEVEL[control.state],
            control.reason or control.state,
            {
                "state": control.state,
                "robot": control.robot,
                "episode": control.episode,
                "step": control.step,
                "policy version": control.policy_version,
                "policy age s": control.policy_age_s,
                "unacknowledged": control.unacknowledged,
                "dropped": control.dropped,
            },
        ),
        status(node, "timing", WARN if missed else OK, f"missed {missed} ticks" if missed else "on time", values),
    )


_LEARNER_LEVEL = {"compiling": OK, "waiting": OK, "learning": OK, "paused": WARN, "stopped": WARN}


def learner_diagnostics(node: Node, stamp, training) -> DiagnosticArray:
    """State of the learner. training: msg/TrainingStatus; its `problem` is an error."""
    values = {
        "state": training.state,
        "updates": training.updates,
        "updates/s": training.updates_per_s,
        "update ms": training.update_ms,
        "batch wait share": training.batch_wait_share,
        "skipped updates": training.skipped_updates,
        "policy version": training.policy_version,
        "checkpoint": training.checkpoint,
    }
    level = ERROR if training.problem else _LEARNER_LEVEL[training.state]
    return array_of(stamp, status(node, "state", level, training.problem or training.state, values))


def replay_diagnostics(node: Node, stamp, replay) -> DiagnosticArray:
    """State of replay. replay: msg/ReplayStatus; its `problem` is an error. Waiting is normal."""
    names = ("stored", "valid", "received", "lost", "refused", "batches", "ingest_per_s", "sample_ms")
    values = {name.replace("_", " "): getattr(replay, name) for name in names}
    waits = f"waiting for {replay.waiting_for}" if replay.waiting_for else "sampling"
    return array_of(stamp, status(node, "state", ERROR if replay.problem else OK, replay.problem or waits, values))
