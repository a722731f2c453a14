"""Sets joint limits, the tool box and home from taught poses: guide the arm by hand to the corners, or jog it there.

  jsac-ros teach my_ur5.yaml                        Enter records a corner, h home, u undoes, q ends
  jsac-ros teach my_ur5.yaml --margin-m 0.05        a larger margin around the box (default 0.02 m; joints 0.05 rad)
  jsac-ros teach ur5_reacher --out my_ur5.yaml      a shipped configuration is copied

The command sends no commands: it reads the joint states of the running driver while you move the arm with freedrive or the
pendant. It shows the changes of the file, asks before it writes them, and keeps the comments. The box has a margin on all
sides except below, where a table may be: its floor is the lowest pose.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jsac_ros import domain
from jsac_ros.config import ConfigError, SystemConfig
from jsac_ros.control.safety.bounds import bounds_of
from jsac_ros.fitting import edit
from jsac_ros.fitting.looking import Looking
from jsac_ros.fitting.poses import check_pose, learned
from jsac_ros.parameters import load, parse_override
from jsac_ros.rig import JOINTS, Rig
from jsac_ros.robots.robot import Robot

_KEYS = "Enter records a corner, h home, u undoes the last one, q ends, Ctrl-C cancels"
Fields = dict[str, tuple[float, ...]]  # name of a field of the configuration -> its value
_MOST_MARGIN = 0.5  # m, rad


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="a file, or the name of a shipped configuration")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="section.field=value, not written to the file"
    )
    parser.add_argument("--namespace", default="", metavar="NAME", help="namespace of the driver's topics, unless absolute")
    parser.add_argument("--margin-m", type=float, default=0.02, metavar="M", help="margin around the box (default 0.02)")
    parser.add_argument(
        "--margin-rad", type=float, default=0.05, metavar="RAD", help="margin of the joint limits (default 0.05)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.yaml", help="file to write instead of the configuration")
    parser.add_argument("--yes", action="store_true", help="write without asking")


def main(arguments: argparse.Namespace) -> int:
    """Returns 1 if nothing was written. Raises ConfigError."""
    for option in ("margin_m", "margin_rad"):
        if not 0 <= (value := getattr(arguments, option)) <= _MOST_MARGIN:
            raise ConfigError(f"--{option.replace('_', '-')} is {value:g}; expected 0 to {_MOST_MARGIN:g}")
    source, target = edit.target_of(arguments.config, arguments.out)
    overrides = dict(map(parse_override, arguments.overrides))
    config = load(source, overrides)
    robot = Rig(config).robot
    if robot.is_base:
        raise ConfigError(f"robot.type is {robot.model!r}, a mobile base; expected an arm")

    def fields_of(poses: list[np.ndarray], home: np.ndarray | None) -> Fields:
        fields = learned(poses, home, robot, config.safety.box_frame, arguments.margin_m, arguments.margin_rad)
        check(config, fields)
        return fields

    with Looking(source, overrides, domain.absolute(arguments.namespace), JOINTS) as looking:
        fields = record(looking, robot, config, fields_of)
    before = edit.read(source)
    after = edit.edited(before, fields)
    print(edit.difference(before, after, str(target)) or "nothing changes")
    if "robot.home" not in fields:
        print("robot.home is unchanged: h records a new one")
    if not arguments.yes and not _agreed(target):
        print("nothing was written")
        return 1
    edit.write(target, after)
    print(f"written: {target}; check the rest with `jsac-ros doctor {target}`")
    return 0


def record(
    looking: Looking, robot: Robot, config: SystemConfig, fields_of: Callable[[list[np.ndarray], np.ndarray | None], Fields]
) -> Fields:
    """Records poses until they give usable limits. Raises ConfigError if no joint states arrive, or if the input ends."""
    poses: list[np.ndarray] = []  # rad [N] each
    homes: list[int] = []  # indices of home poses
    looking.newest()
    print(f"joint states come from {config.robot.joint_states_topic}. {_KEYS}.", flush=True)
    while True:
        word = _asked(f"{len(poses)} recorded> ")
        try:
            if word in ("q", None):
                return fields_of(poses, poses[homes[-1]] if homes else None)
            elif word == "u" and poses:
                poses.pop()
                homes = [place for place in homes if place < len(poses)]
            elif word in ("", "h"):
                q = np.array(looking.newest()["position"])
                check_pose(q, robot)
                homes += [len(poses)] if word == "h" else []
                poses.append(q)
                print(_said(q, robot, config, word == "h"), flush=True)
            else:
                print(f"{_KEYS}.")
        except ConfigError as error:
            if word is None:
                raise
            print(f"not {'finished' if word == 'q' else 'recorded'}: {error}", flush=True)


def check(config: SystemConfig, fields: Fields) -> None:
    """Raises ConfigError if the system would not start with these fields."""
    sections: dict[str, dict[str, tuple[float, ...]]] = {"safety": {}, "robot": {}}
    for name, value in fields.items():
        section, _, field = name.partition(".")
        sections[section][field] = value
    changed = config.model_copy(
        update={name: getattr(config, name).model_copy(update=values) for name, values in sections.items()}
    )
    robot = Rig(changed).robot
    if why := bounds_of(changed.safety, robot).outside(robot.home):
        raise ConfigError(f"robot.home: {why}; record it with h")


def _said(q: np.ndarray, robot: Robot, config: SystemConfig, is_home: bool) -> str:
    joints = ", ".join(f"{angle:.3f}" for angle in q)
    frame = config.safety.box_frame
    tool = f"; tool {', '.join(f'{x:.3f}' for x in robot.forward(q, frame)[0])} m in {frame}" if robot.has_kinematics else ""
    return f"{'home' if is_home else 'corner'}: joints {joints}{tool}"


def _asked(prompt: str) -> str | None:
    """A line of input; None at the end of the input."""
    try:
        return input(prompt).strip().lower()
    except EOFError:
        return None


def _agreed(target: Path) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError(f"{target}: standard input is not a terminal; expected --yes, to write without asking")
    return _asked(f"write {target}? [y/N] ") in ("y", "yes")
