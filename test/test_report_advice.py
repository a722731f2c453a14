"""`jsac-ros why`: every rule speaks for a run that it is about, and is silent for one that is well."""

import csv
import json

import numpy as np
import pytest
import yaml
from replay_cases import ARM, SPACES, WRIST, make_episode
from report_cases import write_run

from jsac_ros.__main__ import main
from jsac_ros.config import CameraConfig, ConfigError, SystemConfig
from jsac_ros.control.ending import FALSE_GOAL, GOAL, MISSED_GOAL
from jsac_ros.parameters import dump, from_parameters
from jsac_ros.replay.store import FrameStore
from jsac_ros.report import advice, page
from jsac_ros.report.evidence import Evidence, read_evidence
from jsac_ros.report.summary import Totals, summarise

AGENT = {
    "type": "jsac", "discount": 0.97, "target_entropy": "minus_actions", "initial_temperature": 0.05, "learning_rate": 3e-4,
    "temperature_learning_rate": 3e-4, "q_count": 2,
}  # fmt: skip


EPISODE = {"session": "7", "steps": "100", "terminated": "0", "evaluation": "0", "success": "0", "reason": "time limit"}


def evidence(rows=(), episodes=(), baselines=None, actions=None, changed=np.nan, brightness=None, **config):
    """Of tables as they would be read back: `rows` of metrics.csv, `episodes` of episodes.csv."""
    totals = Totals()
    for k, row in enumerate(episodes):
        totals.add_episode(EPISODE | {"episode": str(k)} | {name: str(value) for name, value in row.items()})
    rows = [{name: str(value) for name, value in row.items()} for row in rows]
    for row in rows:
        totals.add_metrics(row)
    tree = {"cameras": {"wrist": {}}, "agent": AGENT} | config
    return Evidence(
        config=from_parameters(tree, kinds=()), summary=summarise(totals, {}), episodes=totals.episodes, rows=rows,
        baselines=baselines or {}, actions=actions or {"arm": np.zeros((300, 5))}, changed=changed,
        brightness=brightness or {"wrist": np.tile([120.0, 40.0], (4, 1))},
    )  # fmt: skip


def run_of(folder, rows=(), episodes=(), baselines=None, actions=None, changed=np.nan, brightness=None, **config):
    """The same as a run folder: what the reporter, replay and the starter leave behind."""
    folder.mkdir()
    tree = {"cameras": {"wrist": {}}, "agent": AGENT} | config
    (folder / "config.yaml").write_text(yaml.safe_dump({"/**": {"ros__parameters": tree}}))
    (folder / "baseline.json").write_text(
        json.dumps({name: {"return_mean": value} for name, value in (baselines or {}).items()})
    )
    table(folder / "episodes.csv", [EPISODE | {"episode": k, "time_s": 5 * k} | row for k, row in enumerate(episodes)])
    table(folder / "metrics.csv", rows)
    chosen = np.full((40, ARM.size), 0.1) if actions is None else actions["arm"][:, : ARM.size]
    mean, deviation = (120.0, 40.0) if brightness is None else brightness["wrist"][0]
    frame = np.where(np.indices(WRIST.frame_shape).sum(0) % 2, mean + deviation, mean - deviation).astype(np.uint8)
    store = FrameStore.open(folder / "replay", SPACES, 512)
    for transition in make_episode(len(chosen), frames={"wrist": frame}, intervened=False):
        if not transition.is_last:
            action = chosen[transition.step].astype(np.float32)
            transition = transition._replace(action={"arm": action}, executed={"arm": np.float32(1 - changed) * action})
        store.append(transition)
    store.close()
    return folder


def table(file, rows):
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, dict.fromkeys(["time_s", *(name for row in rows for name in row)]))
        writer.writeheader()
        writer.writerows(rows)


def seconds(count=60, first=0, **columns):
    """Rows of a healthy run, one a second; a column may be a function of the second."""
    healthy = {
        "control.session": 7, "control.robot": "ur5", "control.state": "acting", "control.rate_hz": 25, "control.missed": 0,
        "control.image_age_ms.p50": 20, "control.image_age_ms.p99": 30, "control.policy_version": 1, "control.policy_age_s": 0.2,
        "control.ticks": lambda s: 25 * (s + 1), "control.episode": 10_000, "control.step": lambda s: 25 * (s + 1),
        "learner.state": "learning", "learner.session": 3, "learner.updates": lambda s: 50 * s, "learner.updates_per_s": 50,
        "learner.batch_wait_share": 0.01, "learner.metric.entropy": -4.0, "learner.metric.temperature": 0.01,
        "learner.metric.q_mean": 10.0, "learner.skipped_updates": 0, "replay.received": lambda s: 25 * (s + 1), "replay.lost": 0,
    } | {name.replace("__", "."): value for name, value in columns.items()}  # fmt: skip
    made = []
    for s in range(first, first + count):
        made.append({"time_s": s, "unix_s": s} | {name: v(s) if callable(v) else v for name, v in healthy.items()})
    return made


def returning(first, last, count=60, **more):
    """Episodes whose returns go evenly from one to the other."""
    return [
        {"episode_return": value, "duration": 4.0, "reset_duration": 1.0} | more for value in np.linspace(first, last, count)
    ]


LONG = seconds(120)
AT_BOUNDS = np.sign(np.random.default_rng(0).standard_normal((300, 5)))
CASES = {  # rule -> evidence that triggers it, evidence that does not
    advice.dark_camera: (
        dict(brightness={"wrist": np.tile([9.0, 6.0], (4, 1))}),
        dict(brightness={"wrist": np.tile([9.0, 6.0], (4, 1))}, cameras={"wrist": {"channels": 1, "depth_range_m": [0.1, 1.0]}}),
    ),
    advice.holds: (
        dict(rows=[*LONG, *seconds(10, 120, control__state="holding", control__reason="wrist is 0.31 s old, limit 0.20 s")]),
        dict(rows=[*LONG, *seconds(1, 120, control__state="holding", control__reason="wrist is 0.31 s old, limit 0.20 s")]),
    ),
    advice.stale_data: (
        dict(rows=seconds(120, safety__rule__stale_image=lambda s: s // 10)),
        dict(rows=seconds(120, safety__rule__stale_image=lambda s: s // 60)),
    ),
    advice.image_age: (dict(rows=seconds(control__image_age_ms__p50=85)), dict(rows=seconds(control__image_age_ms__p50=45))),
    advice.image_phase: (
        dict(rows=seconds(control__image_age_ms__p99=39)),
        dict(rows=seconds(control__image_age_ms__p99=39), control={"trigger": "wrist"}),
    ),
    advice.missed_ticks: (dict(rows=seconds(control__missed=lambda s: s)), dict(rows=seconds(control__missed=1))),
    advice.lost_transitions: (dict(rows=[*seconds(2), *seconds(2, 2, replay__lost=7)]), dict(rows=seconds(4))),
    advice.restarts: (
        dict(rows=[*seconds(5), *seconds(5, 5, control__session=8)]),
        dict(rows=[*seconds(5), *seconds(5, 5, control__session=8, control__robot="ur5_left")]),
    ),
    advice.skipped_updates: (dict(rows=seconds(learner__skipped_updates=3)), dict(rows=LONG)),
    advice.safety_cuts: (
        dict(rows=seconds(safety__rule__acceleration=lambda s: 20 * s), changed=0.41),
        dict(rows=seconds(safety__rule__acceleration=lambda s: 20 * s), changed=0.05),
    ),
    advice.classifier: (
        dict(episodes=[{"terminated": 1, "reason": FALSE_GOAL if k % 5 == 0 else GOAL} for k in range(20)]),
        dict(episodes=[{"terminated": 1, "reason": FALSE_GOAL if k == 5 else GOAL} for k in range(20)]),
    ),
    advice.warm_up: (
        dict(rows=[*seconds(30, replay__waiting_for="warm-up 90/500"), *seconds(30, 30)]),
        dict(rows=[*seconds(5, replay__waiting_for="warm-up 90/500"), *seconds(60, 5)]),
    ),
    advice.update_ratio: (
        dict(rows=seconds(120, learner__updates=lambda s: 5 * s)),
        dict(rows=seconds(120, learner__updates=lambda s: 50 * s)),
    ),
    advice.batch_wait: (
        dict(rows=seconds(learner__batch_wait_share=0.3)),
        dict(rows=seconds(learner__batch_wait_share=0.3), replay={"max_updates_per_step": 1.0}),
    ),
    advice.policy_age: (dict(rows=seconds(control__policy_age_s=4.0)), dict(rows=LONG)),
    advice.below_still: (
        dict(episodes=returning(20, 30), baselines={"still": 57.0}),
        dict(episodes=returning(20, 90), baselines={"still": 57.0}),
    ),
    advice.q_above_returns: (
        dict(rows=seconds(learner__metric__q_mean=400.0), episodes=returning(20, 100)),
        dict(rows=seconds(learner__metric__q_mean=30.0), episodes=returning(20, 100)),
    ),
    advice.entropy_high: (dict(rows=seconds(learner__metric__entropy=2.5)), dict(rows=seconds(learner__metric__entropy=-4.5))),
    advice.entropy_low: (dict(rows=seconds(learner__metric__entropy=-14.0)), dict(rows=seconds(learner__metric__entropy=-6.0))),
    advice.saturated_actions: (
        dict(actions={"arm": AT_BOUNDS}),
        dict(actions={"arm": AT_BOUNDS}, actions_section={"arm": {"type": "gripper"}}),
    ),
    advice.no_progress: (dict(rows=LONG, episodes=30 * returning(30, 50, 2)), dict(rows=LONG, episodes=returning(40, 140))),
    advice.resets: (
        dict(episodes=returning(1, 2, duration=4.0, reset_duration=5.0)),
        dict(episodes=returning(1, 2, duration=4.0, reset_duration=1.0)),
    ),
}  # fmt: skip


def of(case):
    case = dict(case)
    section = case.pop("actions_section", None)
    made = evidence(**case)
    return made if section is None else made._replace(config=from_parameters({"actions": section}, kinds=()))


def test_every_rule_has_a_case():
    assert set(CASES) == set(advice.RULES)


@pytest.mark.parametrize("rule", CASES, ids=lambda rule: rule.__name__)
def test_a_run_triggers_each_rule(rule, tmp_path, capsys):
    folder = run_of(tmp_path / "run", **CASES[rule][0])
    found = rule(read_evidence(folder))
    assert found
    assert main(["why", str(folder)]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert found.finding in told and found.cure in told


@pytest.mark.parametrize("rule", CASES, ids=lambda rule: rule.__name__)
def test_a_rule_speaks_where_it_must_and_only_there(rule):
    triggered, silent = CASES[rule]
    found = rule(of(triggered))
    assert found and found.finding.endswith(".") and found.cure.endswith(".")
    assert "nan" not in found.finding + found.cure and "None" not in found.finding + found.cure
    assert rule(of(silent)) is None


def test_a_healthy_run_and_an_empty_one_are_left_alone():
    assert advice.advise(evidence(rows=LONG, episodes=returning(40, 140))) == []
    assert advice.advise(evidence()) == []
    in_no_time = returning(40, 140, duration="", reset_duration="")  # of a training without a robot
    assert advice.advise(evidence(rows=LONG, episodes=in_no_time)) == []


def test_the_cures_name_settings_that_exist():
    from test_package_docs import unknown_fields

    for rule, (triggered, _) in CASES.items():
        named = [word for k, word in enumerate(rule(of(triggered)).cure.split("`")) if k % 2]
        assert unknown_fields("\n".join(named)) == [], rule.__name__


def test_why_tells_what_limits_a_run(tmp_path, capsys):
    folder = write_run(tmp_path / "run", minutes=2)
    assert main(["why", str(folder), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "safety cuts commands" in [entry["name"] for entry in found]
    assert main(["why", str(folder)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("2:") and "1. " in told and "`actions.NAME.scale`" in told
    assert main(["why", str(tmp_path)]) == 2
    assert "expected the folder of a run" in capsys.readouterr().err


def test_actions_and_images_come_from_the_store(tmp_path):
    folder = write_run(tmp_path / "run", minutes=1)
    store = FrameStore.open(folder / "replay", SPACES, 64)
    first = 0
    for episode in range(3):
        for transition in make_episode(9, first, episode=episode, frames={"wrist": np.full(WRIST.frame_shape, 12, np.uint8)}):
            store.append(transition)
        first += 10
    store.close()
    read = read_evidence(folder)
    assert read.actions["arm"].shape[1] == ARM.size and 0 < len(read.actions["arm"]) <= 27
    assert np.isnan(read.changed)  # these transitions do not say what was executed
    assert advice.dark_camera(read).finding.startswith("Image wrist is dark")


def test_a_run_without_a_configuration_or_a_store_is_still_judged(tmp_path):
    folder = write_run(tmp_path / "run", minutes=1)
    (folder / "config.yaml").write_text("nonsense")
    assert read_evidence(folder).config == SystemConfig() and read_evidence(folder).actions == {}
    advice.advise(read_evidence(folder))
    with pytest.raises(ConfigError):
        read_evidence(tmp_path)
    assert CameraConfig().depth_range_m == ()


def test_the_page_counts_what_a_classifier_said_against_the_truth(tmp_path):
    config = SystemConfig()
    dump(config.model_copy(update={"task": config.task.model_copy(update={"classifier": "lifted"})}), tmp_path / "config.yaml")
    totals = Totals()
    for k in range(60):
        reason = MISSED_GOAL if k == 2 else FALSE_GOAL if k in (1, 50) else GOAL
        totals.add_episode(
            {"success": str(int(k != 2)), "terminated": "1", "reason": reason, "episode_return": "1", "steps": "9"}
        )
    said = page._believed(tmp_path, totals)
    assert "59 successes, 2 of them false, 1 missed; in the last 50 episodes 50 successes, 1 of them false, 0 missed" in said
    dump(config, tmp_path / "config.yaml")
    assert page._believed(tmp_path, totals) == ""
