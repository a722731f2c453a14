"""Action to velocity and back."""

import numpy as np
import pytest

from jsac_ros.config import ConfigError, TaskConfig
from jsac_ros.control.shaping import ActionShaper


def test_scale_and_offset_reach_the_controlled_joints_only():
    shaper = ActionShaper(TaskConfig(controlled_joints=3, action_scale=(0.3, 0.5, 1.0), action_offset=(0.0, 0.1, 0.0)))
    velocity = shaper.velocity(np.array([1.0, -1.0, 0.5]), 6)
    np.testing.assert_allclose(velocity, [0.3, -0.4, 0.5, 0, 0, 0])
    np.testing.assert_allclose(shaper.action(velocity), [1.0, -1.0, 0.5], atol=1e-7)
    assert shaper.action(velocity).dtype == np.float32


def test_actions_outside_the_unit_box_are_clipped_and_nan_passes():
    shaper = ActionShaper(TaskConfig(controlled_joints=2))
    np.testing.assert_allclose(shaper.velocity(np.array([7.0, -7.0]), 2), [0.3, -0.3])
    assert np.isnan(shaper.velocity(np.array([np.nan, 0.0]), 2)[0])


def test_discrete_choices_are_rows_of_the_table():
    table = (0.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 1.0)
    shaper = ActionShaper(TaskConfig(controlled_joints=2, action_scale=(0.2,), action_table=table))
    np.testing.assert_allclose(shaper.velocity(np.array([2.0]), 2), [-0.2, 0.0])
    for choice in range(4):
        assert shaper.action(shaper.velocity(np.array([choice]), 2)) == [choice]


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"action_scale": (0.3, 0.3)}, "action_scale has 2 values"),
        ({"action_scale": (0.0,)}, "expected more than 0"),
        ({"action_offset": (0.1, 0.2, 0.3)}, "action_offset has 3 values"),
        ({"action_table": (1.0, 0.0, 1.0)}, "action_table has 3 values"),
        ({"controlled_joints": 2, "action_table": (0.0, 0.0, 2.0, 0.0)}, "holds 2"),
    ],
)
def test_wrong_shapes_are_named(fields, said):
    with pytest.raises(ConfigError, match=said):
        ActionShaper(TaskConfig(**fields))
