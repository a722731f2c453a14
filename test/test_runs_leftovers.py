"""Which shared memory of Fast DDS counts as left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from live_system import environment

from jsac_ros.dds import leftovers
from jsac_ros.dds.leftovers import remove_leftovers

NODE = """
import time, rclpy
rclpy.init()
node = rclpy.create_node("left")
print("up", flush=True)
time.sleep(600)
"""


def _segments() -> set[str]:
    names = {file.name for file in Path("/dev/shm").glob("fastrtps_*_el")}
    return {name for name in names if "port" not in name}


def test_a_killed_node_leaves_a_segment_that_is_removed_and_a_living_one_keeps_its_own(monkeypatch):
    monkeypatch.setattr(leftovers, "_YOUNG_S", 0.0)
    nodes, owned = [], []
    try:
        for domain in (100, 101):  # two that never meet: what is mapped by the living is not removed
            before, own = _segments(), environment() | {"ROS_DOMAIN_ID": str(domain)}
            nodes.append(subprocess.Popen([sys.executable, "-c", NODE], env=own, stdout=subprocess.PIPE))
            assert nodes[-1].stdout.readline() == b"up\n"
            owned.append({name for name in _segments() - before if _holder(name) == nodes[-1].pid})
            assert owned[-1], "the node has no segment"
        nodes[0].send_signal(signal.SIGKILL)
        nodes[0].wait()
        assert owned[0] <= _segments()
        remove_leftovers()
        assert not owned[0] & _segments() and owned[1] <= _segments()
    finally:
        for node in nodes:
            node.kill()
            node.wait()
            node.stdout.close()
    remove_leftovers()
    assert not owned[1] & _segments()


def _holder(name: str) -> int | None:
    """Process that has the lock file open."""
    path = f"/dev/shm/{name}"
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(descriptor) == path for descriptor in (process / "fd").iterdir()):
                return int(process.name)
        except OSError:
            continue
    return None


def test_what_is_young_or_not_of_fast_dds_stays(tmp_path, monkeypatch):
    dead = {"fastrtps_0123456789abcdef", "fastrtps_0123456789abcdef_el", "fastrtps_port7411", "sem.fastrtps_port7411_mutex"}
    others = {"fastrtps_notes", "sem.jsac_0_live_batches_free", "fastrtps_port7411.txt"}
    for name in dead | others:
        (tmp_path / name).touch()
    assert remove_leftovers(tmp_path) == []
    monkeypatch.setattr(leftovers, "_YOUNG_S", 0.0)
    assert remove_leftovers(tmp_path) == ["fastrtps_0123456789abcdef", "fastrtps_port7411"]
    assert {file.name for file in tmp_path.iterdir()} == others
