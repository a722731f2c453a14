"""The whole system with its real processes: a short run, and one in which each process is killed."""

import importlib.util
import shutil
import signal
import subprocess
import sys

import httpx2
import live_system
import pytest
from live_system import System, leftovers, tiny_config

from jsac_ros.replay.store import FrameStore

pytestmark = pytest.mark.timeout(300)
SECONDS = 14
RATE_HZ = 25
DEPLOY = (sys.executable, "-m", "jsac_ros", "deploy")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
BROWSER = pytest.mark.skipif(
    CHROMIUM is None or importlib.util.find_spec("playwright") is None,
    reason="no Chromium or no Playwright is installed here (requirements/browser.txt)",
)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A short run that has ended by itself."""
    system = System(tiny_config(tmp_path_factory.mktemp("short"), run__report=True), "--duration", str(SECONDS))
    try:
        status = system.join(SECONDS + 220)
        assert status == 0, system.words()
        yield system
    finally:
        system.close()


def _numbers(system, column):
    return [float(row[column]) for row in system.table("metrics.csv") if row.get(column)]


def test_every_transition_arrives(short):
    transitions = short.summary()["transitions"]
    assert transitions["lost"] == 0
    assert transitions["sent"] == transitions["received"] > SECONDS * RATE_HZ / 3
    store = FrameStore.read(short.folder / "replay")
    assert store.count == transitions["sent"] and store.damaged() == []


def test_batches_become_updates_and_updates_policies(short):
    assert _numbers(short, "replay.batches")[-1] >= short.summary()["updates"] > 50
    versions = _numbers(short, "control.policy_version")
    assert versions == sorted(versions) and len(set(versions)) > 4


def test_actions_flow_at_the_control_rate(short):
    control = short.summary()["control"]
    assert control["ticks"] + control["missed"] == pytest.approx(SECONDS * RATE_HZ, rel=0.1)
    assert short.counts["policy_command"] > 0.9 * control["ticks"]
    assert short.counts["applied_action"] >= 0.9 * short.counts["policy_command"]


def test_the_run_folder_tells_of_it(short):
    episodes = short.table("episodes.csv")
    complete = [row for row in episodes if row["reason"] == "time limit"]
    assert len(complete) >= 5 and all(row["steps"] == str(RATE_HZ) for row in complete)
    for name in (
        "learning_curve.png",
        "report.html",
        "control_histograms.json",
        "tensorboard",
        "checkpoints",
        "policy/README.md",
        "policy/picture.png",
    ):
        assert (short.folder / name).exists(), name
    assert set(short.summary()["peak_rss_mb"]) == {"safety", "sim_robot", "reporter", "replay", "learner", "actor"}


def test_its_policy_is_deployed_without_anything_that_learns(short, tmp_path):
    """For as long as asked, every episode deterministic, nothing stored; killed, the actor continues with it."""
    config = tiny_config(tmp_path)
    system = System(config, "--duration", "12", command=(*DEPLOY, str(short.folder)))
    try:
        system.wait_until("it acts", lambda: system.latest["control_status"].state == "acting")
        assert system.latest["control_status"].policy_version == 1
        system.kill("actor")
        system.forget()
        system.wait_until("it acts again", lambda: system.latest["control_status"].state == "acting")
        assert system.join(60) == 0, system.words()
        assert system.counts["training_status"] == system.counts["replay_status"] == 0
        assert not (system.folder / "replay").exists() and not (system.folder / "checkpoints").exists()
        episodes = system.table("episodes.csv")
        assert len(episodes) >= 2 and all(row["evaluation"] == "1" for row in episodes)
    finally:
        system.close()


@pytest.mark.parametrize(
    ("policy", "overrides", "why"),
    [
        ("here", {"cameras__wrist__height": 30}, "it was learned on another rig: image 'wrist': height is 31, expected 30"),
        ("damaged", {}, "policy.safetensors cannot be read"),
        ("nothing", {}, "has no policy.json; expected the folder of a policy or of a run"),
    ],
)
def test_a_policy_that_does_not_fit_is_one_line(short, tmp_path, policy, overrides, why):
    shutil.copytree(short.folder / "policy", tmp_path / "here")
    shutil.copytree(short.folder / "policy", tmp_path / "damaged")
    (tmp_path / "damaged" / "policy.safetensors").write_bytes(b"garbage")
    command, config = (*DEPLOY, str(tmp_path / policy)), tiny_config(tmp_path, **overrides)
    started = live_system.start(config, command=command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    words = started.communicate(timeout=90)[0]
    assert started.returncode == 2 and len(words.strip().splitlines()) == 1 and why in words, words
    assert not (tmp_path / "runs").exists()


def test_nothing_is_left_behind(short):
    assert leftovers() == []


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """A run that learns, until it is stopped."""
    config = tiny_config(tmp_path_factory.mktemp("killed"), dashboard__enabled=True, dashboard__port=0)
    system = System(config)
    try:
        system.wait_until("learning and acting", lambda: _acts(system) and _learns(system))
        yield system
    finally:
        system.close()


def _acts(system):
    status = system.latest["control_status"]
    return status.state == "acting" and status.policy_version >= 8


def _learns(system):
    return system.latest["training_status"].state == "learning" and system.latest["training_status"].updates > 20


def _more(system, topic, field, than):
    return getattr(system.latest[topic], field) > than


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
        see("that it is stopped", "document.getElementById('state').textContent === 'emergency stop'")
        see("that the stop is on the timeline", "document.getElementById('events').textContent.includes('emergency stop')")
        page.click("[data-verb=release]")
        system.wait_until("released", lambda: not system.latest["safety_status"].emergency_stop)
        page.goto(address.partition("#")[0].replace("127.0.0.1", "localhost"))  # another origin: without the token
        see("that it is read-only", "document.getElementById('access').textContent.startsWith('Read-only')")
        see("that nothing can be pressed", "document.getElementById('stop').disabled")
        assert not problems, problems
        browser.close()


def test_a_second_system_of_the_same_name_is_refused(system, tmp_path):
    second = live_system.start(tiny_config(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    words = second.communicate(timeout=90)[0]
    assert second.returncode not in (0, None)
    assert "another" in words, words
    system.forget()
    system.wait_until("the first continues", lambda: _acts(system) and _learns(system))


def test_the_learner_dies(system):
    system.wait_until("a checkpoint", lambda: system.latest["training_status"].checkpoint > 0)
    before, ticks = system.latest["training_status"], system.latest["control_status"].ticks
    system.kill("learner")
    system.forget()
    system.wait_until("acting continues", lambda: _more(system, "control_status", "ticks", ticks + RATE_HZ))
    assert "training_status" not in system.latest or system.latest["training_status"].session == before.session
    system.wait_until("another learner", lambda: system.latest["training_status"].session != before.session)
    assert system.latest["training_status"].updates >= before.checkpoint
    system.wait_until("it learns", lambda: _more(system, "training_status", "updates", before.updates + 20))
    system.wait_until("acted on", lambda: _more(system, "control_status", "policy_version", before.policy_version))


def test_replay_dies(system):
    stored = system.latest["replay_status"].received
    updates = system.latest["training_status"].updates
    system.kill("replay")
    system.forget()
    system.wait_until("it stores again", lambda: _more(system, "replay_status", "received", stored + RATE_HZ))
    assert system.latest["replay_status"].lost == 0
    system.wait_until("nothing is owed", lambda: system.latest["control_status"].unacknowledged < 10)
    system.wait_until("it learns", lambda: _more(system, "training_status", "updates", updates + 20))


def test_the_actor_dies(system):
    session = system.latest["control_status"].session
    system.kill("actor")
    system.forget()
    system.wait_until("the gate holds", lambda: system.latest["safety_status"].state in ("holding", "ready"), 5)
    system.wait_until("the robot rests", lambda: system.speed < 1e-3, 5)
    system.wait_until("acting again", lambda: _acts(system) and system.latest["control_status"].session != session)


def test_somebody_else_ends_the_actor(system):
    """A process manager, an out-of-memory killer: no reason to end the run."""
    session = system.latest["control_status"].session
    system.kill("actor", signal.SIGTERM)
    system.forget()
    system.wait_until("acting again", lambda: _acts(system) and system.latest["control_status"].session != session)


def test_the_robot_driver_dies(system):
    system.kill("sim_robot")
    system.forget()
    system.wait_until("held", lambda: system.latest["control_status"].state == "holding", 10)
    system.wait_until("acting again", lambda: _acts(system))


def test_the_reporter_dies(system):
    rows = len(system.table("metrics.csv"))
    system.kill("reporter")
    system.wait_until("it writes on", lambda: len(system.table("metrics.csv")) > rows + 2)


def test_the_address_of_the_dashboard_is_printed_and_its_buttons_reach_the_run(system):
    page, _, token = _address(system).partition("#token=")
    assert f"dashboard: {_address(system)}" in system.output.read_text()
    for verb, state in (("pause", "paused"), ("resume", "acting")):
        answer = httpx2.post(f"{page}do/{verb}", headers={"x-jsac-token": token}, timeout=20)
        assert answer.json()["success"], answer.text
        system.wait_until(state, lambda state=state: system.latest["control_status"].state == state)


def _address(system):
    return (system.folder / "dashboard_url").read_text().strip()


def test_the_dashboard_dies(system):
    before, session = _address(system), system.latest["control_status"].session
    system.kill("dashboard")
    system.wait_until("another page", lambda: _address(system) != before and httpx2.get(_address(system)).is_success)
    system.forget()
    system.wait_until("acting continues", lambda: _acts(system))
    assert system.latest["control_status"].session == session


def test_safety_dies(system):
    system.kill("safety")
    system.forget()
    system.wait_until("the robot rests", lambda: system.speed < 1e-3, 5)
    system.wait_until("latched", lambda: system.latest["safety_status"].emergency_stop)
    assert not _moved(system)
    assert system.call("safety/release").success
    system.wait_until("acting again", lambda: _acts(system) and system.speed > 0.01)


def _moved(system, listens=40):
    """Whether a joint moves while we listen to some messages."""
    fastest = 0.0
    for _ in range(listens):
        system.executor.spin_once(timeout_sec=0.05)
        fastest = max(fastest, system.speed)
    return fastest > 1e-3


def test_it_ends_when_asked_and_nothing_is_lost(system):
    assert system.end() == 0, system.words()
    assert leftovers() == []
    transitions = system.summary()["transitions"]
    assert transitions["lost"] == 0
    store = FrameStore.read(system.folder / "replay")
    assert store.count == transitions["received"] and store.damaged() == []
    words = system.output.read_text()
    assert words.count("(signal SIGKILL); starting it again") == 7
    assert not (system.folder / "dashboard_url").exists()
    assert "actor died (signal SIGTERM); starting it again (2)" in words
