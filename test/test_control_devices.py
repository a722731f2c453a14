"""Devices that are read without ROS: numbered as their ROS drivers number them, and plugged in and out."""

import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from rig_cases import REACHER, config_of, rig_of

from jsac_ros import system
from jsac_ros.config import ConfigError
from jsac_ros.control import devices, teleop
from jsac_ros.control.devices import Gamepad, Reconnecting, SpaceMouse
from jsac_ros.control.teleop import Teleop

KEY, ABSOLUTE = 1, 3
XBOX, SONY = 0x045E, 0x054C
A, X, Y, LEFT_SHOULDER, GUIDE = 0x130, 0x133, 0x134, 0x136, 0x13C
STICK_X, STICK_Y, TRIGGER, RIGHT_X, RIGHT_Y, HAT_X, HAT_Y = 0x00, 0x01, 0x02, 0x03, 0x04, 0x10, 0x11
ARM = {"robot.type": "ur5e", "robot.home": (0.0, -1.4822, 1.8725, -1.9611, -1.5708, 1.5708), "task.type": "shadow"}


class Fake:
    """As evdev.InputDevice has it: sticks from -32768 to 32767, a trigger from 0 to 255, a cross as a hat."""

    def __init__(self, vendor=XBOX):
        self.info, self.keys, self.events, self.gone, self.closed = SimpleNamespace(vendor=vendor), set(), [], False, False
        self.ranges = dict.fromkeys((STICK_X, STICK_Y, RIGHT_X, RIGHT_Y), (-32768, 32767)) | {TRIGGER: (0, 255)}
        self.ranges |= dict.fromkeys((HAT_X, HAT_Y), (-1, 1))
        self.values = dict.fromkeys(self.ranges, 0)

    def capabilities(self):
        return {KEY: [A, X, Y], ABSOLUTE: [(code, None) for code in self.ranges]}

    def absinfo(self, code):
        if self.gone:
            raise OSError(19, "No such device")
        low, high = self.ranges[code]
        return SimpleNamespace(value=self.values[code], min=low, max=high)

    def active_keys(self):
        return sorted(self.keys)

    def read_one(self):
        return self.events.pop(0) if self.events else None

    def close(self):
        self.closed = True


def test_a_gamepad_is_numbered_as_by_its_ros_driver():
    fake = Fake()
    pad = Gamepad(fake)
    fake.values |= {STICK_X: -32768, STICK_Y: -32768, RIGHT_X: 32767, TRIGGER: 255, HAT_X: 1, HAT_Y: -1}
    fake.keys = {A, LEFT_SHOULDER, GUIDE}
    axes, buttons = pad.read()
    np.testing.assert_allclose(axes, [1.0, 1.0, -1.0, 0.0, 1.0, 0.5], atol=1e-4)
    assert buttons == {0, 9, 5, 11, 14}, "left and up are positive; A, left shoulder, guide, cross up and right"


@pytest.mark.parametrize("vendor, x, y", [(XBOX, 2, 3), (SONY, 3, 2)])
def test_what_the_kernel_calls_north_is_x_of_one_maker_and_the_upper_button_of_another(vendor, x, y):
    fake = Fake(vendor)
    pad = Gamepad(fake)
    fake.keys = {X}
    assert pad.read().buttons == {x}
    fake.keys = {Y}
    assert pad.read().buttons == {y}


def test_a_press_between_two_readings_counts():
    fake = Fake()
    fake.events = [SimpleNamespace(type=KEY, code=GUIDE, value=value) for value in (1, 0)]
    pad = Gamepad(fake)
    assert pad.read().buttons == {5} and pad.read().buttons == frozenset()


def test_the_shipped_mapping_drives_by_it():
    fake, now_s = Fake(), 1.0
    pad, device = Gamepad(fake), Teleop(teleop.load("gamepad"), rig_of(ARM | {"actions.arm.type": "twist"}).actions)
    device.hear(pad.read(), now_s)
    fake.keys, fake.values[STICK_Y] = {LEFT_SHOULDER}, -32768
    said = device.hear(pad.read(), now_s + 0.04)
    assert said.holds and said.action["arm"].tolist() == [1.0, 0.0, 0.0], "stick up: away from the base"


class Mouse:
    """As pyspacemouse has it: a read takes one report of those that wait."""

    def __init__(self, *reports):
        self.reports, self.state = (
            list(reports),
            dict(t=-1.0, x=0.0, y=0.0, z=0.0, roll=0.0, pitch=0.0, yaw=0.0, buttons=[0, 0]),
        )

    def read(self):
        if self.reports:
            self.state |= {"t": time.perf_counter()} | self.reports.pop(0)
        return SimpleNamespace(**self.state)

    def close(self):
        pass


def test_a_spacemouse_has_the_axes_of_its_ros_driver_and_all_that_waits_is_read():
    mouse = Mouse({"x": 0.1, "y": 0.2, "z": 0.3}, {"roll": 0.4, "pitch": 0.5, "yaw": 0.6}, {"buttons": [0, 1]})
    axes, buttons = SpaceMouse(mouse).read()
    np.testing.assert_allclose(axes, [0.2, -0.1, 0.3, 0.4, 0.5, -0.6])
    assert buttons == {1} and not mouse.reports


def test_a_device_comes_and_goes():
    there, opened = [], []

    def opener():
        if not there:
            raise OSError("no gamepad among the 3 devices in /dev/input that can be read; expected one to be plugged in")
        opened.append(Fake())
        return Gamepad(opened[-1])

    device = Reconnecting(opener)
    assert device.read(0.0) is None and device.read(0.5) is None and device.read(1.5) is None
    (line,) = device.take_news()
    assert line.startswith("the device cannot be read: no gamepad")
    there.append(True)
    assert device.read(2.0) is None, "once a second is often enough"
    assert device.read(2.6) is not None and device.take_news() == ["the device is connected"]
    opened[0].gone = True
    assert device.read(2.7) is None and opened[0].closed
    assert device.take_news() == ["the device cannot be read: No such device"]
    assert device.read(5.0) is not None and len(opened) == 2


def direct(**changes):
    return config_of(REACHER, person__by="device", person__direct=True, **changes)


def test_a_mapping_without_a_reader_and_a_library_that_is_missing_are_named_before_anything_starts(monkeypatch):
    with pytest.raises(ConfigError, match="the mapping has no reader; expected evdev or pyspacemouse"):
        system.check(direct(person__mapping="keyboard"))
    with pytest.raises(ConfigError, match="no reader"):
        system.check(direct(person__mapping="leader"))
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    for mapping, library in (("gamepad", "evdev"), ("spacemouse", "pyspacemouse")):
        with pytest.raises(ConfigError, match=f"{library} is not installed; expected `pip install {library}`"):
            system.check(direct(person__mapping=mapping))


def test_no_right_and_no_device_are_one_line_each(monkeypatch):
    paths = []
    library = SimpleNamespace(list_devices=lambda: paths, InputDevice=lambda path: Keyboard())
    monkeypatch.setitem(sys.modules, "evdev", library)
    monkeypatch.setattr(devices.glob, "glob", lambda pattern: ["/dev/input/event3", "/dev/input/event12"])
    with pytest.raises(OSError, match="no permission to read /dev/input/event12; expected a user in group input"):
        devices._open_gamepad()
    paths.append("/dev/input/event3")
    with pytest.raises(OSError, match="no gamepad among the 1 readable devices"):
        devices._open_gamepad()

    def refuse():
        raise RuntimeError("No connected or supported devices found.")

    monkeypatch.setitem(sys.modules, "pyspacemouse", SimpleNamespace(open=refuse))
    with pytest.raises(
        OSError, match="no SpaceMouse: No connected or supported devices found.; expected one that is plugged in"
    ):
        devices._open_spacemouse()


class Keyboard(Fake):
    def capabilities(self):
        return {KEY: [30, 31]}


def test_a_virtual_gamepad_of_the_kernel():
    evdev = pytest.importorskip("evdev", reason="evdev is not installed: pip install evdev")
    try:
        sticks = [(code, evdev.AbsInfo(0, -32768, 32767, 0, 0, 0)) for code in (STICK_X, STICK_Y)]
        made = evdev.UInput({KEY: [A, LEFT_SHOULDER], ABSOLUTE: sticks}, name="jsac test", vendor=XBOX)
    except (OSError, evdev.UInputError) as error:
        pytest.skip(f"no virtual device can be made: {error}")
    with made:
        time.sleep(0.5)  # until udev has set its rights
        pad = Gamepad(evdev.InputDevice(made.device.path))
        made.write(ABSOLUTE, STICK_Y, -32768)
        made.write(KEY, LEFT_SHOULDER, 1)
        made.syn()
        time.sleep(0.05)
        axes, buttons = pad.read()
        assert axes[1] == pytest.approx(1.0, abs=1e-3) and buttons == {9}
        pad.close()
