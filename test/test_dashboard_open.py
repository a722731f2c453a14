"""`jsac-ros dashboard` beside a running system, and opening the page of a run in a browser."""

import argparse
import os
import re
import stat
import subprocess
import sys
import time
import webbrowser

import domains
import httpx2
import pytest
from report_cases import write_run

from jsac_ros import system
from jsac_ros.__main__ import main
from jsac_ros.dashboard import opening
from jsac_ros.dashboard.advice import Adviser
from jsac_ros.parameters import load
from jsac_ros.run import add_arguments, resolve

DOMAIN = domains.take()
HOLDS = "import sys; from jsac_ros.claims import claim; held = claim('/', 'actor'); print('held', flush=True); sys.stdin.read()"
URL = "http://127.0.0.1:8642/#token=secretsecretsecret"


@pytest.fixture
def opened(monkeypatch):
    """Addresses that a browser was started with, on a computer with a display."""
    addresses = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or True)
    return addresses


def test_a_browser_is_led_to_the_page_and_its_command_line_holds_no_token(tmp_path, opened):
    opening.write_address(tmp_path, URL)
    assert opening.open_page(tmp_path)
    assert opened == [(tmp_path / opening.DOOR).as_uri()]
    assert f"url={URL}" in (tmp_path / opening.DOOR).read_text()
    for name in (opening.DOOR, opening.URL):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_where_there_is_no_display_the_address_is_for_the_user(tmp_path, opened, monkeypatch, capsys):
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    opening.write_address(tmp_path, URL)
    opening.open_when_served(tmp_path)
    assert opened == [] and "open the dashboard's address" in capsys.readouterr().out


def test_a_page_that_never_comes_is_not_waited_for_for_ever(tmp_path, opened, capsys):
    opening.open_when_served(tmp_path, timeout_s=0.0)
    assert opened == [] and capsys.readouterr().out == ""


def test_open_starts_the_page_with_the_system():
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert resolve(parser.parse_args(["ur5_reacher_demo", "--open"])).dashboard.enabled
    assert not resolve(parser.parse_args(["ur5_reacher_demo"])).dashboard.enabled


def test_beside_nothing_there_is_no_page(monkeypatch, capsys):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    assert main(["dashboard", "--namespace", "nowhere"]) == 2
    assert "namespace is /nowhere on ROS domain" in capsys.readouterr().err


def test_the_page_of_a_running_system_is_served_until_the_system_ends(tmp_path):
    folder = system.make_run_folder(load("ur5_reacher_demo", {"run.folder": str(tmp_path)}))
    environment = os.environ | {"ROS_DOMAIN_ID": str(DOMAIN), "JSAC_RUN_FOLDER": str(folder)}
    actor = subprocess.Popen(
        [sys.executable, "-c", HOLDS], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    command = [sys.executable, "-m", "jsac_ros", "dashboard", "--port", "0"]
    environment.pop("JSAC_RUN_FOLDER")
    try:
        assert actor.stdout.readline() == "held\n"
        page = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        url = re.fullmatch(r"dashboard: (http://127\.0\.0\.1:\d+/)#token=\S+\n", page.stdout.readline())[1]
        assert "<html" in httpx2.get(url).text
        again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert again.returncode == 0 and again.stdout.startswith(f"dashboard: {url}#token=")
    finally:
        actor.communicate()
    assert page.wait(30) == 0
    assert not (folder / opening.URL).exists()


def test_the_page_is_told_what_limits_the_run(tmp_path):
    adviser, deadline_s = Adviser(write_run(tmp_path / "run", minutes=2)), time.monotonic() + 60
    while (advice := adviser.newest()) is None and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert "safety cuts commands" in [entry["name"] for entry in advice]
    assert adviser.newest() is None  # until it is due again
    adviser.close()
