"""The picture of a run, from the frames that its store holds."""

import numpy as np
import pytest
from PIL import Image
from replay_cases import make_transition
from report_cases import write_run

from jsac_ros.__main__ import main
from jsac_ros.config import ConfigError
from jsac_ros.replay.store import FrameStore
from jsac_ros.report.picture import FRAMES, draw, strips_of
from jsac_ros.report.summary import read_totals
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces

SPACES = Spaces.of([ImageSpace("wrist", 8, 12, 3, stack=2), ImageSpace("scene", 6, 4, 1, stack=2)], [], [ActionSpace("arm", 1)])


def _fill(store: FrameStore, episodes: range, steps: int) -> None:
    """Frames of the wrist whose red is the episode and whose green is the step; of the scene that are the step."""
    for episode in episodes:
        for step in range(steps + 1):
            frames = {"wrist": np.full((8, 12, 3), (episode, step, 0), np.uint8), "scene": np.full((6, 4, 1), step, np.uint8)}
            sequence = episode * (steps + 1) + step
            store.append(make_transition(
                SPACES, session=7, sequence=sequence, episode=episode, step=step, is_last=step == steps, frames=frames
            ))  # fmt: skip
    store.close()


@pytest.fixture
def run(tmp_path):
    """Twenty-eight episodes in the tables; the store, a ring, still holds those from number 6 on, 6 in part."""
    write_run(tmp_path, minutes=3)
    _fill(FrameStore.open(tmp_path / "replay", SPACES, capacity=101 * 21 + 50), range(28), steps=100)
    return tmp_path


def test_strips_are_one_early_and_one_late_episode_that_the_store_holds_whole(run):
    early, late = strips_of(read_totals(run), FrameStore.read(run / "replay"), "wrist")
    assert 7 <= int(early.row["episode"]) < 17 and 18 <= int(late.row["episode"]) < 28
    for strip in (early, late):
        assert np.all(strip.frames[:, 0, 0, 0] == int(strip.row["episode"]))
        assert strip.frames[:, 0, 0, 1].tolist() == [0, 25, 50, 75, 100]
        assert strip.seconds == pytest.approx(np.linspace(0, 4, FRAMES))


def test_the_picture_shows_the_frames(run):
    out = run / "picture.png"
    draw(run, out, image="wrist")
    pixels = np.asarray(Image.open(out).convert("RGB"))
    assert pixels.shape[1] > 2.5 * pixels.shape[0]
    late = strips_of(read_totals(run), FrameStore.read(run / "replay"), "wrist")[1]
    assert np.any(np.all(pixels == late.frames[3, 0, 0], axis=-1))


def test_any_camera_of_the_store_can_be_shown(run):
    assert main(["report", str(run), "--picture", str(run / "scene.png"), "--image", "scene"]) == 0
    pixels = np.asarray(Image.open(run / "scene.png").convert("RGB"))
    assert np.any(np.all(pixels == 75, axis=-1)), "the frame of the fourth fifth of an episode is grey"
    with pytest.raises(ConfigError, match="image is 'ceiling'; expected one of the store's: scene, wrist"):
        draw(run, run / "picture.png", image="ceiling")


def test_without_a_store_it_says_so(tmp_path):
    write_run(tmp_path, minutes=1)
    with pytest.raises(ConfigError, match="replay"):
        draw(tmp_path, tmp_path / "picture.png")
