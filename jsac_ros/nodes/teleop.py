"""Teleop: a person's gamepad, SpaceMouse, keys or velocities as actions of the task, and its buttons as verbs.

Every message of the device is answered with one of ours, so that a device that falls silent is a person who does.

Subscribes  the topic of the mapping (sensor_msgs/Joy, geometry_msgs/Twist or TwistStamped, or keys)
Publishes   person_action, emergency_stop
Calls       the operator's services of the actor
A process because a device must be heard whatever control and learning do.
"""

from __future__ import annotations

import queue
import sys
import time

import numpy as np
from geometry_msgs.msg import Twist, TwistStamped
from sensor_msgs.msg import Joy
from std_msgs.msg import String

from jsac_ros.control import realtime, teleop
from jsac_ros.control.teleop import Keys, Reading
from jsac_ros.msg import PersonAction, Vector
from jsac_ros.nodes.console import EMERGENCY_STOP, Console
from jsac_ros.nodes.process import WorkingNode, run_node
from jsac_ros.rig import Rig

KEYS_PERIOD_S = 0.04


class Teleop(WorkingNode):
    doing = "buttons"

    def __init__(self):
        super().__init__("teleop")
        mapping = teleop.load(self.config.person.mapping)
        self._teleop = teleop.Teleop(mapping, Rig(self.config).actions)
        self._console = Console(self)
        self._verbs: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._publisher = self.create_publisher(PersonAction, "person_action", 1)
        self._holds = False
        match mapping.source:
            case "joy":
                self.create_subscription(Joy, mapping.topic, self._on_joy, 10)
            case "twist":
                self.create_subscription(Twist, mapping.topic, self._on_twist, 10)
            case "twist_stamped":
                self.create_subscription(TwistStamped, mapping.topic, lambda m: self._on_twist(m.twist), 10)
            case "keys":
                self._keys = Keys()
                self.create_subscription(String, mapping.topic, self._on_key, 10)
                self.create_timer(KEYS_PERIOD_S, lambda: self._hear(self._keys.reading(time.monotonic())))

    def run(self) -> None:
        measures = realtime.short_switch_interval(), *realtime.process_first(self.config.realtime.fifo_priority)
        self.get_logger().info("; ".join(map(str, measures)))
        super().run()

    def _on_joy(self, message: Joy) -> None:
        self._hear(Reading(np.array(message.axes), frozenset(np.flatnonzero(message.buttons).tolist())))

    def _on_twist(self, twist: Twist) -> None:
        linear, angular = twist.linear, twist.angular
        axes = np.array((linear.x, linear.y, linear.z, angular.x, angular.y, angular.z))
        self._hear(Reading(axes, frozenset()))

    def _on_key(self, message: String) -> None:
        for key in message.data[:64]:
            self._keys.press(key, time.monotonic())

    def _hear(self, reading: Reading) -> None:
        """Raises ValueError where the device is not the mapping's."""
        said = self._teleop.hear(reading, time.monotonic())
        action = [Vector(name=name, values=values) for name, values in said.action.items()]
        message = PersonAction(holds=said.holds, action=action)
        message.header.stamp = self.get_clock().now().to_msg()
        self._publisher.publish(message)
        if said.holds != self._holds:
            self._holds = said.holds
            self.get_logger().info("the person takes over" if said.holds else "the person hands back")
        for verb in said.verbs:
            if verb == "emergency_stop":  # nothing that is still being answered is in its way
                self._console.do(EMERGENCY_STOP, "teleop")
            else:
                self._verbs.put(verb)

    def work(self) -> None:
        """Does one verb after the other."""
        for verb, success, message in self._console.work(self._verbs, "teleop", self.stop):
            if not success:
                self.get_logger().warning(f"{verb}: not done: {message}")


def main(args=None) -> int:
    return run_node(Teleop, args)


if __name__ == "__main__":
    sys.exit(main())
