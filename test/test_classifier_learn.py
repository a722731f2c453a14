"""A success classifier: from marked episodes to a folder, its word in the loop, and what is refused."""

import json
from dataclasses import replace

import agent_cases  # noqa: F401  compiles without optimising
import numpy as np
import pytest
from replay_cases import ARM, JOINTS, make_transition
from rig_cases import LINE, config_of, rig_of

from jsac_ros import parameters
from jsac_ros.__main__ import main
from jsac_ros.classifier import assess, examples, files
from jsac_ros.classifier.examples import LabelledEpisode, labels_of
from jsac_ros.classifier.judge import Judge
from jsac_ros.config import ConfigError
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import with_copies
from jsac_ros.spaces import ImageSpace, Spaces

EYE, SIDE = ImageSpace("eye", 9, 12, 3, stack=2), ImageSpace("side", 8, 8, 1)
SPACES = Spaces.of([EYE, SIDE], [JOINTS], [ARM], ["joints"])
RIG = LINE | {
    "cameras.eye.height": 9, "cameras.eye.width": 12, "cameras.side.height": 8, "cameras.side.width": 8, "cameras.side.channels": 1,
}  # fmt: skip
LENGTH = 8


def frames_of(bright: bool, rng: np.random.Generator, spaces=SPACES):
    """Dark noise; success is a bright patch of the first camera."""
    frames = {image.name: rng.integers(0, 60, image.frame_shape, np.uint8) for image in spaces.images}
    if bright:
        frames[spaces.images[0].name][3:7, 3:9] += 150
    return frames


def write_store(folder, kinds, spaces=SPACES, seed=0):
    """kinds: for each episode at which of its steps success begins; None: it fails."""
    rng, sequence = np.random.default_rng(seed), 0
    store = FrameStore.open(folder, spaces, 500)
    for episode, begins in enumerate(kinds):
        for step in range(LENGTH + 1):
            success = begins is not None and step >= begins
            store.append(
                make_transition(
                    spaces, sequence=sequence, episode=episode, step=step, is_last=step == LENGTH, success=success,
                    frames=frames_of(success, rng, spaces),
                )
            )  # fmt: skip
            sequence += 1
    store.close()
    return str(folder)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A configuration, a store to learn from, another one, and a classifier."""
    folder = tmp_path_factory.mktemp("work")
    parameters.dump(config_of(RIG), folder / "rig.yaml")
    write_store(folder / "marked", [4, 5, None, 4, None, 3, 4, None])
    write_store(folder / "other", [5, None, 4, None], seed=1)
    words = ["train", str(folder / "marked"), "--config", str(folder / "rig.yaml"), "--to", str(folder / "bright")]
    assert main(["classifier", *words, "--updates", "60", "--consecutive", "2"]) == 0
    return folder


def test_it_is_learned_and_judged_on_episodes_that_it_has_not_seen(work, capsys):
    assert main(["classifier", "judge", str(work / "bright"), str(work / "other"), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    found = json.loads(lines[-1])
    assert found["episodes"] == {"called": 2, "rightly": 2, "there": 2, "precision": 1.0, "recall": 1.0}
    assert found["images"]["precision"] == found["images"]["recall"] == 1.0 and found["images"]["there"] == 4 + 5
    assert lines[0] == "episodes  precision 2 of 2 (95 %: 34.2% to 100.0%), recall 2 of 2 (95 %: 34.2% to 100.0%)"
    assert (work / "bright" / "judged.png").stat().st_size > 10_000
    card = files.read_card(work / "bright")
    assert (card.consecutive, card.images["side"].shape) == (2, (8, 8, 1)) and card.about["learned_from"] == 6


def test_success_is_so_many_frames_in_a_row_in_one_episode(work):
    judge, rng = Judge.load(work / "bright"), np.random.default_rng(5)
    say = lambda *bright: [judge.is_success(frames_of(one, rng)) for one in bright]
    judge.begin()
    assert say(True, False, True, True, True, False, True) == [False, False, False, True, True, False, False]
    judge.begin()
    assert say(True, True) == [False, True]


def test_it_is_the_reward_of_a_task_and_the_run_keeps_a_copy(work, tmp_path):
    rig = rig_of(RIG, task__classifier=str(work / "bright"))
    assert rig.judge.card == rig.classifier
    kept = with_copies(rig.config, tmp_path)
    assert kept.task.classifier == str(tmp_path / "classifier") and rig_of(RIG, task__classifier=kept.task.classifier).judge
    assert with_copies(kept, tmp_path) == kept  # resumed: the copy stays
    assert with_copies(config_of(RIG), tmp_path) == config_of(RIG)


def copy_of(work, tmp_path):
    files.copy(work / "bright", tmp_path / "copy")
    return tmp_path / "copy"


def edited(folder, **changes):
    card = json.loads((folder / files.CARD).read_text())
    (folder / files.CARD).write_text(json.dumps(card | changes))


DAMAGES = {
    "no weights": (lambda f: (f / files.WEIGHTS).unlink(), "classifier.safetensors cannot be read: No such file"),
    "no card": (lambda f: (f / files.CARD).unlink(), "classifier.json cannot be read: No such file"),
    "weights cut": (lambda f: (f / files.WEIGHTS).write_bytes((f / files.WEIGHTS).read_bytes()[:-40]), "cannot be read"),
    "card cut": (lambda f: (f / files.CARD).write_text((f / files.CARD).read_text()[:60]), "classifier.json cannot be read"),
    "another format": (lambda f: edited(f, format=2), "classifier.json: format: Input should be 1"),
    "no threshold": (lambda f: edited(f, threshold="high"), "classifier.json: threshold: "),
    "another network": (lambda f: edited(f, width=32), "dense/bias is (64,); expected (32,)"),
    "another shape": (lambda f: edited(f, tensors={"value/bias": [2]}), "value/bias is F32[1]; expected F32[2]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_folder_is_refused_in_one_line(damage, work, tmp_path, capsys):
    folder = copy_of(work, tmp_path)
    DAMAGES[damage][0](folder)
    assert main(["classifier", "judge", str(folder), str(work / "other")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: classifier") and DAMAGES[damage][1] in error and "\n" not in error


def test_another_rig_is_refused_before_anything_starts(work):
    folder = str(work / "bright")
    with pytest.raises(ConfigError, match=rf"task.classifier {folder}: has seen image 'eye' as 9x12x3; here it is 10x12x3"):
        rig_of(RIG, task__classifier=folder, cameras__eye__height=10)
    with pytest.raises(ConfigError, match="has seen image 'side', 8x8x1; there are eye"):
        rig_of({name: value for name, value in RIG.items() if "side" not in name}, task__classifier=folder)
    with pytest.raises(ConfigError, match="classifier /nowhere: classifier.json cannot be read: No such file or directory"):
        rig_of(RIG, task__classifier="/nowhere")


OTHER = Spaces.of([replace(EYE, name="hand")], [JOINTS], [ARM], ["joints"])
REFUSED = {
    "nothing is in it": (dict(kinds=[]), "0 of 0 episodes succeeded; expected at least 2"),
    "no success": (dict(kinds=[None, None, None]), "0 of 3 episodes succeeded; expected at least 2, so that one is held out"),
    "no failure": (dict(kinds=[3, 4, 5]), "0 of 3 episodes failed; expected at least 2"),
    "another rig's": (dict(kinds=[3, 4, None, None], spaces=OTHER), "has seen image 'hand', 9x12x3; there are eye, side"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_store_that_cannot_be_learned_from_is_refused_in_one_line(case, work, tmp_path, capsys):
    store = write_store(tmp_path / "store", **REFUSED[case][0])
    to = tmp_path / "new"
    assert main(["classifier", "train", store, "--config", str(work / "rig.yaml"), "--to", str(to)]) == 2
    error = capsys.readouterr().err.strip()
    assert REFUSED[case][1] in error and "\n" not in error and not to.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--precision", "1.5"], "--precision is 1.5; expected more than 0, at most 1"),
        (["--consecutive", "0"], "--consecutive is 0; expected 1 to 100"),
        (["--cameras", "front"], "--cameras has 'front'; expected some of eye, side"),
        (["--updates", "0"], "--updates is 0; expected 1 to 1000000"),
    ],
)
def test_options_out_of_range_are_refused(words, said, work, tmp_path, capsys):
    base = ["classifier", "train", str(work / "marked"), "--config", str(work / "rig.yaml"), "--to", str(tmp_path / "new")]
    assert main([*base, *words]) == 2 and said in capsys.readouterr().err
    assert main(["classifier", "train", "/nowhere", "--config", str(work / "rig.yaml"), "--to", str(tmp_path)]) == 2
    assert "/nowhere" in capsys.readouterr().err


def test_steps_before_a_first_success_are_neither():
    success = np.array([0, 0, 0, 0, 1, 1, 0, 1], bool)
    assert labels_of(success, 2).tolist() == [0, 0, -1, -1, 1, 1, 0, 1]
    assert labels_of(success, 9).tolist() == [-1] * 4 + [1, 1, 0, 1]
    assert labels_of(np.zeros(3, bool), 2).tolist() == [0, 0, 0]


def test_whole_episodes_of_both_kinds_are_held_out(work):
    found = examples.read([work / "marked"], unsure=1)
    learned, held_out = examples.split(found, 0.25, seed=3)
    assert [len(learned), len(held_out)] == [6, 2] and {e.succeeded for e in held_out} == {True, False}
    assert {e.number for e in learned} | {e.number for e in held_out} == set(range(8))
    other = examples.split(found, 0.25, seed=4)[1]
    assert {e.number for e in other} != {e.number for e in held_out}


def judged(labels, scores, consecutive=1):
    labels = np.array(labels, np.int8)
    episode = LabelledEpisode("store", 0, np.arange(len(labels)), {}, labels)
    return assess.judged(episode, np.array(scores, np.float32), consecutive)


def test_the_threshold_is_the_one_of_most_recall_among_the_precise_ones():
    episodes = [judged([0, 0, -1, 1, 1], [-4.0, 1.0, 9.0, 3.0, 5.0]), judged([0, 0, 0], [-5.0, 4.0, -3.0])]
    threshold, counts = assess.choose_threshold(episodes, 0.99)
    assert 4.0 < threshold < 5.0 and counts == (1, 1, 2)
    threshold, counts = assess.choose_threshold(episodes, 0.6)
    assert 1.0 < threshold < 3.0 and counts == (3, 2, 2)
    hopeless = [judged([0, 1], [2.0, 1.0]), judged([0, 0], [3.0, 0.0])]
    assert assess.choose_threshold(hopeless, 0.99)[1].precision < 0.5


def test_a_run_counts_by_its_least_score_and_an_episode_by_its_first_run():
    one = judged([0, 0, -1, 1, 1, 1], [-1.0, 2.0, -1.0, 2.0, 3.0, 4.0], consecutive=2)
    assert one.runs.tolist() == [-np.inf, -1.0, -1.0, -1.0, 2.0, 3.0]
    assert assess.ending_of(one, 0.0) == 4 and assess.count_episodes([one], 0.0) == (1, 1, 1)
    early = judged([0, 0, -1, 1], [2.0, 2.0, 2.0, 2.0], consecutive=2)
    assert assess.count_episodes([one, early], 0.0) == (2, 1, 2) and assess.count_images([one], 0.0) == (4, 3, 3)
    assert assess.ending_of(judged([1], [9.0], consecutive=2), 0.0) is None


def test_the_worst_images_come_first_and_not_all_of_one_episode():
    episodes = [judged([0, 0, 0, 1], [5.0, 4.0, 3.0, -2.0]), judged([0, 1], [1.0, -3.0])]
    assert [(image.at, image.score) for image in assess.worst(episodes, examples.NEGATIVE, 4)] == [(0, 5.0), (1, 4.0), (0, 1.0)]
    assert [image.score for image in assess.worst(episodes, examples.POSITIVE, 1)] == [-3.0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--expert"], "--to is missing; expected the folder of a new store"),
        (["--expert", "--to", "new", "--failures", "0"], "--failures is 0; expected 1 or more"),
        (["--episodes", "0"], "--episodes is 0; expected 1 or more"),
    ],
)
def test_options_of_a_recording_out_of_range_are_refused(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["classifier", "record", "lift", *words]) == 2 and said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
