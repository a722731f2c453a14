"""`python -m jsac_ros.report.child VERB ...` runs `jsac-ros VERB ...` and dies with its parent process.

The reporter measures and plots in such children, so that their memory is freed and none survives a kill of the reporter.
"""

import ctypes
import signal
import sys

from jsac_ros.__main__ import main

_PR_SET_PDEATHSIG = 1

ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
sys.exit(main(sys.argv[1:]))
