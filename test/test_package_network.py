"""Processes with our profiles listen on 127.0.0.1 alone: another host that addresses this one directly is not heard."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

DDS = Path(__file__).resolve().parent.parent / "jsac_ros" / "dds"
PROFILES = ("localhost", "localhost_shared_memory")
SUBSCRIBE = """
import sys, time, rclpy
from std_msgs.msg import String
rclpy.init(args=[])
node, heard = rclpy.create_node("subscriber"), set()
node.create_subscription(String, "emergency_stop", lambda message: heard.add(message.data), 10)
end_s = time.monotonic() + 30
while time.monotonic() < end_s:
    rclpy.spin_once(node, timeout_sec=0.1)
    if heard:  # the others, which started with the first, have as long again
        end_s = min(end_s, time.monotonic() + 5)
print(sys.argv[1], sorted(heard), flush=True)
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
for name in localhost localhost_shared_memory; do
    export ROS_DOMAIN_ID=$((${ROS_DOMAIN_ID:-20} + 1)) FASTRTPS_DEFAULT_PROFILES_FILE=$PWD/$name.xml
    $PYTHON subscribe.py $name & subscribers="$subscribers $!"
    $PYTHON publish.py ours &
    FASTRTPS_DEFAULT_PROFILES_FILE=$PWD/stranger.xml $there $PYTHON publish.py stranger &
done
wait $subscribers
"""


ENVIRONMENT = {"ROS_DOMAIN_ID": "20", "SKIP_DEFAULT_XML_FILE": "1", "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"}


def addresses_of(profile: str) -> set[str]:
    """On which a process with this profile listens for datagrams."""
    environment = os.environ | ENVIRONMENT | {"FASTRTPS_DEFAULT_PROFILES_FILE": str(DDS / f"{profile}.xml")}
    with subprocess.Popen([sys.executable, "-c", PUBLISH, "ours"], env=environment) as process:
        try:
            for _ in range(300):
                time.sleep(0.1)
                sockets = psutil.Process(process.pid).net_connections("udp")
                if found := {socket.laddr.ip for socket in sockets if socket.laddr and socket.laddr.port > 7400}:
                    return found
        finally:
            process.kill()
    return set()


@pytest.mark.parametrize("profile", PROFILES)
def test_ours_listen_on_this_host_alone(profile):
    assert addresses_of(profile) == {"127.0.0.1"}


@pytest.mark.parametrize("profile", ["network", "network_shared_memory"])
def test_where_others_are_asked_for_all_addresses_are_listened_on(profile):
    assert "0.0.0.0" in addresses_of(profile)


def can_make_namespaces() -> bool:
    try:
        return subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not can_make_namespaces(), reason="needs network namespaces (unshare -rn) and ip")
def test_a_host_that_knows_our_address_is_not_heard(tmp_path):
    peer = "<initialPeersList><locator><udpv4><address>10.99.0.1</address></udpv4></locator></initialPeersList>"
    for name in PROFILES:
        (tmp_path / f"{name}.xml").write_text((DDS / f"{name}.xml").read_text())
    stranger = (DDS / "network.xml").read_text().replace("<builtin>", f"<builtin>{peer}")
    (tmp_path / "stranger.xml").write_text(stranger)
    (tmp_path / "subscribe.py").write_text(SUBSCRIBE)
    (tmp_path / "publish.py").write_text(PUBLISH)
    done = subprocess.run(
        ["unshare", "-rn", "bash", "-c", SCRIPT], cwd=tmp_path, env=os.environ | ENVIRONMENT | {"PYTHON": sys.executable},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    heard = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert heard == dict.fromkeys(PROFILES, "['ours']"), done.stdout + done.stderr
