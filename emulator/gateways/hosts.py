"""Kraken's hostnames, and what each of them serves."""

from emulator.gateways.roles import Role

FIX_HOSTNAME = "colo-london.vip-fix.kraken.com"
HOSTNAMES = (
    "api.kraken.com",
    "ws.kraken.com",
    "ws-auth.kraken.com",
    "ws-l3.kraken.com",
    "beta-ws.kraken.com",
    "beta-ws-auth.kraken.com",
    "futures.kraken.com",
    FIX_HOSTNAME,
)
"""Names that the venue's certificate is valid for, besides localhost and the loopback addresses."""

TEST_DOMAIN = "kraken-emulator.test"
"""Domain of our own, which exists nowhere (RFC 6761): its hosts get certificates to test clients with."""

_ROLES = {
    "ws.kraken.com": Role.PUBLIC,
    "beta-ws.kraken.com": Role.PUBLIC,
    "ws-auth.kraken.com": Role.PRIVATE,
    "beta-ws-auth.kraken.com": Role.PRIVATE,
    "ws-l3.kraken.com": Role.LEVEL3,
}


def websocket_role(host: str) -> Role:
    """Return what a WebSocket client of ``host`` (a Host header) may use: everything on unknown hosts."""
    return _ROLES.get(host.partition(":")[0].lower(), Role.ANY)
