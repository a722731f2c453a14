"""An algorithm of somebody else's: the replay process needs of it what every algorithm has."""

from jsac_ros.config import AgentParameters


class Algorithm:
    Parameters = AgentParameters
