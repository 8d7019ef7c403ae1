"""Where the venue is reached: rows for each path, and how they are told to people and to programs."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from emulator.clock import duration
from emulator.settings import SettingsError


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where one path of one tier is reached over one link."""

    tier: str
    path: str
    rung: str
    rtt_us: float
    """The tier's stated round trip, what the path takes longer included."""
    host: str
    everywhere: bool = False
    """Whether it listens on every address of the machine, ``host`` being one of them."""
    http_port: int
    tls_port: int
    fix_ports: dict[str, int] = {}
    """Ports of the FIX services, by name; with and without TLS."""
    proxy_port: int = 0
    """Port of the HTTP proxy; 0 when there is none."""
    floor_us: float = 0.0
    """What a round trip takes beyond holding, measured at start and taken off; 0 where it was not."""
    reachable_us: float = 0.0
    """The round trip that orders get: the stated one, or more where the floor is higher."""
    measured_us: float = 0.0
    """Round trip of a REST call through the link when the venue became ready."""
    seen_at: dict[int, tuple[str, int]] = {}
    """Host and port by which clients outside reach a port of ours, where that differs."""

    def place(self, port: int) -> str:
        """Return ``host:port`` of a port."""
        return place(*self.seen_at.get(port, (self.host, port)))

    @property
    def urls(self) -> dict[str, Any]:
        """The addresses, by the protocols' names."""
        return _urls(self.place(self.http_port), "")

    @property
    def fix(self) -> dict[str, str]:
        """The FIX services, as ``host:port``."""
        return {name: self.place(port) for name, port in self.fix_ports.items()}

    @property
    def proxy(self) -> str:
        """The HTTP proxy; empty when there is none."""
        return f"http://{self.place(self.proxy_port)}" if self.proxy_port else ""

    @property
    def tls_urls(self) -> dict[str, Any]:
        """The addresses over TLS."""
        return _urls(self.place(self.tls_port), "s")


def as_values(endpoints: Sequence[Endpoint], ca: Path) -> dict[str, Any]:
    """Return the tiers' part of the endpoints file: per tier its first row, then its other ways in.

    `paths` has every path of a tier that has several; `loopback` the listeners at this machine's own address
    beside those of a link with addresses of its own.
    """
    tiers: dict[str, Any] = {}
    for endpoint in endpoints:
        row = _row(endpoint, ca)
        tier = tiers.setdefault(endpoint.tier, dict(row))
        if tier["rung"] != endpoint.rung:
            tier.setdefault("loopback", row)
        elif sum(other.tier == endpoint.tier and other.rung == endpoint.rung for other in endpoints) > 1:
            tier.setdefault("paths", {})[endpoint.path] = row
    return tiers


def _row(endpoint: Endpoint, ca: Path) -> dict[str, Any]:
    return {
        "rung": endpoint.rung,
        "rtt_us": endpoint.rtt_us,
        "floor_us": round(endpoint.floor_us, 1),
        "reachable_us": round(endpoint.reachable_us or endpoint.rtt_us, 1),
        **endpoint.urls,
        "tls": {**endpoint.tls_urls, "ca": str(ca)},
        **({"fix": endpoint.fix} if endpoint.fix_ports else {}),
        **({"proxy": endpoint.proxy} if endpoint.proxy else {}),
    }


def as_text(endpoints: Sequence[Endpoint]) -> list[str]:
    """Return the lines that a person reads about the endpoints."""
    lines = []
    for endpoint in endpoints:
        first = next(other for other in endpoints if other.tier == endpoint.tier)
        several = endpoint.path != first.path or any(
            other.tier == endpoint.tier and other.path != endpoint.path for other in endpoints
        )
        name = f"{endpoint.tier}/{endpoint.path}" if several else endpoint.tier
        urls, tls = endpoint.urls, endpoint.tls_urls
        beside = "" if endpoint.rung == first.rung else "; the same tier, at this machine's own address"
        lines += [
            f"{name:<8}{_distance(endpoint)} (a REST call just took {duration(endpoint.measured_us)})"
            + beside,
            f"  REST       {urls['rest']}      {tls['rest']}",
            f"  WebSocket  {urls['ws']}/v2     {tls['ws']}/v2",
        ]
        if endpoint.fix:
            lines.append("  FIX        " + "  ".join(f"{at} {name}" for name, at in endpoint.fix.items()))
        if endpoint.proxy:
            lines.append(f"  proxy      {endpoint.proxy}")
    return lines


def _distance(endpoint: Endpoint) -> str:
    if endpoint.rung == "none":
        return "link none: not shaped"
    stated = f"{duration(endpoint.rtt_us)} RTT, link {endpoint.rung}"
    if endpoint.reachable_us > endpoint.rtt_us:
        return f"{stated}: this machine needs {duration(endpoint.reachable_us)} for an order"
    return stated


def _urls(where: str, tls: str) -> dict[str, str]:
    sockets = dict.fromkeys(("ws", "ws_auth", "ws_l3"), f"ws{tls}://{where}")
    return {"rest": f"http{tls}://{where}", **sockets}


def place(host: str, port: int) -> str:
    """Return ``host:port`` as it stands in an address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def write_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file whole: a reader sees all of it or nothing.  The umask takes from ``mode``."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.unlink(missing_ok=True)  # or it would keep its mode
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise SettingsError(f"cannot write {path}: {error.strerror}") from None


class EndpointsFile:
    """The endpoints file: there while everything answers, if one is wanted at all.

    It has the accounts' keys: its owner reads it, and everybody in ``shared``, a folder for others' clients.
    Making one removes what an earlier run left, which would be taken for this one's; SettingsError where no
    file can be written.
    """

    def __init__(self, path: str, shared: str = "") -> None:
        self._path = Path(path) if path else None
        self._mode = 0o600
        if self._path is not None and shared and self._path.parent.resolve() == Path(shared).resolve():
            self._mode = 0o644
        self._written = b""
        if self._path is not None:
            try:
                self._path.unlink(missing_ok=True)
                os.listdir(self._path.parent)  # now, not when everything has started
            except OSError as error:
                raise SettingsError(str(error.strerror)) from None

    def write(self, endpoints: dict[str, Any]) -> None:
        """Say that everything answers, and where."""
        if self._path is not None:
            self._written = msgspec.json.encode(endpoints)
            write_atomically(self._path, self._written, self._mode)

    def withdraw(self) -> None:
        """Remove it; one that says something else by now is another emulator's."""
        if self._path is not None:
            with suppress(OSError):
                if self._path.read_bytes() == self._written:
                    self._path.unlink()
