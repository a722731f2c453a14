"""An exported policy acts as the one it was made from, without ROS, and damaged or foreign files are refused."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from agent_cases import agent_of, random_observation, small
from full_disk import files_of_at_most
from safetensors.numpy import load_file, save_file

from jsac_ros.agent import build, export

AGENT = agent_of("both")
CARD = {"task": "reach", "action_scale_rad_s": 0.3}


@pytest.fixture
def exported(tmp_path):
    export.save(tmp_path, AGENT.policy_params(AGENT.init(0)), AGENT, CARD)
    return tmp_path


def test_json_says_what_goes_in_and_comes_out(exported):
    about = json.loads((exported / "policy.json").read_text())
    assert about["format"] == 2 and about["card"] == CARD
    assert (
        about["spaces"]["images"][0] | {"name": "wrist", "height": 17, "width": 19, "stack": 2} == about["spaces"]["images"][0]
    )
    assert [(part["name"], part["unit"]) for part in about["spaces"]["vectors"]] == [("joint_position", "rad"), ("wrench", "N")]
    assert export.load(exported).about == about


def test_loading_imports_no_ros(exported):
    program = "import sys; from jsac_ros.agent.export import load; load(sys.argv[1]);sys.exit('rclpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program, str(exported)], timeout=100).returncode == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda o: o | {"wrist": o["wrist"].astype(np.float32)},
            r"'wrist' is float32\[17, 19, 6\]; expected uint8\[17, 19, 6\]",
        ),
        (lambda o: o | {"wrench": o["wrench"][:1]}, r"'wrench' is float32\[1\]; expected float32\[2\]"),
        (lambda o: {"wrist": o["wrist"]}, "'joint_position' is missing"),
        (lambda o: o | {"tool": o["wrench"]}, "'tool' is unknown"),
    ],
)
def test_another_observation_is_refused_by_the_name_of_its_part(exported, change, message):
    with pytest.raises(ValueError, match=message):
        export.load(exported)(change(random_observation(AGENT.spaces)))


def test_other_shape_is_refused_naming_both(exported):
    tensors = load_file(exported / "policy.safetensors")
    tensors["actor/mean/bias"] = np.zeros(4, np.float32)
    save_file(tensors, exported / "policy.safetensors")
    with pytest.raises(ValueError, match=r"actor/mean/bias is F32\[4\]; expected F32\[3\]"):
        export.load(exported)


def rewrite(folder, *path, value):
    """policy.json with another value at this path."""
    about = json.loads((folder / "policy.json").read_text())
    at = about
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    (folder / "policy.json").write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["format"], 1, "format 1; expected 2"),
        (["agent", "hidden"], [10**30], "hidden is .* expected numbers from 1 to 16384"),
        (["agent", "hidden"], [16_384], r"actor/log_std/kernel is F32\[16, 3\]; expected F32\[16384, 3\]"),
        (["agent", "latent_dim"], 7.5, "latent_dim"),
        (["agent", "no_such"], 1, "no_such"),
        (["agent", "type"], "antigravity:Agent", "agent.type is 'antigravity:Agent'; expected an installed plug-in"),
        (["agent", "type"], "nonsense", "'nonsense': unknown"),
        (["agent"], None, "policy.json: "),
        (["spaces", "images"], [], "expected "),
        (
            ["spaces", "vectors", 0, "size"],
            10**12,
            r"actor/mlp/dense_0/kernel is F32\[12, 16\]; expected F32\[1000000000009, 16\]",
        ),
        (["spaces", "images", 0, "height"], 10**30, "policy.json: "),
        (["spaces", "images", 0, "height"], -1, "height is -1; expected a whole number"),
    ],
)
def test_sizes_are_checked_before_anything_is_allocated(exported, path, value, message):
    rewrite(exported, *path, value=value)
    with pytest.raises(ValueError, match=message) as error:
        export.load(exported)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "policy.json").unlink(), "cannot be read"),
        (lambda folder: (folder / "policy.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "policy.json").write_text("[" * 100_000), "cannot be read"),
        (lambda folder: (folder / "policy.json").write_text("7"), "format int; expected 2"),
        (lambda folder: (folder / "policy.json").write_bytes(b" " * (1 << 20) + b"{}"), "longer than 1048576 bytes"),
        (lambda folder: (folder / "policy.safetensors").write_bytes(b"\x00" * 20), "cannot be read"),
        (lambda folder: (folder / "policy.safetensors").write_bytes(b"\xff" * 20), "cannot be read"),
    ],
)
def test_damaged_files_are_refused_in_one_line(exported, damage, message):
    damage(exported)
    with pytest.raises(ValueError, match=message) as error:
        export.load(exported)
    assert "\n" not in str(error.value)


def test_an_algorithm_that_is_no_installed_plug_in_has_to_be_named_by_the_reader(tmp_path):
    named = "jsac_ros.agent.jsac:Jsac"
    agent = build(small(type=named), AGENT.spaces)
    export.save(tmp_path, agent.policy_params(agent.init(0)), agent, {})
    load = partial(export.load, tmp_path)
    with pytest.raises(ValueError, match=f"agent.type is '{named}'; expected an installed plug-in"):
        load()
    with pytest.raises(ValueError, match=f"agent.type is '{named}'; expected 'other:Agent'"):
        load(algorithm="other:Agent")
    assert load(algorithm=named).agent.parameters == agent.parameters


def test_a_full_disk_is_an_os_error_and_costs_no_policy(exported):
    before = load_file(exported / "policy.safetensors")
    with files_of_at_most(1), pytest.raises(OSError, match="File too large"):
        export.save(exported, AGENT.policy_params(AGENT.init(1)), AGENT, CARD)
    export.load(exported)
    np.testing.assert_equal(load_file(exported / "policy.safetensors"), before)
