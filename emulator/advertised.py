"""Where clients outside see what listens here: mapped ports, in the words of docker's ``-p``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from emulator.endpoints import Endpoint
from emulator.gateways.authority import WILDCARDS
from emulator.settings import SettingsError
from emulator.words import unknown

_ENTRY = re.compile(
    r"(?:(?P<tier>[^=/]+)(?:/(?P<path>[^=/]+))?=)?"
    r"(?:(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]=/]+):)?(?P<outside>\d{1,5}):(?P<inside>\d{1,5})(?:/tcp)?"
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
LARGEST_PORT = 65_535


class Mapping(NamedTuple):
    """One mapped port; empty words mean any tier, its first path, the host by which clients ask."""

    tier: str
    path: str
    host: str
    outside: int
    inside: int


class Advertised:
    """The mapped ports."""

    def __init__(self, texts: Iterable[str], tiers: Sequence[str]) -> None:
        """Read ``[TIER[/PATH]=][HOST:]OUTSIDE:INSIDE`` each; SettingsError."""
        self.mappings = tuple(_mapping(text, tiers) for text in texts)

    def asked_outside(self, name: str, port: int, control_port: int) -> bool:
        """Tell whether who calls the control API by a name and a port is outside.

        Everybody is, where its own port is not mapped.
        """
        own = self._find("", "", control_port)
        if own is None:
            return bool(self.mappings)
        alike = own.host in ("", name) or {own.host, name} <= _LOOPBACK
        return port == own.outside and alike

    def place(self, host: str, port: int) -> tuple[str, int]:
        """Return where a port of no tier is seen, the control API's, that has ``host`` unless told."""
        found = self._find("", "", port)
        return (host, port) if found is None else (found.host or host, found.outside)

    def seen(self, endpoints: Iterable[Endpoint], asked_as: str = "") -> tuple[Endpoint, ...]:
        """Return endpoints as clients outside see them, who ask by a name."""
        return tuple(self._seen(endpoint, asked_as) for endpoint in endpoints)

    def _seen(self, endpoint: Endpoint, asked_as: str) -> Endpoint:
        ports = (endpoint.http_port, endpoint.tls_port, endpoint.proxy_port, *endpoint.fix_ports.values())
        seen = {}
        for port in ports:
            found = self._find(endpoint.tier, endpoint.path, port)
            if found is not None:
                seen[port] = (found.host or asked_as or endpoint.host, found.outside)
        return msgspec.structs.replace(endpoint, seen_at=seen)

    def _find(self, tier: str, path: str, port: int) -> Mapping | None:
        for mapping in self.mappings:
            if mapping.inside == port and mapping.tier in ("", tier) and mapping.path in ("", path):
                return mapping
        return None


def _mapping(text: str, tiers: Sequence[str]) -> Mapping:
    match = _ENTRY.fullmatch(text)
    ports = (int(match["outside"]), int(match["inside"])) if match else (0, 0)
    if match is None or not all(0 < port <= LARGEST_PORT for port in ports):
        raise SettingsError(
            f"{text!r} is none: [TIER=][HOST:]OUTSIDE:INSIDE is meant, ports up to {LARGEST_PORT}, as for "
            "docker's -p: 127.0.0.1:17480:7480"
        )
    tier, path = match["tier"] or "", match["path"] or ""
    if tier and tier not in tiers:
        raise SettingsError(f"in {text!r}: {unknown('tier', tier, tiers)}")
    host = (match["host"] or "").strip("[]")
    return Mapping(tier, path, "" if host in WILDCARDS else host, *ports)
