"""Learns robot skills from pixels, live, on ROS 2.

`jsac_ros.train`, `load`, `evaluate`, `Run` and `Policy` are the Python API (`api.py`), imported on first use: the
processes that move a robot do not need it.
"""

from pkgutil import extend_path

# Run from the source tree, `jsac_ros.msg` is still found where colcon installed it.
__path__ = extend_path(__path__, __name__)
__all__ = ["Policy", "Run", "evaluate", "load", "train"]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from jsac_ros import api

    return getattr(api, name)
