"""REST answers have the documented shape whatever was done before: a property over trading sessions."""

from typing import Annotated, Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from emulator.gateways.errors import VenueError
from tests.gateways.venue import Kraken

Decimal = Annotated[str, Meta(pattern=r"^[+-]?\d+(\.\d+)?$")]
Price = Annotated[str, Meta(pattern=r"^[+-]?\d+(\.\d+)?%?$")]
Txid = Annotated[str, Meta(pattern=r"^[OTL][A-Z2-7]{5}-[A-Z2-7]{5}-[A-Z2-7]{6}$")]
Side = Annotated[str, Meta(pattern="^(buy|sell)$")]
Seconds = float | int


class Description(Struct, forbid_unknown_fields=True):
    """``descr``."""

    pair: str
    aclass: str
    type: Side
    ordertype: str
    price: Price
    price2: Price
    leverage: Annotated[str, Meta(pattern=r"^(none|\d+:1)$")]
    order: str
    close: str


class Order(Struct, forbid_unknown_fields=True):
    """Reference 4.5; what nautilus decodes strictly."""

    refid: Txid | None
    userref: int | None
    status: Annotated[str, Meta(pattern="^(pending|open|closed|canceled|expired)$")]
    opentm: Seconds
    starttm: Seconds
    expiretm: Seconds
    descr: Description
    vol: Decimal
    vol_exec: Decimal
    cost: Decimal
    fee: Decimal
    price: Decimal
    stopprice: Decimal
    limitprice: Decimal
    misc: str
    oflags: str
    time_in_force: str
    cl_ord_id: str | msgspec.UnsetType = msgspec.UNSET
    trigger: str | msgspec.UnsetType = msgspec.UNSET
    margin: bool | msgspec.UnsetType = msgspec.UNSET
    reduce_only: bool | msgspec.UnsetType = msgspec.UNSET
    displayvol: Decimal | msgspec.UnsetType = msgspec.UNSET
    trades: list[Txid] | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    closetm: Seconds | msgspec.UnsetType = msgspec.UNSET


class Trade(Struct, forbid_unknown_fields=True):
    """Reference 4.10."""

    ordertxid: Txid
    postxid: Txid
    pair: str
    aclass: str
    time: Seconds
    type: Side
    ordertype: str
    tradeordertype: Annotated[str, Meta(pattern="^(market|limit)$")]
    price: Decimal
    cost: Decimal
    fee: Decimal
    vol: Decimal
    margin: Decimal
    leverage: str
    misc: str
    trade_id: int
    maker: bool
    posstatus: str | msgspec.UnsetType = msgspec.UNSET
    cprice: Decimal | msgspec.UnsetType = msgspec.UNSET
    ccost: Decimal | msgspec.UnsetType = msgspec.UNSET
    cfee: Decimal | msgspec.UnsetType = msgspec.UNSET
    cvol: Decimal | msgspec.UnsetType = msgspec.UNSET
    cmargin: Decimal | msgspec.UnsetType = msgspec.UNSET
    net: Decimal | msgspec.UnsetType = msgspec.UNSET
    trades: list[Txid] | msgspec.UnsetType = msgspec.UNSET
    ledgers: list[Txid] | msgspec.UnsetType = msgspec.UNSET


class Entry(Struct, forbid_unknown_fields=True):
    """Reference 4.13."""

    refid: str
    time: Seconds
    type: str
    subtype: str
    aclass: str
    asset: str
    amount: Decimal
    fee: Decimal
    balance: Decimal


class Position(Struct, forbid_unknown_fields=True):
    """Reference 4.12."""

    ordertxid: Txid
    posstatus: str
    pair: str
    class_: str = msgspec.field(name="class")
    time: Seconds
    type: Side
    ordertype: str
    cost: Decimal
    fee: Decimal
    vol: Decimal
    vol_closed: Decimal
    margin: Decimal
    value: Decimal
    net: Decimal
    terms: str
    rollovertm: Decimal
    misc: str
    oflags: str


SHAPES: dict[str, tuple[dict[str, Any], Any]] = {
    "Balance": ({}, dict[str, Decimal]),
    "BalanceEx": ({}, dict[str, dict[str, Decimal]]),
    "TradeBalance": ({}, dict[str, Decimal]),
    "OpenOrders": ({"trades": "true"}, dict[str, dict[Txid, Order]]),
    "ClosedOrders": ({"trades": "true", "without_count": "true"}, dict[str, dict[Txid, Order]]),
    "TradesHistory": ({"ledgers": "true", "without_count": "true"}, dict[str, dict[Txid, Trade]]),
    "Ledgers": ({"without_count": "true"}, dict[str, dict[Txid, Entry]]),
    "OpenPositions": ({"docalcs": "true"}, dict[Txid, Position]),
    "OpenOrders empty": ({"userref": "77"}, dict[str, dict[Txid, Order]]),
}
TYPES = ("limit", "market", "stop-loss", "take-profit-limit", "trailing-stop", "iceberg", "settle-position")
ORDERS = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["buy", "sell"]),
            "ordertype": st.sampled_from(TYPES),
            "volume": st.sampled_from(["0", "0.001", "0.5", "x"]),
            "price": st.sampled_from(["60000", "59000", "+1%", "-50", "+100"]),
            "price2": st.sampled_from(["59500", "+10", "-1%"]),
        },
        optional={
            "leverage": st.sampled_from(["2", "5", "11"]),
            "oflags": st.sampled_from(["post", "viqc", "fcib"]),
            "timeinforce": st.sampled_from(["IOC", "GTC"]),
            "displayvol": st.just("0.1"),
            "starttm": st.just("+60"),
            "userref": st.just("5"),
            "reduce_only": st.just("true"),
            "close[ordertype]": st.just("limit"),
            "close[price]": st.sampled_from(["61000", "+5%"]),
        },
    ),
    max_size=12,
)


def attempt(kraken: Kraken, order: dict[str, str]) -> tuple[Any, str | None]:
    """Return the answer to AddOrder, or the refusal."""
    try:
        return kraken.private("AddOrder", pair="XBTUSD", **order), None
    except VenueError as error:
        return None, str(error)


@given(ORDERS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_answers_keep_their_shape(orders):
    kraken = Kraken()
    kraken.trade("0.1", "60000")
    kraken.place("bob", "sell", "5", "60001")
    kraken.place("bob", "buy", "5", "59999")
    for order in orders:
        answer, refusal = attempt(kraken, order)
        if refusal is None:
            assert answer["descr"]["order"].split()[:3:2] == [order["type"], "XBTUSD"]
        else:
            assert refusal.startswith(("EOrder:", "EGeneral:Invalid arguments"))
        kraken.wait(7)
    for name, (params, shape) in SHAPES.items():
        msgspec.convert(kraken.private(name.split()[0], **params), shape)
