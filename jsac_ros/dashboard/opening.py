"""Where a run's page is, and opening it in a browser of this computer."""

from __future__ import annotations

import html
import os
import time
import webbrowser
from pathlib import Path

from jsac_ros.files import replaced

URL = "dashboard_url"  # file in the run folder: the page's address with the token
DOOR = "dashboard.html"  # file in the run folder that leads there: what a browser is started with, every user can read
_DISPLAYS = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")  # without any of them a browser would take the terminal
_LOOK_S = 0.2


def address(folder: Path) -> str:
    """Of the page of a run that is served; '' where none is."""
    try:
        return (folder / URL).read_text().strip()
    except OSError:
        return ""


def write_address(folder: Path, url: str) -> None:
    """For this user alone, as it holds the token."""
    with replaced(folder / URL) as file:
        file.touch(mode=0o600)
        file.write_text(url + "\n")


def open_page(folder: Path) -> bool:
    """Whether a browser was started on the page of a run."""
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
    """Waits for the page and opens it; where no browser can be started, a line says what to do."""
    end_s = time.monotonic() + timeout_s
    while not address(folder):
        if time.monotonic() > end_s:
            return
        time.sleep(_LOOK_S)
    if not open_page(folder):
        print("no browser here; open the dashboard's address in one", flush=True)
