"""Player: a recording in the place of camera and robot.

Publishes the camera's and the joints' messages of `bag.path` as they were recorded, with their own spacing times
`bag.rate`, and the commands of `bag.action_topic` as `recorded_action`: never where a robot listens. It begins when the
actor listens to all of them, and ends with status 0 after the last one. A process of its own so that nothing else
knows the difference between a recording and a robot.
"""

from __future__ import annotations

import sys

from jsac_ros.bags.play import Playback
from jsac_ros.bags.reader import IMAGES, Bag, BagError
from jsac_ros.config import SystemConfig
from jsac_ros.nodes.process import JsacNode, run_node

RECORDED_ACTION = "recorded_action"


def topic_names(bag: Bag, config: SystemConfig) -> dict[str, str]:
    """Recorded topic -> name to publish it under. Raises BagError where one is missing or of another type."""
    camera = config.camera
    wanted = [(config.robot.joint_states_topic, ("sensor_msgs/msg/JointState",), config.robot.joint_states_topic)]
    if camera.height and config.task.observe != "proprioception":
        wanted.append((camera.topic, (IMAGES[camera.compressed],), camera.topic))
    if config.bag.action_topic:
        wanted.append((config.bag.action_topic, ("std_msgs/msg/Float64MultiArray",), RECORDED_ACTION))
    names = {}
    for recorded, types, published in wanted:
        topic = bag.topic(recorded)
        if topic.type not in types or not topic.count:
            raise BagError(
                f"bag {bag.path}: {topic.name} has {topic.count} messages of {topic.type}; expected some of {types[0]}"
            )
        names[topic.name] = published
    return names


class Player(JsacNode):
    def __init__(self):
        super().__init__("player")
        self._bag = Bag(self.config.bag.path).__enter__()
        names = topic_names(self._bag, self.config)
        self._playback = Playback(self, self._bag, names, self.config.bag.rate)

    def run(self) -> None:
        self._playback.wait_for(self._actor_listens, self.stop, "the actor")
        if not self.stop.is_set():
            self.get_logger().info(
                f"playing {self._bag.path}: {self._bag.count} messages, {self._bag.duration_s:.1f} s"
            )
            self._playback.play(self.stop)
        self.get_logger().info(
            f"{self._playback.published} messages published, at most {self._playback.late_ms:.1f} ms late"
        )
        if self._bag.damage:
            self.get_logger().warning(f"bag {self._bag.path}: {self._bag.damage}")

    def _actor_listens(self, topic: str) -> bool:
        """Other subscribers (a recorder, a viewer) may be there long before."""
        return any(end.node_name == "actor" for end in self.get_subscriptions_info_by_topic(topic))

    def close(self) -> None:
        self._bag.__exit__()


def main(args=None) -> int:
    return run_node(Player, args)


if __name__ == "__main__":
    sys.exit(main())
