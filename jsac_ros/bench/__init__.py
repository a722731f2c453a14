"""Measurements of updates, acting, control, replay and faults on this machine."""
