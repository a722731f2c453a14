"""Simulators that replace a robot's driver, cameras and sensors."""
