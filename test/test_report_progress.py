"""What the progress display says."""

from rich.console import Console

from jsac_ros.report.progress import Progress, closing, line, panel
from jsac_ros.report.summary import Totals, summarise

EPISODES = [{"episode_return": str(k), "success": str(k % 2), "reason": "time limit"} for k in range(20)]
LATEST = {
    "control.state": "acting", "control.ticks": "500", "control.rate_hz": "25", "control.missed": "1",
    "control.lateness_ms.p99": "0.51", "learner.state": "learning", "learner.updates": "4210",
    "learner.updates_per_s": "38.2", "safety.state": "moving", "safety.emergency_stop": "0", "replay.stored": "3210",
}  # fmt: skip


def totals_of(rows):
    totals = Totals()
    for row in rows:
        totals.add_episode(row)
    return totals


def test_a_line_says_where_the_run_is():
    cut_short = {"episode_return": "1000", "success": "0", "reason": "stale image"}
    progress = Progress.of(130.4, 600.0, totals_of([*EPISODES, cut_short]), LATEST)
    assert line(progress) == (
        "2:10 / 10:00  acting | episode 21 | return 19 (last 10: 14, success 50%) | 4,210 updates (38.2/s) | "
        "25.0 Hz, 1 missed, p99 0.5 ms | safety moving | 3,210 stored"
    )


def test_what_waits_is_named():
    waiting = LATEST | {"replay.waiting_for": "warm-up 120/500", "control.reason": "image 0.31 s old, limit 0.20 s"}
    text = line(Progress.of(3700, 0, Totals(), waiting))
    assert text.startswith("1:01:40  acting")
    assert text.endswith("[actor: image 0.31 s old, limit 0.20 s; replay: warm-up 120/500]")
    no_room = {"replay.problem": "disk (No space left on device)", "learner.problem": "File too large"}
    assert Progress.of(1, 0, Totals(), waiting | no_room).waits[1:] == [
        "replay: disk (No space left on device)",
        "learner: File too large",
    ]
    stopped = Progress.of(1, 0, Totals(), LATEST | {"safety.emergency_stop": "1"})
    assert stopped.waits == ["EMERGENCY STOP: latched; release with the service safety/release"]


def test_before_anything_was_heard():
    nothing = Progress.of(0, 600, Totals(), {})
    assert line(nothing) == "0:00 / 10:00  starting"
    assert _drawn(nothing).count("–") >= 8
    assert closing(summarise(Totals(), {})) == "0:00 of control: 0 episodes, 0 steps, 0 updates"


def test_the_panel_says_the_same_in_a_width_of_eighty():
    text = _drawn(Progress.of(130, 600, totals_of(EPISODES), LATEST | {"learner.state": "compiling"}))
    for part in ("acting", "2:10 / 10:00", "14.5", "50%", "4,210", "38.2", "25.0 Hz", "3,210", "learner: compiling"):
        assert part in text, part


def _drawn(progress: Progress) -> str:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(panel(progress))
    return captured.get()
