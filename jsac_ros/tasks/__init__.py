"""Tasks: reward, end of an episode, reset, and the scene in which a task is simulated."""
