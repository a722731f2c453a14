"""An exported policy acts as the one it was made from, without ROS, and damaged or foreign files are refused."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from agent_cases import SPECS, small_config
from safetensors.numpy import load_file, save_file

from jsac_ros.agent import export, policy
from jsac_ros.agent.state import create

SPEC, CONFIG = SPECS["both"], small_config()


@pytest.fixture
def exported(tmp_path):
    params = policy.policy_parameters(create(CONFIG, SPEC, 0))
    export.save(tmp_path, params, CONFIG, SPEC, {"name": "reach", "action_scale_rad_s": 0.3})
    return tmp_path, params


def test_loaded_policy_acts_as_the_saved_one(exported):
    folder, params = exported
    loaded = export.load(folder)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, SPEC.image_shape, dtype=np.uint8)
    proprioception = rng.normal(size=SPEC.proprioception).astype(np.float32)
    act, key = policy.make_act(CONFIG, SPEC), policy.action_key(1, 2, 3)
    np.testing.assert_array_equal(loaded(image, proprioception), act(params, image, proprioception, key, True))
    np.testing.assert_array_equal(loaded(image, proprioception, key), act(params, image, proprioception, key, False))
    assert loaded.about["task"]["action_scale_rad_s"] == 0.3
    assert loaded.about["observation"]["image"]["shape"] == [17, 19, 6]


def test_loading_imports_no_ros(exported):
    folder, _ = exported
    program = (
        "import sys; from jsac_ros.agent.export import load; load(sys.argv[1]);"
        "sys.exit('rclpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(folder)], timeout=100).returncode == 0


def test_other_shape_is_refused_naming_both(exported):
    folder, _ = exported
    tensors = load_file(folder / "policy.safetensors")
    tensors["actor/mean/bias"] = np.zeros(4, np.float32)
    save_file(tensors, folder / "policy.safetensors")
    with pytest.raises(ValueError, match=r"actor/mean/bias is float32\[4\]; expected float32\[3\]"):
        export.load(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "policy.json").unlink(), "cannot be read"),
        (lambda folder: (folder / "policy.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "policy.json").write_text('{"format": 7}'), "format 7; expected 1"),
        (lambda folder: (folder / "policy.safetensors").write_bytes(b"\x00" * 20), "cannot be read"),
        (
            lambda folder: (folder / "policy.json").write_text(
                json.dumps(json.loads((folder / "policy.json").read_text()) | {"spec": {"height": 3}})
            ),
            "policy.json",
        ),
    ],
)
def test_damaged_files_are_refused_in_one_line(exported, damage, message):
    folder, _ = exported
    damage(folder)
    with pytest.raises(ValueError, match=message) as error:
        export.load(folder)
    assert "\n" not in str(error.value)
