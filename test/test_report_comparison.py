"""Several runs beside each other: what is said of them, how sure it is, and what cannot be said."""

from __future__ import annotations

import re

import numpy as np
import pytest
from report_cases import write_run

from jsac_ros.__main__ import main
from jsac_ros.config import SystemConfig
from jsac_ros.parameters import dump
from jsac_ros.report.compare import comparison_page, write_comparison
from jsac_ros.report.comparison import Group, Run, at_times, band, difference, differing, groups_of, reached, read_run
from jsac_ros.report.sentences import sentences

EPISODES = 60


def run(name="a", lr="1e-3", seed=0, first_success=20, minutes_each=0.1, returns=None, environment=""):
    """Every episode from `first_success` on succeeds."""
    at = minutes_each * np.arange(1, EPISODES + 1)
    successes = (np.arange(EPISODES) >= first_success).astype(float)
    settings = {"agent.learning_rate": lr} | ({"train.environment": environment} if environment else {})
    returns = 100 * successes if returns is None else np.asarray(returns, float)
    return Run(name, "reach", settings, str(seed), at, 1000 * at, returns, successes, at[-1], 1000 * at[-1])


def test_a_level_is_reached_by_the_mean_of_ten():
    at, successes = np.arange(30.0), np.r_[np.ones(3), np.zeros(7), np.ones(20)]
    assert reached(at, successes, 0.9) == 18.0 and np.isnan(reached(at, successes, 1.1))
    assert np.isnan(reached(at[:9], np.ones(9), 0.5)), "ten episodes at least"


def test_runs_that_differ_by_their_seed_alone_are_a_group():
    groups = groups_of([run(seed=0), run(lr="3e-4"), run(seed=1)])
    assert [(g.letter, [r.seed for r in g.runs]) for g in groups] == [("A", ["0", "1"]), ("B", ["0"])]
    assert differing(groups) == [("agent.learning_rate", "1e-3", "3e-4")]


def test_runs_without_a_configuration_belong_to_no_other():
    assert len(groups_of([run()._replace(settings={}), run()._replace(settings={})])) == 2


@pytest.mark.parametrize("counts", [(3, 3), (2, 4), (5, 5), (10, 3)])
@pytest.mark.parametrize("skewed", [False, True])
def test_an_interval_of_95_percent_holds_so_often(monkeypatch, counts, skewed):
    monkeypatch.setattr("jsac_ros.report.comparison.DRAWS", 1000)
    random, inside, trials = np.random.default_rng(1), 0, 400
    draw = (lambda n: random.exponential(1.0, n)) if skewed else (lambda n: random.normal(0, 1, n))
    for _ in range(trials):
        _, (low, high) = difference(draw(counts[0]), draw(counts[1]))
        inside += low <= 0 <= high
    assert inside / trials > (0.88 if skewed else 0.92)


def test_several_seeds_have_an_interval():
    a = [run("a", seed=k, first_success=30 + k) for k in (0, 2, 4)]
    b = [run("b", "3e-4", seed=k, first_success=10 + k) for k in (0, 1, 2)]
    first, second, *_ = sentences(groups_of([*a, *b]))
    found = re.fullmatch(
        r"B reaches 90% success 2\.1 minutes sooner than A \(95 %: (\d\.\d) to (\d\.\d)\), after 2\.0 minutes\.", second
    )
    assert found, second
    assert 1.5 < float(found[1]) < 2.1 < float(found[2]) < 2.7
    assert first.startswith("B reaches 50% success 2.1 minutes sooner than A")


def test_seeds_that_scatter_show_no_difference():
    a = [run("a", seed=k, first_success=k) for k in (10, 30, 40)]
    b = [run("b", "3e-4", seed=k, first_success=k) for k in (8, 25, 42)]
    assert "to 3.6 later: not significant with these runs)" in sentences(groups_of([*a, *b]))[0]


def test_single_runs_have_no_interval_and_it_is_said():
    said = sentences(groups_of([run("a", first_success=30), run("b", "3e-4", first_success=10)]))
    assert said[1] == "B reaches 90% success 2.0 minutes sooner than A (no interval), after 1.9 minutes."
    assert said[-1].startswith("An interval needs at least two runs of each configuration")


def test_what_is_never_reached_is_said():
    never, once = run("a", first_success=EPISODES), [run("b", "3e-4", seed=k, first_success=10 + 50 * k) for k in (0, 1)]
    said = sentences(groups_of([never, *once]))
    assert said[1] == "1 of 2 runs of B reach 90% success, the others never; A never reaches 90% success in 6.0 minutes."


def test_without_successes_returns_are_compared_and_trainings_by_steps():
    slow, fast = np.linspace(0, 100, EPISODES), np.minimum(np.linspace(0, 300, EPISODES), 100)
    none = dict(first_success=EPISODES, environment="Pendulum-v1")
    said = sentences(groups_of([run("a", returns=slow, **none), run("b", "3e-4", returns=fast, **none)]))
    assert re.match(r"B reaches a return of 90\.8 3,500 steps sooner than A \(no interval\), after 2,500 steps\.", said[0]), (
        said
    )


def test_a_run_without_episodes_costs_no_page():
    nothing = np.zeros(0)
    empty = Run("b", "reach", {}, "–", nothing, nothing, nothing, nothing, 0.0, 0.0)
    page = comparison_page(groups_of([run(first_success=5), empty]))
    assert "B never reaches 90% success in 0.0 minutes" in page and "cannot be compared" in page


def test_the_band_of_two_is_that_of_student():
    mean, half = band(np.array([[1.0], [3.0]]))
    assert mean[0] == 2.0 and half[0] == pytest.approx(12.706, rel=1e-3)
    assert np.isnan(at_times(np.array([1.0]), np.array([5.0]), np.array([0.5, 1.0]))[0])


def test_the_verb_compares_folders(tmp_path, capsys):
    folders = [write_run(tmp_path / name, minutes=1.5, histograms=False, seed=k) for k, name in enumerate(["a", "b", "<c>"])]
    config = SystemConfig()
    for seed, folder in enumerate(folders):
        agent = config.agent.model_copy(update={"discount": 0.5 if seed == 2 else config.agent.discount})
        dump(
            config.model_copy(update={"agent": agent, "run": config.run.model_copy(update={"seed": seed})}),
            folder / "config.yaml",
        )
    assert main(["report", *map(str, folders)]) == 0
    out = tmp_path / "comparison.html"
    assert capsys.readouterr().out.strip() == str(out)
    text = out.read_text()
    assert "<td>agent.discount</td>" in text and "run.seed" not in text and "<c>" not in text
    assert "A, 2 runs</text>" in text and "prefers-color-scheme" in text and len(text) < 200_000
    assert [len(group.runs) for group in groups_of([read_run(folder) for folder in folders])] == [2, 1]


@pytest.mark.parametrize("words, said", [
    (["{a}", "{a}"], "expected each only once"),
    (["{a}", "{a}/.."], "has no episodes.csv"),
    (["{a}", "{b}", "--curve-only"], "do not apply to several runs"),
    (["{a}", "--out", "x.html"], "does not apply to one run"),
    (["{a}", "{b}", "--out", "{a}/no/x.html"], "expected a file that can be written"),
])  # fmt: skip
def test_what_cannot_be_compared_is_one_line(tmp_path, capsys, words, said):
    a, b = (write_run(tmp_path / name, minutes=0.2, histograms=False) for name in "ab")
    assert main(["report", *(word.format(a=a, b=b) for word in words)]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_many_runs_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected at most 26"):
        write_comparison([tmp_path / str(k) for k in range(27)])


def test_a_group_has_the_settings_of_its_runs():
    assert differing([Group("A", [run()]), Group("B", [run(environment="Pendulum-v1")])]) == [
        ("train.environment", "–", "Pendulum-v1")
    ]
