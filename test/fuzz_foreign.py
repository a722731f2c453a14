"""What a person, another program or a browser brings, each as it should be and spoiled: parts of `fuzz.py`.

Each part yields, without end, what to try. All of it is accepted, or refused by a ValueError of one line.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from fuzz import WORDS, change, spoiled, value_of
from fuzz_files import copies, resized
from pydantic import BaseModel

CONFIG = Path(__file__).parents[1] / "config"


def images(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """Every kind of image, whole and spoiled, through the maker of frames and the decoder of transitions."""
    import cv2
    from replay_cases import SPACES, make_transition

    from jsac_ros.config import CameraConfig
    from jsac_ros.control.images import _ENCODINGS, FrameMaker
    from jsac_ros.messages import from_message, to_message
    from jsac_ros.nodes.transitions import CLASSES

    picture = np.random.default_rng(rng.randrange(2**32)).integers(0, 256, (24, 32, 3), np.uint8)
    coded = [cv2.imencode(kind, picture)[1].tobytes() for kind in (".jpg", ".png")]
    coded += [cv2.imencode(".png", picture.astype(np.uint16)[..., 0])[1].tobytes()]
    kinds = ({"channels": 3}, {"channels": 1}, {"channels": 1, "depth_range_m": (0.1, 3.0)})
    make = FrameMaker(CameraConfig(height=12, width=16, **rng.choice(kinds)))
    while True:
        if rng.random() < 0.5:
            data = rng.choice((*coded, bytes(12) + coded[2], b"", rng.randbytes(40)))
            message = SimpleNamespace(format=rng.choice(WORDS), data=spoiled(data, rng) if rng.random() < 0.7 else data)
            transition = to_message(make_transition(), CLASSES)
            (frame,) = transition.frames
            frame.encoding, frame.data = rng.choice(("jpeg", "raw")), message.data
            for _ in range(rng.choice((0, 1, 2))):
                change(rng.choice((frame, *transition.observation, *transition.action, *transition.sources)), rng)
            yield lambda: from_message(transition, SPACES)
        else:
            height, width, bytes_each = rng.choice(((24, 32, 3), (2, 2, 4), (1, 1, 1), (24, 33, 2), (36, 32, 1), (0, 5, 3)))
            message = SimpleNamespace(
                height=height, width=width, encoding=rng.choice(list(_ENCODINGS)), is_bigendian=rng.choice((0, 0, 1, 7)),
                step=width * bytes_each, data=rng.randbytes(height * width * bytes_each),
            )  # fmt: skip
            for _ in range(rng.choice((0, 0, 1, 2))):
                name = rng.choice(("height", "width", "step"))
                setattr(message, name, value_of("uint32", rng))
        yield lambda: make(message)


def configurations(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """Files of `config/`, spoiled; overrides; the parameters of a node."""
    from jsac_ros import parameters
    from jsac_ros.rig import Rig

    good = [path.read_bytes() for path in sorted(CONFIG.glob("*.yaml"))]
    path, demo = folder / "config.yaml", parameters.load(CONFIG / "ur5_reacher_demo.yaml")
    names = [f"{a}.{b}" for a, section in demo if isinstance(section, BaseModel) for b, _ in section]
    names += [f"cameras.wrist.{name}" for name, _ in demo.cameras["wrist"]] + ["actions.arm.type", "sensors.force.fields"]
    values = ("1", "-1", "1e400", ".nan", "null", "[[1]]", "{a: 1}", "&a [*a]", "2001-99-99", "!!python/object:os.system x",
              "'", "[" * 2000, "0x", "1:2:3", "true", "9" * 5000, *WORDS)  # fmt: skip
    while True:
        path.write_bytes(spoiled(rng.choice(good), rng, 6))
        yield lambda: Rig(parameters.load(path)).problems()
        text = f"{rng.choice(names)}={rng.choice(values)}"
        yield lambda: parameters.from_parameters(dict([parameters.parse_override(text)]))
        tree = {rng.choice(names): value_of(rng.choice(("double", "int64", "string", "sequence<double>", "boolean")), rng)}
        yield lambda: parameters.from_parameters(tree)


def recordings(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """A recording with one spoiled file: what is in it, what is wrong with it, and every message decoded."""
    from bag_cases import record_run, tiny_config

    from jsac_ros.bags.check import check
    from jsac_ros.bags.reader import Bag

    good, at = folder / "good_bag", folder / "bag"
    record_run(good, tiny_config(), ticks=30)

    def use():
        with Bag(at) as bag:
            check(bag)
            for record in bag.messages():
                bag.knows(record.type) and bag.decode(record)

    for _ in copies(good, at, rng):
        yield use


def mappings(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """Mappings of a person's device, and what the device then says."""
    from rig_cases import REACHER, rig_of

    from jsac_ros.control import teleop
    from jsac_ros.control.leader import LeaderReading

    good = [path.read_bytes() for path in sorted((CONFIG / "teleop").glob("*.yaml"))]
    path, rig = folder / "mine.yaml", rig_of(REACHER)

    def use():
        mapping = teleop.load(str(path))
        device = teleop.device_of(mapping, rig)
        for now_s in (0.0, 0.1, 0.2):
            numbers = value_of("sequence<float>", rng)
            pressed = frozenset(rng.sample(range(12), 3))
            if mapping.source == "leader":
                device.hear(LeaderReading(dict(zip(rig.robot.names, numbers)), pressed, rig.robot.home), now_s)
            else:
                device.hear(teleop.Reading(np.array(numbers), pressed), now_s)

    while True:
        path.write_bytes(spoiled(rng.choice(good), rng, 6))
        yield use


def urdfs(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """A robot's description, from its file and from its topic."""
    from rig_cases import robot_of

    from jsac_ros.robots.description import urdf_of
    from jsac_ros.robots.frames import Frames

    good, path = urdf_of(robot_of("ur5e")).encode(), folder / "arm.urdf"

    def use():
        arm = robot_of("urdf", urdf=str(path), base_link="base_link", tool_link="tool0")
        arm.forward(arm.home, "base_link")
        urdf_of(arm)

    while True:
        path.write_bytes(spoiled(good, rng))
        yield use
        yield lambda: Frames(path.read_text(errors="replace")).moved({"elbow_joint": 0.5})


def scenes(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """The MJCF of a robot, and of what lies before it."""
    from rig_cases import config_of

    from jsac_ros.rig import Rig
    from jsac_ros.sim.mujoco import model
    from jsac_ros.tasks.mujoco_scene import MujocoScene
    from jsac_ros.tasks.push import scene as pushed

    rig = Rig.of(config_of({"robot.type": "ur5e", "task.type": "shadow", "actions.arm.type": "joint_velocity"}))
    robot, theirs = model.ROBOT.read_bytes(), Path(pushed.__file__).with_name("scene.xml").read_bytes()
    path, scene = folder / "robot.xml", MujocoScene()

    def use():
        model.find(model.compile_scene(scene, path, (8, 8), "a task"), rig)

    while True:
        path.write_bytes(spoiled(robot, rng) if rng.random() < 0.7 else robot)
        scene.xml = MujocoScene.xml if rng.random() < 0.7 else spoiled(theirs, rng).decode(errors="replace")
        yield use


def datasets(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """A LeRobot dataset with images in its tables, and, where PyAV is installed, one with a film."""
    from rig_cases import rig_of
    from test_bags_lerobot import FILMED, TINY, filmed, theirs

    from jsac_ros.bags.lerobot_import import Dataset

    at = folder / "set"
    theirs(folder / "tables")
    kinds = [(copies(folder / "tables", at, rng, ("meta/info.json",)), rig_of(TINY))]
    with contextlib.suppress(ImportError):
        filmed(folder / "film")
        kinds.append((copies(folder / "film", at, rng, ("meta/info.json",)), rig_of(FILMED)))

    def use(rig):
        found = Dataset(at, rig, {"eye": "observation.images.top", "joint_position": "observation.state"})
        found.count_rows()
        for _ in found.episodes():
            pass

    while True:
        made, rig = rng.choice(kinds)
        next(made)
        yield lambda: use(rig)


def pages(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """What a browser, or another program, sends to the dashboard."""
    import logging

    from replay_cases import SPACES, make_episode
    from starlette.testclient import TestClient
    from starlette.websockets import WebSocketDisconnect
    from test_dashboard_app import PAGE, SOCKET, TOKEN, Page

    from jsac_ros.replay.store import FrameStore

    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    store = FrameStore.open(folder / "replay", SPACES, 32)
    for transition in make_episode(20):
        store.append(transition)
    store.close()
    page = Page(folder)
    page.client = TestClient(page.client.app, base_url=PAGE)
    page.hub.set("run", {"name": "demo"})
    page.hub.set_image("wrist", b"\xff\xd8")
    good = [{"images": ["wrist"]}, {"images": ["wrist", "none"], "seen": True}, {"seen": True}, [], 1, "a"]
    words = (*WORDS, "ur5/1/0", "ur5/1/0/wrist.jpg", "ur5/-1/x", f"a/{2**70}/{2**70}", "pause", "token", "static/app.js")
    words = tuple(word for word in words if word.isprintable())

    def ask():
        """Raises what the application raises."""
        path = "/".join(("", rng.choice(("do", "episode", "static", "token", "look", "")), rng.choice(words)[:2000]))
        headers = {"x-jsac-token": rng.choice((TOKEN, "", "x"))} | rng.choice(({}, {"origin": "null"}, {"host": "a:b:c"}))
        answer = page.client.request(rng.choice(("GET", "POST", "HEAD")), path, headers=headers)
        assert answer.status_code < 500, path

    def look():
        text = (
            json.dumps(resized({"said": rng.choice(good)}, rng)["said"]) if rng.random() < 0.5 else json.dumps(rng.choice(good))
        )
        text = rng.choice((text, spoiled(text.encode(), rng).decode(errors="replace"), "[" * 100_000, "9" * 5000, "1e999"))
        with page.client.websocket_connect(SOCKET, headers={"origin": PAGE}) as viewer:
            viewer.receive_text()
            with contextlib.suppress(WebSocketDisconnect):
                viewer.send_text(text) if rng.random() < 0.9 else viewer.send_bytes(text.encode())
                viewer.send_text(json.dumps({"images": []}))
        assert page.hub.viewers == 0

    while True:
        yield look if rng.random() < 0.3 else ask


def encoders(rng: random.Random, folder: Path) -> Iterator[Callable]:
    """Published weights as they are converted, and the converted file as it is read."""
    import pickle

    from pretrained_cases import basic, encoder_file
    from safetensors.numpy import save

    from jsac_ros.pretrained import files
    from jsac_ros.pretrained.convert import convert

    named, at = basic(), folder / "weights"
    good = {
        "weights.pkl": pickle.dumps(named), "weights.safetensors": save(named), "encoder": Path(encoder_file(folder)).read_bytes(),
    }  # fmt: skip

    def use(name, data):
        path = at.with_suffix(Path(name).suffix)
        path.write_bytes(data)
        return files.read(path) if name == "encoder" else convert(path, 4)

    while True:
        name = rng.choice(list(good))
        data = good[name] if rng.random() < 0.1 else spoiled(good[name], rng)
        yield lambda: use(name, data)


PARTS = (images, configurations, recordings, mappings, urdfs, scenes, datasets, pages, encoders)
