"""Converts a store of images to a store of features, for demonstrations that were recorded without the encoder."""

from __future__ import annotations

from pathlib import Path

from jsac_ros.config import ConfigError
from jsac_ros.replay.demonstrations import new_store
from jsac_ros.replay.store import FrameStore
from jsac_ros.rig import FEATURES, Rig
from jsac_ros.types import Arrays


def apply(source: str | Path, rig: Rig, target: str | Path) -> int:
    """Writes a new store in the spaces of `rig`; returns its number of rows.

    Raises ConfigError if a part of these spaces is neither in the source nor can be computed from its images, StoreError.
    """
    if not rig.encoder_cards:
        raise ConfigError("no camera has an encoder; expected cameras.NAME.encoder=FILE")
    store = FrameStore.read(source, exclude_writers=True)
    try:
        held = store.spaces
        names = {image.name for image in held.images}
        for name in rig.encoder_cards:
            camera = rig.images[name]
            found = next((image.frame_shape for image in held.images if image.name == name), None)
            if found != camera.frame_shape:
                raise ConfigError(f"store {source} has image {name!r} as {found or 'missing'}; expected {camera.frame_shape}")
        computed = {name + FEATURES for name in rig.encoder_cards}
        for part in rig.spaces.vectors:
            if part.name not in computed and part not in held.vectors:
                raise ConfigError(f"store {source} has no vector {part.name!r} like this rig's; expected the same observation")
        if missing := [image.name for image in rig.spaces.images if image.name not in names]:
            raise ConfigError(f"store {source} has no image {missing[0]!r}")
        slots = store.live_slots()
        with new_store(target, rig.spaces, len(slots)) as copy:
            for slot in slots:
                transition = store.transition(slot)
                vectors: Arrays = transition.vectors | {
                    name + FEATURES: encoder(transition.frames[name]) for name, encoder in rig.encoders.items()
                }
                copy.append(
                    transition._replace(
                        frames={image.name: transition.frames[image.name] for image in rig.spaces.images},
                        vectors={part.name: vectors[part.name] for part in rig.spaces.vectors},
                    )
                )
    finally:
        store.close()
    return len(slots)
