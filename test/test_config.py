"""Configuration: one file, one line for each mistake."""

from pathlib import Path

import pytest

from jsac_ros import config
from jsac_ros.config import ConfigError

CONFIGS = sorted((Path(__file__).parent.parent / "config").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid_and_survives_a_round_trip(path, tmp_path):
    loaded = config.load(path)
    config.dump(loaded, tmp_path / "again.yaml")
    assert config.load(tmp_path / "again.yaml") == loaded


def test_the_published_figures_of_the_reacher():
    loaded = config.load(Path(__file__).parent.parent / "config" / "ur5_reacher.yaml")
    assert (loaded.camera.height, loaded.camera.width, loaded.task.stack) == (90, 160, 3)
    assert loaded.task.control_period_s == 0.04
    assert (loaded.replay.capacity, loaded.replay.batch_size) == (100_000, 256)
    assert (loaded.agent.hidden, loaded.agent.q_count) == ((1024, 1024), 5)
    spec = config.spec_of(loaded, 6)
    assert (spec.image_shape, spec.proprioception, spec.action) == ((90, 160, 9), 15, 5)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"run.sed": 1}, ["run.sed", "unknown key", "seed"]),
        ({"run.seed": "three"}, ["run.seed", "'three'", "integer"]),
        ({"replay.batch_size": 0}, ["replay.batch_size", "0", "greater than 0"]),
        ({"task.control_period_s": float("nan")}, ["task.control_period_s", "nan"]),
        ({"safety.command_max_age_s": 0.0}, ["safety.command_max_age_s", "0.0", "greater than 0"]),
        ({"camera.height": 27, "camera.width": 48}, ["27x48", "at least 31"]),
        ({"camera.crop": [1, 2]}, ["crop", "[1, 2]", "top, left, height, width"]),
        ({"camera.height": 0, "camera.width": 48}, ["height 0", "width 48"]),
        ({"robot.model": "ur6"}, ["robot.model", "'ur6'", "'ur5e'"]),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_what_was_expected(values, named):
    with pytest.raises(ConfigError) as raised:
        config.from_parameters(values)
    (line,) = str(raised.value).splitlines()
    assert all(part in line for part in named), line


def test_overrides_are_read_as_yaml(tmp_path):
    config.dump(config.SystemConfig(), tmp_path / "c.yaml")
    pairs = dict(config.parse_override(t) for t in ("run.seed=3", "agent.hidden=[64, 64]", "camera.compressed=true"))
    loaded = config.load(tmp_path / "c.yaml", pairs)
    assert (loaded.run.seed, loaded.agent.hidden, loaded.camera.compressed) == (3, (64, 64), True)


@pytest.mark.parametrize("text", ["seed", "=3", "run.seed=[1"])
def test_an_override_that_is_none_is_refused(text):
    with pytest.raises(ConfigError):
        config.parse_override(text)


@pytest.mark.parametrize("text", ["", "- a list", "/**: 3", "a: {ros__parameters: {}}\nb: {ros__parameters: {}}", "{"])
def test_a_file_that_is_no_parameter_file_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        config.load(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere.yaml"):
        config.load(tmp_path / "nowhere.yaml")
