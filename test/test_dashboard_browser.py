"""The page of a made-up run in a real browser: timeline, latency strip, layers over the camera, and axe's rules of accessibility."""

import importlib.util
import json
import shutil
import time

import pytest
from dashboard_page import STORED, Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HAS = lambda package: importlib.util.find_spec(package) is not None
pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(
        CHROMIUM is None or not HAS("playwright"), reason="no Chromium or no Playwright (requirements/browser.txt)"
    ),
]
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    served = Served(tmp_path_factory.mktemp("run"))
    yield served
    served.close()


@pytest.fixture
def opened(browser, served):
    """Opens the page; it must not complain."""
    pages, problems = [], []

    def opened(size="desktop", scheme="light"):
        page = browser.new_page(viewport=SIZES[size], color_scheme=scheme)
        pages.append(page)
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" and "404" not in line.text else None)
        page.goto(served.url)
        page.wait_for_selector("#strip svg")
        page.wait_for_selector("#chosen svg")
        until(page, "document.getElementById('camera-wrist').naturalWidth === 96")
        return page

    yield opened
    for page in pages:
        page.close()
    assert not problems, problems


def until(page, script):
    """Its policy forbids the `eval` that Playwright's own waiting needs."""
    end_s = time.monotonic() + 20
    while not page.evaluate(script):
        assert time.monotonic() < end_s, script
        time.sleep(0.05)


def slider(page, name="valuetext"):
    return page.get_attribute("#chosen", f"aria-{name}")


def test_the_arrow_keys_lead_through_the_episodes_which_play_from_the_store(opened, served):
    page = opened()
    assert slider(page) == "now, after 30 episodes" and slider(page, "valuemax") == "29"
    page.focus("#chosen")
    for key, place in (("ArrowLeft", 29), ("ArrowLeft", 28), ("PageDown", 18), ("Home", 0), ("ArrowRight", 1)):
        page.keyboard.press(key)
        assert slider(page, "valuenow") == str(place), key
    assert slider(page).startswith("episode 2 of 30, time limit, return 22.5, 100 steps")
    until(page, "document.querySelector('#player-images canvas')?.width === 5")
    until(page, "document.getElementById('step').max === '5'")
    page.keyboard.press("End")
    until(page, "document.getElementById('player-title').textContent.includes('does not have it')")
    assert int(slider(page, "valuenow")) >= STORED
    page.keyboard.press("Escape")
    assert page.is_hidden("#player") and slider(page) == "now, after 30 episodes"


def test_the_timeline_is_dragged_with_a_finger_or_a_mouse(opened):
    page = opened("phone")
    page.locator("#chosen").scroll_into_view_if_needed()
    box = page.locator("#chosen").bounding_box()
    x = lambda share: box["x"] + 70 + share * (box["width"] - 80)  # without the labels
    page.mouse.move(x(0.99), box["y"] + 60)
    page.mouse.down()
    assert slider(page, "valuenow") == "29"
    page.mouse.move(x(0.5), box["y"] + 60, steps=3)
    assert slider(page, "valuenow") in ("14", "15")
    page.mouse.up()
    page.mouse.move(x(0.1), box["y"] + 60)
    assert slider(page, "valuenow") in ("14", "15"), "only while it is held"


def test_events_are_marked_on_their_lanes_and_lead_to_the_episode_of_their_time(opened, served):
    page = opened()
    lanes = page.locator("#chosen text").all_text_contents()
    assert {"stop", "restart", "hold", "person", "rule", "checkpoint"} <= {text.strip() for text in lanes}
    page.locator("button.event", has_text="holding: image").click()
    assert slider(page, "valuenow") == "4"
    event = {"begin_s": 1.7e9 + 170, "end_s": None, "kind": "hold", "text": "holding: still", "count": 1}
    served.hub.append("events", event)
    page.locator("button.event", has_text="holding: still, still").wait_for()
    served.hub.append("events", event | {"end_s": 1.7e9 + 175})
    page.locator("button.event", has_text="holding: still, 5 s").wait_for()
    assert page.locator("button.event", has_text="holding: still").count() == 1


def test_late_periods_are_marked_and_counted(opened, served):
    page = opened()
    columns = page.evaluate("document.querySelector('#strip path').getAttribute('d').split('M').length - 1")
    assert columns >= 1 and f"{columns} of the last" in page.inner_text("#strip-words")
    before = page.inner_text("#strip-words")
    served.hub.append("ticks", None, [41.0], [2.0, 3.0])
    until(page, f"document.getElementById('strip-words').textContent !== {json.dumps(before)}")


def test_the_box_and_the_heat_lie_over_the_image(opened, served):
    page = opened()
    image = page.locator("#camera-wrist").bounding_box()
    drawing = page.locator("#drawing-wrist").bounding_box()
    assert drawing == pytest.approx(image) and page.get_attribute("#drawing-wrist", "viewBox") == "0 0 96 64"
    assert page.get_attribute("#drawing-wrist .edge.under", "d") == "M10 10L80 12M80 12L70 50"
    assert not any("heat" in name for name in served.hub.wanted()), "nobody has asked for it"
    page.check("#looks")
    until(page, "document.getElementById('camera-wrist:heat').naturalWidth === 48")
    heat = page.locator("[id='camera-wrist:heat']").bounding_box()
    assert heat["width"] == pytest.approx(image["width"] / 2, abs=1) and heat["x"] == pytest.approx(
        image["x"] + image["width"] / 4, abs=1
    )
    assert "4000 updates" in page.inner_text("#looks-words")
    page.uncheck("#looks")
    until(page, "document.getElementById('camera-wrist:heat').hidden")
    page.uncheck("#box")
    assert page.is_hidden("#drawing-wrist")


STATES = {  # what the processes say -> the word and the line beside it
    "ready": ({"control": {"state": "waiting", "reason": "jsac-ros start"}}, "Start lets the robot move"),
    "waiting": ({"control": {"state": "waiting", "reason": "the learner's first policy"}}, "the learner's first policy"),
    "a person acts": ({"person": True}, "instead of the policy"),
    "evaluating": ({"control": {"state": "acting", "reason": "evaluation"}}, "without exploration; the episode is not stored"),
    "emergency stop": ({"safety": {"emergency_stop": True, "reason": "topic"}}, "topic; Release lets the robot move again"),
    "no actor": ({"ages": {"control": 4.0}}, "its process is not running or still starting"),
    "run ended": ({"ended": "runs/a"}, "report and data: runs/a"),
}


def test_the_page_says_in_which_state_the_run_is(opened, served):
    page, hub = opened(), served.hub
    before = {name: hub._parts[name][1] for name in ("control", "safety")} | {"person": False, "ended": "", "ages": {}}
    for word, (said, line) in STATES.items():
        for part, value in before.items():
            hub.set(part, value | said.get(part, {}) if isinstance(value, dict) else said.get(part, value))
        page.locator("#state", has_text=word).wait_for()
        assert page.inner_text("#reason") == line
    for part, value in before.items():
        hub.set(part, value)
    page.locator("#state", has_text="acting").wait_for()


def test_the_stop_acts_when_it_is_touched_and_once(opened, served):
    page = opened("phone")
    served.done.clear()
    box = page.locator("#stop").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    until(page, "document.getElementById('answer').textContent === 'emergency-stop it is'")
    assert served.done == ["emergency-stop"], "the finger is still on it"
    page.mouse.up()
    page.press("#stop", "Enter")
    until(page, "document.getElementById('answer').textContent === 'emergency-stop it is'")
    page.locator("[data-verb=pause]").click()
    until(page, "document.getElementById('answer').textContent === 'pause it is'")
    assert served.done == ["emergency-stop", "emergency-stop", "pause"]


def test_a_stop_without_an_answer_says_so_on_its_button(opened):
    page = opened("phone")
    page.route("**/do/emergency-stop", lambda route: None)  # a network that is gone
    page.locator("#stop").click()
    page.locator("#stop", has_text="use the robot's own stop").wait_for()
    assert "press the stop of the robot itself" in page.inner_text("#answer")


def test_a_page_that_hears_nothing_says_so_and_tries_again(browser, served):
    page = browser.new_page()
    page.clock.install()
    page.goto(served.url)
    page.locator("#state", has_text="acting").wait_for()
    page.clock.run_for(7000)
    page.locator("#state", has_text="no connection").wait_for()
    page.clock.run_for(1500)
    page.locator("#state", has_text="acting").wait_for()
    page.close()


@pytest.mark.skipif(not HAS("axe_playwright_python"), reason="no axe (requirements/browser.txt)")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_axe_finds_nothing(opened, size, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page = opened(size, scheme)
    page.check("#looks")
    page.focus("#chosen")
    page.keyboard.press("Home")
    page.wait_for_selector("#player-images canvas")
    found = Axe().run(page, options={"resultTypes": ["violations"]})
    assert found.violations_count == 0, found.generate_report()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it must not scroll sideways"
