"""Access control of the dashboard: reading by host name and origin, commands by the run's token."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

from jsac_ros import documents
from jsac_ros.config import ConfigError
from jsac_ros.files import replaced

FILE = "dashboard_token"  # in the run folder, readable only by this user
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Access:
    def __init__(self, token: str, hosts: Iterable[str] = ()):
        """hosts: names of this computer for other computers; if there are any, its addresses are accepted too."""
        self.token, self._hosts = token, {host.lower() for host in (*_LOCAL, *hosts)}

    def may_look(self, host: str | None, origin: str | None) -> bool:
        """host: of the request; origin: of the page that makes it, None if the browser sends none.

        Rejects an unknown host name, which indicates DNS rebinding, and an origin other than this page.
        """
        name = _name(host or "")
        if name not in self._hosts and not (self.open and _is_address(name)):
            return False
        return origin is None or origin.partition("://")[2].lower() == (host or "").lower()

    def may_do(self, token: str | None) -> bool:
        return hmac.compare_digest((token or "").encode(), self.token.encode())

    @property
    def open(self) -> bool:
        """Whether other computers have access."""
        return bool(self._hosts - set(_LOCAL))


def access_of(folder: Path, host: str) -> Access:
    """Access with the token of the run, which is created if there is none. host: address that the page is served on.

    Raises ConfigError if the token's file cannot be used.
    """
    names = () if host in _LOCAL else (host, socket.gethostname(), f"{socket.gethostname()}.local")
    return Access(_token(folder / FILE), names)


def _token(path: Path) -> str:
    try:
        if not path.exists():
            with replaced(path) as file:
                file.touch(mode=0o600)
                file.write_text(secrets.token_urlsafe(16) + "\n")
        token = documents.read(path, documents.JSON_BYTES).strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", "") or documents.one_line(error)
        raise ConfigError(f"{path}: {why}; expected a file that this user can write") from None
    if len(token) < 16:
        raise ConfigError(f"{path}: has {len(token)} characters; expected at least 16 (remove it for a new one)")
    return token


def _name(host: str) -> str:
    """The host name without the port, from 'localhost:8642' or '[::1]:8642'."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
