"""Player: plays a recording instead of cameras, robot and sensors.

Publishes  the recorded messages of `bag.path` with their original timing, at `bag.rate` times the speed; recorded_action,
           if `bag.action_topic` names recorded commands: the command for each image, on a topic to which no robot listens
It starts when the actor has subscribed to all topics, refuses to play beside another publisher of a topic, and exits with
status 0 after the last message. A process so that the other processes cannot tell a recording from a robot.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rclpy.serialization import serialize_message

from jsac_ros.bags.answers import Answer, Answered
from jsac_ros.bags.play import Playback, Played
from jsac_ros.bags.reader import Bag, Record
from jsac_ros.messages import to_outputs
from jsac_ros.msg import Action
from jsac_ros.nodes.process import JsacNode, run_node
from jsac_ros.nodes.transitions import CLASSES
from jsac_ros.rig import Rig

RECORDED_ACTION = "recorded_action"
_TYPE = "jsac_ros/msg/Action"


def played_topics(bag: Bag, rig: Rig) -> list[Played]:
    """The topics to play, each once. Raises BagError if one is missing, empty or of another type."""
    played = {}
    for source in rig.sources.values():
        topic = bag.find(f"topic of {source.name}", source.topic, (source.type,))
        played[topic.name] = Played(*topic, source.topic)
    return list(played.values())


class Player(JsacNode):
    def __init__(self):
        super().__init__("player")
        rig = Rig.of(self.config)
        self._bag = Bag(self.config.bag.path).__enter__()
        played = played_topics(self._bag, rig)
        topics = [topic.topic for topic in played]
        self._answered = Answered(self._bag, rig, topics) if self.config.bag.action_topic else None
        if self._answered:
            played.append(Played(RECORDED_ACTION, _TYPE, 1, RECORDED_ACTION))
        self._records = self._with_actions() if self._answered else self._bag.messages(topics)
        self._playback = Playback(self, played, self.config.bag.rate)

    def run(self) -> None:
        self._playback.wait_for(self._actor_listens, self.stop, "the actor")
        if not self.stop.is_set():
            self.get_logger().info(f"playing {self._bag.path}: {self._bag.count} messages, {self._bag.duration_s:.1f} s")
            self._playback.play(self._records, self.stop, self._bag.start_ns)
        self.get_logger().info(f"{self._playback.published} messages published, at most {self._playback.late_ms:.1f} ms late")
        refused = self._answered.refused if self._answered else {}
        for line in [*self._bag.warnings, *(f"{count} commands refused: {why}" for why, count in refused.items())]:
            self.get_logger().warning(line)

    def _with_actions(self) -> Iterator[Record]:
        for item in self._answered:
            yield _record_of(item) if isinstance(item, Answer) else item

    def _actor_listens(self, topic: str) -> bool:
        """Whether the actor has subscribed; other subscribers (a recorder, a viewer) do not count."""
        actor = ("actor", self.get_namespace())
        return any((end.node_name, end.node_namespace) == actor for end in self.get_subscriptions_info_by_topic(topic))

    def close(self) -> None:
        self._bag.__exit__()


def _record_of(answer: Answer) -> Record:
    """The answer as an Action message; without a velocity if nothing had been commanded yet."""
    message = Action(policy_version=-1, observation_stamp=CLASSES.time(answer.stamp_ns))
    if answer.command is not None:
        message.velocity = answer.command.motion.tolist()
        message.outputs = to_outputs(answer.command.outputs, CLASSES)
    return Record(RECORDED_ACTION, answer.time_ns, _TYPE, serialize_message(message), answer.time_ns)


def main(args=None) -> int:
    return run_node(Player, args)


if __name__ == "__main__":
    sys.exit(main())
