"""Subscriptions and services that no executor serves: the node takes the messages when it needs them."""

from __future__ import annotations

from rclpy.callback_groups import CallbackGroup
from rclpy.subscription import Subscription


class Polled(CallbackGroup):
    """Callback group of polled subscriptions and services."""

    def can_execute(self, entity) -> bool:
        return False

    def beginning_execution(self, entity) -> bool:
        return False


def take(subscription: Subscription) -> None:
    """Passes all queued messages to the callback, as (message, info), in order."""
    queue = subscription.handle
    with queue:
        while (taken := queue.take_message(subscription.msg_type, False)) is not None:
            subscription.callback(*taken)
