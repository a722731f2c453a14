"""The web application: one page, a web socket that sends changes and images at the viewer's pace, and commands (verbs).

It does not depend on ROS. A request without the run's token is read-only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import mimetypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from jsac_ros.control.verbs import EMERGENCY_STOP
from jsac_ros.dashboard.access import Access
from jsac_ros.dashboard.hub import Hub, Reader
from jsac_ros.dashboard.recorded import Recorded

STATIC = Path(__file__).with_name("static")
mimetypes.add_type("text/javascript", ".js")  # whatever the system's table says: browsers reject modules of other types
_UNSUPPORTED_DATA = 1003  # of RFC 6455
_PERIOD_S = 0.2  # between checks for changes
_READERS = 4  # threads that read episodes
_ASKERS = 8  # threads in which verbs wait for their answers; the emergency stop waits for none of them
_POLICY = "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"

Verb = Callable[[str], tuple[bool, str]]  # verb -> whether it is accepted, and what will happen


def create_app(hub: Hub, access: Access, recorded: Recorded, do: Verb, verbs: tuple[str, ...]) -> ASGIApp:
    """do: executes a verb, called in a thread; verbs: the names that it accepts. `emergency-stop` must return at once."""
    reading, asking, stopping = ThreadPoolExecutor(_READERS), ThreadPoolExecutor(_ASKERS), ThreadPoolExecutor(1)

    async def look(socket: WebSocket) -> None:
        await socket.accept()
        try:
            with Reader(hub) as reader:
                await _serve_viewer(socket, hub, reader)
        except WebSocketDisconnect:
            pass
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError):  # malformed message, or the viewer left
            with contextlib.suppress(RuntimeError):
                await socket.close(_UNSUPPORTED_DATA)

    async def verb(request: Request) -> Response:
        name = request.path_params["name"]
        if not access.may_do(request.headers.get("x-jsac-token")):
            return JSONResponse({"success": False, "message": "the run's token is missing or wrong: read-only"}, 403)
        if name not in verbs:
            return JSONResponse({"success": False, "message": f"verb is {name!r}; expected {', '.join(verbs)}"}, 404)
        threads = stopping if name == EMERGENCY_STOP else asking
        success, message = await asyncio.get_running_loop().run_in_executor(threads, do, name)
        return JSONResponse({"success": success, "message": message}, 200 if success else 409)

    async def token(request: Request) -> Response:
        return JSONResponse({"may_do": access.may_do(request.headers.get("x-jsac-token"))})

    async def episode(request: Request) -> Response:
        found = await asyncio.get_running_loop().run_in_executor(reading, recorded.episode, _key(request))
        return JSONResponse(found) if found else _missing()

    async def sheet(request: Request) -> Response:
        key, image = _key(request), request.path_params["image"]
        found = await asyncio.get_running_loop().run_in_executor(reading, recorded.sheet, key, image)
        if not found:
            return _missing()
        jpeg, columns, count = found
        return Response(jpeg, media_type="image/jpeg", headers={"x-columns": str(columns), "x-frames": str(count)})

    async def page(_: Request) -> Response:
        return Response((STATIC / "index.html").read_bytes(), media_type="text/html; charset=utf-8")

    place = "/episode/{robot:path}/{session:int}/{episode:int}"  # a robot in namespaces is "lab/left"
    app = Starlette(
        routes=[
            Route("/", page),
            WebSocketRoute("/look", look),
            Route("/token", token),
            Route("/do/{name}", verb, methods=["POST"]),
            Route(place, episode),
            Route(place + "/{image}.jpg", sheet),
            Mount("/static", StaticFiles(directory=STATIC, follow_symlink=True)),  # for colcon build --symlink-install
        ]
    )
    return Guard(app, access)


class Guard:
    """Wraps the application: rejects foreign hosts and origins, and sets the content security policy."""

    def __init__(self, app: ASGIApp, access: Access):
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        if not self._access.may_look(headers.get("host"), headers.get("origin")):
            if scope["type"] == "websocket":
                await receive()
                return await send({"type": "websocket.close", "code": 4403})
            return await Response("foreign host or origin", 403)(scope, receive, send)

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                extra = {"content-security-policy": _POLICY, "x-content-type-options": "nosniff", "cache-control": "no-store"}
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in extra.items())]
            await send(message)

        return await self._app(scope, receive, send_with_policy)


async def _serve_viewer(socket: WebSocket, hub: Hub, reader: Reader) -> None:
    """Sends changes as text and images as bytes (JSON header, a zero byte, image), each image after the last was confirmed."""
    wanted, seen = [], {}
    may_send = asyncio.Event()
    may_send.set()

    async def listen() -> None:
        nonlocal wanted
        while True:
            said = json.loads(await socket.receive_text())
            if "images" in said:
                wanted = [str(name) for name in said["images"]][:32]
                reader.want(wanted)
            if said.get("seen"):
                may_send.set()

    listening = asyncio.create_task(listen())
    try:
        while not listening.done():
            changes = reader.changes()
            if changes:
                await socket.send_text(json.dumps(changes, allow_nan=False))
            for name in wanted:
                image = hub.image(name)
                if image is not None and image.version != seen.get(name) and may_send.is_set():
                    seen[name] = image.version
                    may_send.clear()
                    await socket.send_bytes(json.dumps({"image": name}).encode() + b"\0" + image.coded)
                    with contextlib.suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(may_send.wait(), _PERIOD_S)
            await asyncio.sleep(_PERIOD_S / 2 if wanted else _PERIOD_S)
        listening.result()
    finally:
        listening.cancel()


def _key(request: Request) -> tuple[str, int, int]:
    path = request.path_params
    return path["robot"], path["session"], path["episode"]


def _missing() -> Response:
    return JSONResponse({"message": "the store does not have this episode (any more)"}, 404)
