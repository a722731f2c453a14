"""Arms, their limits and kinematics, and the simulators that stand in for them."""
