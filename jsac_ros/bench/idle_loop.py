"""An idle loop with the priority of the control threads, beside a running system. It measures the lateness of the machine.

`python -m jsac_ros.bench.idle_loop PERIOD_S PRIORITY` runs until SIGTERM and then prints one line of JSON.
"""

from __future__ import annotations

import json
import signal
import sys

from jsac_ros.control import realtime
from jsac_ros.control.rate import FixedRate
from jsac_ros.control.timing import Timing


def main() -> int:
    rate, lateness_ms = FixedRate(float(sys.argv[1])), Timing()
    signal.signal(signal.SIGTERM, lambda *_: rate.stop())
    realtime.fine_timers()
    realtime.process_first(int(sys.argv[2]))
    while (tick := rate.wait()) is not None:
        lateness_ms.add((tick.begun_ns - tick.due_ns) * 1e-6)
    print(json.dumps(dict(zip(("p50", "p99", "p999", "max"), lateness_ms.run()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
