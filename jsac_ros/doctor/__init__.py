"""`jsac-ros doctor`: whether this computer and what is connected to it are fit for a run, before the first one."""
