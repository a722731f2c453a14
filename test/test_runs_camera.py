"""A raw camera beside our actor's ears, over DDS: what default Fast DDS loses is said, and the cure that is named works."""

import json
import os
import re
import subprocess
import sys

import domains
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from jsac_ros import dds

CAMERA = """
import array, time, rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

rclpy.init()
node = rclpy.create_node("camera")
images = node.create_publisher(Image, "camera/image_raw", qos_profile_sensor_data)
message = Image(height=480, width=640, encoding="rgb8", step=1920, data=array.array("B", bytes(640 * 480 * 3)))
due_s = time.monotonic()
while True:
    message.header.stamp = node.get_clock().now().to_msg()
    images.publish(message)
    due_s += 1 / 30
    time.sleep(max(0.0, due_s - time.monotonic()))
"""
# As the actor's executor hears a camera; ends when it knows how many images arrive.
ACTOR = """
import json, time, types, rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from jsac_ros.control.inputs import Inputs
from jsac_ros.control.rate import SteadyClock
from jsac_ros.parameters import from_parameters
from jsac_ros.rig import Rig

said = []
log = lambda line, **options: said.append(line)
rig = Rig.of(from_parameters({"cameras.wrist.source_height": 480, "cameras.wrist.source_width": 640,
                              "actions.arm.type": "joint_velocity"}))
inputs = Inputs(rig, types.SimpleNamespace(warning=log, error=log), SteadyClock())
rclpy.init()
node, arrivals = rclpy.create_node("actor"), inputs._arrivals["wrist"]
hear = lambda message, info: inputs.on_image("wrist", message, 0, info["publication_sequence_number"])
node.create_subscription(Image, "camera/image_raw", hear, qos_profile_sensor_data)
end_s = time.monotonic() + 30
while time.monotonic() < end_s and (arrivals.counts or (0, 0))[1] < 40:
    rclpy.spin_once(node, timeout_sec=0.1)
print(json.dumps({"counts": arrivals.counts, "said": said}))
"""


def heard(camera_environment):
    """What our actor says of a camera whose driver is started with these variables."""
    bare = {name: value for name, value in os.environ.items() if name not in (dds.PROFILE, "ROS_AUTOMATIC_DISCOVERY_RANGE")}
    bare |= {"ROS_DOMAIN_ID": str(domains.take()), "SKIP_DEFAULT_XML_FILE": "1"}
    camera = subprocess.Popen([sys.executable, "-c", CAMERA], env=bare | camera_environment)
    try:
        ours = bare | dds.discovery() | dds.profile(shared_memory=True)
        actor = subprocess.run([sys.executable, "-c", ACTOR], env=ours, capture_output=True, text=True, timeout=60)
    finally:
        camera.kill()
        camera.wait()
    assert actor.returncode == 0, actor.stderr
    return json.loads(actor.stdout.splitlines()[-1])


def test_lost_images_are_said_with_a_cure_that_works(monkeypatch):
    monkeypatch.delenv(dds.PROFILE, raising=False)
    monkeypatch.delenv("ROS_AUTOMATIC_DISCOVERY_RANGE", raising=False)
    found = heard({})
    arrived, published = found["counts"]
    assert published == 40
    if arrived < 36:  # else this computer is fast enough to lose none
        said = re.match(rf"camera/image_raw: (\d+) of 40 images arrive; .* {dds.PROFILE}=([^,]+), or set", found["said"][-1])
        assert int(said[1]) == arrived
        profile = said[2]
    else:
        assert not found["said"]
        profile = dds.driver_profile()
    cured = heard({dds.PROFILE: profile})
    assert cured["counts"][0] >= 38 and not cured["said"], cured
