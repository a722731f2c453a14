"""The dashboard of a whole run in a real browser, where there is one (without: test_dashboard_*.py, test_live_system.py)."""

import importlib.util
import shutil

import pytest
from live_system import System, leftovers, tiny_config

pytestmark = pytest.mark.timeout(300)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="no Chromium or no Playwright is installed here (requirements/browser.txt)",
)


@pytest.fixture
def system(tmp_path):
    system = System(tiny_config(tmp_path, dashboard__enabled=True, dashboard__port=0))
    try:
        system.wait_until("it acts", lambda: system.latest["control_status"].state == "acting", 200)
        yield system
    finally:
        system.close()


@BROWSER
def test_the_page_in_a_browser(system):
    """What a person sees and does: state, live image, an episode of before, the stop and its release."""
    from playwright.sync_api import sync_playwright

    address = (system.folder / "dashboard_url").read_text().strip()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page, problems, failed = browser.new_page(), [], []
        page.set_default_timeout(90_000)  # ms, beside other work
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        page.on("requestfailed", lambda request: failed.append(f"{request.url}: {request.failure}"))

        def see(what, script):
            try:
                system.wait_until(what, lambda: page.evaluate(script), 60)
            except AssertionError as error:
                raise AssertionError(f"{what}, at {page.url}: {problems} {failed} {page.content()[:2000]}") from error

        page.goto(address)
        see("that no token is left in the address bar", "!location.href.includes('token')")
        see("its state", "['acting', 'resetting'].includes(document.getElementById('state').textContent)")
        see("a live image", "document.getElementById('camera-wrist')?.naturalWidth === 31")
        see("its ticks", "document.querySelector('#strip path') !== null")
        see("the safety box", "document.querySelectorAll('#drawing-wrist path').length === 2")
        see("an episode", "document.getElementById('chosen').getAttribute('aria-disabled') === 'false'")
        page.focus("#chosen")
        page.keyboard.press("Home")
        see("its frames", "document.querySelector('#player-images canvas')?.width === 31")
        see("its steps", "Number(document.getElementById('step').max) === 25")
        page.check("#looks")
        see("where the critic looks", "document.getElementById('camera-wrist:heat')?.naturalWidth === 31")
        page.uncheck("#looks")
        page.click("#stop")
        system.wait_until("stopped", lambda: system.latest["safety_status"].emergency_stop)
        see("that it is stopped", "document.getElementById('state').textContent === 'stopped'")
        see("that the stop is on the timeline", "document.getElementById('events').textContent.includes('emergency stop')")
        page.click("[data-verb=release]")
        system.wait_until("released", lambda: not system.latest["safety_status"].emergency_stop)
        page.goto(address.partition("#")[0].replace("127.0.0.1", "localhost"))  # another origin: without the token
        see("that it is read-only", "document.getElementById('access').textContent.startsWith('Read-only')")
        see("that nothing can be pressed", "document.getElementById('stop').disabled")
        assert not problems, problems
        browser.close()
    assert system.end() == 0, system.words()
    assert leftovers() == []
