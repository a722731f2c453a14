"""QoS profiles and event callbacks that several nodes use."""

from __future__ import annotations

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# Without handlers for QoS events, each of which the executor would check for every message.
HEARS_QUIETLY = SubscriptionEventCallbacks(use_default_callbacks=False)
SAYS_QUIETLY = PublisherEventCallbacks(use_default_callbacks=False)
