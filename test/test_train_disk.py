"""A training on a full disk: it waits until a step can be stored, writes the rest when there is room, and says what is missing."""

import errno
import resource
from types import SimpleNamespace

import pytest
from full_disk import files_of_at_most
from test_train_run import COUNTING, train
from train_cases import without_pages  # noqa: F401

from jsac_ros.config import ConfigError
from jsac_ros.replay.store import FrameStore
from jsac_ros.training import disk
from jsac_ros.training.synchronous import Training

ANY, HARD = resource.getrlimit(resource.RLIMIT_FSIZE)


@pytest.fixture
def fills_at(monkeypatch):
    """-> the steps after which the disk is full."""
    before, steps = Training._after_step, []

    def after_step(self, over):
        if self.done in steps:
            self.checkpoints._manager.wait_until_finished()  # one that is on its way has room
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, HARD))
        before(self, over)

    monkeypatch.setattr(Training, "_after_step", after_step)
    with files_of_at_most(ANY):  # puts it back
        yield steps


def checkpoints_of(folder):
    return [path.name for path in (folder / "checkpoints").glob("[0-9]*")]


def test_a_training_waits_for_room_and_continues(tmp_path, monkeypatch, fills_at):
    waited, said, append = [], [], FrameStore.append

    def wait(seconds):
        waited.append(seconds)
        if len(waited) == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (ANY, HARD))

    def appended(store, transition):
        if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(store, transition)

    monkeypatch.setattr(FrameStore, "append", appended)
    monkeypatch.setattr(disk, "time", SimpleNamespace(sleep=wait))
    monkeypatch.setattr("jsac_ros.training.progress.ProgressBar.say", lambda self, line: said.append(line))
    fills_at.append(50)
    folder = train(tmp_path, 100, every=50, environment=COUNTING).folder
    named = [line.partition(": ")[0] for line in said if line.endswith("retried when there is room")]
    assert len(waited) == 2 and "replay" in named and len(named) == len(set(named)), said
    assert FrameStore.read(folder / "replay").valid_count == 100
    assert {"80"} <= set(checkpoints_of(folder)) <= {"30", "80"} and (folder / "policy").is_dir()


def test_what_has_no_room_at_the_end_is_named(tmp_path, fills_at):
    fills_at.append(60)
    with pytest.raises(ConfigError, match="policy is not written: .*File too large"):
        try:
            train(tmp_path, 60, every=30, environment=COUNTING)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (ANY, HARD))
    (folder,) = tmp_path.iterdir()
    assert checkpoints_of(folder) == ["10"], "that of step 30"
    assert FrameStore.read(folder / "replay").valid_count == 60
