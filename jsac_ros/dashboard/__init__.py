"""The page on which a run is watched: what its node knows, as plain data, and a web application that shows it."""
