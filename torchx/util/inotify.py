"""The few calls of Linux inotify that watching files takes, bound through ctypes."""

from __future__ import annotations

import os
import select
import struct

MODIFIED = 0x00000002
_ATTRIB = 0x00000004
_MOVED_FROM = 0x00000040
_MOVED_TO = 0x00000080
_CREATE = 0x00000100
_DELETE = 0x00000200
_ONLYDIR = 0x01000000
_OVERFLOW = 0x00004000
_IGNORED = 0x00008000

_MASK = MODIFIED | _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _ONLYDIR
_HEADER = struct.Struct("iIII")
_READ_BYTES = 1 << 16


class Inotify:
    """One kernel queue of changes in directories.

    Raises:
        OSError: If this system has no inotify, or no more queues to give.
    """

    def __init__(self) -> None:
        import ctypes

        self._fd = self._wake_fd = -1
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            self._add_watch = libc.inotify_add_watch
            self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        except AttributeError as error:
            raise OSError("this system has no inotify") from error
        self._get_errno = ctypes.get_errno
        if self._fd < 0:
            raise OSError(self._get_errno(), "inotify is not available")
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._poll.register(self._wake_fd, select.POLLIN)

    def add_directory(self, path: str) -> int:
        """Starts to watch the entries of a directory.

        Args:
            path: The directory.

        Returns:
            The number by which :meth:`read` names it; the same again for the same directory.

        Raises:
            OSError: If it does not exist or cannot be watched.
        """
        number: int = self._add_watch(self._fd, os.fsencode(path), _MASK)
        if number < 0:
            raise OSError(self._get_errno(), "cannot watch this directory", path)
        return number

    def wait(self, timeout_s: float) -> None:
        """Blocks until there is something to read, :meth:`wake` is called, or time is up.

        Args:
            timeout_s: Longest time to block.
        """
        self._poll.poll(max(0.0, timeout_s) * 1000)

    def wake(self) -> None:
        """Makes this and every later :meth:`wait` return at once; callable from any thread."""
        os.eventfd_write(self._wake_fd, 1)

    def read(self) -> tuple[set[tuple[int, str]], set[int], bool]:
        """Takes what has been reported since the last call.

        Returns:
            The changed entries as (directory number, name), the numbers of the directories that
            are no longer watched, and whether reports were lost because the queue was full.
        """
        changed: set[tuple[int, str]] = set()
        gone: set[int] = set()
        overflowed = False
        for number, mask, name in self._events():
            if mask & _OVERFLOW:
                overflowed = True
            elif mask & _IGNORED:
                gone.add(number)
            else:
                changed.add((number, name))
        return changed, gone, overflowed

    def close(self) -> None:
        """Gives the queue back; nothing else may be called afterwards. Repeatable."""
        for descriptor in (self._fd, self._wake_fd):
            if descriptor >= 0:
                os.close(descriptor)
        self._fd = self._wake_fd = -1

    def __del__(self) -> None:
        self.close()

    def _events(self) -> list[tuple[int, int, str]]:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return []
        events = []
        offset = 0
        while offset < len(data):
            number, mask, _cookie, length = _HEADER.unpack_from(data, offset)
            offset += _HEADER.size
            name = data[offset : offset + length].rstrip(b"\0")
            offset += length
            events.append((number, mask, os.fsdecode(name)))
        return events
