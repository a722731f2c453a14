"""`jsac-ros new`: writes the skeleton of a user's package."""
