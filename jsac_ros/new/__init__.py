"""`jsac-ros new`: writes the beginnings of a package of the user's own."""
