"""When a message was measured: one rule for the actor, the safety node and the offline tools.

By its stamp (`stamps: header`), or, if a driver's stamps are unusable, by its arrival (`stamps: arrival`), which hides
the delay of the message. An invalid stamp is never guessed at: the message is refused with one line that names
the case and the cure, the last value goes stale, and the robot holds.
"""

from __future__ import annotations

from jsac_ros.config import Stamps

# A stamp may be this far ahead of its arrival: two computers synchronised by NTP differ by milliseconds.
_AHEAD_NS = 50_000_000
# More than this from its arrival, it is from another clock: time since boot, a simulation's, another day's.
_OTHER_CLOCK_NS = 3600 * 1_000_000_000


class StampError(ValueError):
    """An unusable stamp; one line."""


def taken_ns(stamp_ns: int, arrived_ns: int, stamps: Stamps) -> int:
    """When a message that arrived at `arrived_ns` was measured, never later than that; both in ROS time.

    Raises StampError if `stamps` is "header" and the stamp is unset, in the future or of another clock. One that is merely
    old is not an error here: the age limit judges it.
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
    """Why an input is older than its limit, if known; `lacks`: what the newest message does not contain."""
    if arrival_age_s > limit_s or stamp_age_s <= limit_s:
        return ""
    if lacks:
        return f": the newest message lacks {', '.join(lacks)}"
    return f" by its stamp, {arrival_age_s:.2f} s by its arrival: it comes late, or the computers' clocks differ"
