"""`jsac-ros export`: a store in the formats of others."""

import json
import sys

import cv2
import numpy as np
import pytest
from replay_cases import VARIANTS, make_episode, same

from jsac_ros.__main__ import main
from jsac_ros.bags.definitions import known
from jsac_ros.bags.reader import Bag
from jsac_ros.messages import from_message
from jsac_ros.replay.store import FrameStore


def two_episodes(spaces):
    return make_episode(10, terminal=True, spaces=spaces) + make_episode(6, 11, episode=1, spaces=spaces)


def fill(folder, spaces):
    store = FrameStore.open(folder, spaces, 30)
    for transition in two_episodes(spaces):
        store.append(transition)
    store.close()


@pytest.mark.parametrize("variant", ["no image", "two images of two stacks", "several vectors and actions"])
def test_rlds(tmp_path, variant, capsys):
    spaces = VARIANTS[variant]
    fill(tmp_path / "a", spaces)
    assert main(["export", str(tmp_path / "a"), str(tmp_path / "rlds")]) == 0
    sent = two_episodes(spaces)
    with np.load(tmp_path / "rlds/episode_000000.npz") as first:
        for image in spaces.images:
            frames = [t.frames[image.name] for t in sent[:11]]
            np.testing.assert_array_equal(first[f"observation/{image.name}"], frames)
        for vector in spaces.vectors:
            values = [t.vectors[vector.name] for t in sent[:11]]
            np.testing.assert_array_equal(first[f"observation/{vector.name}"], values)
        for part in spaces.actions:
            np.testing.assert_array_equal(first[f"action/{part.name}"], [t.action[part.name] for t in sent[:11]])
            assert np.isnan(first[f"executed_action/{part.name}"]).all()
        np.testing.assert_allclose(first["reward"][:10], [t.reward for t in sent[:10]])
        assert first["is_terminal"].tolist() == [False] * 10 + [True]
        assert first["is_last"].tolist() == [False] * 10 + [True] and first["is_first"].sum() == 1
        assert first["episode_metadata/robot"] == "ur5"
    with np.load(tmp_path / "rlds/episode_000001.npz") as second:
        assert len(second["reward"]) == 7 and not second["is_terminal"].any()
    assert main(["export", str(tmp_path / "a"), str(tmp_path / "rlds")]) == 2
    assert "expected a new folder" in capsys.readouterr().err


@pytest.mark.parametrize("variant", ["no image", "only an image", "several vectors and actions", "a discrete action"])
def test_lerobot(tmp_path, variant):
    """What its own reader asks for (v3.0): the paths and features of info.json, and the columns of their types."""
    parquet = pytest.importorskip("pyarrow.parquet")
    spaces, folder = VARIANTS[variant], tmp_path / "lerobot"
    fill(tmp_path / "a", spaces)
    assert main(["export", str(tmp_path / "a"), str(folder), "--to", "lerobot", "--task", "reach"]) == 0
    info = json.loads((folder / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"]) == ("v3.0", 25) and info["splits"] == {"train": "0:2"}
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (2, 16, 1)
    episodes = parquet.read_table(folder / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [e["length"] for e in episodes] == [10, 6] and all(e["tasks"] == ["reach"] for e in episodes)
    assert [(e["dataset_from_index"], e["dataset_to_index"]) for e in episodes] == [(0, 10), (10, 16)]
    (path,) = {info["data_path"].format(chunk_index=e["data/chunk_index"], file_index=e["data/file_index"]) for e in episodes}
    table = parquet.read_table(folder / path)
    assert set(table.column_names) == set(info["features"]) and "/" not in "".join(info["features"])
    assert table["index"].to_pylist() == list(range(16)) and set(table["task_index"].to_pylist()) == {0}
    np.testing.assert_allclose(table["timestamp"].to_numpy()[:10], np.arange(10) / 25, atol=1e-6)
    assert table["next.done"].to_pylist() == [False] * 9 + [True] + [False] * 5 + [True]
    acted = [t for t in two_episodes(spaces) if not t.is_last]
    assert info["features"]["action"]["shape"] == [spaces.action_size]
    expected = np.stack([spaces.flat_action(t.action) for t in acted])
    np.testing.assert_array_equal(np.array(table["action"].to_pylist(), np.float32).reshape(expected.shape), expected)
    if spaces.vectors:
        state = np.array(table["observation.state"].to_pylist(), np.float32)
        names = info["features"]["observation.state"]["names"]
        for vector in spaces.vectors:
            first = names.index(vector.name if vector.size == 1 else f"{vector.name}_0")
            np.testing.assert_array_equal(state[:, first : first + vector.size], [t.vectors[vector.name] for t in acted])
    for image in spaces.images:
        assert info["features"][f"observation.images.{image.name}"]["shape"] == list(image.frame_shape)
        for coded, transition in zip(table[f"observation.images.{image.name}"].to_pylist(), acted, strict=True):
            frame = cv2.imdecode(np.frombuffer(coded["bytes"], np.uint8), cv2.IMREAD_UNCHANGED).reshape(image.frame_shape)
            np.testing.assert_array_equal(frame[..., ::-1], transition.frames[image.name])
    stats = json.loads((folder / "meta/stats.json").read_text())
    assert set(stats) == set(info["features"])
    np.testing.assert_allclose(stats["action"]["mean"], expected.mean(0), atol=1e-6)
    np.testing.assert_allclose(stats["action"]["std"], expected.std(0), atol=1e-6)
    tasks = parquet.read_table(folder / "meta/tasks.parquet")
    assert tasks.to_pylist() == [{"task_index": 0, "task": "reach"}]
    assert json.loads(tasks.schema.metadata[b"pandas"])["index_columns"] == ["task"]


def test_without_pyarrow_it_is_one_line_and_nothing_is_left_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jsac_ros.bags.lerobot", None)  # as an import that fails leaves it
    fill(tmp_path / "a", VARIANTS["no image"])
    assert main(["export", str(tmp_path / "a"), str(tmp_path / "b"), "--to", "lerobot"]) == 2
    assert "pyarrow is not installed" in capsys.readouterr().err and not (tmp_path / "b").exists()


def test_a_rosbag2(tmp_path):
    spaces = VARIANTS["two images of two stacks"]
    fill(tmp_path / "a", spaces)
    assert main(["export", str(tmp_path / "a"), str(tmp_path / "bag"), "--to", "rosbag2"]) == 0
    with Bag(tmp_path / "bag") as bag:
        records = list(bag.messages())
    messages = [known().deserialize_cdr(record.data, "jsac_ros/msg/Transition") for record in records]
    assert all(same(from_message(m, spaces), t) for m, t in zip(messages, two_episodes(spaces), strict=True))


def test_a_damaged_transition_is_one_line_and_nothing_is_left_behind(tmp_path, capsys):
    spaces = VARIANTS["two images of two stacks"]
    fill(tmp_path / "a", spaces)
    frames = np.load(tmp_path / "a/frames_wrist.npy", mmap_mode="r+")
    frames[4] += 1
    for form in ("rlds", "lerobot", "rosbag2"):
        assert main(["export", str(tmp_path / "a"), str(tmp_path / form), "--to", form]) == 2
        assert "slot 4 is damaged" in capsys.readouterr().err
        assert not (tmp_path / form).exists()


def test_what_is_missing_for_onnx_is_one_line(tmp_path, monkeypatch, capsys):
    assert main(["export", str(tmp_path), "--to", "onnx"]) == 2
    assert "has no policy.json; expected the folder of a policy or of a run" in capsys.readouterr().err
    (tmp_path / "policy.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "jsac_ros.agent.onnx_export", raising=False)
    monkeypatch.delattr("jsac_ros.agent.onnx_export", raising=False)
    assert main(["export", str(tmp_path), "--to", "onnx"]) == 2
    assert "onnx is not installed; expected `pip install onnx onnxruntime`" in capsys.readouterr().err
    assert main(["export", str(tmp_path)]) == 2
    assert "expected a new folder" in capsys.readouterr().err
