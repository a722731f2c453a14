"""Arms from a URDF: the same kinematics as the tables, and one line for what is wrong."""

import re
import time

import numpy as np
import pytest
from rig_cases import robot_of

from jsac_ros.config import ConfigError
from jsac_ros.robots.ur import JOINTS

PI = np.pi
# Origins of ur_description's UR5 (xyz, rpy), an independent statement of the same arm.
ORIGINS = (
    ((0, 0, 0.089159), (0, 0, 0)),
    ((0, 0, 0), (PI / 2, 0, 0)),
    ((-0.425, 0, 0), (0, 0, 0)),
    ((-0.39225, 0, 0.10915), (0, 0, 0)),
    ((0, -0.09465, 0), (PI / 2, 0, 0)),
    ((0, 0.0823, 0), (PI / 2, PI, PI)),
)


def limited(velocity):
    return f'<limit lower="-1" upper="1" velocity="{velocity}" effort="1"/>'


def joint(name, parent, child, xyz=(0, 0, 0), rpy=(0, 0, 0), kind="revolute", axis=(0, 0, 1), limit=True):
    limit = f'<limit lower="{-2 * PI}" upper="{2 * PI}" velocity="{PI}" effort="1"/>' if limit is True else limit
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{" ".join(map(str, xyz))}" rpy="{" ".join(map(str, rpy))}"/>'
        f'<axis xyz="{" ".join(map(str, axis))}"/>{limit}</joint>'
    )


def write(tmp_path, *joints):
    links = dict.fromkeys(re.findall(r'link="(\w+)"', "".join(joints)))
    elements = [f'<link name="{link}"/>' for link in links]
    path = tmp_path / "arm.urdf"
    path.write_text(f'<robot name="arm">{"".join(elements)}{"".join(joints)}</robot>')
    return str(path)


def arm_from(path, base="base_link", tool="tool0"):
    return robot_of("urdf", urdf=path, base_link=base, tool_link=tool)


def ur5(tmp_path):
    links = ["base_link_inertia", *(f"link_{k}" for k in range(1, 7))]
    moving = [joint(JOINTS[k], links[k], links[k + 1], *ORIGINS[k]) for k in range(6)]
    return write(
        tmp_path,
        joint("base", "base_link", "base_link_inertia", rpy=(0, 0, PI), kind="fixed", limit=""),
        *moving,
        joint("flange", "link_6", "flange", rpy=(0, -PI / 2, -PI / 2), kind="fixed", limit=""),
        joint("tool", "flange", "tool0", rpy=(PI / 2, 0, PI / 2), kind="fixed", limit=""),
    )


def test_the_urdf_of_a_ur5_has_the_kinematics_of_its_table(tmp_path):
    arm, table = arm_from(ur5(tmp_path)), robot_of("ur5")
    assert arm.names == JOINTS and len(arm) == 6
    assert arm.max_velocity == pytest.approx([PI] * 6)
    for q in np.random.default_rng(0).uniform(-3, 3, (20, 6)):
        for mine, its in zip(arm.forward(q), table.forward(q, "base_link")):
            np.testing.assert_allclose(mine, its, atol=1e-9)
        np.testing.assert_allclose(arm.tool_positions(q[None])[0], arm.forward(q)[0], atol=1e-12)
    assert np.array_equal(arm.forward(q, "base")[0], arm.forward(q, "base_link")[0])


def test_a_slanted_axis(tmp_path):
    tool = joint("t", "a", "tool0", (1, 0, 0), kind="fixed")
    path = write(tmp_path, joint("j", "base_link", "a", axis=(1, 1, 0)), tool)
    position, _ = arm_from(path).forward([PI])
    np.testing.assert_allclose(position, (0, 1, 0), atol=1e-12)  # half a turn about the diagonal swaps x and y


def test_a_prismatic_joint_moves_along_its_axis(tmp_path):
    arm = arm_from(write(tmp_path, joint("j", "base_link", "tool0", (1, 0, 0), kind="prismatic", axis=(0, 1, 0))))
    np.testing.assert_allclose(arm.forward([0.3])[0], (1, 0.3, 0), atol=1e-12)


def test_a_continuous_joint_has_no_range(tmp_path):
    limit = '<limit velocity="2" effort="1"/>'
    path = write(tmp_path, joint("j", "base_link", "tool0", kind="continuous", limit=limit))
    arm = arm_from(path)
    assert arm.lower == -np.inf and arm.max_velocity == 2


@pytest.mark.parametrize(
    ("joints", "tool", "reason"),
    [
        ([joint("j", "base_link", "tool0", limit="")], "tool0", "joint j has no velocity limit"),
        ([joint("j", "base_link", "tool0", limit='<limit velocity="1" effort="1"/>')], "tool0", "joint j has no range"),
        ([joint("j", "base_link", "tool0", limit=limited("nan"))], "tool0", "j has <limit velocity> nan; expected"),
        ([joint("j", "base_link", "tool0", limit=limited("inf"))], "tool0", "j has <limit velocity> inf; expected"),
        ([joint("j", "base_link", "tool0", limit=limited(0))], "tool0", "j has <limit velocity> 0.0; expected"),
        ([joint("j", "base_link", "tool0", axis=(0, 0, 0))], "tool0", "j has <axis xyz> .*; expected a direction"),
        ([joint("j", "base_link", "tool0", axis=("nan", 0, 0))], "tool0", "joint j has <axis xyz> .nan"),
        ([joint("j", "base_link", "tool0", ("nan", 0, 0))], "tool0", "joint j has <origin> xyz .nan"),
        ([joint("j", "base_link", "tool0", rpy=("inf", 0, 0))], "tool0", "joint j has <origin> .* rpy .inf"),
        ([joint("j", "base_link", "tool0", kind="planar")], "tool0", "joint j is planar; expected revolute"),
        ([joint("j", "base_link", "tool0")], "hand", "robot.tool_link is 'hand'; .* has base_link, tool0"),
        ([joint("j", "base_link", "tool0", kind="fixed")], "tool0", "no joint moves"),
        ([joint("j", "base_link", "a"), joint("k", "b", "tool0")], "tool0", "is not attached to"),
    ],
)
def test_what_is_no_arm_is_refused_in_one_line(tmp_path, joints, tool, reason):
    with pytest.raises(ConfigError, match=reason) as caught:
        arm_from(write(tmp_path, *joints), tool=tool)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["<robot", "<robot name='x'><joint/></robot>", "", "<robot name='x'><link/></robot>"])
def test_what_is_no_urdf_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "bad.urdf"
    path.write_text(text)
    with pytest.raises(ConfigError, match="bad.urdf") as caught:
        arm_from(str(path))
    assert "\n" not in str(caught.value)


BOMB = "<!DOCTYPE r [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {chr(98 + i)} '{f'&{chr(97 + i)};' * 10}'>" for i in range(9)
)  # fmt: skip
HOSTILE = {
    "large": " " * (1 << 20) + "<robot name='x'/>",
    "entities": f"{BOMB}]><robot name='&j;'/>",
    "another file": "<!DOCTYPE r [<!ENTITY a SYSTEM 'file:///etc/hostname'>]><robot name='r'><link name='&a;'/></robot>",
    "deep": "<robot name='r'>" + "<a>" * 100_000 + "</a>" * 100_000 + "</robot>",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_urdf_that_would_take_memory_or_time_is_refused_in_one_line(tmp_path, kind):
    path, began_s = tmp_path / "bad.urdf", time.process_time()
    path.write_text(HOSTILE[kind])
    with pytest.raises(ConfigError, match="bad.urdf") as caught:
        arm_from(str(path))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000 and time.process_time() - began_s < 2.0
    assert kind != "large" or "longer than 1048576 bytes" in str(caught.value)


def test_an_endless_file_is_refused():
    with pytest.raises(ConfigError, match="longer than 1048576 bytes"):
        arm_from("/dev/zero")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="robot.urdf"):
        arm_from(str(tmp_path / "none.urdf"))
