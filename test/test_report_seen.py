"""What the robot saw, on the page of a run: which episodes, whether their frames are theirs, and what stands without them."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
from replay_cases import make_transition
from report_cases import undrawn, write_run  # noqa: F401

from jsac_ros.replay.store import FrameStore
from jsac_ros.report import seen
from jsac_ros.report.seen import MOST_BYTES, MOST_EPISODES, MOST_FRAMES, chosen, film, held_episodes, what_it_saw
from jsac_ros.report.summary import read_totals
from jsac_ros.report.write import write
from jsac_ros.spaces import ActionSpace, ImageSpace, Spaces

SPACES = Spaces.of(
    [ImageSpace("wrist", 16, 24, 3, stack=2), ImageSpace("scene", 6, 4, 1, stack=2)], [], [ActionSpace("arm", 1)]
)


def fill(folder, spaces, episodes, steps=100, frame=lambda image, episode, step: 0):
    """The store of a run as `write_run` has it."""
    store = FrameStore.open(folder / "replay", spaces, capacity=len(episodes) * (steps + 1) + 4)
    for episode in episodes:
        for step in range(steps + 1):
            frames = {i.name: np.full(i.frame_shape, frame(i.name, episode, step), np.uint8) for i in spaces.images}
            store.append(make_transition(
                spaces, session=7, sequence=episode * (steps + 1) + step, episode=episode, step=step, is_last=step == steps,
                frames=frames,
            ))  # fmt: skip
    store.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Twenty-eight episodes, of which the store holds those from number 3 on; frames as grey as the step is late."""
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, minutes=3)
    fill(folder, SPACES, range(3, 28), frame=lambda image, episode, step: 2 * step)
    return folder


def test_the_first_every_tenth_the_best_and_the_last_are_shown(run):
    totals = read_totals(run)
    found, missing = what_it_saw(totals, run / "replay")
    best = max(totals.episodes[3:], key=lambda row: float(row["episode_return"]))["episode"]
    expected = {"3": "first", "9": "", "19": "", "27": "last"}
    expected[best] = ", ".join(filter(None, ["best", expected.get(best, "")]))
    assert {episode.row["episode"]: episode.why for episode in found} == expected and not missing
    assert [[film.image for film in episode.films] for episode in found] == [["scene", "wrist"]] * len(found)


def test_a_film_is_the_frames_of_its_episode(run):
    store = FrameStore.read(run / "replay")
    held = held_episodes(read_totals(run), store)[0]
    shown = film(store, "wrist", held.slots)
    sheet = cv2.imdecode(np.frombuffer(shown.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape == (MOST_FRAMES * 16, 24, 3) and (shown.height, shown.width) == (16, 24)
    steps = np.linspace(0, 100, MOST_FRAMES).round()
    assert sheet.reshape(MOST_FRAMES, -1).mean(axis=1) == pytest.approx(2 * steps, abs=2)
    assert shown.seconds == pytest.approx(steps / 25, abs=1e-6)


def test_of_a_long_run_as_many_are_shown(run):
    held = held_episodes(read_totals(run), FrameStore.read(run / "replay"))
    many = [held[k % 25]._replace(place=k) for k in range(13_000)]
    shown = chosen(many)
    places = [episode.place for _, episode in shown]
    assert len(shown) <= MOST_EPISODES and places == sorted(places) and {0, 12_999} < set(places)
    assert all(episode.place % 10 == 9 for why, episode in shown if not why)


def test_a_film_of_noise_is_still_small(tmp_path, monkeypatch):
    random, spaces = np.random.default_rng(0), Spaces.of([ImageSpace("wrist", 300, 400, 3)], [], [ActionSpace("arm", 1)])
    noise = random.integers(0, 255, (300, 400, 3), np.uint8)
    fill(tmp_path, spaces, range(1), steps=40, frame=lambda *_: noise)
    store = FrameStore.read(tmp_path / "replay")
    assert len(film(store, "wrist", store.live_slots()).jpeg) <= MOST_BYTES
    monkeypatch.setattr(seen, "MOST_BYTES", 20_000)
    shown = film(store, "wrist", store.live_slots())
    assert 1 <= len(shown.seconds) < MOST_FRAMES and len(shown.jpeg) <= 20_000
    assert (shown.height, shown.width) == (120, seen.MOST_PIXELS)


@pytest.mark.usefixtures("undrawn")
def test_damaged_frames_are_left_out_and_counted(tmp_path):
    write_run(tmp_path, minutes=0.5)
    fill(tmp_path, SPACES, range(4), frame=lambda image, episode, step: 100)
    path = tmp_path / "replay" / "frames_wrist.npy"
    assert path.is_file(), sorted(path.parent.iterdir())
    with open(path, "r+b") as file:
        file.seek(-50 * 16 * 24 * 3 - 4 * 16 * 24 * 3, 2)
        file.write(bytes(30 * 16 * 24 * 3))
    found, _ = what_it_saw(read_totals(tmp_path), tmp_path / "replay")
    damaged = {film.image: film.damaged for film in found[-1].films}
    assert damaged["scene"] == 0 and 5 < damaged["wrist"] < 12
    write(tmp_path)
    assert "damaged frames are not shown" in (tmp_path / "report.html").read_text()


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("damage", ["none", "header", "rows", "folder"])
def test_without_a_whole_store_the_page_says_so_and_stands(tmp_path, damage):
    write_run(tmp_path, minutes=0.5)
    if damage == "folder":
        (tmp_path / "replay").write_text("a file")
    elif damage != "none":
        fill(tmp_path, SPACES, range(4))
        names = {"header": "*.json", "rows": "rows.npy"}
        (path,) = (tmp_path / "replay").glob(names[damage])
        path.write_bytes(b"\x93NUMPY\x01\x00")
    write(tmp_path)
    assert "No images:" in (tmp_path / "report.html").read_text()


@pytest.fixture(scope="module")
def text(run):
    """Its page."""
    write(run)
    return (run / "report.html").read_text()


def test_the_page_plays_without_anything_beside_it(text):
    assert set(re.findall(r'(?:src|href)="?(?!#)([a-z]+:)', text)) <= {"data:"} and "<script" not in text
    assert text.count("data:image/jpeg;base64") == text.count("<figure class=film") >= 8


def test_figures_keep_their_text_and_take_the_colours_of_the_page(text):
    assert "minutes since the first step, resets included</text>" in text, "text can be selected"
    assert "prefers-color-scheme: dark" in text and "fill: var(--ink)" in text and "#1f2933" not in text.split("</style>", 1)[1]
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)), "of several drawings in one document"
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
