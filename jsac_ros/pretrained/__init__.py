"""Frozen encoders with published weights: the policy sees their features instead of images."""
