"""`jsac-ros crop`: what the page shows is what the policy will see, and what it writes is in the file."""

import importlib.util
import shutil
import subprocess
import sys
import time

import bag_files
import cv2
import numpy as np
import pytest
from starlette.testclient import TestClient

from jsac_ros.__main__ import main
from jsac_ros.config import CameraConfig, ConfigError
from jsac_ros.control.images import FrameMaker
from jsac_ros.dashboard.access import Access
from jsac_ros.fitting import crop
from jsac_ros.fitting.crop_page import Cropping, create_app
from jsac_ros.parameters import load

TOKEN = "the-token-of-the-page"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="no Chromium or no Playwright is installed here (requirements/browser.txt)",
)
TEXT = """\
/**:
  ros__parameters:
    cameras:
      wrist:
        topic: camera/image_raw
        height: 32  # of the frame
        width: 48
        CHANNELS
"""


@pytest.fixture(params=[3, 1])
def cropping(request, tmp_path):
    random, file = np.random.default_rng(0), tmp_path / "a.yaml"
    text = TEXT.replace("CHANNELS", f"channels: {request.param}")
    file.write_text(text)
    image = random.integers(0, 255, (120, 160, request.param), np.uint8)
    camera = load(file, kinds=()).cameras["wrist"]
    return Cropping("wrist", camera, lambda: image, file, file)


@pytest.fixture
def page(cropping):
    return TestClient(create_app(cropping, Access(TOKEN)), base_url="http://localhost:1")


def decoded(answer):
    image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    return image[..., None] if image.ndim == 2 else image[..., ::-1]


def test_the_frame_is_that_of_a_run(cropping, page):
    given = (10, 20, 64, 96)
    seen = decoded(page.get("/frame.png", params={"crop": "10,20,64,96"}))
    camera = CameraConfig.model_validate({**cropping.camera.model_dump(), "crop": given})
    assert (seen == FrameMaker(camera).of_image(cropping.image)).all() and seen.shape[:2] == (32, 48)
    assert (decoded(page.get("/source.png")) == cropping.image).all()
    assert page.get("/about").json()["source"] == [120, 160]


@pytest.mark.parametrize("given", ["100,20,64,96", "0,0,0,5", "-1,0,5,5", "a,b", "1,2,3"])
def test_a_crop_outside_is_named_and_not_written(cropping, page, given):
    answer = page.get("/frame.png", params={"crop": given})
    assert answer.status_code == 422 and "crop is" in answer.json()["message"] or "camera.crop" in answer.json()["message"]
    assert page.post(f"/write?crop={given}", headers={"x-jsac-token": TOKEN}).status_code == 409
    assert "crop" not in cropping._target.read_text() and not cropping.written


def test_the_crop_is_written_with_the_token_alone(cropping, page):
    ended = []
    cropping.ends = lambda: ended.append(True)
    assert page.post("/write?crop=10,20,64,96").status_code == 403
    assert page.post("/look").status_code == 403 and not ended
    assert page.get("/about", headers={"host": "evil.example"}).status_code == 403
    answer = page.post("/write?crop=10,20,64,96", headers={"x-jsac-token": TOKEN})
    assert answer.json()["success"] and "+        crop: [10, 20, 64, 96]" in answer.json()["message"] and ended
    assert load(cropping._target, kinds=()).cameras["wrist"].crop == (10, 20, 64, 96)
    assert "# of the frame" in cropping._target.read_text()


def test_images_come_from_files_and_recordings(tmp_path):
    grey, colour = CameraConfig(channels=1), CameraConfig()
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    assert (crop.of_file(tmp_path / "a.png", colour) == image).all()
    assert crop.of_file(tmp_path / "a.png", grey).shape == (20, 30, 1)
    (tmp_path / "b.png").write_text("none")
    for name, said in (("b.png", "cannot be decoded"), ("c.png", "No such file")):
        with pytest.raises(ConfigError, match=said):
            crop.of_file(tmp_path / name, colour)
    with pytest.raises(ConfigError, match="no such file or folder"):
        crop.of_bag(tmp_path / "none", colour, 0.0)


def test_of_a_recording_the_first_image_not_earlier_is_taken(tmp_path):
    kind, seconds = "sensor_msgs/msg/Image", (0, 1, 2)
    messages = []
    for k in seconds:
        fields = dict(height=2, width=3, encoding="rgb8", is_bigendian=0, step=9, data=np.full(18, 10 * k, np.uint8))
        time_ns = bag_files.START_NS + k * 10**9
        data = bag_files.cdr(kind, header=bag_files.header(time_ns), **fields)
        messages.append(bag_files.Message("/camera/image_raw", kind, time_ns, data))
    path = bag_files.write_mcap(tmp_path / "a.mcap", messages)
    assert [int(crop.of_bag(path, CameraConfig(), at_s).mean()) for at_s in (0.0, 0.5, 2.0)] == [0, 10, 20]
    with pytest.raises(ConfigError, match="--at 2.5: /camera/image_raw has no image after that; the recording is 2.0 s long"):
        crop.of_bag(path, CameraConfig(), 2.5)
    with pytest.raises(ConfigError, match="topic /other is missing"):
        crop.of_bag(path, CameraConfig(topic="other"), 0.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cartpole"], "cameras is empty"),
        (["lift", "--out", "a.yaml"], "expected --camera NAME, one of "),
        (["ur5_reacher", "--camera", "eye", "--out", "a.yaml"], "--camera eye; expected --camera NAME, one of wrist"),
        (["ur5_reacher", "--image", "none.png", "--out", "a.yaml"], "--image none.png: No such file"),
        (["ur5_reacher", "--image", "a", "--bag", "b", "--out", "a.yaml"], "expected one of them"),
    ],
)
def test_a_wrong_command_is_one_line(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["crop", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and not list(tmp_path.iterdir())


def see(page, script):
    """The page's own rules let nobody but us evaluate text in it: asked again and again from here."""
    end_s = time.monotonic() + 30
    while not page.evaluate(script):
        assert time.monotonic() < end_s, f"{script} at {page.content()[:2000]}"
        time.sleep(0.02)


@BROWSER
def test_a_person_drags_a_crop_in_a_browser(tmp_path):
    from playwright.sync_api import sync_playwright

    file, photo = tmp_path / "a.yaml", tmp_path / "photo.png"
    file.write_text(TEXT.replace("CHANNELS", "channels: 3"))
    cv2.imwrite(str(photo), np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8))
    words = [sys.executable, "-m", "jsac_ros", "crop", str(file), "--image", str(photo)]
    command = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        address = command.stdout.readline().split()[1]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page, problems = browser.new_page(), []
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(address)
            see(page, "document.getElementById('frame').naturalWidth === 48")
            box = page.locator("#source").bounding_box()
            at = lambda y, x: (box["x"] + box["width"] * x / 160, box["y"] + box["height"] * y / 120)
            page.mouse.move(*at(20, 40))
            page.mouse.down()
            page.mouse.move(*at(90, 100), steps=5)
            page.mouse.up()
            shown = [int(page.input_value(f"#{side}")) for side in ("top", "left", "height", "width")]
            page.click("#write")
            see(page, "document.getElementById('answer').textContent.startsWith('Written')")
            assert "token" not in page.url and not problems
            browser.close()
        assert command.wait(10) == 0
    finally:
        command.kill()
        command.stdout.close()
        command.wait()
    assert shown[:2] == pytest.approx([20, 40], abs=1) and shown[3] == pytest.approx(60, abs=2)
    assert shown[3] / shown[2] == pytest.approx(48 / 32, abs=0.05), "the shape of the frame is kept"
    assert list(load(file, kinds=()).cameras["wrist"].crop) == shown
