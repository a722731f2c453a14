"""The gate between the actor and the robot: pure, no ROS, no JAX.

`rules` says when the robot must be at rest and which commands are none, `contact` how it backs off, `bounds` where it may be,
`shape` what a command becomes; `gate` puts them together and keeps what was last commanded.
"""

from jsac_ros.control.safety.gate import Decision, Gate, gate_of

__all__ = ["Decision", "Gate", "gate_of"]
