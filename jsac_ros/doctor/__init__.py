"""`jsac-ros doctor`: checks this computer and the drivers before a run."""
