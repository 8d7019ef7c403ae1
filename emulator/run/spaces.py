"""Namespaces of this process's own, with or without root: a network, and mounts over single files."""

from __future__ import annotations

import ctypes
import os
import sys

_NEWNS, _NEWUSER, _NEWNET = 0x00020000, 0x10000000, 0x40000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18


def enter(*, network: bool) -> None:
    """Move this process into a mount namespace of its own, and into an empty network with `network`.

    Who may not do that becomes master of a user namespace first, under the same user and group: the rights
    end there, and with the next program that is executed. OSError where the system refuses. Call it while
    there is one thread.
    """
    if not sys.platform.startswith("linux"):
        raise OSError(f"network namespaces are a part of Linux, this is {sys.platform}")
    flags = _NEWNS | (_NEWNET if network else 0)
    try:
        _unshare(flags)
    except PermissionError:
        user, group = os.geteuid(), os.getegid()
        _unshare(flags | _NEWUSER)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    # Or our mounts would show outside.
    _checked(_libc().mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount")


def put_over(source: str, target: str) -> None:
    """Let a file show another one's contents, for this process and what it starts. OSError when it cannot."""
    where = os.path.realpath(target).encode()
    _checked(_libc().mount(source.encode(), where, None, _MS_BIND, None), f"mount over {target}")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _unshare(flags: int) -> None:
    _checked(_libc().unshare(flags), "unshare")


def _checked(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
