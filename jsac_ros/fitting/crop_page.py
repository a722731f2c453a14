"""The page of `jsac-ros crop`: the image, and the frame that results from a crop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from jsac_ros.config import CameraConfig, ConfigError
from jsac_ros.control.images import FrameMaker
from jsac_ros.dashboard.access import Access
from jsac_ros.dashboard.app import STATIC, Guard
from jsac_ros.fitting import edit

Crop = tuple[int, ...]  # top, left, height, width; () for the whole image


class Cropping:
    """One camera, its newest image, and the file that the crop is written to."""

    def __init__(self, name: str, camera: CameraConfig, look: Callable[[], np.ndarray], source: Path, target: Path):
        """look: returns the newest image, uint8 [H, W, channels]; source: configuration file to read; target: file to write."""
        self.name, self.camera, self.written = name, camera, False
        self.ends: Callable[[], None] = lambda: None  # called after writing
        self._look, self._source, self._target = look, source, target
        self.image = look()

    def look_again(self) -> None:
        """Gets a new image. Raises ConfigError if none arrives."""
        self.image = self._look()

    def frame(self, crop: Crop) -> np.ndarray:
        """The frame with this crop, uint8 [height, width, channels]. Raises ValueError with one line."""
        try:
            camera = CameraConfig.model_validate({**self.camera.model_dump(), "crop": crop})
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return FrameMaker(camera).of_image(self.image)

    def write(self, crop: Crop) -> str:
        """Writes the crop; returns the difference of the file. Raises ValueError like `frame`, ConfigError if writing fails."""
        self.frame(crop)
        before = edit.read(self._source)
        after = edit.edited(before, {f"cameras.{self.name}.crop": crop})
        edit.write(self._target, after)
        self.written = True
        return edit.difference(before, after, str(self._target))


def create_app(cropping: Cropping, access: Access) -> ASGIApp:
    async def page(_: Request) -> Response:
        return Response((STATIC / "crop.html").read_bytes(), media_type="text/html; charset=utf-8")

    async def about(_: Request) -> Response:
        camera, (rows, columns) = cropping.camera, cropping.image.shape[:2]
        return JSONResponse(
            {"camera": cropping.name, "topic": camera.topic, "source": [rows, columns],
             "frame": [camera.height, camera.width], "crop": list(camera.crop)}
        )  # fmt: skip

    async def source(_: Request) -> Response:
        return _png(cropping.image)

    async def frame(request: Request) -> Response:
        try:
            return _png(await run_in_threadpool(cropping.frame, _crop(request.query_params.get("crop", ""))))
        except ValueError as error:
            return JSONResponse({"message": str(error)}, 422)

    async def look(request: Request) -> Response:
        if not access.may_do(request.headers.get("x-jsac-token")):
            return _read_only()
        try:
            await run_in_threadpool(cropping.look_again)
        except ValueError as error:
            return JSONResponse({"success": False, "message": str(error)}, 409)
        return JSONResponse({"success": True, "message": ""})

    async def write(request: Request) -> Response:
        if not access.may_do(request.headers.get("x-jsac-token")):
            return _read_only()
        try:
            changed = await run_in_threadpool(cropping.write, _crop(request.query_params.get("crop", "")))
        except ValueError as error:  # also a ConfigError
            return JSONResponse({"success": False, "message": str(error)}, 409)
        cropping.ends()
        return JSONResponse({"success": True, "message": changed or "the file has this crop already"})

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/about", about),
            Route("/source.png", source),
            Route("/frame.png", frame),
            Route("/look", look, methods=["POST"]),
            Route("/write", write, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC, follow_symlink=True)),
        ]
    )
    return Guard(app, access)


def _crop(text: str) -> Crop:
    """Parses "10,20,200,300" or "". Raises ValueError."""
    try:
        return tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        raise ConfigError(f"crop is {text[:80]!r}; expected top,left,height,width") from None


def _png(image: np.ndarray) -> Response:
    coded = cv2.imencode(".png", image[..., ::-1] if image.shape[-1] == 3 else image)[1]
    return Response(coded.tobytes(), media_type="image/png")


def _read_only() -> Response:
    return JSONResponse({"success": False, "message": "the token of the page's address is missing or wrong: read-only"}, 403)
