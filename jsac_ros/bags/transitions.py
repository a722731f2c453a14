"""Makes transitions and observations of any recording: of a run (recomputed exactly), or a foreign one (mapped by YAML)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from jsac_ros import parameters
from jsac_ros.bags.foreign import ForeignRecording
from jsac_ros.bags.reader import Bag, BagError
from jsac_ros.bags.recorded_run import KINDS, RecordedRun, Remade, configuration_of, is_recorded_run
from jsac_ros.config import SystemConfig
from jsac_ros.control.stacks import FrameStacks
from jsac_ros.rig import Rig
from jsac_ros.spaces import Spaces
from jsac_ros.types import Observation


def configuration_for(bag: Bag, path: str | Path | None) -> SystemConfig:
    """The configuration in the file `path`, or else in the recording. Raises BagError if there is neither."""
    if path:
        return parameters.load(path, kinds=KINDS)
    found = configuration_of(bag)
    if found is None:
        raise BagError(f"bag {bag.path}: contains no jsac_ros configuration; expected --config FILE that maps its topics")
    return found


def open_transitions(bag: Bag, rig: Rig) -> RecordedRun | ForeignRecording:
    """An iterable over the recording's transitions, in order, as `Remade`."""
    return RecordedRun(bag, rig) if is_recorded_run(bag) else ForeignRecording(bag, rig)


def with_observations(transitions: Iterable[Remade], spaces: Spaces) -> Iterator[tuple[Remade, Observation]]:
    """Adds the observation that the policy gets at each transition."""
    stacks = FrameStacks(spaces.images)
    for remade in transitions:
        transition = remade.transition
        stack = stacks.reset if transition.is_first else stacks.push
        yield remade, stack(transition.frames) | transition.vectors
