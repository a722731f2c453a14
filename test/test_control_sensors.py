"""Numbers of any message: field paths, scale, what is not finite, of another length or no number."""

from types import SimpleNamespace

import numpy as np
import pytest
from geometry_msgs.msg import WrenchStamped
from sensor_msgs.msg import BatteryState, Imu, JointState
from std_msgs.msg import Bool, Float32, Float64MultiArray, Int32, String

from jsac_ros.config import ConfigError, SensorConfig
from jsac_ros.control.sensors import FieldPath, Sensor


def sensor_of(*fields, **more):
    return Sensor("probe", SensorConfig(topic="probe", type="std_msgs/msg/Any", fields=fields, **more))


def wrench(x=1.0, y=2.0, z=3.0):
    message = WrenchStamped()
    message.wrench.force.x, message.wrench.force.y, message.wrench.force.z = x, y, z
    return message


@pytest.mark.parametrize(
    ("path", "message", "values"),
    [
        ("data", Bool(data=True), [1.0]),
        ("data", Int32(data=-3), [-3.0]),
        ("data", Float32(data=0.5), [0.5]),
        ("wrench.force.z", wrench(), [3.0]),
        ("data[1]", Float64MultiArray(data=[1.0, 2.0, 3.0]), [2.0]),
        ("data[0:2]", Float64MultiArray(data=[1.0, 2.0, 3.0]), [1.0, 2.0]),
        ("orientation_covariance[0:9]", Imu(), [0.0] * 9),
        ("fields[0].offset", SimpleNamespace(fields=[SimpleNamespace(offset=7)]), [7.0]),
        ("percentage", BatteryState(percentage=0.25), [0.25]),
    ],
)
def test_a_path_finds_its_numbers(path, message, values):
    read = FieldPath(path).read(message)
    assert read.tolist() == values and read.dtype == np.float64


@pytest.mark.parametrize(
    "path", ["", "data.", ".data", "data[", "data[-1]", "data[1:1]", "data[2:1]", "data[0:2].x", "a b", "a;b"]
)
def test_a_text_that_is_no_path_is_refused(path):
    with pytest.raises(ValueError, match="expected"):
        FieldPath(path)
    with pytest.raises(ConfigError, match="sensors.probe.fields holds"):
        sensor_of(path)


@pytest.mark.parametrize(
    ("path", "message", "said"),
    [
        ("dat", Bool(), "dat: the message has no 'dat'"),
        ("wrench.forces.x", WrenchStamped(), "wrench.forces.x: the message has no 'forces'"),
        ("data[3]", Float64MultiArray(data=[1.0]), "data\\[3\\]: data has 1 values"),
        ("data[0:3]", Float64MultiArray(data=[1.0]), "data\\[0:3\\] has 1 values; expected 3 \\(data\\[0:1\\] takes all\\)"),
        ("data", Float64MultiArray(data=[1.0, 2.0]), "data has 2 values; expected 1 \\(data\\[0:2\\] takes all\\)"),
        ("data", Float64MultiArray(), "data has 0 values; expected 1"),
        ("data", String(data="warm"), "data is str; expected a number"),
        ("header", WrenchStamped(), "header is Header; expected a number"),
        ("data[0]", Bool(data=True), "data is bool; expected a sequence"),
    ],
)
def test_a_message_without_such_numbers_is_refused_in_one_line(path, message, said):
    with pytest.raises(ValueError, match=said) as raised:
        FieldPath(path).read(message)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("fields", "message", "said"),
    [
        (("wrench.force.w",), WrenchStamped(), "wrench.force.w: Vector3 has no 'w'; it has x, y, z"),
        (("wrench.force",), WrenchStamped(), "wrench.force is Vector3; expected a number"),
        (("header.frame_id",), WrenchStamped(), "header.frame_id is str; expected a number"),
        (("name",), JointState(), "name is list; expected a number"),
        (("data[0]",), Bool(), "data is bool; expected a sequence"),
    ],
)
def test_a_type_without_such_a_field_is_known_before_anything_starts(fields, message, said):
    with pytest.raises(ValueError, match=said):
        sensor_of(*fields).check(message)


def test_what_only_a_message_can_tell_is_left_to_it():
    for fields, message in ((("data[0:6]",), Float64MultiArray()), (("effort[2]",), JointState()), (("data",), Bool())):
        sensor_of(*fields).check(message)


def test_fields_of_a_sensor_are_side_by_side_and_scaled():
    sensor = sensor_of("wrench.force.x", "wrench.force.z", scale=(0.1, -1.0), unit="10 N", clip=2.0)
    values = sensor.read(wrench())
    np.testing.assert_allclose(values, [0.1, -3.0])
    np.testing.assert_allclose(sensor.bounded(values), [0.1, -2.0])
    assert (sensor.space.size, sensor.space.unit, sensor.space.high) == (2, "10 N", (2.0, 2.0))
    one = sensor_of("wrench.force.x", "wrench.force.y", scale=(2.0,))
    assert one.read(wrench()).tolist() == [2, 4] and one.space.low == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="wrench.force.x is .*; expected finite numbers"):
        sensor_of("wrench.force.x").read(wrench(value))


def test_nan_may_mean_a_number_and_nothing_else_may():
    battery = sensor_of("percentage", nan_as=(1.0,))
    assert battery.read(BatteryState(percentage=float("nan"))) == [1.0]
    with pytest.raises(ValueError, match="expected finite numbers"):
        battery.read(BatteryState(percentage=float("inf")))


def test_what_a_simulation_writes_is_read_again():
    for fields, message in (
        (("wrench.force.x", "wrench.torque.z"), WrenchStamped()),
        (("data",), Bool()), (("data",), Int32()), (("data[0:3]",), Float64MultiArray()),
        (("data[2]", "data[0]"), Float64MultiArray()), (("orientation_covariance[4]",), Imu()),
    ):  # fmt: skip
        sensor = sensor_of(*fields)
        values = np.arange(1.0, 1.0 + sensor.space.size)
        assert sensor.read(sensor.written(message, values)).tolist() == values.tolist(), fields
