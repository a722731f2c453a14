"""Learning robot skills from pixels, live, on ROS 2."""

from pkgutil import extend_path

# Run from the source tree, `jsac_ros.msg` is still found where colcon installed it.
__path__ = extend_path(__path__, __name__)
