"""Events on the timeline of a running system."""

from report_cases import write_run

from jsac_ros.dashboard.events import Events, events_before


class Clock:
    now_s = 1e9

    def __call__(self):
        return self.now_s


def of(*steps):
    """Each step is a second: what `Events` is told in it. -> what a viewer is told."""
    told, clock = [], Clock()
    events = Events(told.append, clock)
    for step in steps:
        if step:
            step(events)
        clock.now_s += 1
        events.close_what_ended()
    return [(e["begin_s"] - 1e9, e["end_s"] and e["end_s"] - 1e9, e["kind"], e["text"], e["count"]) for e in told]


def test_a_hold_is_told_when_it_begins_and_when_it_has_ended():
    steps = [lambda e, k=k: e.control("holding", f"image 0.{k} s old") for k in range(4)]
    assert of(*steps, lambda e: e.control("acting", ""), *[None] * 4) == [
        (0, None, "hold", "holding: image … s old", 1),
        (0, 3, "hold", "holding: image … s old", 4),
    ]


def test_an_emergency_stop_lasts_until_it_is_released():
    steps = [lambda e: e.safety(True, "dashboard: emergency stop", {})] * 5
    told = of(*steps, *[lambda e: e.safety(False, "", {})] * 4)
    assert [(end, kind) for _, end, kind, _, _ in told] == [(None, "emergency stop"), (4, "emergency stop")]


def test_rules_are_those_that_acted_since_the_status_before():
    acted = []
    counts = [{"box": 100}, {"box": 100}, {"box": 103, "speed": 1}, {"box": 103, "speed": 1}, {"box": 2}]
    told = of(*[lambda e, c=c: acted.append(e.safety(False, "", c)) for c in counts])
    assert acted == [[], [], ["box", "speed"], [], []], "not what was counted before, nor a restart that counts from 0"
    assert told[0] == (2, None, "rule", "box", 3)


def test_of_episodes_what_a_person_did_and_what_cut_them():
    values = {"episode": 4, "terminated": False, "reason": "image 0.31 s old", "interventions": 2, "duration": 1.5}
    told = of(lambda e: e.episode(values), lambda e: e.episode(values | {"terminated": True, "interventions": 0}))
    assert told == [(0, 0, "episode cut", "episode 4: image … s old", 1), (-1.5, 0, "person", "a person took over", 2)]


def test_checkpoints_and_processes_that_end():
    told = of(
        lambda e: (e.checkpoint(100), e.processes({"actor", "replay"})),
        lambda e: (e.checkpoint(100), e.processes({"actor", "replay"})),
        lambda e: (e.checkpoint(200), e.processes({"replay"})),
    )
    assert [(kind, text) for _, _, kind, text, _ in told] == [("checkpoint", "after update 200"), ("restart", "actor ended")]


def test_what_happened_before_the_page_was_opened_is_in_the_run_folder(tmp_path):
    told = events_before(write_run(tmp_path / "run", minutes=2))
    assert {event["kind"] for event in told} >= {"rule", "restart"}
    assert all(1700000000 <= event["begin_s"] <= event["end_s"] <= 1700000130 for event in told)
    assert events_before(tmp_path) == []
