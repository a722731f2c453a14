"""`jsac-ros demo import`: LeRobot datasets as demonstrations, our own and those of others."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from replay_cases import make_episode
from rig_cases import REACHER, config_of

from jsac_ros.__main__ import main
from jsac_ros.config import ConfigError
from jsac_ros.parameters import dump
from jsac_ros.replay.demonstrations import episodes_of
from jsac_ros.replay.samplers import open_demonstrations
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import Rig

pa = pytest.importorskip("pyarrow")
from pyarrow import parquet  # noqa: E402

from jsac_ros.bags.lerobot_video import Videos  # noqa: E402

KEPT = ("step", "is_first", "is_last", "success", "reward", "mask", "frames", "vectors", "action")
ARM = {
    "robot.type": "ur5e",
    "task.type": "shadow",
    "actions.arm.type": "joint_velocity",
    "task.observe": ("eye", "joint_position"),
}
TINY = ARM | {"cameras.eye.height": 4, "cameras.eye.width": 6, "cameras.eye.stack": 1}


def config_file(tmp_path, base, **changes):
    config = config_of(base, **changes)
    dump(config, tmp_path / "rig.yaml")
    return str(tmp_path / "rig.yaml"), Rig.of(config).spaces


def stored(folder):
    store = FrameStore.read(folder)
    found = [[store.transition(slot) for slot in episode.slots] for episode in episodes_of(store)]
    store.close()
    return found


def as_kept(transition):
    fields = {name: getattr(transition, name) for name in KEPT}
    return {k: {n: a.tolist() for n, a in v.items()} if isinstance(v, dict) else v for k, v in fields.items()}


def write(folder, rows, features, episodes=(), **info):
    """A dataset of others: rows as columns."""
    described = {name: {"dtype": kind, "shape": shape, "names": names} for name, (kind, shape, names) in features.items()}
    (folder / "meta/episodes/chunk-000").mkdir(parents=True)
    (folder / "data/chunk-000").mkdir(parents=True)
    told = {"codebase_version": "v3.0", "fps": 25, "features": described, "total_frames": len(rows["episode_index"])} | info
    (folder / "meta/info.json").write_text(json.dumps(told))
    parquet.write_table(pa.table(rows), folder / "data/chunk-000/file-000.parquet")
    if episodes:
        parquet.write_table(pa.Table.from_pylist(list(episodes)), folder / "meta/episodes/chunk-000/file-000.parquet")
    return str(folder)


def png(value, height=4, width=6):
    import cv2

    return {"bytes": cv2.imencode(".png", np.full((height, width, 3), value, np.uint8))[1].tobytes(), "path": None}


def theirs(folder, state=6, names=None, **info):
    """Two episodes of three and two rows: an image, joint angles, joint velocities; no rewards."""
    rows = {
        "episode_index": [0, 0, 0, 1, 1], "observation.images.top": [png(10 * k) for k in range(5)],
        "observation.state": [[float(k)] * state for k in range(5)], "action": [[0.1 * k] * 6 for k in range(5)],
    }  # fmt: skip
    features = {
        "observation.images.top": ("image", [4, 6, 3], ["height", "width", "channels"]),
        "observation.state": ("float32", [state], names), "action": ("float32", [6], {"motors": [f"arm_{i}" for i in range(6)]}),
        "episode_index": ("int64", [1], None),
    }  # fmt: skip
    return write(folder, rows, features, **info)


MAPPED = ("--map", "eye=observation.images.top", "--map", "joint_position=observation.state")


def test_what_we_export_is_read_back_as_it_was(tmp_path):
    config, spaces = config_file(tmp_path, REACHER)
    sent = [make_episode(7, terminal=True, spaces=spaces), make_episode(4, 8, episode=1, spaces=spaces)]
    store = FrameStore.open(tmp_path / "a", spaces, 30)
    for transition in sum(sent, []):
        store.append(transition)
    store.close()
    assert main(["export", str(tmp_path / "a"), str(tmp_path / "set"), "--to", "lerobot"]) == 0
    assert main(["demo", "import", str(tmp_path / "set"), config, "--to", str(tmp_path / "b")]) == 0
    read = stored(tmp_path / "b")
    expected = [[as_kept(t._replace(success=t.success and not t.is_first)) for t in episode] for episode in sent]
    assert [[as_kept(t) for t in episode] for episode in read] == expected, "one terminal, one cut by its time limit"
    assert all(t.intervened != t.is_last for episode in read for t in episode), "a person did it"
    demonstrations = open_demonstrations(str(tmp_path / "b"), spaces)
    assert demonstrations.valid_count == 11
    demonstrations.close()


def test_a_dataset_of_others_is_mapped_and_shows_how_it_is_done(tmp_path, capsys):
    config, _ = config_file(tmp_path, TINY)
    assert main(["demo", "import", theirs(tmp_path / "set"), config, "--to", str(tmp_path / "b"), *MAPPED]) == 0
    assert "2 demonstrations, 5 steps" in capsys.readouterr().out
    first, second = stored(tmp_path / "b")
    assert [len(first), len(second)] == [4, 3] and first[2].frames["eye"][0, 0].tolist() == [20, 20, 20]
    assert [(t.reward, t.mask) for t in first] == [(0.0, 1.0), (0.0, 1.0), (1.0, 0.0), (0.0, 1.0)]
    assert [t.success for t in first] == [False, False, False, True]
    np.testing.assert_allclose(second[1].action["arm"], 0.4, rtol=1e-6)
    np.testing.assert_array_equal(second[1].vectors["joint_position"], np.full(6, 4.0, np.float32))


def test_values_are_found_by_their_names_by_a_key_each_or_by_a_slice(tmp_path):
    names = ["gripper", *(f"joint_position_{i}" for i in range(6))]
    config, _ = config_file(tmp_path, TINY)
    sets = [theirs(tmp_path / "named", 7, names), theirs(tmp_path / "sliced", 7)]
    for folder, more in zip(sets, ((), ("--map", "joint_position=observation.state[1:7]"))):
        assert main(["demo", "import", folder, config, "--to", f"{folder}_", *MAPPED[:2], *more]) == 0
        assert stored(f"{folder}_")[0][1].vectors["joint_position"].tolist() == [1.0] * 6


def test_the_previous_action_follows_from_the_actions(tmp_path):
    config, _ = config_file(tmp_path, TINY | {"task.observe": ("joint_position", "previous_action")})
    assert main(["demo", "import", theirs(tmp_path / "set"), config, "--to", str(tmp_path / "b"), *MAPPED[2:]]) == 0
    for episode in stored(tmp_path / "b"):
        before = [np.zeros(6, np.float32), *(t.action["arm"] for t in episode[:-1])]
        np.testing.assert_array_equal([t.vectors["previous_action"] for t in episode], before)


def test_what_a_truncated_episode_did_last_is_left_out(tmp_path, capsys):
    folder = tmp_path / "set"
    config, _ = config_file(tmp_path, TINY)
    theirs(folder)
    table = parquet.read_table(folder / "data/chunk-000/file-000.parquet").slice(0, 4)
    table = table.append_column("next.success", pa.array([False, False, False, False]))
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"]["next.success"] = {"dtype": "bool", "shape": [1], "names": None}
    (folder / "meta/info.json").write_text(json.dumps(info))
    parquet.write_table(table, folder / "data/chunk-000/file-000.parquet")
    assert main(["demo", "import", str(folder), config, "--to", str(tmp_path / "b"), *MAPPED]) == 0
    assert "1 demonstrations, 2 steps, 1 skipped" in capsys.readouterr().out
    (episode,) = stored(tmp_path / "b")
    assert len(episode) == 3 and all(t.mask == 1.0 for t in episode)


@pytest.mark.parametrize(
    "info, words, message",
    [
        ({"fps": 30}, MAPPED, r"fps is 30; expected 25 \(control.period_s is 0.04\)"),
        ({"codebase_version": "v2.1"}, MAPPED, "codebase_version is 'v2.1'; expected v3.0"),
        ({}, MAPPED[2:], "image 'eye' is not at observation.images.eye; expected --map eye=KEY, one of observation.images.top"),
        ({}, MAPPED[:2], r"observation 'joint_position' \(6 values\) is not at observation.joint_position and not named in"),
        ({}, (*MAPPED[:3], "joint_position=observation.state[0:5]"), r"observation.state\[0:5\] has 5 values; expected 6"),
        (
            {},
            (*MAPPED, "--map", "arm=action[2:8]"),
            r"action\[2:8\] for action 'arm': action has 6 values; expected some of them",
        ),
        ({}, (*MAPPED, "--map", "leg=action"), "--map leg=action: unknown part; expected one of eye, joint_position, arm"),
        ({}, (*MAPPED, "--map", "arm"), "--map arm; expected PART=KEY"),
    ],
)
def test_what_does_not_fit_is_one_line_and_leaves_nothing(tmp_path, capsys, info, words, message):
    import re

    config, _ = config_file(tmp_path, TINY)
    assert main(["demo", "import", theirs(tmp_path / "set", **info), config, "--to", str(tmp_path / "b"), *words]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error) and error.count("\n") == 1 and not list(tmp_path.glob("b*"))


@pytest.mark.parametrize(
    "row, named",
    [([1.7] * 6, "action 'arm' is 1.7; expected -1 to 1"), ([0.1] * 5, "action has 5 values; expected 6, as meta")],
)
def test_an_action_that_is_not_ours_is_named(tmp_path, capsys, row, named):
    config, _ = config_file(tmp_path, TINY)
    folder = tmp_path / "set"
    theirs(folder)
    path = folder / "data/chunk-000/file-000.parquet"
    table = parquet.read_table(path)
    parquet.write_table(table.set_column(3, "action", pa.array([row] * 5)), path)
    assert main(["demo", "import", str(folder), config, "--to", str(tmp_path / "b"), *MAPPED]) == 2
    assert f"episode 0: {named}" in capsys.readouterr().err and not list(tmp_path.glob("b*"))


def test_an_image_of_another_size_is_what_the_camera_makes_of_it(tmp_path):
    config, _ = config_file(tmp_path, TINY, cameras__eye__height=2, cameras__eye__width=2, cameras__eye__crop=(0, 0, 4, 4))
    assert main(["demo", "import", theirs(tmp_path / "set"), config, "--to", str(tmp_path / "b"), *MAPPED]) == 0
    assert stored(tmp_path / "b")[0][1].frames["eye"].tolist() == [[[10] * 3] * 2] * 2


def test_what_is_no_dataset_or_damaged_is_one_line(tmp_path, capsys):
    config, _ = config_file(tmp_path, TINY)
    words = [config, "--to", str(tmp_path / "b"), *MAPPED]
    assert main(["demo", "import", str(tmp_path / "none"), *words]) == 2
    assert "meta/info.json cannot be read" in capsys.readouterr().err
    folder = tmp_path / "set"
    theirs(folder)
    (folder / "data/chunk-000/file-000.parquet").write_bytes(b"PAR1 and no more")
    assert main(["demo", "import", str(folder), *words]) == 2
    assert "file-000.parquet" in capsys.readouterr().err and not list(tmp_path.glob("b*"))
    assert main(["demo", "import", str(folder), config]) == 2
    assert "no --to; expected --to STORE" in capsys.readouterr().err


def test_without_pyarrow_it_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jsac_ros.bags.lerobot_import", None)
    assert main(["demo", "import", "a", "b", "--to", str(tmp_path / "c")]) == 2
    assert "pyarrow is not installed" in capsys.readouterr().err


def filmed(folder):
    """Two episodes of three rows in one film of 32x48."""
    import av

    rows = {
        "episode_index": [0, 0, 0, 1, 1, 1], "observation.state": [[0.0] * 6] * 6, "action": [[0.0] * 6] * 6,
    }  # fmt: skip
    features = {
        "observation.images.top": ("video", [32, 48, 3], ["height", "width", "channels"]),
        "observation.state": ("float32", [6], None), "action": ("float32", [6], [f"arm_{i}" for i in range(6)]),
    }  # fmt: skip
    at = "videos/observation.images.top"
    episodes = [
        {"episode_index": k, f"{at}/chunk_index": 0, f"{at}/file_index": 0, f"{at}/from_timestamp": 3 * k / 25} for k in (0, 1)
    ]
    write(folder, rows, features, episodes)
    (folder / at / "chunk-000").mkdir(parents=True)
    with av.open(str(folder / at / "chunk-000/file-000.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for k in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), 40 * k, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


FILMED = TINY | {"cameras.eye.height": 32, "cameras.eye.width": 48}


def test_videos_are_read_from_where_an_episode_begins(tmp_path):
    pytest.importorskip("av", reason="PyAV is not installed: pip install av")
    config, _ = config_file(tmp_path, FILMED)
    filmed(tmp_path / "set")
    assert main(["demo", "import", str(tmp_path / "set"), config, "--to", str(tmp_path / "b"), *MAPPED]) == 0
    means = [[t.frames["eye"].mean() for t in episode[:-1]] for episode in stored(tmp_path / "b")]
    np.testing.assert_allclose(means, [[0, 40, 80], [120, 160, 200]], atol=6)


def test_videos_are_where_the_dataset_says():
    path = lambda template: Videos(Path("set"), {"fps": 25, "video_path": template}, set())._template
    assert path(None) == "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    videos = Videos(Path("set"), {"fps": 25, "video_path": "films/{chunk_index:02d}/{video_key}_{file_index}.mp4"}, set())
    row = {"episode_index": 3, "videos/top/chunk_index": 1, "videos/top/file_index": 12, "videos/top/from_timestamp": 2.5}
    videos._add(row, {"top"})
    assert videos._stretches == {("top", 3): ("films/01/top_12.mp4", 2.5)}
    for wrong in ("../{file_index}.mp4", "/etc/{file_index}.mp4", "{file_index.__class__}.mp4", "{episode_index}.mp4", 7):
        with pytest.raises(ConfigError, match="video_path is .*; expected a path like videos/"):
            path(wrong)


@pytest.mark.parametrize("told", [{"info": {"is_depth_map": True}}, {"video_info": {"video.is_depth_map": True}}])
def test_a_depth_map_is_no_image(tmp_path, capsys, told):
    config, _ = config_file(tmp_path, TINY)
    folder = tmp_path / "set"
    theirs(folder)
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"]["observation.images.top"] |= told
    (folder / "meta/info.json").write_text(json.dumps(info))
    assert main(["demo", "import", str(folder), config, "--to", str(tmp_path / "b"), *MAPPED]) == 2
    assert "image 'eye': observation.images.top is a depth map" in capsys.readouterr().err


def test_videos_without_pyav_are_one_line(tmp_path, monkeypatch, capsys):
    config, _ = config_file(tmp_path, TINY)
    folder = tmp_path / "set"
    theirs(folder)
    info = json.loads((folder / "meta/info.json").read_text())
    info["features"]["observation.images.top"]["dtype"] = "video"
    (folder / "meta/info.json").write_text(json.dumps(info))
    monkeypatch.setitem(sys.modules, "av", None)
    assert main(["demo", "import", str(folder), config, "--to", str(tmp_path / "b"), *MAPPED]) == 2
    assert "PyAV is not installed; expected `pip install av`" in capsys.readouterr().err
