"""`jsac-ros report` on the folder of a training, and what stands when a report cannot be made."""

from __future__ import annotations

import numpy as np
import pytest
from report_cases import undrawn, write_run  # noqa: F401

from jsac_ros import provenance
from jsac_ros.__main__ import main
from jsac_ros.config import SystemConfig, TrainConfig
from jsac_ros.control.ending import FALSE_GOAL, GOAL, MISSED_GOAL
from jsac_ros.files import replaced
from jsac_ros.parameters import dump
from jsac_ros.report import figures
from jsac_ros.report import write as writing
from jsac_ros.report.curve import curve_of, learning_curve
from jsac_ros.report.folder import title_of
from jsac_ros.report.markup import drawn
from jsac_ros.report.style import plt
from jsac_ros.report.summary import Totals, read_totals
from jsac_ros.training.evaluation import Episode
from jsac_ros.training.log import TrainingLog


def train(folder, episodes=8):
    """-> the folder with what `jsac-ros train` leaves, but for its policy."""
    config = SystemConfig(train=TrainConfig(environment="Pendulum-v1"))
    dump(config, folder / "config.yaml")
    log = TrainingLog(folder, config, "gymnasium", session=1)
    for k in range(episodes):
        for evaluation in (False, True) if k % 4 == 3 else (False,):
            episode_return = -1500.0 + 100 * k + 50 * evaluation
            log.episode(Episode(200 * (k + 1), episode_return, 200, False, False, evaluation), number=k, updates=k)
        log.row(200 * (k + 1), k, {"learner.metric.critic_loss": 1.0 / (k + 1)})
    log.close()
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("trained"))


@pytest.mark.parametrize("only", [[], ["--curve-only"]])
def test_of_a_training_the_curve_is_drawn_again(trained, capsys, only):
    curve = trained / "learning_curve.png"
    drawn = curve.read_bytes()
    curve.unlink()
    assert main(["report", str(trained), *only]) == 0
    assert str(curve) in capsys.readouterr().out.splitlines()
    assert curve.read_bytes() == drawn
    assert title_of(trained) == "Pendulum-v1"


def test_evaluations_are_drawn_beside_the_episodes_that_were_learned_from(trained):
    curve = curve_of(read_totals(trained))
    assert curve.returns.tolist() == [-1500.0 + 100 * k for k in range(8)]
    assert curve.evaluation_returns.tolist() == [-1150.0, -750.0]


def test_a_training_without_an_episode_has_an_empty_curve(tmp_path):
    train(tmp_path, episodes=0)
    assert main(["report", str(tmp_path)]) == 0


def test_what_fails_leaves_the_last_report(tmp_path, monkeypatch):
    write_run(tmp_path, minutes=1.0)
    monkeypatch.setattr(writing, "page", lambda *_: "a page")
    paths = writing.write(tmp_path)
    before = {path: path.read_bytes() for path in paths}

    def fail(*_):
        raise KeyError("reason")

    monkeypatch.setattr(writing, "page", fail)
    with (tmp_path / "episodes.csv").open("a") as file:
        file.write("what makes another curve and another summary\n")
    with pytest.raises(KeyError):
        writing.write(tmp_path)
    assert {path: path.read_bytes() for path in paths} == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError), replaced(path) as beside:
        beside.write_text("half")
        raise OSError("No space left on device")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    with replaced(path) as beside:
        assert beside.suffix == ".txt"
        beside.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def day(rows=12_000, episodes=13_500):
    """What a run of a day leaves in memory: a row a second in the first hour, then every ten seconds."""
    random = np.random.default_rng(0)
    metrics = [
        {"time_s": str(7.0 * k), "learner.updates": str(300 * k)}
        | {f"learner.metric.{name}": f"{random.normal():.6g}" for name in "abcdef"}
        | {f"process.{name}.{what}": f"{random.random():.6g}" for name in "abcd" for what in ("rss_mb", "cpu")}
        | {"control.lateness_ms.p99": "50.0" if k == 5000 else f"{random.random():.4g}", "control.rate_hz": "25"}
        for k in range(rows)
    ]
    totals = Totals()
    for k in range(episodes):
        totals.add_episode({
            "time_s": str(6.4 * k), "episode": str(k), "steps": "100", "episode_return": f"{random.normal():.6g}",
            "success": str(k % 2), "reason": f"image {k}.5 s old" if k % 3 == 0 else "time limit",
        })  # fmt: skip
    return metrics, totals


def test_the_drawings_of_a_day_are_no_larger_than_those_of_an_hour():
    metrics, totals = day()
    sizes = {
        figure.__name__: len(drawn(figure(metrics), "")) for figure in (figures.losses, figures.health, figures.processes)
    } | {"curve": len(drawn(learning_curve(totals, {"random": 0.0}, ""), ""))}
    assert max(sizes.values()) < 600_000, sizes


def test_what_happened_once_in_a_day_is_still_drawn():
    metrics, _ = day(episodes=1)
    figure = figures.health(metrics)
    drawn(figure, "")
    assert max(figure.axes[0].lines[0].get_ydata()) == 50.0


@pytest.mark.usefixtures("undrawn")
def test_a_run_says_how_to_make_it_again(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/jsac-ros", "run", "a b.yaml", "seed=<3>"])
    write_run(tmp_path, minutes=0.3)
    writing.write(tmp_path)
    assert "not recorded; this page was written by version" in (tmp_path / "report.html").read_text()
    provenance.write(tmp_path)
    assert provenance.read(tmp_path)["command"] == "jsac-ros run 'a b.yaml' 'seed=<3>'"
    writing.write(tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert (
        "jsac-ros run &#x27;a b.yaml&#x27; &#x27;seed=&lt;3&gt;&#x27;" in text and "GiB" in text and "not recorded" not in text
    )
    assert f"jsac-ros run {tmp_path.name}/config.yaml" in text


@pytest.mark.parametrize("text", ["", "[]", '{"command": 3}', "{", '{"version": {"a": 1}}'])
def test_a_damaged_record_of_the_machine_costs_no_page(tmp_path, text):
    (tmp_path / provenance.FILE).write_text(text)
    assert provenance.read(tmp_path) == {}


def test_the_curve_shows_a_contradicted_classifier_and_a_persons_share():
    def drawn_of(**changes):
        totals = Totals()
        for k in range(12):
            row = {"time_s": 60 * k, "episode_return": 1, "success": 1, "steps": 10, "terminated": 1, "reason": GOAL} | changes
            totals.add_episode({name: str(value) for name, value in row.items()})
        figure = learning_curve(totals, {}, "")
        axes = figure.axes[1]
        lines = {line.get_label(): float(line.get_ydata()[-1]) for line in axes.lines}
        plt.close(figure)
        return lines, axes.get_legend() is not None

    assert drawn_of() == ({"success": 100.0}, False)
    lines, has_legend = drawn_of(reason=FALSE_GOAL, intervened_steps=4)
    assert lines == {"success": 100.0, "true success": 0.0, "steps of a person": 40.0} and has_legend
    assert drawn_of(success=0, terminated=0, reason=MISSED_GOAL)[0]["true success"] == 100.0
