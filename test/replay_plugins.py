"""An algorithm of somebody else's: the replay process needs of it what every algorithm has."""

from jsac_ros.agent import Algorithm as Base


class Algorithm(Base):
    @staticmethod
    def build(parameters, spaces):
        raise NotImplementedError("replay does not learn")
