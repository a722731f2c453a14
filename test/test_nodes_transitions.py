"""The wire form of a step: everything that goes in comes out."""

import numpy as np
import pytest

pytest.importorskip("jsac_ros.msg", reason="messages are not built; `make setup` does it")

from jsac_ros.messages import from_message  # noqa: E402
from jsac_ros.nodes.transitions import to_message  # noqa: E402
from jsac_ros.types import Step  # noqa: E402


def a_step(channels=3):
    rng = np.random.default_rng(0)
    return Step(
        robot="arm", session=2**62 + 1, sequence=7, episode=3, step=9, is_first=False, is_last=True, intervened=True,
        success=True, frame=rng.integers(0, 256, (6, 8, channels), np.uint8),
        proprioception=rng.normal(size=15).astype(np.float32), action=rng.normal(size=5).astype(np.float32),
        executed=np.full(5, np.nan, np.float32), reward=1.5, mask=0.0, stamp_ns=1_700_000_000_123_456_789,
        frame_stamp_ns=5, joint_stamp_ns=6, policy_version=80, lateness_s=0.25,
    )  # fmt: skip


@pytest.mark.parametrize("channels", [1, 3])
def test_raw_is_lossless(channels):
    step = a_step(channels)
    back = from_message(to_message(step))
    for name, value in step._asdict().items():
        np.testing.assert_array_equal(getattr(back, name), value, err_msg=name)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_keeps_colours_where_they_are(channels):
    step = a_step(channels)._replace(frame=np.full((16, 16, channels), [200, 20, 90][:channels], np.uint8))
    back = from_message(to_message(step, jpeg=True))
    assert np.abs(back.frame.astype(int) - step.frame).max() < 8


def test_a_frame_that_is_not_what_it_says_is_refused():
    message = to_message(a_step())
    message.height = 7
    with pytest.raises(ValueError, match="arm step 9.*144 bytes"):
        from_message(message)
    message.encoding = "gif"
    with pytest.raises(ValueError, match="gif"):
        from_message(message)
    message.encoding = "jpeg"
    with pytest.raises(ValueError, match="jpeg"):
        from_message(message)
