"""Films: the one writer, and the whole learning in a minute, in a browser where there is one."""

from __future__ import annotations

import base64
import importlib.util
import shutil

import cv2
import numpy as np
import pytest
from report_cases import write_run
from test_report_seen import SPACES, fill

from jsac_ros.__main__ import main
from jsac_ros.config import ConfigError
from jsac_ros.replay.store import FrameStore
from jsac_ros.report import film, learning_film
from jsac_ros.report.curve import learning_curve
from jsac_ros.report.learning_film import HEIGHT, RATE_HZ, SECONDS, WIDTH, shots_of
from jsac_ros.report.seen import held_episodes
from jsac_ros.report.summary import read_totals

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="no Chromium or no Playwright is installed here (requirements/browser.txt)",
)


def decoded(path):
    """Every frame, uint8 RGB [T, H, W, 3], and the rate."""
    reader, frames = cv2.VideoCapture(str(path)), []
    while (read := reader.read())[0]:
        frames.append(read[1][..., ::-1])
    return np.array(frames), reader.get(cv2.CAP_PROP_FPS)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_what_is_written_is_read_back(tmp_path, suffix, capfd):
    path = tmp_path / f"film{suffix}"
    film.write(path, (np.full((48, 64, 3), (20 * k, 100, 200), np.uint8) for k in range(10)), 12.5)
    frames, rate_hz = decoded(path)
    assert frames.shape == (10, 48, 64, 3) and rate_hz == pytest.approx(12.5)
    assert not capfd.readouterr().err
    assert frames.mean(axis=(1, 2)) == pytest.approx(np.array([(20 * k, 100, 200) for k in range(10)]), abs=6)


def test_a_film_of_another_kind_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"film.gif: .gif; expected .mp4 or .webm"):
        film.write(tmp_path / "film.gif", [np.zeros((8, 8, 3), np.uint8)], 10.0)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Twenty-eight episodes, frames as grey as the step is late, two cameras."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, minutes=3)
    fill(folder, SPACES, range(28), frame=lambda image, episode, step: 2 * step)
    return folder


def test_a_film_has_the_first_the_best_and_the_last_episode_and_lasts_a_minute_at_most(run):
    held = held_episodes(read_totals(run), FrameStore.read(run / "replay"))
    shots = shots_of(held, [4.0] * len(held))
    assert shots[0].why.startswith("first") and shots[-1].why.endswith("last") and any("best" in shot.why for shot in shots)
    assert [shot.held.place for shot in shots] == sorted({shot.held.place for shot in shots})
    assert 0.85 * SECONDS < sum(shot.frames for shot in shots) / RATE_HZ <= SECONDS and {shot.speed for shot in shots} == {1.0}
    shots = shots_of(held, [30.0] * len(held))
    assert len(shots) == 8 and all(4 < shot.speed < 5 for shot in shots)
    assert sum(shot.frames for shot in shots) / RATE_HZ <= SECONDS and shots_of([], []) == []


def test_the_curve_grows_with_the_minutes(run):
    drawn = learning_film._drawn(learning_curve(read_totals(run), {"still": 57.1}, "run"))
    blue = lambda minute: int((np.abs(drawn.until(minute).astype(int) - (29, 95, 209)).sum(axis=-1) < 30).sum())
    shown = [blue(minute) for minute in (0.0, 1.0, 2.0, 3.1)]
    assert shown == sorted(shown) and shown[1] > shown[0] + 50 and shown[3] > shown[2] + 50
    assert drawn.whole.shape == drawn.empty.shape == drawn.until(1.0).shape


@pytest.fixture(scope="module")
def short(run):
    """The film of a minute, made of six seconds so that it is made at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning_film, "SECONDS", 4.0)
        patch.setattr(learning_film, "_FEWEST", 3)
        assert main(["report", str(run), "--film"]) == 0
    return run / "learning.webm"


def test_the_film_shows_the_frames_beside_the_curve(short):
    frames, rate_hz = decoded(short)
    assert frames.shape[1:] == (HEIGHT, WIDTH, 3) and rate_hz == pytest.approx(RATE_HZ)
    assert 3.0 <= len(frames) / rate_hz <= 4.0
    seen = frames[:, HEIGHT // 3, : WIDTH // 2].mean(axis=-1).min(axis=-1)  # of what the cameras saw; beside it all is white
    assert seen[:4].max() < 60 and seen.max() > 170, "an episode begins dark and ends bright"
    curve = np.array([np.abs(frame[:, -500:].astype(int) - frames[0, :, -500:]).sum() for frame in frames[:: len(frames) - 1]])
    assert curve[-1] > 100_000


@BROWSER
def test_a_browser_plays_it(short):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        source = base64.b64encode(short.read_bytes()).decode()
        page.set_content(f"<video muted src='data:video/webm;base64,{source}'></video>")
        page.evaluate("document.querySelector('video').play()")
        page.wait_for_function("document.querySelector('video').currentTime > 0.2", timeout=30_000)
        told = page.evaluate("(v => [v.readyState, v.videoWidth, v.videoHeight, v.duration])(document.querySelector('video'))")
        browser.close()
    assert told[0] >= 2 and told[1:3] == [WIDTH, HEIGHT] and 3.0 <= told[3] <= 4.1


def test_what_cannot_be_filmed_is_named_in_one_line(tmp_path, capsys):
    write_run(tmp_path, minutes=0.5)
    with pytest.raises(ConfigError, match="no replay store; expected store.json in it"):
        learning_film.write_film(tmp_path)
    assert main(["report", str(tmp_path), str(tmp_path), "--film"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
