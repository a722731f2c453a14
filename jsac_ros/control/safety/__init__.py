"""The gate between the actor and the robot: pure, no ROS, no JAX.

`rules`: when the robot must be at rest and which commands are refused; `contact`: how it backs off; `bounds`: where it may be;
`shape`: the motion for a command; `gate` combines them and keeps the last command; `configured` makes it.
"""

from jsac_ros.control.safety.configured import gate_of
from jsac_ros.control.safety.gate import STATES, Decision, Gate

__all__ = ["STATES", "Decision", "Gate", "gate_of"]
