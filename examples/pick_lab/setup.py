from glob import glob

from setuptools import setup

NAME = "pick_lab"

setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    package_data={NAME: ["*.xml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/config", glob("config/*.yaml")),
        (f"share/{NAME}/launch", glob("launch/*.launch.py")),
    ],
    # `task.type: pick_lab` finds the class by this name; `task.type: pick_lab.task:PickBottle` needs no entry.
    entry_points={"jsac_ros.tasks": [f"{NAME} = {NAME}.task:PickBottle"]},
    zip_safe=False,
)
