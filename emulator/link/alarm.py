"""Alarms: wake the loop at one moment of the monotonic clock, finer than the loop's own timers.

asyncio's epoll selector rounds timeouts up to whole milliseconds, so on Linux the alarm is a timerfd that the
loop watches like a socket. asyncio's kqueue selector keeps microseconds: elsewhere its own timers will do.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

_NS_PER_S = 1_000_000_000
_TFD_TIMER_ABSTIME = 1


class Alarm(Protocol):
    """Calls back once, at the moment set last."""

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` of time.monotonic_ns, instead of any moment set before."""

    def close(self) -> None:
        """Never ring again; give back what the alarm holds."""


class TimerFd:
    """An alarm on Linux: one timerfd with absolute times."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._fd = timerfd_create()
        loop.add_reader(self._fd, self._readable)

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` of time.monotonic_ns, instead of any moment set before."""
        timerfd_settime(self._fd, at_ns)

    def close(self) -> None:
        """Never ring again; give back the descriptor."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):  # set anew between the loop's select and this call
            os.read(self._fd, 8)
        self._ring()


class LoopTimer:
    """An alarm where there is no timerfd: the loop's own timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        """Ring at `at_ns` of time.monotonic_ns, instead of any moment set before."""
        self.close()
        self._handle = self._loop.call_at(at_ns / _NS_PER_S, self._ring)

    def close(self) -> None:
        """Never ring again."""
        if self._handle is not None:
            self._handle.cancel()


def alarm(loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> Alarm:
    """Make the finest alarm that this system has; OSError where Linux refuses a timerfd."""
    return TimerFd(loop, ring) if sys.platform == "linux" else LoopTimer(loop, ring)


def timer_trouble() -> str | None:
    """Say in one line why this system has no fine alarm, or None when it has one."""
    if sys.platform == "linux":
        try:
            os.close(timerfd_create())
        except OSError as error:
            return str(error)
    return None


if sys.version_info >= (3, 13):

    def timerfd_create() -> int:
        """Open a timerfd on the monotonic clock."""
        return os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def timerfd_settime(fd: int, at_ns: int) -> None:
        """Arm a timerfd for one moment of the monotonic clock."""
        os.timerfd_settime_ns(fd, flags=os.TFD_TIMER_ABSTIME, initial=at_ns)

else:
    _libc = ctypes.CDLL(None, use_errno=True)

    class _TimerSpec(ctypes.Structure):
        """`struct itimerspec`: the interval, then the first moment."""

        _fields_ = (
            ("interval_s", ctypes.c_long),
            ("interval_ns", ctypes.c_long),
            ("at_s", ctypes.c_long),
            ("at_ns", ctypes.c_long),
        )

    def timerfd_create() -> int:
        """Open a timerfd on the monotonic clock."""
        fd: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if fd < 0:
            raise OSError(ctypes.get_errno(), f"timerfd_create: {os.strerror(ctypes.get_errno())}")
        return fd

    def timerfd_settime(fd: int, at_ns: int) -> None:
        """Arm a timerfd for one moment of the monotonic clock."""
        spec = _TimerSpec(0, 0, at_ns // _NS_PER_S, at_ns % _NS_PER_S)
        if _libc.timerfd_settime(fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None):
            raise OSError(ctypes.get_errno(), f"timerfd_settime: {os.strerror(ctypes.get_errno())}")
