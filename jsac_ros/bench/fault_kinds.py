"""The faults of a campaign, their number and order, and the expected reaction of the arm to each. Pure."""

from __future__ import annotations

import random

# {fault: cases in a whole campaign}
SENSORS_LOST = ("camera_freeze", "camera_late", "camera_missing", "joints_late", "joints_missing", "joint_lost")
SIM_FAULTS = dict.fromkeys((*SENSORS_LOST, "joint_jump", "nan_joints", "protective_stop", "restart", "slider"), 5)
SIM_FAULTS |= {"contact": 3, "wrench_missing": 2}
SIGNALS = {  # sent to one process
    "kill": {"safety": 9, "actor": 6, "replay": 8, "learner": 5, "reporter": 3, "sim_robot": 4},  # SIGKILL
    "freeze": {"safety": 3, "actor": 4, "replay": 2, "learner": 2},  # SIGSTOP, then SIGCONT
    "hangup": {"safety": 2, "actor": 2, "replay": 2, "learner": 2},  # SIGHUP: the terminal or ssh session has closed
}
OTHERS = {"emergency_stop": 4, "second_source": 4, "nan_command": 2, "short_command": 2, "fast_command": 2}
OTHERS |= {"full_disk": 3, "stranger": 3}
CLOCK = {"clock_step": 3}  # only on request, as it sets the computer's clock
FAULTS = {
    **SIM_FAULTS,
    **{f"{how}_{name}": n for how, processes in SIGNALS.items() for name, n in processes.items()},
    **OTHERS,
}

# After these the arm continues, as they affect nothing that it needs.
CONTINUES = {
    "kill_replay", "kill_learner", "kill_reporter", "freeze_replay", "freeze_learner", "hangup_replay", "hangup_learner",
    "nan_command", "short_command", "fast_command", "slider", "full_disk", "stranger",
}  # fmt: skip
# OWN_STOP: the arm's controller stops it, harder than safety would. UNSEEN: the arm cannot be observed.
OWN_STOP = {"protective_stop", "restart"}
UNSEEN = {"kill_sim_robot"}
# The arm may continue or stop. The stamps of its path come from two clocks, so that only positions are judged.
EITHER = {"clock_step"}
BY_CAMERA = {"camera_freeze", "camera_late", "camera_missing"}
# A killed simulator restarts with its arm at the initial pose: a jump, which a person has to confirm.
NEEDS_RELEASE = {"kill_safety", "hangup_safety", "emergency_stop", "second_source", "kill_sim_robot"}


def campaign(seed: int, cases: int | None, with_clock: bool = False) -> list[str]:
    """Faults in random order. cases: number of faults instead of all; every kind occurs once before any occurs twice."""
    planned_of = FAULTS | (CLOCK if with_clock else {})
    rounds = [[name for name, n in planned_of.items() if n > done] for done in range(max(planned_of.values()))]
    order = random.Random(seed)
    for names in rounds:
        order.shuffle(names)
    planned = [name for names in rounds for name in names]
    chosen = planned if cases is None else planned[:cases]
    order.shuffle(chosen)
    return chosen
