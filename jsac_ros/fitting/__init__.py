"""Fitting a configuration to what is there, by looking and by hand: `jsac-ros crop` and `jsac-ros teach`."""
