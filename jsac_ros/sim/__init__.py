"""Simulators in the place of a robot's driver, its cameras and its sensors."""
