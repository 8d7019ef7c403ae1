"""Books kept in step at full market speed: the SDK's own on ten pairs, v1 and level 3 beside it.

A few seconds by default; ``KRAKEN_EMULATOR_SOAK_S=180`` soaks for minutes.
"""

import asyncio
import json
import os
import ssl
import time
from zlib import crc32

import pytest
import websockets
from kraken.spot import SpotClient, SpotOrderBookClient, User

from tests.clients.pointing import PATIENCE_S, sdk_rest

SOAK_S = float(os.environ.get("KRAKEN_EMULATOR_SOAK_S", "8"))
pytestmark = [pytest.mark.client, pytest.mark.timeout(SOAK_S + 4 * PATIENCE_S)]
PAIRS = [
    *("BTC/USD", "ETH/USD", "SOL/USD", "XRP/USD", "ADA/USD"),
    *("DOGE/USD", "DOT/USD", "LTC/USD", "LINK/USD", "BTC/EUR"),
]
LEAST_UPDATES = 20
"""Updates that every pair must have had."""


def token(text):
    return text.replace(".", "").lstrip("0")


def test_books_of_ten_pairs_have_no_wrong_checksum(busy_venue, monkeypatch):
    at = busy_venue.tier()
    monkeypatch.setenv("SSL_CERT_FILE", at["tls"]["ca"])
    monkeypatch.setattr(SpotClient, "URL", at["rest"])
    monkeypatch.setattr(SpotOrderBookClient, "WS_URL", at["tls"]["ws"])
    counts = dict.fromkeys(PAIRS, 0)
    wrong = []

    class Watcher(SpotOrderBookClient):
        async def on_book_update(self, pair, message):
            counts[pair] += message.get("type") == "update"
            if not self.get(pair)["valid"]:
                wrong.append(message)

    async def scenario():
        books, began = Watcher(depth=100), time.monotonic()
        await books.start()
        await books.add_book(pairs=PAIRS)
        while not wrong and (time.monotonic() - began < SOAK_S or min(counts.values()) < LEAST_UPDATES):
            await asyncio.sleep(0.05)
        await books.close()
        assert not books.exception_occur

    asyncio.run(asyncio.wait_for(scenario(), SOAK_S + 3 * PATIENCE_S))
    print(f"\n{sum(counts.values())} updates in {SOAK_S:g} s, wrong: {len(wrong)}")
    assert not wrong


class Level3:
    """One pair order by order, of the texts that came."""

    def __init__(self):
        self.sides = {"bids": {}, "asks": {}}
        self.updates = 0

    def take(self, data, depth=100):
        for name, side in self.sides.items():
            for row in data[name]:
                level = side.setdefault(row["limit_price"], {})
                if row.get("event") == "delete":
                    del level[row["order_id"]]
                    if not level:
                        del side[row["limit_price"]]
                else:
                    level[row["order_id"]] = row["order_qty"]
            for price in self._best(name)[depth:]:
                del side[price]
        self.updates += 1
        assert self._checksum() == data["checksum"]

    def _best(self, name):
        return sorted(self.sides[name], key=float, reverse=name == "bids")

    def _checksum(self):
        parts = []
        for name in ("asks", "bids"):
            for price in self._best(name)[:10]:
                parts += [token(price) + token(qty) for qty in self.sides[name][price].values()]
        return crc32("".join(parts).encode())


class V1Book:
    """One pair as WebSocket v1's clients keep it, of the texts that came."""

    def __init__(self):
        self.sides = {"a": {}, "b": {}}
        self.updates = 0

    def take(self, parts, depth=25):
        for part in parts:
            for name, snapshot in (("a", "as"), ("b", "bs")):
                for price, volume, *_ in (*part.get(name, ()), *part.get(snapshot, ())):
                    if float(volume):
                        self.sides[name][price] = volume
                    else:
                        del self.sides[name][price]
        for name in self.sides:
            for price in self._best(name)[depth:]:
                del self.sides[name][price]
        if "c" in parts[-1]:
            self.updates += 1
            assert str(self._checksum()) == parts[-1]["c"]

    def _best(self, name):
        return sorted(self.sides[name], key=float, reverse=name == "b")

    def _checksum(self):
        rows = [(p, self.sides[name][p]) for name in self.sides for p in self._best(name)[:10]]
        return crc32("".join(token(price) + token(volume) for price, volume in rows).encode())


def trusting(venue):
    return ssl.create_default_context(cafile=venue.tier()["tls"]["ca"])


async def listen(socket, take, until):
    while not until():
        take(json.loads(await asyncio.wait_for(socket.recv(), PATIENCE_S), parse_float=str))


def test_level_3_and_version_1_keep_in_step(busy_venue):
    async def scenario():
        tls, began = busy_venue.tier()["tls"], time.monotonic()
        with User(**sdk_rest(busy_venue)) as user:
            secret = user.request("POST", "/0/private/GetWebSocketsToken")["token"]
        orders = {pair: Level3() for pair in PAIRS}
        books = {pair.replace("BTC", "XBT").replace("DOGE", "XDG"): V1Book() for pair in PAIRS}

        def done(found):
            return (
                time.monotonic() - began > SOAK_S and min(b.updates for b in found.values()) >= LEAST_UPDATES
            )

        def take_orders(message):
            if message.get("channel") == "level3":
                for data in message["data"]:
                    orders[data["symbol"]].take(data)

        def take_levels(message):
            if isinstance(message, list):
                books[message[-1]].take(message[1:-2])

        options = {"ssl": trusting(busy_venue), "max_size": 1 << 24}
        async with (
            websockets.connect(f"{tls['ws_l3']}/v2", **options) as third,
            websockets.connect(tls["ws"], **options) as first,
        ):
            ask = {"channel": "level3", "symbol": PAIRS, "depth": 100, "token": secret}
            await third.send(json.dumps({"method": "subscribe", "params": ask}))
            ask = {"event": "subscribe", "pair": list(books), "subscription": {"name": "book", "depth": 25}}
            await first.send(json.dumps(ask))
            await asyncio.gather(
                listen(third, take_orders, lambda: done(orders)),
                listen(first, take_levels, lambda: done(books)),
            )
        return sum(b.updates for b in orders.values()), sum(b.updates for b in books.values())

    counts = asyncio.run(asyncio.wait_for(scenario(), SOAK_S + 3 * PATIENCE_S))
    print("\nlevel 3 and version 1 updates in {:g} s: {}, {}".format(SOAK_S, *counts))
