"""The guard of live traffic: while a test is guarded, nothing in its process finds the real Kraken.

Programs in a shell that evaluated `kraken-emulator env` are guarded too, for good: those that ignore the
proxy are stopped (`PastProxy`).

Python itself tells who asks for a name or connects (sys.audit); what libraries of C do past it is caught
where Python calls them. Processes that the test starts guard themselves, when they are Python: they find
`children/sitecustomize.py` first, which loads this file by its path. So it needs nothing but the standard
library, on any Python since 3.8.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import wraps
from types import FrameType
from typing import Any

DOMAINS = ("kraken.com", "cryptofacilities.com")
"""The real venue's; the latter is Derivatives' older one."""
VARIABLE = "KRAKEN_EMULATOR_GUARD"
"""Where child processes find the file of what was refused."""
PROXY = "proxy"
"""What it says instead beside a proxy (control/exports.py), where there is no test and no file."""
INSIDE_RUN = "KRAKEN_EMULATOR_ENDPOINTS"
"""Set by `kraken-emulator run`, where Kraken's names lead to the emulator."""
CHILDREN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "children")
LARGEST_FILE = 64 << 10
"""Bytes of what was refused that are kept until somebody reads them."""
MOST_SHOWN = 20
"""Destinations that are told."""
PATIENCE_S = 1.0
"""How long a test may go on after something of it was refused."""

_HOST_OF = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}
_ADDRESS_OF = {"socket.connect": 1, "socket.sendto": 1, "socket.sendmsg": 1}
_NEW = ("import", "socket.__new__")
"""Events after which a library may be there that was not before."""
_PAST_PYTHON = {
    ("socket", "socket"): {"connect": (0, "address"), "connect_ex": (0, "address")},
    ("pycares", "Channel"): {
        "getaddrinfo": (0, "host"),
        "gethostbyname": (0, "name"),
        "query": (0, "name"),
        "search": (0, "name"),
    },
    ("uvloop", "Loop"): {"create_connection": (1, "host"), "getaddrinfo": (0, "host")},
}
"""Methods that look names up without telling Python; which argument has the name, or an address with it."""
_PORT_FOLLOWS = ("getaddrinfo", "create_connection")


class LiveTrafficError(BaseException):
    """Something tried to reach the real Kraken.

    No ``Exception``: a client that tries again after any error would otherwise go on for ever.
    """


_WANTS = {
    "ccxt": "ccxt wants requests_trust_env=True; async and pro aiohttp_trust_env=True, cafile=$SSL_CERT_FILE",
    "aiohttp": "aiohttp wants ClientSession(trust_env=True)",
    "kraken": "python-kraken-sdk's SpotAsyncClient wants proxy=$HTTPS_PROXY",
}
"""What a library wants to honour a proxy, by its module; the first one that is there is meant."""


class Guard:
    """Refuses Kraken's names, in this process and in those that it starts, between ``start`` and ``stop``.

    ``error`` is what is raised, ``file`` where all processes note what they refused; without one it is made,
    and ``close`` removes it.
    """

    def __init__(self, error: type[BaseException] = LiveTrafficError, file: str = "") -> None:
        self._error = error
        self._file = file
        self._read = 0
        self._told: set[str] = set()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._waiting: int | None = None
        """The thread that is ended when something was refused."""

    def start(self) -> None:
        """Begin, but not inside of `kraken-emulator run`, which has a guard of its own.  Idempotent."""
        if self in _active or INSIDE_RUN in os.environ:
            return
        if not self._file:
            import tempfile

            handle, self._file = tempfile.mkstemp(prefix="kraken-emulator-guard-")
            os.close(handle)
        if not _active:
            _remember()
            _install()
        _active.append(self)
        self._tell_children()

    def stop(self) -> None:
        """End.  Idempotent."""
        if self not in _active:
            return
        _active.remove(self)
        if not _active:
            _uninstall()
            _restore()
        else:
            _active[-1]._tell_children()

    def close(self) -> None:
        """End, and leave nothing."""
        self.stop()
        if self._file:
            os.unlink(self._file)
            self._file, self._read = "", 0

    def refuse(self, name: str, port: object) -> None:
        """Note what was tried, and raise."""
        __tracebackhide__ = True
        place = f"{name}:{port}" if port else name
        reason = f"{place} is the real Kraken; kraken-emulator's pytest plugin refuses it"
        self._end_later(reason)
        line = json.dumps([place, os.getpid(), _caller(sys._getframe(1))]) + "\n"
        try:
            # It is not made anew: a child may outlive the run.
            handle = os.open(self._file, os.O_WRONLY | os.O_APPEND)
            try:
                if os.fstat(handle).st_size < LARGEST_FILE:
                    os.write(handle, line.encode())
            finally:
                os.close(handle)
        except OSError:
            pass
        raise self._error(reason)

    def refused(self) -> str:
        """Name what was refused since the last time, on one line; empty when there was nothing."""
        if not self._file:
            return ""
        with open(self._file, "rb") as file:
            file.seek(self._read)
            lines = file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()  # it is being written
        self._read += sum(map(len, lines))
        if self._read >= LARGEST_FILE:
            os.truncate(self._file, 0)
            self._read = 0
        places: Counter[str] = Counter()
        for line in lines:
            place, pid, where = json.loads(line)
            child = f" by process {pid}" if pid != os.getpid() else ""
            places[f"{place}{child}{f' at {where}' if where else ''}"] += 1
        shown = [f"{place} ({times} times)" if times > 1 else place for place, times in places.items()]
        more = [f"and {len(shown) - MOST_SHOWN} more"] if len(shown) > MOST_SHOWN else []
        return ", ".join(shown[:MOST_SHOWN] + more)

    @contextmanager
    def impatient(self, thread: int | None = None) -> Iterator[None]:
        """End ``thread``, by default this one, soon after something is refused.

        It might wait for ever: the error may have ended another thread or task, or was swallowed.
        """
        self._waiting = thread or threading.get_ident()
        try:
            yield
        finally:
            with self._lock:
                self._waiting = None
                if self._timer is not None:
                    self._timer.cancel()
                    self._timer = None

    def _end_later(self, reason: str) -> None:
        with self._lock, suppress(RuntimeError):  # no thread can be started any more
            if self._waiting is not None and self._timer is None:
                self._timer = threading.Timer(PATIENCE_S, self._end, (reason,))
                self._timer.daemon = True
                self._timer.start()

    def _end(self, reason: str) -> None:
        import ctypes

        with self._lock:
            self._timer = None
            # Once: what comes after `impatient` must not be hit.
            thread, self._waiting = self._waiting, None
            if thread is not None:
                inside = {"__init__": _init(self._error, reason), "__module__": self._error.__module__}
                error = type(self._error.__name__, (self._error,), inside)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error))

    def _tell_children(self) -> None:
        os.environ[VARIABLE] = self._file
        others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        _set_path([CHILDREN, *(path for path in others if path != CHILDREN)])


class PastProxy(Guard):
    """Refuses, to the end of this process, what goes past the proxy of `kraken-emulator env`.

    It stands aside while a test is guarded in the same process.
    """

    def start(self) -> None:
        """Begin, but not inside of `kraken-emulator run`, which has a guard of its own."""
        if INSIDE_RUN not in os.environ:
            _install()
            _active.append(self)

    def refuse(self, name: str, port: object) -> None:
        """Say on stderr what was tried, for the first time, and raise."""
        if os.environ.get(VARIABLE) != PROXY:
            return
        place = f"{name}:{port}" if port else name
        wants = next((wants for module, wants in _WANTS.items() if module in sys.modules), "")
        reason = f"{place} is the real Kraken; this program ignores the proxy of `kraken-emulator env`"
        reason += f" ({wants})" if wants else ""
        self._end_later(reason)
        if place not in self._told:
            self._told.add(place)
            with suppress(OSError, ValueError, AttributeError):  # there is nowhere to say it
                sys.stderr.write(f"kraken-emulator: refused: {reason}\n")
        raise self._error(reason)


def _init(error: type[BaseException], reason: str) -> Any:
    """Return the constructor of an error that is raised by its class alone."""
    return lambda self: error.__init__(self, reason)


def of_the_venue(host: object) -> str:
    """Return a host's name in small letters when it is the real venue's, else nothing."""
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("latin-1")
    if not isinstance(host, str):
        return ""
    name = host.lower().rstrip(".")
    return name if any(name == domain or name.endswith("." + domain) for domain in DOMAINS) else ""


# -- in this process ---------------------------------------------------------------------------------------

_active: list[Guard] = []
"""Several where a run of pytest is inside another one; the last one refuses."""
_hooked = False
_put: list[tuple[Any, str, Any]] = []
"""What was put in the place of methods: where, their names, and what is there."""


def _install() -> None:
    global _hooked
    if not _hooked:  # it cannot be taken away again, but has nothing to do without a guard
        sys.addaudithook(_hear)
        _hooked = True
    _cover()


def _uninstall() -> None:
    while _put:
        owner, name, ours = _put.pop()
        if owner.__dict__.get(name) is ours:
            original: Any = ours.__wrapped__
            delattr(owner, name)
            if getattr(owner, name, None) is not original:
                setattr(owner, name, original)


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Hear of everything that Python tells."""
    __tracebackhide__ = True
    if not _active:
        return
    if event in _HOST_OF:
        _check(arguments[0], arguments[1] if len(arguments) > 1 else None)
    elif event in _ADDRESS_OF:
        _check(arguments[_ADDRESS_OF[event]])
    elif event in _NEW:
        _cover()


def _check(host: object, port: object = None) -> None:
    """Refuse a host, or an address with a host, of the real venue."""
    __tracebackhide__ = True
    if isinstance(host, (tuple, list)) and len(host) > 1:
        host, port = host[:2]
    name = of_the_venue(host)
    if name and _active:
        _active[-1].refuse(name, port)


def _cover() -> None:
    """Get in front of methods that Python does not tell of, where their libraries are."""
    for (module, class_), methods in _PAST_PYTHON.items():
        owner = getattr(sys.modules.get(module), class_, None)
        if owner is None:
            continue
        for name, (at, keyword) in methods.items():
            original = getattr(owner, name, None)
            if original is not None and all((owner, name) != there[:2] for there in _put):
                ours = _guarded(original, at, keyword)
                with suppress(TypeError):  # a module that is being imported may have C's own class yet
                    setattr(owner, name, ours)
                    _put.append((owner, name, ours))


def _guarded(original: Any, at: int, keyword: str) -> Any:
    @wraps(original)
    def guarded(self: Any, *arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        host = arguments[at] if len(arguments) > at else named.get(keyword)
        follows = original.__name__ in _PORT_FOLLOWS and len(arguments) > at + 1
        _check(host, arguments[at + 1] if follows else named.get("port"))
        return original(self, *arguments, **named)

    return guarded


def _caller(frame: FrameType | None) -> str:
    """Name the innermost line that is neither the library's, nor installed, nor ours."""
    library = os.path.dirname(os.__file__)
    while frame is not None:
        file = frame.f_code.co_filename
        installed = file.startswith((library, "<")) or "-packages" in file
        if not installed and file != __file__:
            with suppress(OSError, ValueError):  # there is no folder to start from
                file = os.path.relpath(file)
            return f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _set_path(paths: list[str]) -> None:
    paths = [path for path in paths if path]
    if paths:
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    else:
        os.environ.pop("PYTHONPATH", None)


_before: dict[str, str] = {}
"""What children were told before a test was guarded: beside a proxy they are guarded anyway."""


def _remember() -> None:
    _before.clear()
    _before.update({name: os.environ[name] for name in (VARIABLE, "PYTHONPATH") if name in os.environ})


def _restore() -> None:
    """Tell children what they were told before; what a test has put on the path stays."""
    keeps = [CHILDREN] if CHILDREN in _before.get("PYTHONPATH", "").split(os.pathsep) else []
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    _set_path(keeps + [path for path in others if path != CHILDREN])
    os.environ.pop(VARIABLE, None)
    if VARIABLE in _before:
        os.environ[VARIABLE] = _before[VARIABLE]


_held: list[AbstractContextManager[None]] = []
"""What lasts as long as the process; it would end with its last reference."""


def guard_this_child() -> None:
    """Guard this process, when the one that started it says so."""
    if file := os.environ.get(VARIABLE):
        guard = PastProxy() if file == PROXY else Guard(file=file)
        guard.start()
        waits = guard.impatient(threading.main_thread().ident)
        waits.__enter__()
        _held.append(waits)
