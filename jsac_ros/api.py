"""The Python API: learn in an environment, load the policy, evaluate it.

    import jsac_ros as jr

    run = jr.train("Pendulum-v1", steps=20_000, agent={"hidden": (64, 64)})
    run.curve()                                    # a figure; run.video() is the path of a film
    policy = jr.load("runs/pendulum_v1_...")       # or a copy of the folder policy/ in it
    action = policy(observation)                   # as returned by env.reset() and env.step(); keeps its own stack of frames
    jr.evaluate(policy, "Pendulum-v1", episodes=10).mean_return

Environments are ids (`Pendulum-v1`, `my_lab:Peg-v0`), objects, or the file of a configured system, whose simulator then runs
faster than real time (`jr.train("config/lift.yaml")`). Observations may be a vector, an image, or a dict of several of both.
Nothing here needs ROS.
"""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jsac_ros.agent import export
from jsac_ros.agent.policy import action_key
from jsac_ros.config import ConfigError, RunConfig
from jsac_ros.control.stacks import FrameStacks
from jsac_ros.parameters import load as load_configuration
from jsac_ros.spaces import Spaces
from jsac_ros.training import evaluation, settings
from jsac_ros.training.episodic import EpisodicEnvironment
from jsac_ros.training.evaluation import Episode
from jsac_ros.training.setup import drawing, place_for, setup
from jsac_ros.training.spaces import ACTION, native, read, space_of_card
from jsac_ros.training.synchronous import Training
from jsac_ros.types import Action, Observation

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Policy:
    """A learned policy. It keeps the stacks of frames of the current episode: call `reset` at the start of each."""

    def __init__(self, policy: export.Policy):
        card = policy.about["card"]
        self._policy = policy
        self._space = space_of_card(card["action_space"]) if "action_space" in card else None
        self._stacks = FrameStacks(policy.spaces.images)
        self._begun = False

    @property
    def exported(self) -> export.Policy:
        """The policy without stacks."""
        return self._policy

    @property
    def spaces(self) -> Spaces:
        return self._policy.spaces

    @property
    def about(self) -> dict[str, Any]:
        """The content of policy.json."""
        return self._policy.about

    def reset(self) -> None:
        """Starts an episode: the next observation is its first."""
        self._begun = False

    def __call__(self, observation: Any) -> Any:
        """One deterministic action.

        observation: as returned by the environment, or {image: uint8 [H, W, C], one frame; vector: float32 [n]}.
        Returns what `env.step` takes if it was learned in a Gymnasium environment, else {part: float32 [a] in [-1, 1]}.
        Raises ValueError naming a part that is missing or has another size.
        """
        action = self.act(observation)
        return action if self._space is None else native(action[ACTION], self._space)

    def act(self, observation: Any) -> Action:
        """As calling it, but always returns {part: float32 [a]}, in [-1, 1] or the index of a choice."""
        frames, vectors = read(observation, self.spaces)
        images = self._stacks.push(frames) if self._begun else self._stacks.reset(frames)
        self._begun = True
        return self._policy(images | vectors)

    def of_stacks(self, observation: Mapping[str, np.ndarray], key: np.ndarray | None = None) -> Action:
        """The action for an observation with stacked images; the stacks kept here stay as they are. key: uint32 [2] samples."""
        return self._policy(observation, key)


class Evaluation(NamedTuple):
    """Results of whole episodes without exploration; arrays [episodes]."""

    returns: np.ndarray  # float64, undiscounted
    successes: np.ndarray  # bool
    steps: np.ndarray  # int64

    @property
    def mean_return(self) -> float:
        return float(self.returns.mean())

    @property
    def success(self) -> float:
        """Success rate of the episodes."""
        return float(self.successes.mean())


class Run:
    """The results of a training in its folder: `Run(folder)`, or returned by `train`."""

    def __init__(self, folder: str | Path, environment: Any = None):
        """environment: for films; None: a new one of the run's id. Raises ConfigError."""
        self.folder = Path(folder)
        self.config = load_configuration(self.folder / "config.yaml", kinds=settings.KINDS)
        self._environment = environment if environment is not None else self.config.train.environment

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @cached_property
    def policy(self) -> Policy:
        """The final policy. Raises ValueError if there is none."""
        return load(self.folder, self.config.agent.type)

    @property
    def episodes(self) -> list[Episode]:
        """All finished episodes in order, including evaluations."""
        from jsac_ros.report.tables import number, read_rows

        def episode(row: dict[str, str]) -> Episode:
            flags = {name: bool(number(row, name, 0)) for name in ("success", "terminated", "evaluation")}
            steps, env_steps = int(number(row, "steps", 0)), int(number(row, "env_steps", 0))
            return Episode(env_steps=env_steps, episode_return=number(row, "episode_return"), steps=steps, **flags)

        return [episode(row) for row in read_rows(self.folder / "episodes.csv")]

    def curve(self) -> Figure:
        """Return and success over the time of training."""
        from jsac_ros.report.curve import learning_curve, read_baselines
        from jsac_ros.report.summary import read_totals
        from jsac_ros.report.tables import BASELINE

        title = self.config.train.environment or self.folder.name
        return learning_curve(read_totals(self.folder), read_baselines(self.folder / BASELINE), title)

    def video(self) -> Path:
        """Films an episode of the policy into the run folder; returns the file. Raises ConfigError if it cannot be filmed."""
        path, policy = self.folder / "video.mp4", self.policy
        reason = evaluation.film(lambda: drawing(self._environment, self.folder, policy.spaces), policy.of_stacks, path)
        if reason:
            raise ConfigError(reason)
        return path


def train(
    environment: Any,
    steps: int | None = None,
    *,
    seed: int | None = None,
    resume: str | Path | None = None,
    progress: bool = True,
    **sections: Mapping[str, Any],
) -> Run:
    """Learns in an environment, one update per step; all results are in the folder of the returned run.

    environment: a Gymnasium id, `module:Id-v0`, or an object, in which evaluations run too, between two episodes;
        or a system's configuration, a YAML file.
    steps: environment steps in total, including those of a resumed run. Default: 20,000.
    resume: folder of a run to continue. progress: shown on the terminal.
    sections: of the configuration, as agent={"hidden": (64, 64)}, replay={...}, train={...}, run={...}, learner={...},
        report={...}; of a system's configuration all.
        Discrete actions are learned with `dqn` unless agent={"type": ...} names another algorithm.

    Raises ConfigError with a line for every error, before anything is written.
    """
    tree = _tree(sections, steps, seed)
    made = setup(environment, tree, Path(resume) if resume else None)
    config = made.config
    if config.learner.resume:
        raise ConfigError(f"learner.resume is {config.learner.resume}; expected resume=FOLDER (--resume FOLDER) in a training")
    folder = Path(resume) if resume else _new_folder(config.run)
    try:
        training = Training(config, made.spaces, made.places, folder, progress, made.sections)
    except BaseException:
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    try:
        training.run()
    finally:  # also after an interrupt: it can be resumed
        training.close()
    return Run(folder, environment)


def _new_folder(run: RunConfig) -> Path:
    """A new run folder, not created yet; Training creates it."""
    base, name = Path(run.folder).expanduser(), f"{run.name}_{time.strftime('%Y%m%d_%H%M%S')}"
    names = (name, *(f"{name}_{number}" for number in range(2, 100)))  # several trainings in one second
    return next(base / name for name in names if not (base / name).exists())


def _tree(sections: Mapping[str, Any], steps: int | None, seed: int | None) -> dict[str, dict[str, Any]]:
    """Raises ConfigError if a section is not a dict of fields."""
    for name, fields in sections.items():
        if not isinstance(fields, Mapping):
            raise ConfigError(f"{name} is {fields!r}; expected the fields of a section, such as agent={{'hidden': (64, 64)}}")
    tree = {name: dict(fields) for name, fields in sections.items()}
    if steps is not None:
        tree["train"] = tree.get("train", {}) | {"steps": steps}
    if seed is not None:
        tree["run"] = tree.get("run", {}) | {"seed": seed}
    return tree


def load(folder: str | Path, algorithm: str | None = None) -> Policy:
    """Loads the policy of a live run or a training. folder: its own, or that of the run.

    algorithm: `module:Class` of an algorithm that is not an installed plug-in; a folder's word is not enough to import it.
    Raises ValueError with one line if it cannot be used.
    """
    inside = Path(folder) / "policy"
    return Policy(export.load(inside if inside.is_dir() else folder, algorithm))


def evaluate(policy: Policy, environment: Any, episodes: int = 10, seed: int = 0) -> Evaluation:
    """Evaluates a policy in an environment, an id or an object.

    Raises ConfigError if the environment lacks the policy's observations or actions, or if its code fails.
    """
    with closing(_place(policy, environment, seed)) as place:
        played = evaluation.evaluate(place, policy.of_stacks, episodes)
    returns, successes, steps = zip(*[(e.episode_return, e.success, e.steps) for e in played], strict=True)
    return Evaluation(np.array(returns), np.array(successes), np.array(steps))


@contextmanager
def trials(policy: Policy, environment: Any, seed: int = 0, sampled: bool = False) -> Iterator[Iterator[Episode]]:
    """Yields episodes of a policy, without end; equal seeds give equal starts.

    Raises as `evaluate` does.
    """
    steps = itertools.count()

    def choose(observation: Observation) -> Action:
        return policy.of_stacks(observation, action_key(seed, 0, next(steps)) if sampled else None)

    with closing(_place(policy, environment, seed)) as place:
        yield (evaluation.evaluate(place, choose, 1, sampled=sampled)[0] for _ in itertools.count())


def _place(policy: Policy, environment: Any, seed: int, draws: bool = False) -> EpisodicEnvironment:
    """Where a policy is evaluated, with the options of its training if it was learned there."""
    learned = policy.about["card"].get("train", {})
    options = tuple(learned.get("options", ())) if learned.get("environment") == environment else ()
    return place_for(policy.spaces, environment, seed + evaluation.SEED, draws, options)


def film(policy: Policy, environment: Any, path: Path, seed: int = 0) -> str:
    """Films an episode; returns "" or one line with the reason why it cannot be filmed."""
    return evaluation.film(lambda: _place(policy, environment, seed, draws=True), policy.of_stacks, path)
