"""A node's logger that throttles by the steady clock.

rclpy throttles by the wall clock: after the wall clock is set back, throttled lines would not be logged at all until it has
caught up.
"""

from __future__ import annotations

import os

from rclpy.clock import Clock, ClockType
from rclpy.impl import rcutils_logger

# rclpy throttles by the calling line, which is the first one outside of these files.
rcutils_logger._internal_callers.append(os.path.realpath(__file__))

_CLOCK = Clock(clock_type=ClockType.STEADY_TIME)


class SteadyLogger(rcutils_logger.RcutilsLogger):
    def log(self, message, severity, **options):
        if "throttle_duration_sec" in options:
            options["throttle_time_source_type"] = _CLOCK
        return super().log(message, severity, **options)
