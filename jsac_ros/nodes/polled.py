"""What no executor looks at: its node takes the messages when it needs them."""

from __future__ import annotations

from rclpy.callback_groups import CallbackGroup
from rclpy.subscription import Subscription


class Polled(CallbackGroup):
    """Of subscriptions and services that their node takes from by itself."""

    def can_execute(self, entity) -> bool:
        return False

    def beginning_execution(self, entity) -> bool:
        return False


def take(subscription: Subscription) -> None:
    """Hands all that has come to the callback, which takes the message and its info, each once and in order."""
    queue = subscription.handle
    with queue:
        while (taken := queue.take_message(subscription.msg_type, False)) is not None:
            subscription.callback(*taken)
