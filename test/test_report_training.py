"""`jsac-ros report` on the folder of a training, and what stands when a report cannot be made."""

from __future__ import annotations

import pytest
from report_cases import write_run

from jsac_ros.__main__ import main
from jsac_ros.config import SystemConfig, TrainConfig
from jsac_ros.files import replaced
from jsac_ros.parameters import dump
from jsac_ros.report import write as writing
from jsac_ros.report.curve import curve_of
from jsac_ros.report.summary import read_totals
from jsac_ros.training.evaluation import Episode
from jsac_ros.training.log import TrainingLog


def train(folder, episodes=8):
    """What `jsac-ros train` leaves, but for its policy."""
    config = SystemConfig(train=TrainConfig(environment="Pendulum-v1"))
    dump(config, folder / "config.yaml")
    log = TrainingLog(folder, config, "gymnasium", session=1)
    for k in range(episodes):
        for evaluation in (False, True) if k % 4 == 3 else (False,):
            episode_return = -1500.0 + 100 * k + 50 * evaluation
            log.episode(Episode(200 * (k + 1), episode_return, 200, False, False, evaluation), number=k, updates=k)
        log.row(200 * (k + 1), k, {"learner.metric.critic_loss": 1.0 / (k + 1)})
    log.close()


@pytest.mark.parametrize("only", [[], ["--curve-only"]])
def test_of_a_training_the_curve_is_drawn_again(tmp_path, capsys, only):
    train(tmp_path)
    curve = tmp_path / "learning_curve.png"
    drawn = curve.read_bytes()
    curve.unlink()
    assert main(["report", str(tmp_path), *only]) == 0
    assert str(curve) in capsys.readouterr().out.splitlines()
    assert curve.read_bytes() == drawn
    assert writing.title_of(tmp_path) == "Pendulum-v1"


def test_evaluations_are_drawn_beside_the_episodes_that_were_learned_from(tmp_path):
    train(tmp_path)
    curve = curve_of(read_totals(tmp_path))
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
