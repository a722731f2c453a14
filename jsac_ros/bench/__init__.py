"""Measurements of the learning step and of acting, beside the same step in PyTorch."""
