"""Steps whose every byte follows from who sent them, so that any test can say what the store should hold."""

import zlib

import numpy as np

from jsac_ros.types import Batch, Spec, Step, batch_layout

SPEC = Spec(height=4, width=5, channels=3, stack=3, proprioception=3, action=2)


def make_step(spec=SPEC, robot="ur5", session=1, sequence=0, episode=0, step=0, is_last=False, mask=1.0, **more):
    rng = np.random.default_rng([zlib.crc32(robot.encode()), session, sequence])
    fields = dict(
        robot=robot, session=session, sequence=sequence, episode=episode, step=step, is_first=step == 0,
        is_last=is_last, intervened=bool(sequence % 7 == 3), success=bool(sequence % 5 == 4),
        frame=rng.integers(0, 256, spec.frame_shape, np.uint8),
        proprioception=rng.standard_normal(spec.proprioception).astype(np.float32),
        action=rng.uniform(-1, 1, spec.action).astype(np.float32),
        executed=np.full(spec.action, np.nan, np.float32),
        reward=float(np.float32(rng.standard_normal())), mask=mask, stamp_ns=10**9 + sequence * 40_000_000,
        frame_stamp_ns=10**9 + sequence, joint_stamp_ns=10**9 + 2 * sequence, policy_version=sequence // 8,
        lateness_s=float(np.float32(0.001 * sequence)),
    )  # fmt: skip
    if is_last:  # what the store keeps where these mean nothing
        fields |= dict(action=np.zeros(spec.action, np.float32), reward=0.0, mask=1.0)
    return Step(**fields | more)


def make_episode(length, first_sequence=0, terminal=False, **more):
    """`length` actions and the observation that closes them."""
    return [
        make_step(
            sequence=first_sequence + k, step=k, is_last=k == length,
            mask=0.0 if terminal and k == length - 1 else 1.0, **more,
        )
        for k in range(length + 1)
    ]  # fmt: skip


def make_batch(spec=SPEC, batch_size=16, n_step=1):
    layout = batch_layout(spec, batch_size, n_step)
    return Batch(**{name: np.zeros(shape, dtype) for name, (shape, dtype) in layout.items()})


def same_step(one, other):
    """Equal in every field, NaN equal to NaN."""
    return all(np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f") for a, b in zip(one, other))
