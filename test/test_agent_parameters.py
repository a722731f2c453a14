"""Parameters and spaces that do not go together are found by arithmetic, without JAX, a line for each."""

from __future__ import annotations

import subprocess
import sys

import pytest
from agent_cases import ACTIONS, CHOICES, IMAGE, SMALL, VECTORS, small

from jsac_ros.agent.jsac import Jsac
from jsac_ros.agent.jsac.parameters import JsacParameters
from jsac_ros.agent.parameters import check_spaces, smallest_image
from jsac_ros.config import ConfigError
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv_channels": (4, 4)}, r"conv_channels \[4, 4\] and conv_strides \[2\]: expected one of each per layer"),
        ({"conv_kernels": (3, 3)}, r"conv_kernels is \[3, 3\]; expected one, or one for each of 1 layers"),
        ({"conv_kernels": (0,)}, r"conv_kernels is \[0\]; expected numbers from 1 to 31"),
        ({"conv_strides": (17,)}, r"conv_strides is \[17\]; expected numbers from 1 to 16"),
        ({"hidden": (-1,)}, r"hidden is \[-1\]; expected numbers from 1 to 16384"),
        ({"hidden": ()}, "hidden\n.*at least 1 item"),
        ({"hidden": (8,) * 17}, "hidden\n.*at most 16 items"),
        ({"q_subset": 4}, "q_subset is 4; expected at most q_count 3"),
        ({"log_std_min": 3.0}, "log_std_min is 3.0; expected less than log_std_max 2.0"),
        ({"log_std_max": float("inf")}, "log_std_max"),
        ({"tau": 0.0}, "tau"),
        ({"encoder": "shared"}, "encoder\n.*'separate' or 'joined'"),
    ],
)
def test_impossible_parameters_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_smallest_image_of_the_published_encoder_is_29_and_of_3x3_kernels_31():
    assert smallest_image(JsacParameters()) == 29
    parameters = JsacParameters(conv_channels=(4,) * 4, conv_kernels=(3,), conv_strides=(2, 2, 2, 1))
    assert smallest_image(parameters) == 31
    for side, misfits in ((31, 0), (30, 1)):
        spaces = Spaces.of([ImageSpace("wrist", side, 48)], actions=ACTIONS)
        assert len(parameters.misfits(spaces)) == misfits


def test_every_misfit_is_a_line():
    spaces = Spaces.of([IMAGE, SMALL], VECTORS, [*ACTIONS, ActionSpace("mode", 1, choices=4)])
    with pytest.raises(ConfigError) as error:
        check_spaces(JsacParameters(encoder="joined"), spaces)
    assert str(error.value).splitlines() == [
        "agent.encoder is 'joined' with images scene 9x8, wrist 17x19; expected images of one size, or 'separate'",
        "image 'scene' is 9x8; expected at least 29x29 for convolutions with kernels [5, 5, 3, 3] and strides [2, 2, 1, 1]",
        "image 'wrist' is 17x19; expected at least 29x29 for convolutions with kernels [5, 5, 3, 3] and strides [2, 2, 1, 1]",
        "action 'mode' has 4 choices; expected continuous values with agent.type 'jsac'",
    ]
    with pytest.raises(ConfigError, match="image 'scene' is 9x8"):
        Jsac.build(JsacParameters(), spaces)


@pytest.mark.parametrize(
    ("algorithm", "spaces", "message"),
    [
        ("jsac", Spaces.of((), (), ACTIONS), "observation is empty; expected at least one image or vector"),
        ("sac_v", Spaces.of((), VECTORS, ()), "action is empty; expected at least one part"),
        ("sac_v", Spaces.of((), VECTORS, CHOICES), "action 'arm' has 3 choices; expected continuous values"),
        ("dqn", Spaces.of((), VECTORS, ACTIONS), "action has arm continuous, gripper continuous; expected one part of choices"),
    ],
)
def test_each_algorithm_names_what_it_needs(algorithm, spaces, message):
    with pytest.raises(ConfigError, match=message):
        check_spaces(small(algorithm), spaces)


def test_checking_imports_no_jax():
    program = (
        "import sys\n"
        "from jsac_ros.agent.jsac import Jsac\nfrom jsac_ros.agent.dqn import Dqn\nfrom jsac_ros.agent.sac_v import SacV\n"
        "from jsac_ros.agent.parameters import check_spaces\n"
        "sys.exit(any(name in sys.modules for name in ('jax', 'flax', 'rclpy')))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
