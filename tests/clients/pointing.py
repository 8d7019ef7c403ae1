"""How each library is pointed at an emulator: nothing else is done to any of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.running import Running

PATIENCE_S = 20.0
"""How long anything that must happen may take on a busy machine."""


def ccxt_options(
    venue: Running, account: dict[str, Any] | None = None, tier: str | None = None
) -> dict[str, Any]:
    """Return the constructor argument of ``ccxt.kraken`` (sync, async and pro)."""
    at = venue.tier(tier)
    account = account or venue.next_account()
    sockets = {
        "public": at["ws"],
        "private": at["ws_auth"],
        "publicV2": f"{at['ws']}/v2",
        "privateV2": f"{at['ws_auth']}/v2",
        "beta": at["ws"],
        "beta-private": at["ws_auth"],
    }
    return {
        "apiKey": account["key"],
        "secret": account["secret"],
        "enableRateLimit": False,
        "urls": {"api": {"public": at["rest"], "private": at["rest"], "ws": sockets}},
    }


def sdk_rest(venue: Running, account: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return keyword arguments of python-kraken-sdk's User, Trade and SpotClient."""
    account = account or venue.next_account()
    return {"key": account["key"], "secret": account["secret"], "url": venue.tier()["rest"]}


def sdk_websocket(venue: Running, account: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return keyword arguments of python-kraken-sdk's SpotWSClient; it speaks TLS only with our CA."""
    at, key = venue.tier(), {}
    if account is not None:
        key = {"key": account["key"], "secret": account["secret"]}
    urls = {"rest_url": at["rest"], "ws_url": at["tls"]["ws"], "auth_ws_url": at["tls"]["ws_auth"]}
    return {**key, **urls}


@asynccontextmanager
async def ccxt_connected(library: Any, venue: Running, **more: Any) -> AsyncIterator[Any]:
    """A connected client of ``ccxt.async_support`` or ``ccxt.pro``, within bounds; it leaves no order."""
    async with asyncio.timeout(3 * PATIENCE_S):
        exchange = library.kraken(ccxt_options(venue) | more)
        try:
            await exchange.load_markets()
            yield exchange
            await exchange.cancel_all_orders()
        finally:
            await exchange.close()
