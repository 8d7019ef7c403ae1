"""A client behind ``--link packet``: real TCP over the distance, on an address of the tier's own."""

import socket
import time
from urllib.parse import urlsplit

import ccxt
import pytest

from emulator.link.packet import PacketRung
from tests.clients.pointing import ccxt_options
from tests.running import running

pytestmark = pytest.mark.client


def test_connecting_takes_a_round_trip_and_trading_works():
    reason = PacketRung().works()
    if reason is not None:
        pytest.skip(reason)
    with running("--link", "packet", "--tier", "us", "--market", "off") as venue:
        [tier] = venue.endpoints["tiers"].values()
        assert tier["rung"] == "packet"
        where = urlsplit(tier["rest"])
        began = time.perf_counter()
        with socket.create_connection((where.hostname, where.port), timeout=10):
            assert time.perf_counter() - began > 0.058
        exchange = ccxt.kraken(ccxt_options(venue))
        order = exchange.create_order("BTC/USD", "limit", "buy", 0.01, 50_000)
        began = time.perf_counter()
        assert exchange.cancel_order(order["id"])["info"]["result"]["count"] == 1
        assert time.perf_counter() - began > 0.058
