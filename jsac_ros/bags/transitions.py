"""From any recording to steps and observations: a run's own, made again exactly, or a foreign one, mapped by YAML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from jsac_ros import config as configuration
from jsac_ros.bags.foreign import ForeignRecording
from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.recorded_run import RecordedRun, RemadeStep, configuration_of, is_recorded_run
from jsac_ros.config import SystemConfig
from jsac_ros.control.observation import FrameStack
from jsac_ros.types import Observation, Spec, Step


def configuration_for(bag: Bag, path: str | Path | None) -> SystemConfig:
    """From the file that is given, else from the recording itself. Raises BagError where there is neither."""
    if path:
        return configuration.load(path)
    found = configuration_of(bag)
    if found is None:
        raise BagError(f"bag {bag.path}: carries no configuration of ours; expected --config FILE that maps its topics")
    return found


def open_steps(bag: Bag, config: SystemConfig) -> RecordedRun | ForeignRecording:
    """An iterable over the recording's steps, in order, as `RemadeStep`."""
    return RecordedRun(bag, config) if is_recorded_run(bag) else ForeignRecording(bag, config)


def with_observations(steps: Iterable[RemadeStep], spec: Spec) -> Iterator[tuple[RemadeStep, Observation]]:
    """Adds what the policy saw at every step."""
    stack = FrameStack(spec)
    for remade in steps:
        step = remade.step
        yield remade, Observation(next_image(stack, step), step.proprioception)


def next_image(stack: FrameStack, step: Step):
    """The image of a step, uint8 [H, W, C*S]."""
    return stack.reset(step.frame) if step.is_first else stack.push(step.frame)
