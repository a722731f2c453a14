"""Frozen encoders learned elsewhere: from published weights to features that the policy sees instead of images."""
