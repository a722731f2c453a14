"""A page with a film of every episode of a store, to review before `jsac-ros demo drop`."""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np

from jsac_ros.files import write_text
from jsac_ros.replay.demonstrations import StoredEpisode, episodes_of
from jsac_ros.replay.store import FrameStore
from jsac_ros.report.markup import document, playable, section, table
from jsac_ros.report.seen import MOST_IMAGES, film, seconds_of

PAGE = "episodes.html"  # in the folder of the store


def write_page(folder: str | Path) -> Path:
    """Writes the page of a store; returns its path. Raises StoreError, OSError."""
    folder = Path(folder)
    store = FrameStore.read(folder)
    try:
        episodes = episodes_of(store)
        shown = "".join(_films(store, episode) for episode in episodes)
    finally:
        store.close()
    path = folder / PAGE
    write_text(path, _page(folder, episodes, shown))
    return path


def _page(folder: Path, episodes: list[StoredEpisode], films: str) -> str:
    steps, succeeded = sum(episode.steps for episode in episodes), sum(episode.success for episode in episodes)
    lengths = [episode.steps for episode in episodes] or [0]
    said = (
        "Look for behaviour that the policy should not learn: a detour, a collision, a slipping grasp. "
        f"`jsac-ros demo drop {folder} 3 7` removes two episodes."
    )
    rows = [(str(episode.number), f"{episode.steps:,}", f"{episode.episode_return:.2f}", _end(episode)) for episode in episodes]
    sections = [
        section("Films", said, films or "<p>The observation has no images.</p>"),
        section(
            "Episodes",
            f"{min(lengths)} to {max(lengths)} steps long, median {np.median(lengths):g}.",
            table(("episode", "steps", "return", ""), rows),
        ),
    ]
    below = f"{len(episodes)} episodes, {succeeded} of them with success, {steps:,} steps"
    return document(folder.resolve().name, below, "".join(sections))


def _films(store: FrameStore, episode: StoredEpisode) -> str:
    slots = np.array(episode.slots)
    seconds = seconds_of(store, slots)[-1]
    said = f"<b>Episode {episode.number}</b>: {episode.steps:,} steps, {seconds:.1f} s, return {episode.episode_return:.2f}"
    found = [film(store, image.name, slots) for image in store.spaces.images[:MOST_IMAGES]]
    return "".join(
        playable(shown, f"{said}, {_end(episode)}, {html.escape(shown.image)}{_damage(shown.damaged)}")
        for shown in found
        if shown
    )


def _end(episode: StoredEpisode) -> str:
    return ("success" if episode.success else "no success") + ("" if episode.is_complete else ", incomplete")


def _damage(frames: int) -> str:
    return f"; {frames} damaged frames are not shown" if frames else ""
