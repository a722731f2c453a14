"""Adapts a configuration to a rig: the crop from an image (`jsac-ros crop`), limits from taught poses (`jsac-ros teach`)."""
