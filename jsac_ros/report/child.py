"""`python -m jsac_ros.report.child VERB ...`: `jsac-ros VERB ...` that ends with the process that started it.

The reporter measures and draws in such children: their memory goes away with them, and nothing survives a kill.
"""

import ctypes
import signal
import sys

from jsac_ros.__main__ import main

_PR_SET_PDEATHSIG = 1

ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
sys.exit(main(sys.argv[1:]))
