"""Target display: shows the reacher's red disc full screen on a monitor in front of the real robot's camera.

Serves  new_target
A process because a window needs a main loop.
"""

from __future__ import annotations

import threading

import numpy as np
from std_srvs.srv import Trigger

from jsac_ros.config import ConfigError
from jsac_ros.nodes.process import JsacNode, run_node
from jsac_ros.tasks.ur5_reacher.screen import DISC_RADIUS, SCREEN, random_disc

_POLL_MS = 20
_DRAWN_S = 1.0


class TargetDisplay(JsacNode):
    """Owns the window; ROS runs in a second thread, which only sets the position of the disc."""

    def __init__(self):
        super().__init__("target_display")
        try:
            import tkinter
        except ImportError as error:
            raise ConfigError(f"target_display: {error}; expected the package python3-tk") from None
        try:
            self._window = tkinter.Tk()
        except tkinter.TclError as error:
            raise ConfigError(f"target_display: {error}; expected a display (environment DISPLAY)") from None
        self._window.attributes("-fullscreen", True)
        self._window.configure(cursor="none")
        self._canvas = tkinter.Canvas(self._window, background="white", highlightthickness=0)
        self._canvas.pack(fill="both", expand=True)
        self._random = np.random.default_rng()
        self._disc = random_disc(self._random)
        self._shown = threading.Event()
        self.create_service(Trigger, "new_target", self._on_new_target)

    def _on_new_target(self, _, response: Trigger.Response) -> Trigger.Response:
        """Answers once the new disc is on the screen."""
        self._shown.clear()
        self._disc = random_disc(self._random)
        shown, (x, y) = self._shown.wait(_DRAWN_S), self._disc
        message = f"disc at {x:.1f}, {y:.1f} of 160x90" if shown else f"the window did not draw the disc within {_DRAWN_S:g} s"
        return self.answered("new_target", response, shown, message)

    def _draw(self) -> None:
        """Draws every 20 ms in the window's thread; the disc is round at any aspect ratio of the monitor."""
        if self.stop.is_set():
            self._window.quit()
            return
        width, height = self._canvas.winfo_width(), self._canvas.winfo_height()
        scale = min(width / SCREEN[0], height / SCREEN[1])
        x, y = (self._disc - np.array(SCREEN) / 2) * scale + (width / 2, height / 2)
        radius = DISC_RADIUS * scale
        self._canvas.delete("all")
        self._canvas.create_oval(x - radius, y - radius, x + radius, y + radius, fill="#ff0000", outline="")
        self._window.update_idletasks()
        self._shown.set()
        self._window.after(_POLL_MS, self._draw)

    def run(self) -> None:
        ros = threading.Thread(target=super().run, daemon=True)
        ros.start()
        self._window.after(_POLL_MS, self._draw)
        self._window.mainloop()
        self.stop.set()
        ros.join(timeout=1.0)


def main(args=None) -> int:
    return run_node(TargetDisplay, args)


if __name__ == "__main__":
    raise SystemExit(main())
