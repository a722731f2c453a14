"""The picture of a run, from the frames that its store holds."""

import numpy as np
import pytest
from PIL import Image
from report_cases import write_run

from jsac_ros.config import ConfigError
from jsac_ros.replay.store import FrameStore
from jsac_ros.report.picture import FRAMES, draw, strips_of
from jsac_ros.report.summary import read_totals
from jsac_ros.types import Spec, Step

SPEC = Spec(height=8, width=12, channels=3, stack=2, proprioception=0, action=1)


def _fill(store: FrameStore, episodes: range, steps: int) -> None:
    """Frames whose red is the episode and whose green is the step."""
    nothing = np.zeros(1, np.float32)
    for episode in episodes:
        for step in range(steps + 1):
            frame = np.full(SPEC.frame_shape, (episode, step, 0), np.uint8)
            sequence = episode * (steps + 1) + step
            store.append(Step(
                robot="ur5", session=7, sequence=sequence, episode=episode, step=step, is_first=step == 0,
                is_last=step == steps, intervened=False, success=False, frame=frame,
                proprioception=np.zeros(0, np.float32), action=nothing, executed=nothing, reward=0.0, mask=1.0,
                stamp_ns=40_000_000 * sequence, frame_stamp_ns=0, joint_stamp_ns=0, policy_version=0, lateness_s=0.0,
            ))  # fmt: skip
    store.close()


@pytest.fixture
def run(tmp_path):
    """Twenty-eight episodes in the tables; the store, a ring, still holds those from number 6 on, 6 in part."""
    write_run(tmp_path, minutes=3)
    _fill(FrameStore.open(tmp_path / "replay", SPEC, capacity=101 * 21 + 50), range(28), steps=100)
    return tmp_path


def test_strips_are_one_early_and_one_late_episode_that_the_store_holds_whole(run):
    early, late = strips_of(read_totals(run), FrameStore.read(run / "replay"))
    assert 7 <= int(early.row["episode"]) < 17 and 18 <= int(late.row["episode"]) < 28
    for strip in (early, late):
        assert np.all(strip.frames[:, 0, 0, 0] == int(strip.row["episode"]))
        assert strip.frames[:, 0, 0, 1].tolist() == [0, 25, 50, 75, 100]
        assert strip.seconds == pytest.approx(np.linspace(0, 4, FRAMES))


def test_the_picture_shows_the_frames(run):
    out = run / "picture.png"
    draw(run, out)
    pixels = np.asarray(Image.open(out).convert("RGB"))
    assert pixels.shape[1] > 2.5 * pixels.shape[0]
    late = strips_of(read_totals(run), FrameStore.read(run / "replay"))[1]
    assert np.any(np.all(pixels == late.frames[3, 0, 0], axis=-1))


def test_without_a_store_it_says_so(tmp_path):
    write_run(tmp_path, minutes=1)
    with pytest.raises(ConfigError, match="replay"):
        draw(tmp_path, tmp_path / "picture.png")
