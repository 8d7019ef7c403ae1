"""The forms of a request's target beside a path: whole URLs, and what CONNECT asks for (RFC 9112, 3.2)."""

import re
from typing import NamedTuple

Place = tuple[str, int]
"""A host in lower case and without a final dot, and a port."""

_HOST = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])"
_AUTHORITY = re.compile(rf"{_HOST}:(?P<port>[0-9]{{1,5}})")
_URL = re.compile(rf"(?P<scheme>[A-Za-z]{{1,8}})://{_HOST}(?::(?P<port>[0-9]{{1,5}}))?(?P<path>[/?].*)?")
_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class Url(NamedTuple):
    """A target that is a whole URL."""

    scheme: str
    host: str
    port: int
    path: str
    """With its query, as it was sent."""


class Refusal(NamedTuple):
    """Why a request is not passed on: a status and one line."""

    status: int
    reason: str


def absolute(target: str) -> Url | None:
    """Read ``http://api.kraken.com/0/public/Time``; None for anything else."""
    match = _URL.fullmatch(target)
    scheme = match["scheme"].lower() if match else ""
    if match is None or scheme not in _PORTS:
        return None
    path = match["path"] or "/"
    port = int(match["port"] or _PORTS[scheme])
    return Url(scheme, _host(match["host"]), port, path if path.startswith("/") else f"/{path}")


def authority(target: str) -> Place | None:
    """Read ``api.kraken.com:443``; None for anything else."""
    match = _AUTHORITY.fullmatch(target)
    return (_host(match["host"]), int(match["port"])) if match else None


def _host(text: str) -> str:
    return text.lower().removesuffix(".")
