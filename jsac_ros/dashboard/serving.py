"""The HTTP server of a page, and the address on which it listens."""

from __future__ import annotations

import errno
import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn import Server

from jsac_ros.config import ConfigError


def listen(host: str, port: int) -> socket.socket:
    """Raises ConfigError if `host` is not an address of this computer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for wanted in (port, 0):  # if the port is in use, any free one
        try:
            return socket.create_server((host, wanted), family=family)
        except OSError as error:
            problem = error.strerror.partition(" (while")[0]
            if error.errno != errno.EADDRINUSE:
                break
    raise ConfigError(f"dashboard.host {host}, dashboard.port {port}: {problem}; expected an address of this computer")


def address_of(host: str, listening: socket.socket) -> str:
    """The URL for a browser: "http://127.0.0.1:8642"."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{listening.getsockname()[1]}"


def server_of(app: ASGIApp) -> Server:
    """`run(sockets=[...])` serves until `should_exit` is set."""
    settings = uvicorn.Config(
        app, log_level="warning", access_log=False, ws="websockets-sansio", lifespan="off", timeout_graceful_shutdown=1,
        timeout_keep_alive=300,  # a button that is pressed after minutes needs no new connection
    )  # fmt: skip
    return Server(settings)
