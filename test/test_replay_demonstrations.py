"""Demonstrations one by one: which episodes of a run are kept, listed, dropped and merged."""

import numpy as np
import pytest
from replay_cases import SPACES, make_episode, same

from jsac_ros.__main__ import main
from jsac_ros.replay.demonstrations import drop, episodes_of, keep
from jsac_ros.replay.format import StoreError
from jsac_ros.replay.samplers import open_demonstrations
from jsac_ros.replay.store import FrameStore
from jsac_ros.report import demonstration_page
from jsac_ros.report.demonstrations import demonstrations_left, demonstrations_of

LENGTHS = (3, 5, 4)


@pytest.fixture
def store(tmp_path):
    """Three episodes, and one that a kill left open."""
    folder, sequence = tmp_path / "replay", 0
    made = FrameStore.open(folder, SPACES, 100)
    for episode, length in enumerate((*LENGTHS, 2)):
        rows = make_episode(length, sequence, episode=episode)
        for row in rows[: -1 if episode == 3 else None]:
            made.append(row._replace(success=row.is_last and episode != 1))
        sequence += len(rows)
    made.close()
    return folder


def kept_in(folder):
    store = FrameStore.read(folder)
    found = episodes_of(store)
    rows = [store.transition(slot) for episode in found for slot in episode.slots]
    store.close()
    return found, rows


def test_episodes_are_listed_in_order(store):
    found, _ = kept_in(store)
    assert [(e.number, e.steps, e.success, e.is_complete) for e in found] == [
        (0, 3, True, True), (1, 5, False, True), (2, 4, True, True), (3, 2, False, False),
    ]  # fmt: skip
    expected = sum(row.reward for row in make_episode(3)[:-1])
    assert found[0].episode_return == pytest.approx(expected, rel=1e-5)


def test_what_is_kept_is_as_it_was_and_can_be_learned_from(store, tmp_path):
    _, before = kept_in(store)
    kept = keep(store, tmp_path / "shown", lambda episode: episode.success)
    assert [episode.number for episode in kept] == [0, 2]
    _, rows = kept_in(tmp_path / "shown")
    assert len(rows) == 9 and all(same(a, b) for a, b in zip(rows, [r for r in before if r.episode in (0, 2)]))
    demonstrations = open_demonstrations(str(tmp_path / "shown"), SPACES)
    assert demonstrations.valid_count == 3 + 4
    demonstrations.close()


def test_dropping_takes_an_episode_out_and_nothing_else(store):
    assert [episode.episode for episode in drop(store, {1, 3})] == [0, 2]
    found, _ = kept_in(store)
    assert [(e.number, e.episode) for e in found] == [(0, 0), (1, 2)]
    assert sorted(file.name for file in store.parent.iterdir()) == ["replay"]


def test_what_cannot_be_done_is_named_and_changes_nothing(store, tmp_path):
    with pytest.raises(StoreError, match="has episodes 0 to 3; episode 7 is none of them"):
        drop(store, {1, 7})
    with pytest.raises(StoreError, match="no episode is kept"):
        drop(store, {0, 1, 2, 3})
    with pytest.raises(StoreError, match="exists already; expected a new folder"):
        keep(store, tmp_path, lambda episode: True)
    writer = FrameStore.open(store, SPACES, 100)
    with pytest.raises(StoreError, match="a process is writing to it"):
        drop(store, {0})
    writer.close()
    assert len(kept_in(store)[0]) == 4


def test_the_command_lists_drops_and_merges(store, tmp_path, capsys):
    shown = tmp_path / "shown"
    keep(store, shown, lambda episode: episode.success)
    assert main(["demo", "list", str(shown)]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["0", "3"]
    assert main(["demo", "merge", str(shown), str(store), str(tmp_path / "all")]) == 0
    assert "9 were in more than one store" in capsys.readouterr().out
    assert main(["demo", "drop", str(shown), "0"]) == 0
    assert "1 episodes left, 4 steps" in capsys.readouterr().out
    for words in (["list"], ["list", "a", "b"], ["drop", str(shown)], ["drop", str(shown), "x"], ["merge", "a", "b"]):
        assert main(["demo", *words]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: demo ") and "expected" in error and error.count("\n") == 1


def test_a_demonstration_succeeded_and_was_not_discarded(tmp_path):
    assert demonstrations_left(tmp_path, 0) is None and demonstrations_left(tmp_path, 3) == 3
    rows = ((0, 1, "goal"), (1, 0, "time limit"), (2, 1, "discarded (operator)"), (3, 1, "success (operator)"))
    lines = [f"{2**62},{episode},{success},{reason}\n" for episode, success, reason in rows]
    (tmp_path / "episodes.csv").write_text("session,episode,success,reason\n" + "".join(lines))
    assert demonstrations_of(tmp_path) == {(2**62, 0), (2**62, 3)}
    assert demonstrations_left(tmp_path, 3) == 1 and demonstrations_left(tmp_path, 1) == 0


def test_of_a_run_whose_command_was_killed_the_demonstrations_are_kept(store, tmp_path, capsys):
    """Episode 0 was discarded after its success; the reporter died before it wrote the end of episode 2."""
    (tmp_path / "episodes.csv").write_text("session,episode,success,reason\n1,0,1,discarded (operator)\n1,1,0,time limit\n")
    assert main(["demo", "keep", str(tmp_path)]) == 0
    assert f"{tmp_path / 'demonstrations'}: 1 demonstrations, 4 steps" in capsys.readouterr().out
    assert [episode.episode for episode in kept_in(tmp_path / "demonstrations")[0]] == [2]
    for words, message in ((["keep", str(tmp_path)], "exists already"), (["keep"], "expected RUN"), (["keep", "none"], "none")):
        assert main(["demo", *words]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1


def test_a_page_shows_a_film_of_every_episode_and_follows_what_is_dropped(store, capsys):
    frames = np.load(store / "frames_wrist.npy", mmap_mode="r+")
    frames[5] += 1  # of episode 1
    frames.flush()
    assert main(["demo", "page", str(store)]) == 0
    page = store / "episodes.html"
    assert f"to review them: {page}" in capsys.readouterr().out
    text = page.read_text()
    assert text.count("<figure class=film") == 4 and text.count("data:image/jpeg;base64,") == 4
    assert "<b>Episode 1</b>: 5 steps, 0.2 s" in text and "wrist; 1 damaged frames are not shown" in text
    assert "no success, incomplete, wrist" in text and "4 episodes, 2 of them with success, 14 steps" in text
    assert main(["demo", "drop", str(store), "1", "3"]) == 0
    assert page.read_text().count("<figure class=film") == 2


def test_a_page_that_cannot_be_written_loses_no_demonstration(store, monkeypatch, capsys):
    def full(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demonstration_page, "write_text", full)
    assert main(["demo", "drop", str(store), "1"]) == 1
    assert f"warning: {store}: no page was written: No space left on device" in capsys.readouterr().out
    assert len(kept_in(store)[0]) == 3
