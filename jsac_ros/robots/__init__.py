"""Robots: limits, kinematics, joint order, grippers."""
