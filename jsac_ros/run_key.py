"""Message authentication codes between an actor and replay: which messages belong to this run.

Without SROS2 any process may publish on any topic. One foreign acknowledgement would make an actor drop a transition that
no store holds; one foreign transition with a large sequence number would make replay take the actor's own for duplicates.
So both carry a keyed BLAKE2b (RFC 7693) of all their fields. The starter draws the key and writes it to the run folder,
readable for this user only. Processes on several computers share no folder: `run.key` names a file with the same
content on each. Without either (a node started by hand) every code is accepted; docs/security.md explains what holds then.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from jsac_ros.config import ConfigError, SystemConfig

FILE = "key"  # in the run folder
MAC_BYTES = 16
_LEAST_BYTES, _MOST_BYTES = 16, 4096
_NUMBERS = {
    "boolean": "<?", "double": "<d", "uint8": "<B", "uint16": "<H", "uint32": "<I", "uint64": "<Q",
    "int8": "<b", "int16": "<h", "int32": "<i", "int64": "<q",
}  # fmt: skip


class ForeignMessage(ValueError):
    """A message that was not sent by a process of this run."""


class RunKey:
    """Signs messages with a field `uint8[16] mac`, and checks them. `secret` None: signs nothing, accepts everything."""

    def __init__(self, secret: bytes | None):
        self.secret = None if secret is None else hashlib.blake2b(secret).digest()

    @classmethod
    def of(cls, config: SystemConfig) -> RunKey:
        """The key from `run.key`, or from the run folder that the starter made. Raises ConfigError."""
        if config.run.key:
            return cls(_read(Path(config.run.key).expanduser()))
        file = Path(os.environ.get("JSAC_RUN_FOLDER", "")) / FILE
        return cls(_read(file) if "JSAC_RUN_FOLDER" in os.environ and file.exists() else None)

    def sign(self, message: Any) -> None:
        """Fills in `mac`, after all other fields."""
        if self.secret is not None:
            message.mac = np.frombuffer(self._mac(message), np.uint8)

    def check(self, message: Any) -> None:
        """Raises ForeignMessage if `mac` is not that of this run."""
        if self.secret is not None and not hmac.compare_digest(bytes(message.mac), self._mac(message)):
            raise ForeignMessage("its authentication code is not this run's: sent by another process, or with another run.key")

    def _mac(self, message: Any) -> bytes:
        kind = type(message).__name__.encode()[: hashlib.blake2b.PERSON_SIZE]
        digest = hashlib.blake2b(digest_size=MAC_BYTES, key=self.secret, person=kind)
        for part in _content(message):
            digest.update(part)
        return digest.digest()


def make(folder: Path) -> None:
    """Draws the key of a run, in its folder."""
    file = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(file, "wb") as opened:
        opened.write(secrets.token_bytes(32))


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            state, secret = os.fstat(file.fileno()), file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"run.key {path}: {error.strerror}; expected a file") from None
    mode = stat.S_IMODE(state.st_mode)
    if state.st_uid != os.getuid() or mode & 0o077:
        raise ConfigError(f"run.key {path}: of user {state.st_uid}, mode {mode:o}; expected your own, mode 0600 (chmod 600)")
    if not _LEAST_BYTES <= len(secret) <= _MOST_BYTES:
        raise ConfigError(f"run.key {path}: {len(secret)} bytes; expected {_LEAST_BYTES} to {_MOST_BYTES}")
    return secret


def _content(message: Any) -> Iterator[bytes | memoryview]:
    """Every field except `mac`, in order, serialised; a value without a fixed size is preceded by its length."""
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if name == "mac":
            continue
        if kind in _NUMBERS:
            yield struct.pack(_NUMBERS[kind], value)
        elif kind == "float":
            yield np.float32(value).tobytes()
        elif hasattr(value, "get_fields_and_field_types"):
            yield from _content(value)
        elif isinstance(value, list):  # of messages or of strings
            yield struct.pack("<Q", len(value))
            for element in value:
                yield from _content(element) if not isinstance(element, str) else _bytes(element.encode())
        else:
            yield from _bytes(value.encode() if kind == "string" else memoryview(value).cast("B"))


def _bytes(data: bytes | memoryview) -> Iterator[bytes | memoryview]:
    yield struct.pack("<Q", len(data))
    yield data
