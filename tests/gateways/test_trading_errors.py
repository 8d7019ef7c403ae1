"""The venue's words for what the engine refuses, the same over REST and WebSocket v2."""

from typing import Any

import pytest

from emulator.engine.accounts import AccountState
from emulator.engine.commands import SetStatus
from emulator.engine.events import Reject
from emulator.engine.limits import SCHEDULED_ORDERS, AccountTier
from emulator.engine.margin import MOST_POSITIONS
from emulator.engine.status import TradingStatus
from emulator.gateways.errors import REJECT_TEXT
from tests.gateways.venue import START_NS, XBTUSD, Client, Kraken, refused

REST = {"pair": "XBTUSD", "type": "buy", "ordertype": "limit", "volume": "1", "price": "50000"}
WS = {"symbol": "BTC/USD", "side": "buy", "order_type": "limit", "order_qty": 1, "limit_price": 50000}


def status(state: TradingStatus) -> Any:
    return lambda kraken: kraken.execute(SetStatus(state, XBTUSD))


def busy(kraken: Kraken) -> None:
    kraken.engine.rate_limits = True
    kraken.engine.accounts["alice"].rate(XBTUSD).add(10_000, START_NS)


def starter(kraken: Kraken) -> None:
    kraken.engine.accounts["alice"].tier = AccountTier.STARTER


def poor(kraken: Kraken) -> None:
    kraken.engine.accounts["alice"].balances.clear()


def modest(kraken: Kraken) -> None:
    kraken.engine.accounts["alice"].margin_allowance_usd = 10


def full(kraken: Kraken) -> None:
    kraken.engine.accounts["alice"].positions.update(
        {str(number): _Nothing() for number in range(MOST_POSITIONS)}  # type: ignore[dict-item]
    )


class _Nothing:
    """A position of nothing: it takes its place."""

    open = open_cost = qty = cost = 0
    buy, leverage, instrument = True, 2, Kraken().engine.catalogue.pairs["XETHZUSD"]

    def backed(self, _: int) -> int:
        return 0

    profit = backed


def waiting(kraken: Kraken) -> None:
    kraken.engine.accounts["alice"].scheduled = SCHEDULED_ORDERS


def locked(kraken: Kraken) -> None:
    kraken.engine.accounts["alice"].state = AccountState.LOCKED


def crowded(kraken: Kraken) -> None:
    kraken.engine.accounts["alice"].open_per_pair[XBTUSD] = 225


MARGIN = ({"leverage": "5"}, {"margin": True})
CASES = [
    (status(TradingStatus.MAINTENANCE), {}, {}, "EService:Unavailable"),
    (status(TradingStatus.CANCEL_ONLY), {}, {}, "EService:Market in cancel_only mode"),
    (status(TradingStatus.POST_ONLY), {}, {}, "EService:Market in post_only mode"),
    (
        status(TradingStatus.LIMIT_ONLY),
        {"ordertype": "market"},
        {"order_type": "market", "limit_price": ...},
        "EService:Market in limit_only mode",
    ),
    (status(TradingStatus.REDUCE_ONLY), {}, {}, "EService:Market in reduce_only mode"),
    (busy, {}, {}, "EOrder:Rate limit exceeded"),
    (crowded, {}, {}, "EOrder:Orders limit exceeded"),
    (starter, *MARGIN, "EOrder:Cannot open position"),
    (poor, *MARGIN, "EOrder:Margin level too low"),
    (modest, *MARGIN, "EOrder:Margin allowance exceeded"),
    (full, *MARGIN, "EOrder:Positions limit exceeded"),
    (
        waiting,
        {"starttm": "+60"},
        {"effective_time": "2026-11-02T10:01:00Z"},
        "EOrder:Scheduled orders limit exceeded",
    ),
]


@pytest.mark.parametrize(("prepare", "rest", "ws", "error"), CASES, ids=[case[3] for case in CASES])
def test_both_protocols_say_the_same(kraken, prepare, rest, ws, error):
    prepare(kraken)
    with refused(error):
        kraken.private("AddOrder", **(REST | rest))
    client = Client(kraken.gateway)
    fields = {name: value for name, value in (WS | ws).items() if value is not ...}
    assert client.error("add_order", **fields, token=kraken.token()) == error
    assert not kraken.engine.accounts["alice"].open


def test_every_refusal_of_the_engine_has_words():
    assert REJECT_TEXT.keys() == set(Reject)


def test_price_off_the_tick(kraken):
    pair = kraken.engine.catalogue.pairs[XBTUSD]
    coarse = type(pair)(**{name: getattr(pair, name) for name in pair.__struct_fields__} | {"tick": 5})
    kraken.engine.markets[XBTUSD].instrument = coarse
    with refused("EOrder:Tick size check failed"):
        kraken.private("AddOrder", **(REST | {"price": "50000.1"}))


def test_locked_account_reads_but_does_not_trade(kraken):
    locked(kraken)
    client = Client(kraken.gateway)
    assert client.error("add_order", **WS, token=kraken.token()) == "ETrade:User Locked"
    [ack, _] = client.subscribe("balances", token=kraken.token())
    assert ack["success"]
