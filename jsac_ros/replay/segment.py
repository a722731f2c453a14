"""A named segment of POSIX shared memory with bells (semaphores) and roles that one process can hold at a time.

A role is a byte of the segment held with an open-file-description lock: the kernel releases it at the instant its
holder dies, however it dies, so no process id or start time has to be trusted. A bell only means "look
again": the state is in the memory itself, so a count lost or left over by a crash does no harm.

Any user of this host can create a file with our name in /dev/shm first: one that is not this user's with mode 0600 is refused.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import posix_ipc

from jsac_ros.config import ConfigError, NoRoom
from jsac_ros.files import is_full

_MODE = 0o600
_LOCK_BASE = 1 << 40  # locked bytes need not exist: far beyond the end of any segment
_CREATION = 255  # role of the process that creates or removes the segment
_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length, pid (must be 0)


def _lock(fd: int, role: int, kind: int, wait: bool = False) -> bool:
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    try:
        fcntl.fcntl(fd, command, struct.pack(_FLOCK, kind, os.SEEK_SET, _LOCK_BASE + role, 1, 0))
        return True
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise


def _unlock_all(fd: int) -> None:
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_UNLCK, os.SEEK_SET, _LOCK_BASE, _CREATION + 1, 0))


def _held(fd: int, first: int = 0, count: int = _CREATION) -> bool:
    """Whether another open file holds any role of [first, first + count)."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, _LOCK_BASE + first, count, 0)
    return struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_OFD_GETLK, asked))[0] != fcntl.F_UNLCK


def _linked(fd: int) -> bool:
    return os.fstat(fd).st_nlink > 0


def _check_ours(name: str, found: os.stat_result) -> None:
    """Raises ConfigError if the file belongs to another user, is accessible to others, or is not shared memory."""
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"shared memory {name}: not a regular file; expected one of this user; remove /dev/shm{name}")
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(
            f"shared memory {name}: it belongs to user {found.st_uid} with mode {stat.S_IMODE(found.st_mode):04o}; "
            f"expected user {os.geteuid()} with mode {_MODE:04o}; another user or program created it: remove /dev/shm{name}"
        )


@contextmanager
def _refused(name: str) -> Iterator[None]:
    """Raises ConfigError with one line if the system refuses to open or remove the file of this name; NoRoom if it is full."""
    try:
        yield
    except (posix_ipc.PermissionsError, ValueError, OSError) as error:  # another user's, or a folder, a link, a socket
        if isinstance(error, OSError) and is_full(error):
            raise NoRoom(f"shared memory {name}: {error.strerror}; expected room in /dev/shm") from None
        raise ConfigError(
            f"shared memory {name}: {error}; expected one of user {os.geteuid()}; another user created it"
        ) from None


def _opened(name: str, flags: int = 0) -> posix_ipc.SharedMemory:
    """Raises ExistentialError if there is none, ConfigError if it does not belong to this user."""
    with _refused(name):
        memory = posix_ipc.SharedMemory(name, flags, mode=_MODE)
    try:
        _check_ours(name, os.fstat(memory.fd))
    except ConfigError:
        os.close(memory.fd)
        raise
    return memory


def _bell_name(name: str, bell: str) -> str:
    return f"{name}_{bell}"


def _opened_bell(name: str, bell: str, flags: int) -> posix_ipc.Semaphore:
    """As `_opened`. The file checked is the one opened: in /dev/shm only the owner can remove a name."""
    file = f"/sem.{_bell_name(name, bell).lstrip('/')}"
    with _refused(file):
        semaphore = posix_ipc.Semaphore(_bell_name(name, bell), flags, mode=_MODE)
    try:
        _check_ours(file, os.lstat(f"/dev/shm{file}"))
    except FileNotFoundError:  # its owner is exiting
        semaphore.close()
        raise posix_ipc.ExistentialError(f"{file}: removed") from None
    except ConfigError:
        semaphore.close()
        raise
    return semaphore


def _unlink_bells(name: str, bells: tuple[str, ...]) -> None:
    for bell in bells:
        try:
            with _refused(_bell_name(name, bell)):
                posix_ipc.unlink_semaphore(_bell_name(name, bell))
        except posix_ipc.ExistentialError:
            pass


class Segment:
    """Shared memory `name` of `size` bytes; `memory` is its mmap."""

    def __init__(self, name: str, fd: int, bells: tuple[str, ...], open_flags: int = 0):
        self.name, self.fd = name, fd
        self.bells = {bell: _opened_bell(name, bell, open_flags) for bell in bells}
        flags = mmap.MAP_SHARED | mmap.MAP_POPULATE  # no page fault in the middle of a batch
        self.memory = mmap.mmap(fd, os.fstat(fd).st_size, flags=flags)

    @classmethod
    def create(cls, name: str, size: int, role: int, bells: tuple[str, ...], usable) -> tuple[Segment, bool]:
        """Opens or creates the segment and takes `role` in it. Returns it and whether it existed already.

        `usable(bytes)` judges the first 4096 bytes of a segment that was left behind; if False, it is replaced.
        A segment that no process holds is replaced too: its run is dead. Raises ConfigError if another process holds `role` or
        the file with this name is not ours, NoRoom if /dev/shm has no room for it.
        """
        while True:
            fd = _opened(name, posix_ipc.O_CREAT).fd
            _lock(fd, _CREATION, fcntl.F_WRLCK, wait=True)
            try:
                if not _linked(fd):  # another creator replaced it while we waited
                    os.close(fd)
                    continue
                if _held(fd, role, 1):
                    raise ConfigError(f"shared memory {name}: another process holds this end of it; expected one")
                there = os.fstat(fd).st_size == size and _held(fd) and usable(os.pread(fd, 4096, 0))
                if not there and os.fstat(fd).st_size:
                    posix_ipc.unlink_shared_memory(name)
                    os.close(fd)
                    continue
                if not there:
                    _unlink_bells(name, bells)
                    _allocate(name, fd, size)
                segment = cls(name, fd, bells, posix_ipc.O_CREAT)
                segment.hold(role)
                return segment, there
            except BaseException:
                os.close(fd)
                raise

    @classmethod
    def attach(cls, name: str, bells: tuple[str, ...]) -> Segment:
        """Opens an existing segment. Raises FileNotFoundError if there is none (yet), ConfigError if it is not ours."""
        try:
            memory = _opened(name)
        except posix_ipc.ExistentialError:
            raise FileNotFoundError(f"shared memory {name}: not there yet") from None
        try:
            _lock(memory.fd, _CREATION, fcntl.F_RDLCK, wait=True)  # its creator may not be finished
            if not _linked(memory.fd) or not os.fstat(memory.fd).st_size:
                raise FileNotFoundError(f"shared memory {name}: not there yet")
            segment = cls(name, memory.fd, bells)
            segment.created()
            return segment
        except posix_ipc.ExistentialError:
            os.close(memory.fd)
            raise FileNotFoundError(f"shared memory {name}: its semaphores are missing") from None
        except BaseException:
            os.close(memory.fd)
            raise

    def created(self) -> None:
        """Declares the header complete: waiting processes may attach and read it."""
        _lock(self.fd, _CREATION, fcntl.F_UNLCK)

    def hold(self, role: int) -> None:
        """Takes a role until the process ends. Raises ConfigError if another open file holds it."""
        if not _lock(self.fd, role, fcntl.F_WRLCK):
            raise ConfigError(f"shared memory {self.name}: another process holds this end of it; expected one")

    def try_hold(self, role: int) -> bool:
        return _lock(self.fd, role, fcntl.F_WRLCK)

    def is_held(self, role: int) -> bool:
        """Whether another open file holds the role."""
        return _held(self.fd, role, 1)

    def ring(self, bell: str) -> None:
        if self.bells[bell].value < 64:  # a bell without a listener must not count without bound
            self.bells[bell].release()

    def wait(self, bell: str, timeout_s: float) -> bool:
        """Blocks until the bell rings. False after the time-out or a signal."""
        try:
            self.bells[bell].acquire(max(timeout_s, 0.0))
            return True
        except (posix_ipc.BusyError, posix_ipc.SignalError):
            return False

    def abandoned(self) -> bool:
        """Whether its owner has unlinked it: nothing more will come, and a new one may exist."""
        return not _linked(self.fd)

    def unlink(self) -> None:
        """Removes the names; processes that have it open keep their view."""
        if _linked(self.fd):
            posix_ipc.unlink_shared_memory(self.name)
            _unlink_bells(self.name, tuple(self.bells))

    def close(self) -> None:
        """Releases roles, bells and memory. NumPy views of the memory keep its mapping alive until they are deleted."""
        for bell in self.bells.values():
            bell.close()
        _unlock_all(self.fd)  # the mapping keeps a duplicate of the descriptor, and with it the locks
        os.close(self.fd)
        try:
            self.memory.close()
        except BufferError:  # views still exist: the mapping goes with the last of them
            pass


def _allocate(name: str, fd: int, size: int) -> None:
    """Reserves every page, so that a full /dev/shm is an error here and not a SIGBUS later."""
    try:
        os.posix_fallocate(fd, 0, size)
    except OSError as error:
        posix_ipc.unlink_shared_memory(name)
        free = os.statvfs("/dev/shm")
        fits = is_full(error) and size <= free.f_blocks * free.f_frsize  # once something else there is gone
        raise (NoRoom if fits else ConfigError)(
            f"shared memory {name}: {size} bytes needed, {free.f_bavail * free.f_frsize} free in /dev/shm; "
            f"make it larger (docker: --shm-size) or batches smaller ({error.strerror})"
        ) from None


def remove(name: str) -> bool:
    """Unlinks a segment that no process holds, and its semaphores. Returns whether nothing remains."""
    try:
        memory = _opened(name)
    except ConfigError:  # not ours to remove
        return False
    except posix_ipc.ExistentialError:
        memory = None
    if memory is not None:
        try:
            if not _lock(memory.fd, _CREATION, fcntl.F_WRLCK) or _held(memory.fd):
                return False
            if _linked(memory.fd):
                posix_ipc.unlink_shared_memory(name)
        finally:
            os.close(memory.fd)
    prefix = f"sem.{name.lstrip('/')}_"
    bells = [entry.removeprefix(prefix) for entry in os.listdir("/dev/shm") if entry.startswith(prefix)]
    try:
        _unlink_bells(name, tuple(bells))
    except ConfigError:  # another user's
        return False
    return True
