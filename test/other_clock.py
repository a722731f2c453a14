"""A driver on a computer whose clock differs: a process that reads the time through a library of ours.

python test/other_clock.py     publishes joint states until its input ends
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

/* CLOCK_REALTIME of a computer that is OTHER_CLOCK_MS ahead. */
int clock_gettime(clockid_t id, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int status = real(id, now);
  if (status == 0 && id == CLOCK_REALTIME) {
    long long ns = now->tv_sec * 1000000000LL + now->tv_nsec + atoll(getenv("OTHER_CLOCK_MS")) * 1000000LL;
    now->tv_sec = ns / 1000000000LL;
    now->tv_nsec = ns % 1000000000LL;
  }
  return status;
}
"""


def library(folder: Path) -> Path:
    """Compiles it."""
    source, made = folder / "other_clock.c", folder / "other_clock.so"
    source.write_text(SOURCE)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl"], check=True)
    return made


def main() -> None:
    import threading

    import rclpy
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import JointState

    rclpy.init()
    node = rclpy.create_node("far_driver")
    states = node.create_publisher(JointState, "joint_states", qos_profile_sensor_data)

    def say() -> None:
        message = JointState(name=["elbow_joint"], position=[0.0])
        message.header.stamp = node.get_clock().now().to_msg()
        states.publish(message)

    node.create_timer(0.01, say)
    threading.Thread(target=rclpy.spin, args=(node,), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
