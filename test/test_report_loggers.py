"""Where a run is written down beside its tables: one interface, and none of them can stop the run."""

import sys
import threading
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from full_disk import files_of_at_most
from replay_cases import SPACES, make_episode
from rig_cases import REACHER
from tensorboard_cases import scalars_of, values_of
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from jsac_ros import system
from jsac_ros.config import ConfigError, ReportConfig, RunConfig, SystemConfig
from jsac_ros.parameters import from_parameters
from jsac_ros.replay.store import FrameStore
from jsac_ros.report import filmstrip
from jsac_ros.report.events import Events
from jsac_ros.report.filmstrip import FRAMES, HEIGHT, WIDTH, Filmstrips, strip_of
from jsac_ros.report.loggers import background, check, flat, loggers_of
from jsac_ros.report.loggers.background import Background
from jsac_ros.report.loggers.tensorboard import TensorBoard
from jsac_ros.report.summary import Totals

EPISODE = {
    "evaluation": False, "episode_return": 7.0, "success": True, "steps": 4, "duration": 0.16, "interventions": 0,
    "intervened_steps": 0, "robot": "ur5", "session": 1, "episode": 0,
}  # fmt: skip
ROW = {
    "time_s": "3.00", "control.robot": "ur5", "control.session": "1", "control.ticks": "90", "control.rate_hz": "25",
    "control.episode": "1", "control.step": "3", "control.state": "acting", "learner.updates": "700",
    "learner.metric.critic_loss": "1.25",
}  # fmt: skip
RED = np.full((8, 8, 3), (250, 10, 10), np.uint8)


class Kept:
    """A logger that keeps what it is told, in order."""

    problem = ""

    def __init__(self):
        self.told, self.closed = [], False

    def hparams(self, values):
        self.told.append(("hparams", values))

    def scalars(self, step, values):
        self.told.append((step, values))

    def image(self, step, name, image):
        self.told.append((step, name, image.shape))

    def close(self):
        self.closed = True


def until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def fill(folder, episodes=1, length=4):
    store = FrameStore.open(folder, SPACES, 100)
    for number in range(episodes):
        for transition in make_episode(length, number * (length + 1), episode=number):
            store.append(transition)
    store.close()


# -- what is told ------------------------------------------------------------------------------------------------------


def test_everything_is_over_steps_of_the_environment(tmp_path):
    folder, totals = tmp_path / "tensorboard", Totals()
    events = Events([TensorBoard(folder)])
    totals.add_episode({"session": "1", "episode": "0", "steps": "40"})
    events.episode(40, EPISODE)
    totals.add_metrics(ROW)
    events.metrics(totals, ROW)
    events.metrics(totals, ROW | {"control.rate_hz": "0"})  # too soon
    events.close()
    assert scalars_of(folder, "episode/return") == [(40, 7.0)]
    assert scalars_of(folder, "control/rate_hz") == [(43, 25.0)], "the open episode's steps count"
    assert scalars_of(folder, "learner/metric/critic_loss") == [(43, 1.25)]
    assert scalars_of(folder, "learner/updates") == [(43, 700.0)]
    assert {step for step, value in values_of(folder) if value.HasField("simple_value")} == {40, 43}


def test_what_was_not_measured_is_left_out():
    logger = Kept()
    Events([logger]).episode(4, EPISODE | {"duration": float("nan")})
    ((step, values),) = logger.told
    assert step == 4 and "episode/duration" not in values and values["episode/steps"] == 4.0


def test_every_file_of_tensorboard_begins_with_the_settings(tmp_path):
    config = SystemConfig(run=RunConfig(seed=3))
    (logger,) = loggers_of(config, tmp_path)
    logger.scalars(1, {"a": 1.0})
    with files_of_at_most(1):
        logger.scalars(2, {"a": 2.0})
        assert "File too large" in logger.problem
    logger.scalars(3, {"a": 3.0})
    logger.close()
    found = [value for _, value in values_of(tmp_path / "tensorboard") if value.tag == "_hparams_/session_start_info"]
    assert len(found) == 2 and scalars_of(tmp_path / "tensorboard", "a") == [(1, 1.0), (3, 3.0)]
    started = HParamsPluginData.FromString(found[0].metadata.plugin_data.content).session_start_info.hparams
    assert started["run.seed"].number_value == 3 and started["robot.type"].string_value == "ur5"
    assert started["report.loggers"].string_value == "['tensorboard']"


def test_settings_are_flat():
    assert flat({"a": {"b": {"c": 1.5}, "d": [1, 2]}, "e": True}) == {"a.b.c": 1.5, "a.d": "[1, 2]", "e": True}


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_an_episode_is_shown_once_it_is_stored(tmp_path):
    logger, folder = Kept(), tmp_path / "replay"
    events = Events([logger], Filmstrips(folder, 60.0))
    events.episode(4, EPISODE | {"evaluation": True, "episode": 9})
    events.metrics(Totals(), {})
    events.episode(4, EPISODE)
    events.metrics(Totals(), {})  # no store yet
    fill(folder, episodes=2)
    events.episode(8, EPISODE | {"episode": 1})
    events.metrics(Totals(), {})
    events.episode(12, EPISODE)  # before the next is due
    events.metrics(Totals(), {})
    height, width, _ = SPACES.images[0].frame_shape
    assert [told for told in logger.told if len(told) == 3] == [(8, "film/wrist", (height, FRAMES * width, 3))]


def test_tensorboard_has_the_picture(tmp_path):
    import cv2

    logger = TensorBoard(tmp_path / "tensorboard")
    logger.image(5, "film/wrist", RED)
    logger.close()
    ((step, value),) = [(step, value) for step, value in values_of(tmp_path / "tensorboard") if value.HasField("image")]
    shown = cv2.imdecode(np.frombuffer(value.image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert (step, value.tag, value.image.width) == (5, "film/wrist", 8) and np.abs(shown.astype(int) - RED).max() < 12


def test_a_picture_is_small_whatever_the_camera_is():
    noise = np.random.default_rng(0).integers(0, 256, (FRAMES, 480, 640, 1), np.uint8)
    strip = strip_of(noise)
    assert strip.shape[2] == 3 and strip.shape[0] <= HEIGHT and strip.shape[1] <= FRAMES * WIDTH
    assert len(filmstrip_jpeg(strip)) < 100_000


def filmstrip_jpeg(strip):
    from jsac_ros.replay.episodes import to_jpeg

    return to_jpeg(strip)


def test_a_day_has_two_hundred_pictures(tmp_path, monkeypatch):
    fill(tmp_path)
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(filmstrip.time, "monotonic", lambda: clock.now)
    films, taken = Filmstrips(tmp_path, 60.0), 0
    for clock.now in range(0, 86_400, 5):
        if films.due:
            taken += bool(films.take(("ur5", 1, 0)))
    assert 190 <= taken <= 200
    assert not Filmstrips(tmp_path, 0.0).due


# -- loggers elsewhere -------------------------------------------------------------------------------------------------


def test_a_logger_in_the_background_is_opened_and_told_in_order():
    kept = Kept()
    logger = Background("wandb", lambda: kept)
    logger.hparams({"run.seed": 3})
    logger.scalars(1, {"a": 1.0})
    logger.image(2, "film/wrist", RED)
    logger.close()
    assert kept.told == [("hparams", {"run.seed": 3}), (1, {"a": 1.0}), (2, "film/wrist", RED.shape)] and kept.closed


def test_a_logger_that_fails_is_said_once_and_tried_again():
    kept, left = Kept(), [3]

    def make():
        if left[0]:
            left[0] -= 1
            raise ConnectionError(f"no route to host\n(try {left[0]})")
        return kept

    logger = Background("mlflow", make, retry_s=0.0)
    events = Events([logger])
    logger.hparams({})
    logger.scalars(1, {"a": 1.0})
    until(lambda: logger.problem)
    assert events.new_problems() == ["mlflow: ConnectionError: no route to host (try 2)"]
    logger.scalars(2, {"a": 2.0})
    until(lambda: left[0] == 1)
    assert events.new_problems() == []
    for step in (3, 4):
        logger.scalars(step, {"a": 1.0})
    until(lambda: kept.told[1:] == [(4, {"a": 1.0})])
    until(lambda: not logger.problem)
    logger.close()


def test_a_logger_that_hangs_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(background, "LAST_S", 0.05)
    hangs = threading.Event()
    logger = Background("wandb", lambda: hangs.wait(30), most_waiting=5)
    logger.hparams({})
    began_s = time.monotonic()
    for step in range(2000):
        logger.scalars(step, {"a": 1.0})
    assert logger.problem == "wandb: 5 calls are waiting; new ones are dropped"
    logger.close()
    assert time.monotonic() - began_s < 2
    hangs.set()


def test_a_logger_that_was_never_told_ends():
    logger = Background("wandb", lambda: pytest.fail("opened for nothing"))
    logger.hparams({})
    logger.close()


# -- Weights & Biases and MLflow ---------------------------------------------------------------------------------------


@pytest.fixture
def fake_wandb(monkeypatch):
    module, calls = ModuleType("wandb"), []
    module.__spec__ = ModuleSpec("wandb", None, origin="a test")

    class Run:
        config = SimpleNamespace(update=lambda values, **more: calls.append(("config", values)))

        def define_metric(self, name, step_metric):
            calls.append(("axis", name, step_metric))

        def log(self, values):
            calls.append(("log", values))

        def finish(self):
            calls.append(("finish",))

    def init(**options):
        calls.append(("init", options))
        return Run()

    module.init, module.Image, module.login = init, lambda image, file_type: image.shape, lambda prompt: prompt
    module.Settings = lambda **options: options
    module.calls = calls
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.delitem(sys.modules, "jsac_ros.report.loggers.wandb", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    yield module
    sys.modules.pop("jsac_ros.report.loggers.wandb", None)


def test_weights_and_biases(tmp_path, fake_wandb):
    config = SystemConfig(report=ReportConfig(loggers=("wandb",), project="arms"), run=RunConfig(seed=3))
    for _ in range(2):  # started again
        (logger,) = loggers_of(config, tmp_path)
        logger.scalars(40, {"episode/return": 7.0})
        logger.image(40, "film/wrist", RED)
        logger.close()
    first, second = fake_wandb.calls[:6], fake_wandb.calls[6:]
    (name, options), axis, (_, settings), scalars, image, end = first
    assert (name, options["project"], options["name"], options["resume"]) == ("init", "arms", tmp_path.name, "allow")
    assert options["mode"] == "offline", "without a key nothing is asked on the terminal"
    assert axis == ("axis", "*", "env_steps") and settings["run.seed"] == 3 and end == ("finish",)
    assert scalars == ("log", {"episode/return": 7.0, "env_steps": 40})
    assert image == ("log", {"film/wrist": RED.shape, "env_steps": 40})
    assert second[0][1]["id"] == options["id"], "the same run continues"


@pytest.fixture
def fake_mlflow(monkeypatch):
    module, entities, calls = ModuleType("mlflow"), ModuleType("mlflow.entities"), []
    module.__spec__ = ModuleSpec("mlflow", None, origin="a test")
    entities.Metric = lambda *values: ("metric", *values)
    entities.Param = lambda *values: ("param", *values)
    experiments = {}

    class MlflowClient:
        def get_experiment_by_name(self, name):
            return experiments.get(name)

        def create_experiment(self, name):
            experiments[name] = SimpleNamespace(experiment_id="7")
            return "7"

        def create_run(self, experiment, run_name):
            calls.append(("run", experiment, run_name))
            return SimpleNamespace(info=SimpleNamespace(run_id="abc"))

        def __getattr__(self, name):
            return lambda *values, **more: calls.append((name, *values, more))

    module.MlflowClient, module.entities, module.calls = MlflowClient, entities, calls
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    sys.modules.pop("jsac_ros.report.loggers.mlflow", None)
    yield module
    sys.modules.pop("jsac_ros.report.loggers.mlflow", None)


def test_mlflow(tmp_path, fake_mlflow):
    config = SystemConfig(report=ReportConfig(loggers=("mlflow",)), run=RunConfig(name="arms"))
    for _ in range(2):
        (logger,) = loggers_of(config, tmp_path)
        logger.scalars(40, {"episode/return": 7.0})
        logger.image(40, "film/wrist", RED)
        logger.close()
    calls = fake_mlflow.calls
    assert calls[0] == ("run", "7", tmp_path.name) and [call[0] for call in calls].count("run") == 1
    params = [param for call in calls if call[0] == "log_batch" for param in call[2].get("params", ())]
    assert ("param", "run.name", "arms") in params
    assert all(len(call[2].get("params", ())) <= 100 for call in calls if call[0] == "log_batch")
    ((_, name, value, _, step),) = next(call[2]["metrics"] for call in calls if "metrics" in call[-1])
    assert (name, value, step) == ("episode/return", 7.0, 40)
    assert next(call for call in calls if call[0] == "log_image")[3] == {"key": "film/wrist", "step": 40}
    assert ("update_run", "abc", {"status": "RUNNING"}) in calls and calls[-1] == ("set_terminated", "abc", {})


# -- before anything starts --------------------------------------------------------------------------------------------


def test_a_package_that_is_not_installed_is_named(monkeypatch, tmp_path):
    (tmp_path / "wandb").mkdir()  # where that package keeps its files, in a working folder
    monkeypatch.syspath_prepend(tmp_path)
    found = importless(monkeypatch)
    config = ReportConfig(loggers=("tensorboard", "wandb", "mlflow"))
    with pytest.raises(ConfigError) as raised:
        check(config)
    lines = str(raised.value).splitlines()
    assert lines == [
        "report.loggers contains 'wandb', which is not installed; expected `pip install wandb`",
        "report.loggers contains 'mlflow', which is not installed; expected `pip install mlflow`",
    ]
    with pytest.raises(ConfigError) as raised:
        system.check(from_parameters(REACHER | {"report.loggers": ["tensorboard", "wandb", "mlflow"]}))
    assert set(lines) <= set(str(raised.value).splitlines()) and found


def importless(monkeypatch):
    """As where neither is installed, whatever this computer has."""
    import importlib.util

    asked, real = [], importlib.util.find_spec

    def find_spec(name, *more):
        asked.append(name)
        spec = real(name, *more) if name == "wandb" else None
        return spec if spec is None or spec.origin is None else None

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    return asked


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"report.loggers": []}, ["report", "loggers is []", "at least one"]),
        ({"report.loggers": ["tensorboards"]}, ["report.loggers", "'tensorboards'", "'wandb'"]),
        ({"report.image_period_s": 1.0}, ["report.image_period_s", "1.0", "10 to 86400"]),
    ],
)
def test_a_wrong_field_is_named(values, named):
    with pytest.raises(ConfigError) as raised:
        from_parameters(REACHER | values)
    (line,) = str(raised.value).splitlines()
    assert all(part in line for part in named), line


def test_the_extras_are_what_an_error_names():
    import tomllib

    from jsac_ros.report.loggers import REMOTE

    document = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    extras = document["project"]["optional-dependencies"]
    assert {name: [package.split(">=")[0] for package in extras[name]] for name in REMOTE} == {
        name: [package] for name, package in REMOTE.items()
    }
