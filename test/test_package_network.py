"""Another host that addresses this one directly is not heard by processes with our profiles; two network namespaces."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

DDS = Path(__file__).resolve().parent.parent / "jsac_ros" / "dds"
WHITELIST = "<interfaceWhiteList><address>127.0.0.1</address></interfaceWhiteList>"
PROFILES = ("localhost", "localhost_shared_memory")
SUBSCRIBE = """
import sys, time, rclpy
from std_msgs.msg import String
rclpy.init(args=[])
node, heard = rclpy.create_node("subscriber"), set()
node.create_subscription(String, "emergency_stop", lambda message: heard.add(message.data), 10)
end_s = time.monotonic() + (12 if sys.argv[1] == "all" else 40)
while time.monotonic() < end_s and (sys.argv[1] == "all" or "stranger" not in heard):
    rclpy.spin_once(node, timeout_sec=0.1)
print(sys.argv[2], sorted(heard), flush=True)
"""
PUBLISH = """
import sys, time, rclpy
from std_msgs.msg import String
rclpy.init(args=[])
publisher = rclpy.create_node("publisher").create_publisher(String, "emergency_stop", 10)
while True:
    publisher.publish(String(data=sys.argv[1]))
    time.sleep(0.1)
"""
# Two hosts 10.99.0.1 and 10.99.0.2 on one cable; a domain for each profile, each with a publisher here and one there.
SCRIPT = """
set -e
trap 'kill $(jobs -p)' EXIT
ip link set lo up
unshare -n sleep 60 & other=$!
sleep 0.5
ip link add va type veth peer name vb netns $other
ip addr add 10.99.0.1/24 dev va && ip link set va up
there="nsenter -t $other -n"
$there ip addr add 10.99.0.2/24 dev vb && $there ip link set vb up && $there ip link set lo up
subscribers=
for name in localhost localhost_shared_memory open; do
    export ROS_DOMAIN_ID=$((${ROS_DOMAIN_ID:-20} + 1)) FASTRTPS_DEFAULT_PROFILES_FILE=$PWD/$name.xml
    $PYTHON subscribe.py $([ $name = open ] && echo stranger || echo all) $name & subscribers="$subscribers $!"
    $PYTHON publish.py ours &
    FASTRTPS_DEFAULT_PROFILES_FILE=$PWD/stranger.xml $there $PYTHON publish.py stranger &
done
wait $subscribers
"""


def can_make_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_make_namespaces(), reason="needs network namespaces (unshare -rn) and ip")
def test_a_host_that_knows_our_address_is_not_heard(tmp_path):
    texts = {name: (DDS / f"{name}.xml").read_text() for name in (*PROFILES, "network")}
    assert all(WHITELIST in texts[name] for name in PROFILES) and WHITELIST not in texts["network"]
    peer = "<initialPeersList><locator><udpv4><address>10.99.0.1</address></udpv4></locator></initialPeersList>"
    texts["stranger"] = texts.pop("network").replace("<builtin>", f"<builtin>{peer}")
    texts["open"] = texts["localhost"].replace(WHITELIST, "")  # the control: without that line a stranger is heard
    for name, text in texts.items():
        (tmp_path / f"{name}.xml").write_text(text)
    (tmp_path / "subscribe.py").write_text(SUBSCRIBE)
    (tmp_path / "publish.py").write_text(PUBLISH)
    environment = os.environ | {"PYTHON": sys.executable, "ROS_DOMAIN_ID": "20", "SKIP_DEFAULT_XML_FILE": "1"}
    environment |= {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"}
    done = subprocess.run(
        ["unshare", "-rn", "bash", "-c", SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    heard = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert heard.keys() == {*PROFILES, "open"} and "stranger" in heard["open"], done.stdout + done.stderr
    assert all(heard[name] == "['ours']" for name in PROFILES), done.stdout + done.stderr
