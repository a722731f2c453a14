"""The address of a run's dashboard, and opening it in a browser on this computer."""

from __future__ import annotations

import html
import os
import time
import webbrowser
from pathlib import Path

from jsac_ros.files import replaced

URL = "dashboard_url"  # file in the run folder: the page's address with the token
DOOR = "dashboard.html"  # file that redirects there: every user can read a browser's command line, so it has no token
_DISPLAYS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")  # without any of them a text browser would take over the terminal
_LOOK_S = 0.2


def address(folder: Path) -> str:
    """The address of a run's dashboard; '' if it is not served."""
    try:
        return (folder / URL).read_text().strip()
    except OSError:
        return ""


def write_address(folder: Path, url: str) -> None:
    """Writes the address into the run folder, readable only by this user because it contains the token."""
    with replaced(folder / URL) as file:
        file.touch(mode=0o600)
        file.write_text(url + "\n")


def open_page(folder: Path) -> bool:
    """Opens the dashboard of a run; returns whether a browser was started."""
    url = address(folder)
    if not url or not any(os.environ.get(name) for name in _DISPLAYS):
        return False
    door = folder / DOOR
    with replaced(door) as file:
        file.touch(mode=0o600)
        file.write_text(
            f'<!doctype html><meta http-equiv="refresh" content="0; url={html.escape(url)}"><title>jsac_ros</title>\n'
        )
    try:
        return webbrowser.open(door.resolve().as_uri())
    except (webbrowser.Error, OSError):
        return False


def open_when_served(folder: Path, timeout_s: float = 60.0) -> None:
    """Waits for the dashboard and opens it; if no browser can be started, prints what to do."""
    end_s = time.monotonic() + timeout_s
    while not address(folder):
        if time.monotonic() > end_s:
            return
        time.sleep(_LOOK_S)
    if not open_page(folder):
        print("no browser could be started; open the dashboard's address yourself", flush=True)
