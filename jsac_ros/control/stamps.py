"""When a message was true: one rule for the actor, the safety node and the offline tools.

By its stamp (`stamps: header`), or, where a driver's stamps cannot be used, by its arrival (`stamps: arrival`), which hides
how long it took to come. A stamp that cannot be meant is never guessed at: the message is refused in one line that names
the case and the cure, what it would have brought grows old, and the robot holds.
"""

from __future__ import annotations

from jsac_ros.config import Stamps

# A stamp may be this far ahead of its arrival: two computers kept together by NTP differ by milliseconds.
_AHEAD_NS = 50_000_000
# More than this from its arrival, it was never of this clock: time since boot, a simulation's, another day's.
_OTHER_CLOCK_NS = 3600 * 1_000_000_000


class StampError(ValueError):
    """A stamp that cannot be used; one line."""


def taken_ns(stamp_ns: int, arrived_ns: int, stamps: Stamps) -> int:
    """When a message that arrived at `arrived_ns` was taken, never later than that; both in ROS time.

    Raises StampError where `stamps` is "header" and the stamp is unset, in the future or of another clock. One that is merely
    old is no error here: its age is for its limit to judge.
    """
    if stamps == "arrival":
        return arrived_ns
    ahead_ns = stamp_ns - arrived_ns
    cure = "; `stamps: arrival` counts from its arrival"
    if stamp_ns == 0:
        raise StampError(f"its stamp is not set{cure}")
    if abs(ahead_ns) > _OTHER_CLOCK_NS:
        where = "ahead of" if ahead_ns > 0 else "behind"
        raise StampError(f"its stamp is {abs(ahead_ns) * 1e-9:.0f} s {where} this computer's clock: another clock{cure}")
    if ahead_ns > _AHEAD_NS:
        raise StampError(
            f"its stamp is {ahead_ns * 1e-9:.2f} s in the future: synchronise the computers' clocks (NTP, PTP){cure}"
        )
    return min(stamp_ns, arrived_ns)


def why_old(stamp_age_s: float, arrival_age_s: float, limit_s: float, lacks: tuple[str, ...] = ()) -> str:
    """In which way something is older than its limit, where that is known; `lacks`: what the newest message does not hold."""
    if arrival_age_s > limit_s or stamp_age_s <= limit_s:
        return ""
    if lacks:
        return f": the newest message lacks {', '.join(lacks)}"
    return f" by its stamp, {arrival_age_s:.2f} s by its arrival: it comes late, or the computers' clocks differ"
