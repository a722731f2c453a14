"""The share of a camera's images that arrive, from the sequence numbers of its publisher's messages."""

from __future__ import annotations

from collections import deque

from jsac_ros import dds

_WINDOW = 40  # images, published
_FEWEST = 20  # published images, before a share is computed
_FEWEST_HEARD = 3  # in order: with two publishers of one topic, whose messages alternate, the numbers mean nothing
_LONGEST_GAP = 1000  # numbers that one publisher may skip
_LEAST_SHARE = 0.9  # below it images are lost


class Arrivals:
    """The arrivals on one best-effort topic, whose lost images are not resent."""

    def __init__(self) -> None:
        self._numbers: deque[int] = deque()  # that arrived, of the newest `_WINDOW`
        self._first = self._heard = 0  # of one publisher

    def take(self, number: int | None) -> None:
        """Call when an image has arrived. number: of its message; None if the middleware does not provide it."""
        if number is None:
            return
        if not self._numbers or not 0 < number - self._numbers[-1] <= _LONGEST_GAP:
            self._numbers.clear()
            self._first, self._heard = number, 0
        self._heard += 1
        self._numbers.append(number)
        while self._numbers[0] <= number - _WINDOW:
            self._numbers.popleft()

    @property
    def counts(self) -> tuple[int, int] | None:
        """How many of the newest images arrived, and how many were published; None if not known yet."""
        if self._heard < _FEWEST_HEARD or (published := min(self._numbers[-1] - self._first + 1, _WINDOW)) < _FEWEST:
            return None
        return len(self._numbers), published


def are_lost(counts: tuple[int, int] | None) -> bool:
    return counts is not None and counts[0] < _LEAST_SHARE * counts[1]


def lost(counts: tuple[int, int] | None, camera: str, image_bytes: int) -> str:
    """How many of a camera's images are lost and what helps, in one line; "" if they arrive."""
    if not are_lost(counts):
        return ""
    arrived, published = counts
    return f"{arrived} of {published} images arrive; {cure(camera, image_bytes)}"


def cure(camera: str, image_bytes: int) -> str:
    """The cure for lost images. image_bytes: size of one message."""
    if image_bytes <= dds.DATAGRAM_BYTES:
        return "the network or this computer is too busy"
    if profile := dds.driver_profile():
        return f"start the camera's driver with {dds.PROFILE}={profile}, or set cameras.{camera}.compressed"
    return f"give the middleware room for large messages, or set cameras.{camera}.compressed"
