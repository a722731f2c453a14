"""Tasks: what is earned, when an episode ends, how the next one begins, and the scene in which it is simulated."""
