"""The card of a policy: what it sees and does, how often it succeeds."""

import json
from dataclasses import replace

from replay_cases import SPACES

from jsac_ros.control.ending import FALSE_GOAL
from jsac_ros.report.card import text, write_card
from jsac_ros.report.summary import Totals, summarise

ABOUT = {
    "agent": {"type": "jsac"}, "spaces": SPACES.to_json(),
    "card": {"robot": {"type": "ur5e", "driver": "sim"}, "control": {"period_s": 0.1}},
}  # fmt: skip


def totals_of(*successes, evaluation=0):
    totals = Totals()
    for k, success in enumerate(successes):
        totals.add_episode({
            "evaluation": str(evaluation), "steps": "20", "episode_return": str(success), "success": str(success),
            "reason": "success" if success else "time limit", "session": "1", "episode": str(k), "time_s": str(2.0 * k),
            "terminated": str(success), "truncated": str(1 - success),
        })  # fmt: skip
    return totals


def test_it_says_what_the_policy_sees_and_does_and_how_often_it_succeeds():
    totals = totals_of(0, 1, 1, 1, 1, 1, 1, 1, 1, 1)
    totals.updates = 12_345
    card = text("lift", ABOUT, summarise(totals, {}), totals)
    assert "| robot | ur5e (simulated) |" in card and "| updates | 12,345 |" in card
    assert "| trained on | 200 steps in 10 episodes" in card
    assert "| success, training | 90% of the last 10 episodes (95 %: 60% to 98%) |" in card
    for part in (*SPACES.images, *SPACES.vectors, *SPACES.actions):
        assert f"| `{part.name}` |" in card, part
    image = SPACES.images[0]
    assert f"uint8 [{image.height}, {image.width}, {image.stack * image.channels}]" in card


def test_deterministic_episodes_are_counted_apart():
    totals = totals_of(0, 0)
    for row in totals_of(1, 1, evaluation=1).evaluations:
        totals.add_episode(row)
    card = text("lift", ABOUT, summarise(totals, {}), totals)
    assert "evaluation | 100% of the last 2" in card and "training | 0% of the last 2" in card


def test_the_true_success_is_told_where_the_task_contradicts_a_classifier():
    totals = totals_of(1, 1, 1, 0)
    totals.episodes[0]["reason"] = FALSE_GOAL
    card = text("lift", ABOUT, summarise(totals, {}), totals)
    assert "| success, training | 75% of the last 4" in card and "| true success, training | 50% of the last 4" in card


def test_a_choice_is_one_of_so_many():
    spaces = replace(SPACES, actions=(replace(SPACES.actions[0], choices=3, size=1),))
    card = text("cartpole", ABOUT | {"spaces": spaces.to_json()}, summarise(Totals(), {}), Totals())
    assert "| one of 3 |" in card


def test_it_stands_beside_the_policy_and_nowhere_where_there_is_none(tmp_path):
    totals = totals_of(1, 0, 1)
    assert write_card(tmp_path, "lift", summarise(totals, {}), totals) == []
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "policy.json").write_text(json.dumps(ABOUT))
    paths = write_card(tmp_path, "lift", summarise(totals, {}), totals)
    assert [path.name for path in paths] == ["README.md", "picture.png"]
    assert paths[1].stat().st_size > 5_000 and paths[0].read_text().startswith("# lift: a policy\n")
