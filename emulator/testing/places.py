"""Where an emulator is reached and with what keys: the endpoints file's fields as attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tls:
    """The addresses over TLS, and the file with the certificate authority that clients must trust."""

    rest: str
    ws: str
    ws_auth: str
    ws_l3: str
    ca: str


@dataclass(frozen=True)
class Fix:
    """The FIX services, as ``host:port``; empty where FIX is off."""

    spot_md: str = ""
    spot_trading: str = ""
    spot_md_l3: str = ""


@dataclass(frozen=True)
class Tier:
    """One tier's way in: ``ws`` and its like without a path; WebSocket v2 is at ``/v2`` of them."""

    name: str
    rung: str
    rtt_us: float
    floor_us: float
    reachable_us: float
    rest: str
    ws: str
    ws_auth: str
    ws_l3: str
    tls: Tls
    fix: Fix
    proxy: str
    """The HTTP proxy; empty where there is none."""
    paths: dict[str, Tier]
    """Every path by its name, of a tier that has several."""


@dataclass(frozen=True)
class Key:
    """An API key of REST and WebSocket: its public part, and its private one in base64."""

    key: str
    secret: str = field(repr=False)


@dataclass(frozen=True)
class FixKey:
    """An API key of FIX, and the SenderCompID that it logs on with; empty where FIX is off."""

    key: str = ""
    secret: str = field(default="", repr=False)
    sender_comp_id: str = ""
    sender_comp_ids: tuple[str, ...] = ()
    """All of them, of an account that has several."""


@dataclass(frozen=True)
class Account:
    """A funded account."""

    name: str
    spot: Key
    fix: FixKey
    keys: dict[str, Key]
    """Further keys, by their names."""


def tier(name: str, row: Mapping[str, Any]) -> Tier:
    """Return a tier of the endpoints file."""
    paths = {path: tier(name, own) for path, own in row.get("paths", {}).items()}
    known = {field: row[field] for field in ("rung", "rtt_us", "floor_us", "reachable_us")}
    urls = {field: row[field] for field in ("rest", "ws", "ws_auth", "ws_l3")}
    own_fix, proxy = Fix(**row.get("fix", {})), row.get("proxy", "")
    return Tier(name, **known, **urls, tls=Tls(**row["tls"]), fix=own_fix, proxy=proxy, paths=paths)


def account(row: Mapping[str, Any]) -> Account:
    """Return an account of the endpoints file."""
    keys = {name: Key(**key) for name, key in row.get("keys", {}).items()}
    fix = dict(row.get("fix", {}))
    fix["sender_comp_ids"] = tuple(fix.get("sender_comp_ids", [fix["sender_comp_id"]] if fix else []))
    return Account(row["name"], Key(**row["spot"]), FixKey(**fix), keys)
