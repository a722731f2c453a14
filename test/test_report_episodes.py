"""Why an episode failed: the line of each on the page of a report."""

from __future__ import annotations

import numpy as np
import pytest
from replay_cases import make_transition
from report_cases import undrawn, write_run  # noqa: F401

from jsac_ros.replay.store import FrameStore
from jsac_ros.report import episode_table
from jsac_ros.report.episode_table import During, lines_of
from jsac_ros.report.summary import Totals, read_totals
from jsac_ros.report.tables import read_rows
from jsac_ros.report.write import write
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces

SPACES = Spaces.of([ImageSpace("wrist", 4, 6, 3, stack=2)], [], [ActionSpace("arm", 2)])


def row(time_s, **cells):
    return {"time_s": str(time_s)} | {name.replace("__", "."): str(value) for name, value in cells.items()}


def test_an_episode_has_what_safety_did_in_it_and_not_before_or_after():
    speed = (0, 5, 9, 9, 12, 3, 3, 3)  # safety was started again in second 5
    rows = [row(k, safety__rule__speed=count, safety__rule__joint_limit=2 if k >= 3 else 0) for k, count in enumerate(speed)]
    rows[4] |= row(4, control__state="holding", control__reason="image 0.31 s old")
    rows[5] |= row(
        5, control__state="holding", control__reason="image 0.84 s old", safety__emergency_stop=1, safety__reason="a person"
    )
    during = During(rows)
    assert during.said(0.5, 2.0) == ["speed 9"]
    assert during.said(2.5, 5.0) == ["speed 6", "joint limit 2", "actor holding: image 0.31 s old", "emergency stop: a person"]
    assert during.said(5.5, 30.0) == [] and During([]).said(0.0, 9.0) == []


def fill(folder, episodes, changed):
    """A store in which safety changed some commands of one episode, and said nothing of another."""
    store = FrameStore.open(folder / "replay", SPACES, capacity=len(episodes) * 101 + 4)
    for episode in episodes:
        for step in range(101):
            asked, differs = np.full(2, 0.5, np.float32), 0.25 if episode == changed and step < 8 else 0.0
            done = np.full(2, np.nan, np.float32) if episode == changed + 1 else asked - np.float32(differs)
            transition = make_transition(
                SPACES, session=7, sequence=episode * 101 + step, episode=episode, step=step, is_last=step == 100
            )
            store.append(transition._replace(action={"arm": asked}, executed={"arm": done}))
    store.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, minutes=3)
    fill(folder, range(20, 28), changed=22)
    text = (folder / "episodes.csv").read_text().splitlines(keepends=True)
    cut = text[1 + 22].replace("time limit", "camera wrist: image is 0.31 s old")
    (folder / "episodes.csv").write_text("".join([*text[: 1 + 22], cut, *text[2 + 22 :]]))
    return folder


def test_every_episode_has_its_reason_and_by_how_much_its_commands_were_changed(run):
    lines, left_out = lines_of(read_totals(run), read_rows(run / "metrics.csv"), run / "replay")
    assert [line[0] for line in lines] == [f"episode {k}" for k in range(28)] and not left_out
    assert "camera wrist: image is 0.31 s old" in lines[22][4] and lines[22][5].startswith(
        "commands changed by 4%; acceleration "
    )
    assert not any("commands changed" in line[5] for k, line in enumerate(lines) if k != 22)
    assert all("workspace" in line[5] for line in lines)


@pytest.mark.usefixtures("undrawn")
def test_the_page_tells_why_one_failed(run):
    write(run)
    text = (run / "report.html").read_text()
    line = text.partition("<td>episode 22</td>")[2].partition("</tr>")[0]
    assert "camera wrist: image is 0.31 s old" in line and "commands changed by 4%" in line
    assert "<details open><summary>28 episodes" in text


def test_starts_and_evaluations_are_told_apart_and_a_long_run_has_its_newest(tmp_path, monkeypatch):
    monkeypatch.setattr(episode_table, "MOST", 2)
    totals, common = Totals(), {"duration": "4", "steps": "9", "episode_return": "1", "reason": "goal", "success": "1"}
    totals.add_episode(common | {"time_s": "5", "session": "7", "episode": "1"})
    totals.add_episode(common | {"time_s": "15", "session": "8", "episode": "0", "intervened_steps": "3", "interventions": "1"})
    totals.add_episode(common | {"time_s": "10", "session": "7", "episode": "2", "evaluation": "1", "success": "0"})
    lines, left_out = lines_of(totals, [], tmp_path)
    assert lines == [
        ("episode 2 of start 1, evaluation", "0.2", "9", "1.0", "goal", "nothing"),
        ("episode 0 of start 2", "0.2", "9", "1.0", "success, goal", "a person chose 3 steps"),
    ] and left_out == 1  # fmt: skip
