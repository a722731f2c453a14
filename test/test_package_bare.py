"""What must work on a machine without ROS: the GPU benchmark of a bare checkout."""

import subprocess
import sys

import pytest

BARE = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        first = name.split(".")[0]
        if first in {"rclpy", "sensor_msgs", "std_msgs", "rosbags", "posix_ipc", "orbax", "mcap", "cv2"} or name == "jsac_ros.msg":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
"""
HELP = 'from jsac_ros.__main__ import main\nmain(["bench", "gpu", "--help"])'
UPDATE = 'from jsac_ros.bench import gpu\nprint(gpu.run_worker("device", "48x48x9_b64"))\nimport jsac_ros.bench.update'


def bare(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", BARE + code], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stderr
    return run.stdout


GPU = 'import runpy\nsys.argv = ["jsac-ros", "bench", "gpu"]\nrunpy.run_module("jsac_ros", run_name="__main__")'


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("flax", "error: bench gpu needs the packages jax, flax, optax, pydantic, numpy; missing: flax"),
        ("pydantic", "error: Python package 'pydantic' is missing; `make setup` installs all"),
    ],
)
def test_a_package_that_is_missing_is_one_line(name, said):
    code = f"import sys\nsys.modules[{name!r}] = None\n{GPU}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert run.returncode == 2 and run.stderr.startswith(said) and run.stderr.count("\n") == 1, run.stderr


def test_the_gpu_benchmark_needs_no_ros():
    assert "--minutes" in bare(HELP)
    assert "float32_tflops" in bare(UPDATE)
