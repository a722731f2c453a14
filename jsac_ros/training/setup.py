"""Preparation of a training from what it learns in: a Gymnasium environment or a configuration."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jsac_ros import parameters
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.rig import Rig
from jsac_ros.spaces import ActionSpace, Spaces, VectorSpace
from jsac_ros.training import environment as environments
from jsac_ros.training import settings
from jsac_ros.training.environment import Environment
from jsac_ros.training.episodic import EpisodicEnvironment, Places
from jsac_ros.training.evaluation import SEED
from jsac_ros.training.simulation import Simulation
from jsac_ros.training.spaces import spaces_of

Tree = Mapping[str, Mapping[str, Any]]  # {section: {field: value}}


class Setup(NamedTuple):
    config: SystemConfig
    spaces: Spaces
    places: Places
    sections: Collection[str]  # sections that apply; empty: all


def setup(environment: Any, tree: Tree, resume: Path | None = None) -> Setup:
    """tree: settings on top of the defaults or the configuration; resume: folder of a run to continue.

    Raises ConfigError.
    """
    if settings.is_configuration(environment):
        return _of_configuration(str(environment), tree, resume)
    return _of_environment(environment, tree, resume)


def _of_environment(environment: Any, tree: Tree, resume: Path | None) -> Setup:
    for name in tree:
        if name not in settings.SECTIONS:
            raise ConfigError(f"{name}: does not apply to a training; expected {', '.join(settings.SECTIONS)}")
    name = environments.name_of(environment)
    config = settings.resumed(resume, name, tree) if resume else None
    section = settings.train_section(tree) if config is None else config.train
    first, owned = environments.make(environment, section), isinstance(environment, str)
    spaces = spaces_of(first, section)
    config = config or settings.configuration(name, tree, spaces)
    made = [first]  # to learn in; a demonstration and an evaluation have environments of their own

    def place(seed: int, session: int) -> Environment:
        env = made.pop() if made else environments.make(environment, section)
        return Environment(env, spaces, seed, session, owned=owned, expert=section.expert)

    places = Places(place, place, alone=not owned)
    return Setup(config, spaces, places, settings.SECTIONS)


def _of_configuration(file: str, tree: Tree, resume: Path | None) -> Setup:
    config = settings.simulated(file, tree, resume)
    place = lambda seed, session: Simulation(config, seed, session)
    return Setup(config, Rig.of(config).spaces, Places(place, place), ())


def drawing(environment: Any, folder: Path, spaces: Spaces) -> EpisodicEnvironment:
    """The environment of the run in `folder`, for a film. Raises ConfigError."""
    file = folder / "config.yaml"
    if settings.is_configuration(environment):
        return Simulation(parameters.load(file), SEED)
    return environments.drawing(environment, parameters.load(file, kinds=settings.KINDS).train, spaces, SEED)


def place_for(
    spaces: Spaces, environment: Any, seed: int, draws: bool = False, options: tuple[str, ...] = ()
) -> EpisodicEnvironment:
    """The environment in which a policy of these spaces is evaluated; draws: also filmed; options: as `train.options`.

    Raises ConfigError if the environment lacks parts that the policy needs.
    """
    if settings.is_configuration(environment):
        config = parameters.load(environment)
        if config.robot.driver != "sim":
            raise ConfigError(f"robot.driver is {config.robot.driver!r}; a policy is tried in the simulator, 'sim'")
        found, make = Rig.of(config).spaces, lambda: Simulation(config, seed)
    else:
        section = settings.section_for(spaces, options)
        env = environments.make(environment, section, draws)
        found = spaces_of(env, section)
        make = lambda: Environment(env, spaces, seed, owned=isinstance(environment, str))
    if difference := _shapes(found).difference(_shapes(spaces)):
        raise ConfigError(f"environment {environments.name_of(environment)}: {difference}")
    return make()


def _shapes(spaces: Spaces) -> Spaces:
    """The spaces without units and bounds, which do not matter for a policy."""
    return Spaces.of(
        spaces.images,
        [VectorSpace(part.name, part.size, map=part.map) for part in spaces.vectors],
        [ActionSpace(part.name, part.size, choices=part.choices) for part in spaces.actions],
    )
