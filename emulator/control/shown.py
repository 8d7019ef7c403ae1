"""`kraken-emulator accounts` and `endpoints`: what a running emulator tells of itself, in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from emulator.control.client import ControlError
from emulator.words import unknown

Row = tuple[str, ...]
_ADDRESSES = ("rest", "ws", "ws_auth", "ws_l3")
_SOCKETS = frozenset({"ws", "ws_auth", "ws_l3"})
V2 = "/v2"
"""Where WebSocket v2 is: people are told that, as `up` tells it; programs are told the address, v1's."""
_NAMES = {"rest": "REST", "ws": "WebSocket", "ws_auth": "WebSocket, private", "ws_l3": "WebSocket, level 3"}


def accounts(endpoints: Mapping[str, Any], name: str | None) -> list[dict[str, Any]]:
    """Return the accounts, or the one of that name; ControlError."""
    found: list[dict[str, Any]] = endpoints.get("accounts", [])
    if name is None:
        return found
    mine = [row for row in found if row["name"] == name]
    if not mine:
        raise ControlError(unknown("account", name, (row["name"] for row in found)))
    return mine


def account_rows(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return a row for each key, headings first."""
    rows: list[Row] = [("account", "for", "SenderCompID", "API key", "private key")]
    for account in found:
        keys = {"spot": account["spot"], **account.get("keys", {})}
        rows += [(account["name"], what, "", key["key"], key["secret"]) for what, key in keys.items()]
        if fix := account.get("fix"):
            ids = ",".join(fix.get("sender_comp_ids", [fix["sender_comp_id"]]))
            rows.append((account["name"], "fix", ids, fix["key"], fix["secret"]))
    return rows


def tiers(endpoints: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """Return the tiers' endpoints, or those of one; ControlError."""
    found: dict[str, Any] = endpoints["tiers"]
    if name is None:
        return found
    if name not in found:
        raise ControlError(unknown("tier", name, found))
    return {name: found[name]}


def endpoint_rows(found: Mapping[str, Any]) -> list[Row]:
    """Return a row for each address, headings first."""
    rows: list[Row] = [("tier", "link", "what", "address")]
    for name, tier in found.items():
        ways = tier.get("paths", {"": tier})
        for path, row in (*ways.items(), *(("loopback", tier[key]) for key in ("loopback",) if key in tier)):
            called = f"{name}/{path}" if path else name
            rows += [(called, row["rung"], what, address) for what, address in _addresses(row)]
    return rows


def _addresses(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what one way in serves, and where; WebSockets that share an address once."""
    found: list[tuple[str, str]] = []
    for there in (row, row["tls"]):
        for name in _ADDRESSES:
            address = there[name] + (V2 if name in _SOCKETS else "")
            if address not in (known for _, known in found):
                found.append((_NAMES[name], address))
    found += [(f"FIX {name}", address) for name, address in row.get("fix", {}).items()]
    if proxy := row.get("proxy"):
        found.append(("proxy", proxy))
    return [*found, ("CA", row["tls"]["ca"])]
