"""Selects the crop of a camera with the mouse, on a page that also shows the resulting frame.

  jsac-ros crop my_ur5.yaml --open                      live image of the only camera, in a browser
  jsac-ros crop my_ur5.yaml --camera wrist --bag runs/NAME --at 3.5
                                                        image from a recording, 3.5 s after its start
  jsac-ros crop ur5_reacher --image photo.png --out my_ur5.yaml
                                                        image from a file; a shipped configuration is copied

The page is served only to this computer and needs the token in its address to write. "Write" sets `cameras.NAME.crop` in the
file and keeps its comments. The frame is computed as in a run, with the size, channels and depth range of the configuration.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from jsac_ros import domain
from jsac_ros.config import CameraConfig, ConfigError, SystemConfig
from jsac_ros.fitting import edit
from jsac_ros.fitting.looking import Looking
from jsac_ros.parameters import load, parse_override

HOST = "127.0.0.1"
Look = Callable[[], np.ndarray]  # -> the newest image, uint8 [H, W, channels]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", help="a file, or the name of a shipped configuration")
    parser.add_argument(
        "overrides", nargs="*", default=[], metavar="key=value", help="section.field=value, not written to the file"
    )
    parser.add_argument("--camera", default="", metavar="NAME", help="name of the camera, if there are several")
    parser.add_argument("--namespace", default="", metavar="NAME", help="namespace of the camera's topic, unless absolute")
    parser.add_argument("--image", type=Path, metavar="FILE", help="use an image file instead of the live image")
    parser.add_argument("--bag", type=Path, metavar="BAG", help="use a recording instead of the live image")
    parser.add_argument("--at", type=float, default=0.0, metavar="S", help="with --bag: seconds after its start (default 0)")
    parser.add_argument("--out", type=Path, metavar="FILE.yaml", help="file to write instead of the configuration")
    parser.add_argument("--port", type=int, default=0, help="port of the page (default: any free one)")
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def main(arguments: argparse.Namespace) -> int:
    """Returns 1 if nothing was written. Raises ConfigError."""
    from jsac_ros.dashboard import opening, serving
    from jsac_ros.dashboard.access import Access
    from jsac_ros.fitting.crop_page import Cropping, create_app

    source, target = edit.target_of(arguments.config, arguments.out)
    overrides = dict(map(parse_override, arguments.overrides))
    config = load(source, overrides, kinds=())
    name = camera_of(config, arguments.camera)
    token = secrets.token_urlsafe(16)
    with looks(arguments, source, overrides, name, config.cameras[name]) as look:
        cropping = Cropping(name, config.cameras[name], look, source, target)
        listening = serving.listen(HOST, arguments.port)
        server = serving.server_of(create_app(cropping, Access(token)))
        cropping.ends = lambda: setattr(server, "should_exit", True)
        with listening, tempfile.TemporaryDirectory() as folder:
            url = f"{serving.address_of(HOST, listening)}/#token={token}"
            opening.write_address(Path(folder), url)
            print(f"crop: {url}", flush=True)
            if arguments.open and not opening.open_page(Path(folder)):
                print("no browser could be started; open this address yourself", flush=True)
            server.run(sockets=[listening])
    print(f"written: {target}: cameras.{name}.crop" if cropping.written else "nothing was written")
    return 0 if cropping.written else 1


def camera_of(config: SystemConfig, name: str) -> str:
    """The name of the camera. Raises ConfigError if it does not exist, or if it is ambiguous."""
    known = sorted(config.cameras)
    if not known:
        raise ConfigError("cameras is empty; expected a camera to crop")
    if not name and len(known) == 1:
        return known[0]
    if name not in known:
        given = f"--camera {name}" if name else f"cameras are {', '.join(known)}"
        raise ConfigError(f"{given}; expected --camera NAME, one of {', '.join(known)}")
    return name


@contextlib.contextmanager
def looks(
    arguments: argparse.Namespace, source: Path, overrides: dict[str, object], name: str, camera: CameraConfig
) -> Iterator[Look]:
    """The source of images. Raises ConfigError if there is no first image."""
    if arguments.image and arguments.bag:
        raise ConfigError(f"--image {arguments.image} and --bag {arguments.bag}; expected one of them")
    if arguments.image or arguments.bag:
        image = of_file(arguments.image, camera) if arguments.image else of_bag(arguments.bag, camera, arguments.at)
        yield lambda: image
        return
    lock = threading.Lock()
    with Looking(source, overrides, domain.absolute(arguments.namespace), name) as looking:

        def live() -> np.ndarray:
            with lock:
                coded = np.frombuffer(base64.b64decode(looking.newest()["png"]), np.uint8)
            return _decoded(coded, camera)

        live()
        yield live


def of_file(path: Path, camera: CameraConfig) -> np.ndarray:
    """Raises ConfigError."""
    try:
        return _decoded(np.frombuffer(path.read_bytes(), np.uint8), camera)
    except OSError as error:
        raise ConfigError(f"--image {path}: {error.strerror}; expected an image file") from None
    except (ValueError, cv2.error):
        raise ConfigError(f"--image {path}: cannot be decoded; expected an image file such as PNG or JPEG") from None


def of_bag(path: Path, camera: CameraConfig, at_s: float) -> np.ndarray:
    """The first image of the camera's topic from `at_s` seconds on. Raises ConfigError."""
    from jsac_ros.bags.reader import IMAGES, Bag
    from jsac_ros.bags.recorded_file import BagError
    from jsac_ros.control.images import to_rgb

    try:
        with Bag(path) as bag:
            topic = bag.find("the camera's topic", camera.topic, IMAGES)
            from_ns = bag.start_ns + round(at_s * 1e9)
            for record in bag.messages([topic.name], from_ns):
                return to_rgb(bag.decode(record), camera.channels, camera.depth_range_m).copy()
            length = f"{bag.duration_s:.1f} s"
            raise ConfigError(f"--at {at_s:g}: {topic.name} has no image after that; the recording is {length} long")
    except (BagError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"--bag {path}: {' '.join(str(error).split())}") from None


def _decoded(coded: np.ndarray, camera: CameraConfig) -> np.ndarray:
    """uint8 [H, W, channels], RGB or grey. Raises ValueError."""
    image = cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE if camera.channels == 1 else cv2.IMREAD_COLOR) if len(coded) else None
    if image is None:
        raise ValueError("no image")
    return image[..., None] if camera.channels == 1 else image[..., ::-1]
