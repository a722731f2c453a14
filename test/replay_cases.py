"""Transitions whose every byte follows from who sent them, so that any test can say what the store should hold."""

import zlib
from dataclasses import replace

import numpy as np

from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces, VectorSpace
from jsac_ros.types import Transition

WRIST, SCENE = ImageSpace("wrist", 4, 5, 3, stack=3), ImageSpace("scene", 3, 2, 1, stack=2)
JOINTS, WRENCH = VectorSpace("joint_position", 3, "rad"), VectorSpace("wrench", 6, "N,N,N,Nm,Nm,Nm")
ARM, GRIPPER = ActionSpace("arm", 2, "rad/s"), ActionSpace("gripper", 1, "m")
SPACES = Spaces.of([WRIST], [JOINTS], [ARM], ["joints", "wrist"])
VARIANTS = {
    "no image": Spaces.of([], [JOINTS], [ARM], ["joints"]),
    "only an image": Spaces.of([WRIST], [], [ARM], ["wrist"]),
    "two images of two stacks": Spaces.of([WRIST, SCENE], [JOINTS], [ARM], ["joints", "scene", "wrist"]),
    "several vectors and actions": Spaces.of(
        [SCENE], [WRENCH, JOINTS, VectorSpace("opening", 1)], [GRIPPER, ARM], ["joints", "scene", "wrench"]
    ),
    "a discrete action": Spaces.of([], [JOINTS], [ActionSpace("move", 1, choices=5)]),
}


def with_stacks(spaces, stack):
    """Every image with a stack that is smaller by one than the one before it, the first one `stack`."""
    images = [replace(image, stack=max(1, stack - k)) for k, image in enumerate(spaces.images)]
    return replace(spaces, images=tuple(images))


def make_transition(spaces=SPACES, robot="ur5", session=1, sequence=0, episode=0, step=0, is_last=False, mask=1.0, **more):
    rng = np.random.default_rng([zlib.crc32(robot.encode()), session, sequence])
    fields = dict(
        robot=robot, session=session, sequence=sequence, episode=episode, step=step, is_first=step == 0,
        is_last=is_last, intervened=bool(sequence % 7 == 3), success=bool(sequence % 5 == 4),
        frames={image.name: rng.integers(0, 256, image.frame_shape, np.uint8) for image in spaces.images},
        vectors={vector.name: rng.standard_normal(vector.size).astype(np.float32) for vector in spaces.vectors},
        action={part.name: rng.uniform(-1, 1, part.size).astype(np.float32) for part in spaces.actions},
        executed={part.name: np.full(part.size, np.nan, np.float32) for part in spaces.actions},
        reward=float(np.float32(rng.standard_normal())), mask=mask, stamp_ns=10**9 + sequence * 40_000_000,
        source_stamps_ns={source: 10**9 + k + sequence for k, source in enumerate(spaces.sources)},
        policy_version=sequence // 8, lateness_s=float(np.float32(0.001 * sequence)),
    )  # fmt: skip
    if is_last:  # what the store keeps where these mean nothing
        fields |= dict(action={part.name: np.zeros(part.size, np.float32) for part in spaces.actions})
        fields |= dict(reward=0.0, mask=1.0, intervened=False)
    return Transition(**fields | more)


def make_episode(length, first_sequence=0, terminal=False, **more):
    """`length` actions and the observation that closes them."""
    return [
        make_transition(
            sequence=first_sequence + k, step=k, is_last=k == length,
            mask=0.0 if terminal and k == length - 1 else 1.0, **more,
        )
        for k in range(length + 1)
    ]  # fmt: skip


def same(one, other):
    """Equal in every field and every part, NaN equal to NaN, dtypes too."""
    for field, a in one._asdict().items():
        b = getattr(other, field)
        pairs = [(a[name], b[name]) for name in a] if isinstance(a, dict) else [(a, b)]
        if isinstance(a, dict) and a.keys() != b.keys():
            return False
        for x, y in pairs:
            x, y = np.asarray(x), np.asarray(y)
            if x.dtype != y.dtype or not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
                return False
    return True
