"""A market maker: ccxt, as anybody would write it for Kraken, quoting both sides of BTC/USD."""

import json
import os
import signal
import time
from contextlib import suppress

import ccxt

SYMBOL, SIZE, HALF_SPREAD, QUOTE_FOR_S = "BTC/USD", 0.01, 0.0005, 3.0


def main() -> None:
    """Quote around the mid price until stopped."""
    with open(os.environ["KRAKEN_EMULATOR_ENDPOINTS"]) as file:
        key = json.load(file)["accounts"][0]["spot"]
    # ccxt's own throttle would be in the times that are printed; the venue has Kraken's limits.
    kraken = ccxt.kraken({"apiKey": key["key"], "secret": key["secret"], "enableRateLimit": False})
    kraken.cancel_all_orders()
    try:
        make_market(kraken)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough: engines may pass it on twice
        with suppress(ccxt.NetworkError):  # the venue may have gone first
            kraken.cancel_all_orders()


def make_market(kraken: ccxt.kraken) -> None:
    """Place both sides around the mid price, again and again."""
    while True:
        book = kraken.fetch_order_book(SYMBOL, 1)
        middle = (book["bids"][0][0] + book["asks"][0][0]) / 2
        began = time.monotonic()
        quotes = [
            kraken.create_order(SYMBOL, "limit", side, SIZE, kraken.price_to_precision(SYMBOL, price))
            for side, price in (("buy", middle * (1 - HALF_SPREAD)), ("sell", middle * (1 + HALF_SPREAD)))
        ]
        took_ms = (time.monotonic() - began) * 1e3
        print(f"market maker: quoting around {middle:,.1f}, two orders in {took_ms:.1f} ms")
        time.sleep(QUOTE_FOR_S)
        kraken.cancel_all_orders()
        filled = [quote["side"] for quote in quotes if kraken.fetch_order(quote["id"])["filled"]]
        if filled:
            held = kraken.fetch_balance()["total"]
            print(f"market maker: filled {' and '.join(filled)}; {held['BTC']} BTC, {held['USD']:,.2f} USD")


if __name__ == "__main__":
    main()
