"""Every rule holds on every way in: what is placed, edited, amended or only validated, and what comes to life
by itself (a trigger fires, a start time comes, a fill calls for its conditional close)."""

from contextlib import contextmanager

import pytest

from emulator.engine import commands
from emulator.engine.accounts import Account
from emulator.engine.commands import Close, SetStatus
from emulator.engine.events import Accepted, Reject
from emulator.engine.instruments import Side, scaled
from emulator.engine.limits import LIMITS, SCHEDULED_ORDERS, AccountTier
from emulator.engine.orders import OrderType, Reason, Status
from emulator.engine.status import TradingStatus
from emulator.engine.triggers import Offset, Reference
from tests.engine.venue import DAY_NS, SECOND_NS, START_NS, XBTUSD

LAST = "50000"


def ticks(price):
    return scaled(price, 1)


def lots(qty):
    return scaled(qty, 8)


@pytest.fixture
def priced(venue):
    """The last trade was at 50,000; somebody quotes 49,000 and 51,000, and an index is told."""
    venue.sell("bob", "0.01", LAST)
    venue.buy("carol", "0.01", LAST)
    venue.buy("bob", "5", "49000")
    venue.sell("bob", "50", "51000")
    return venue


# -- what is asked for ------------------------------------------------------------------------------------

BASES = {
    "buy": {"side": Side.BUY, "qty": "0.1", "price": "40000"},
    "sell": {"side": Side.SELL, "qty": "0.1", "price": "60000"},
    "post-only": {"side": Side.BUY, "qty": "0.1", "price": "40000", "post_only": True},
    "iceberg": {"side": Side.BUY, "qty": "1.5", "price": "40000", "display": "0.1"},
    "stop": {"side": Side.SELL, "qty": "0.1", "type": OrderType.STOP_LOSS, "trigger": ticks("45000")},
    "stop-limit": {
        "side": Side.SELL,
        "qty": "0.1",
        "type": OrderType.STOP_LOSS_LIMIT,
        "trigger": ticks("45000"),
        "price": "44000",
    },
    "buy-stop-limit": {
        "side": Side.BUY,
        "qty": "0.1",
        "type": OrderType.STOP_LOSS_LIMIT,
        "trigger": ticks("55000"),
        "price": Offset(ticks("100")),
    },
    "trailing": {
        "side": Side.SELL,
        "qty": "0.1",
        "type": OrderType.TRAILING_STOP_LIMIT,
        "trigger": Offset(ticks("1000")),
        "price": Offset(ticks("-10")),
    },
    "scheduled": {"side": Side.BUY, "qty": "0.1", "price": "40000", "start_ns": START_NS + DAY_NS},
    "scheduled market": {"side": Side.BUY, "qty": "0.1", "start_ns": START_NS + DAY_NS},
    "margin": {"side": Side.BUY, "qty": "0.1", "price": "40000", "leverage": 2},
}
"""Sound orders.  A rule is broken by one change to one of them."""

ALL = ("add", "check", "edit", "check edit", "amend")
PLACED = ("add", "edit", "amend")
R = Reject
RULES = [
    ("wild price to buy", "buy", {"price": "500000.1"}, R.INVALID_PRICE, ALL),
    ("wild price to sell", "sell", {"price": "4999.9"}, R.INVALID_PRICE, ALL),
    ("wild price of an iceberg", "iceberg", {"price": "500000.1"}, R.INVALID_PRICE, ALL),
    ("wild price of a scheduled order", "scheduled", {"price": "500000.1"}, R.INVALID_PRICE, ALL),
    ("wild price on margin", "margin", {"price": "500000.1"}, R.INVALID_PRICE, ALL),
    (
        "wild price away from a number",
        "buy",
        {"price": Offset(10_000_000, percent=True)},
        R.INVALID_PRICE,
        ALL,
    ),
    ("limit wild beside its trigger", "stop-limit", {"price": "4499.9"}, R.INVALID_PRICE, ALL),
    ("trigger wild beside its limit", "stop-limit", {"trigger": ticks("440000.1")}, R.INVALID_PRICE, ALL),
    ("wild distance", "buy-stop-limit", {"price": Offset(9_100_000, percent=True)}, R.INVALID_PRICE, ALL),
    ("wild trailing distance", "trailing", {"price": Offset(ticks("-46000"))}, R.INVALID_PRICE, ALL),
    ("price of nothing", "buy", {"price": Offset(-1_000_000, percent=True)}, R.INVALID_PRICE, ALL),
    ("number for a distance", "trailing", {"price": "44000"}, R.INVALID_PRICE, ALL),
    ("limit of a stop without one", "stop", {"price": "44000"}, R.INVALID_PRICE, ALL),
    ("trigger of an order without one", "buy", {"trigger": ticks("45000")}, R.INVALID_TRIGGER, ALL),
    ("number for a trailing trigger", "trailing", {"trigger": ticks("45000")}, R.INVALID_TRIGGER, ALL),
    ("trigger of nothing", "stop", {"trigger": Offset(-1_000_000, percent=True)}, R.INVALID_TRIGGER, ALL),
    ("less than the minimum", "buy", {"qty": "0.00001"}, R.ORDER_MINIMUM, ALL),
    ("less of a stop than the minimum", "stop", {"qty": "0.00001"}, R.ORDER_MINIMUM, ALL),
    ("cost below the minimum", "buy", {"qty": "0.0001", "price": "4000"}, R.COST_MINIMUM, ALL),
    ("display below a fifteenth", "iceberg", {"display": "0.0999"}, R.INVALID_DISPLAY, ALL),
    ("display too little for the quantity", "iceberg", {"qty": "1.6"}, R.INVALID_DISPLAY, ALL),
    (
        "display of a plain order",
        "buy",
        {"display": "0.1"},
        R.INVALID_DISPLAY,
        ("edit", "check edit", "amend"),
    ),
    ("post-only without a limit", "stop", {"post_only": True, "qty": "0.2"}, R.POST_ONLY_NEEDS_LIMIT, ALL),
    ("reduce-only without margin", "buy", {"reduce_only": True}, R.REDUCE_ONLY_NOT_CLOSING, ALL[:4]),
    ("reduce-only without a position", "margin", {"reduce_only": True}, R.REDUCE_ONLY_NO_POSITION, ALL[:4]),
    ("more than the funds", "buy", {"qty": "30"}, R.INSUFFICIENT_FUNDS, PLACED),
    ("a price above the funds", "buy", {"qty": "20", "price": "50900"}, R.INSUFFICIENT_FUNDS, PLACED),
    ("more to sell than there is", "sell", {"qty": "100.1"}, R.INSUFFICIENT_FUNDS, PLACED),
    ("more than a stop has funds for", "stop", {"qty": "100.1"}, R.INSUFFICIENT_FUNDS, PLACED),
    ("more at its time than the funds", "scheduled market", {"qty": "30"}, R.INSUFFICIENT_FUNDS, PLACED),
    ("a position too large", "margin", {"qty": "400"}, R.POSITION_SIZE, PLACED),
    ("late", "buy", {"qty": "0.2", "deadline_ns": START_NS - 1}, R.DEADLINE_ELAPSED, PLACED),
]


def command(venue, account, terms):
    """Return the command to place an order of these terms."""
    values = dict(terms)
    for name, read in (("qty", lots), ("display", lots), ("price", ticks)):
        if isinstance(values.get(name), str):
            values[name] = read(values[name])
    values.setdefault("type", _type(values))
    return commands.PlaceOrder(account=account, pair=XBTUSD, **values)


def _type(values):
    if "display" in values:
        return OrderType.ICEBERG
    return OrderType.MARKET if "price" not in values else OrderType.LIMIT


def place(venue, base, **terms):
    venue.apply(command(venue, "alice", BASES[base] | terms))
    return venue.all(Accepted)[0].order


def try_(venue, way, base, change):
    """Ask for the base with a change in one of the ways; raises or returns what the venue refuses."""
    if way in ("add", "check"):
        asked = command(venue, "alice", BASES[base] | change)
        if way == "check":
            return venue.engine.check(asked, venue.now_ns)
        return venue.apply(asked)
    order = place(venue, base)
    values = {
        name: (lots if name != "price" else ticks)(value) if isinstance(value, str) else value
        for name, value in change.items()
    }
    if way == "amend":
        return venue.apply(commands.AmendOrder(account="alice", txid=order.txid, **values))
    values = {"post_only": order.post_only} | values
    asked = commands.EditOrder(account="alice", txid=order.txid, **values)
    return venue.engine.check(asked, venue.now_ns) if way == "check edit" else venue.apply(asked)


@contextmanager
def refuses(venue, way, reason):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the reason is looked at
        yield
    assert getattr(caught.value, "reason", None) is reason, f"{way}: {caught.value!r}"


def holds(venue, way, base, change, reason):
    """Assert that a rule holds on one way in."""
    if way.startswith("check"):
        assert try_(venue, way, base, change) is reason
        return
    with refuses(venue, way, reason):
        try_(venue, way, base, change)


@pytest.mark.parametrize(
    ("way", "base", "change", "reason"),
    [
        pytest.param(way, base, change, reason, id=f"{name}: {way}")
        for name, base, change, reason, ways in RULES
        for way in ways
    ],
)
def test_the_rule_holds_on_this_way_in(priced, way, base, change, reason):
    holds(priced, way, base, change, reason)


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("way", ALL)
def test_a_sound_order_is_taken_on_every_way_in(priced, way, base):
    assert try_(priced, way, base, {"qty": "1.4"} if base == "iceberg" else {"qty": "0.2"}) != []
    assert not priced.all(Reject)


STATUS = {  # what may be placed while trading has a status
    TradingStatus.CANCEL_ONLY: set(),
    TradingStatus.MAINTENANCE: set(),
    TradingStatus.POST_ONLY: {"post-only"},
    TradingStatus.LIMIT_ONLY: set(BASES) - {"stop", "scheduled market"},
    TradingStatus.REDUCE_ONLY: {"sell", "stop", "stop-limit", "trailing"},
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("way", ALL)
@pytest.mark.parametrize("status", STATUS)
def test_the_status_allows_the_same_on_every_way_in(priced, way, base, status):
    order = None if way in ("add", "check") else place(priced, base)
    priced.apply(SetStatus(status, XBTUSD))
    qty = lots("1.4" if base == "iceberg" else "0.2")
    if order is None:
        asked = command(priced, "alice", BASES[base])
    elif way == "amend":
        asked = commands.AmendOrder(account="alice", txid=order.txid, qty=qty)
    else:
        asked = commands.EditOrder(account="alice", txid=order.txid, qty=qty, post_only=order.post_only)
    if way.startswith("check"):
        taken = priced.engine.check(asked, priced.now_ns) is None
    else:
        taken = type(priced.engine.apply(asked, priced.now_ns)[0]).__name__ != "Rejected"
    assert taken is (base in STATUS[status])


def test_an_offset_without_a_price_to_count_from_is_refused_on_every_way_in(venue):
    for way in ALL:
        holds(venue, way, "buy", {"price": Offset(ticks("50"))}, Reject.INVALID_PRICE)


def test_what_stays_as_it_is_is_not_looked_at_again(priced):
    """The market has left the price of a scheduled order far behind: its quantity can still be changed."""
    order = place(priced, "scheduled")
    priced.cancel_all("bob")
    set_off(priced, "3000")
    assert priced.amend(order, qty="0.05")
    with priced.refuses(Reject.INVALID_PRICE):
        priced.amend(order, price="39999")


def test_an_order_on_margin_may_ask_for_less_whatever_the_level(new_venue):
    venue = new_venue(Account("alice"), Account("bob"))
    venue.deposit("bob", XXBT="10", ZUSD="1000000")
    venue.deposit("alice", ZUSD="10000")
    order = venue.buy("alice", "0.4", "40000", leverage=2)
    venue.apply(commands.SetBalances("alice", (("ZUSD", scaled("5000", 4)),)))
    with venue.refuses(Reject.MARGIN_LEVEL):
        venue.amend(order, qty="0.41")
    with venue.refuses(Reject.MARGIN_LEVEL):
        venue.amend(order, price="40001")
    venue.amend(order, qty="0.3")
    assert venue.engine.balance(venue.engine.accounts["alice"]).reserved == 6000


def test_replacing_an_order_on_margin_needs_margin_once(new_venue):
    venue = new_venue(Account("alice"))
    venue.deposit("alice", ZUSD="10000")
    order = venue.buy("alice", "0.4", "40000", leverage=2)
    assert venue.edit(order, qty="0.5").qty == lots("0.5")


def test_editing_a_scheduled_order_is_not_one_more(priced):
    for _ in range(SCHEDULED_ORDERS):
        order = place(priced, "scheduled", qty="0.0001", price="40000")
    with priced.refuses(Reject.SCHEDULED_LIMIT):
        place(priced, "scheduled")
    assert priced.edit(order, qty="0.0002").status is Status.PENDING


# -- what comes to life by itself -------------------------------------------------------------------------


def closes(**terms):
    """Return terms of an order to buy that trades at once and has a conditional close."""
    return {"side": Side.BUY, "qty": "0.1", "price": "51000", "close": Close(**terms)}


def set_off(venue, price="52000"):
    """Let the last price be another one, whatever is in the book."""
    venue.apply(
        commands.PrintTrade(house="house", pair=XBTUSD, side=Side.BUY, price=ticks(price), qty=lots("0.01"))
    )


class TestComingToLife:
    def test_a_stop_market_is_not_set_off_while_only_limits_are_taken(self, priced):
        stop = priced.buy("alice", "0.1", type=OrderType.STOP_LOSS, trigger=ticks("50500"))
        limit = priced.buy("alice", "0.1", "50600", type=OrderType.STOP_LOSS_LIMIT, trigger=ticks("50500"))
        priced.apply(SetStatus(TradingStatus.LIMIT_ONLY, XBTUSD))
        set_off(priced, "50700")
        assert (stop.status, stop.reason, stop.filled) == (Status.CANCELED, Reason.MARKET_STATUS, 0)
        assert limit.status is Status.OPEN
        assert not limit.waiting

    def test_a_stop_to_buy_is_not_set_off_while_positions_may_only_become_smaller(self, priced):
        stop = priced.buy("alice", "0.1", type=OrderType.STOP_LOSS, trigger=ticks("50500"))
        priced.apply(SetStatus(TradingStatus.REDUCE_ONLY, XBTUSD))
        set_off(priced, "50700")
        assert (stop.status, stop.reason) == (Status.CANCELED, Reason.MARKET_STATUS)

    @pytest.mark.parametrize(
        ("status", "starts"),
        [
            (TradingStatus.CANCEL_ONLY, set()),
            (TradingStatus.MAINTENANCE, set()),
            (TradingStatus.POST_ONLY, {"post"}),
            (TradingStatus.LIMIT_ONLY, {"post", "limit"}),
            (TradingStatus.REDUCE_ONLY, set()),
        ],
    )
    def test_what_starts_at_its_time_is_what_might_be_placed_then(self, priced, status, starts):
        start = priced.now_ns + SECOND_NS
        orders = {
            "post": priced.buy("alice", "0.1", "40000", post_only=True, start_ns=start),
            "limit": priced.buy("alice", "0.1", "40000", start_ns=start),
            "market": priced.buy("alice", "0.1", start_ns=start),
        }
        priced.apply(SetStatus(status, XBTUSD))
        priced.wait(2)
        assert {name for name, order in orders.items() if order.status is Status.OPEN} == starts
        assert {o.reason for o in orders.values() if o.status is Status.CANCELED} == {Reason.MARKET_STATUS}

    def test_a_scheduled_price_that_has_become_wild_does_not_start(self, priced):
        order = priced.buy("alice", "0.1", "50500", start_ns=priced.now_ns + SECOND_NS)
        priced.cancel_all("bob")
        set_off(priced, "5000")
        priced.wait(2)
        assert (order.status, order.reason) == (Status.CANCELED, Reason.INVALID_PRICE)

    def test_a_scheduled_market_order_needs_funds_when_it_starts(self, priced):
        priced.deposit("dave", ZUSD="6000")
        order = priced.buy("dave", "0.1", start_ns=priced.now_ns + SECOND_NS)
        priced.cancel_all("bob")
        priced.sell("bob", "1", "54900")
        priced.deposit("dave", ZUSD="0.0001")
        priced.apply(commands.SetBalances("dave", (("ZUSD", scaled("5400", 4)),)))
        priced.wait(2)
        assert (order.status, order.reason) == (Status.CANCELED, Reason.INSUFFICIENT_FUNDS)
        assert priced.balance("dave", "ZUSD") == "5400"

    def test_a_scheduled_amount_spends_no_more_than_that(self, priced):
        order = priced.buy("alice", "0", cash=scaled("5100", 9), start_ns=priced.now_ns + SECOND_NS)
        assert order.qty == lots("0.1")
        priced.cancel_all("bob")
        priced.sell("bob", "1", "54900")
        priced.wait(2)
        assert order.status is Status.CLOSED
        assert order.cost == scaled("5100", 9)

    @pytest.mark.parametrize("way", ["start", "trigger"])
    def test_margin_is_asked_for_again(self, new_venue, way):
        venue = new_venue(Account("alice"), Account("bob"), Account("house", house=True))
        venue.deposit("bob", XXBT="10", ZUSD="1000000")
        venue.deposit("alice", ZUSD="10000")
        set_off(venue, "50000")
        venue.sell("bob", "1", "50600")
        if way == "start":
            order = venue.buy("alice", "0.3", leverage=2, start_ns=venue.now_ns + SECOND_NS)
        else:
            order = venue.buy("alice", "0.3", leverage=2, type=OrderType.STOP_LOSS, trigger=ticks("50500"))
        venue.apply(commands.SetBalances("alice", (("ZUSD", scaled("1000", 4)),)))
        venue.wait(2)
        if way == "trigger":
            set_off(venue, "50500")
        assert (order.status, order.reason) == (Status.CANCELED, Reason.INSUFFICIENT_FUNDS)
        assert not venue.engine.accounts["alice"].positions


class TestConditionalCloses:
    @pytest.mark.parametrize(
        ("terms", "reason"),
        [
            ({"type": OrderType.LIMIT, "price": ticks("5099.9")}, Reject.INVALID_CLOSE),
            ({"type": OrderType.LIMIT, "price": Offset(-1_000_000, percent=True)}, Reject.INVALID_CLOSE),
            ({"type": OrderType.STOP_LOSS, "trigger": Offset(-ticks("51000"))}, Reject.INVALID_CLOSE),
            (
                {
                    "type": OrderType.STOP_LOSS_LIMIT,
                    "trigger": ticks("45000"),
                    "price": ticks("4000"),
                },
                Reject.INVALID_CLOSE,
            ),
            (
                {"type": OrderType.STOP_LOSS, "trigger": ticks("45000"), "reference": Reference.INDEX},
                Reject.INDEX_UNAVAILABLE,
            ),
            ({"type": OrderType.MARKET}, Reject.INVALID_CLOSE),
            ({"type": OrderType.STOP_LOSS}, Reject.INVALID_CLOSE),
        ],
    )
    def test_a_close_is_held_to_the_rules_of_orders_before_anything_trades(self, priced, terms, reason):
        with priced.refuses(reason):
            priced.apply(command(priced, "alice", closes(**terms)))

    def test_a_close_that_has_no_price_when_the_fill_is_known_is_cancelled(self, priced):
        """Bought below what the close goes below it: a limit of nothing would be a market order."""
        priced.buy("bob", "5", "900")
        close = Close(type=OrderType.LIMIT, price=Offset(-ticks("1000")))
        order = priced.sell("alice", "0.1", type=OrderType.STOP_LOSS, trigger=ticks("48000"), close=close)
        assert order.status is Status.OPEN
        priced.cancel_all("bob")
        priced.buy("bob", "0.1", "900")
        set_off(priced, "950")
        closing = priced.all(Accepted)[-1].order
        assert closing.refid == order.txid
        assert (closing.status, closing.reason) == (Status.CANCELED, Reason.INVALID_PRICE)

    def test_closes_are_open_orders_and_no_more_may_be_open(self, priced):
        most = LIMITS[AccountTier.PRO].open_orders
        for _ in range(most - 1):
            priced.buy("alice", "0.0001", "30000")
        priced.sell("bob", "0.05", "50900")
        priced.apply(command(priced, "alice", closes(type=OrderType.LIMIT, price=ticks("60000"))))
        _, first, second = (event.order for event in priced.all(Accepted))
        assert first.status is Status.OPEN
        assert (second.status, second.reason) == (Status.CANCELED, Reason.ORDERS_LIMIT)


class TestReduceOnly:
    def test_what_rests_closes_no_more_together_than_there_is(self, priced):
        """Two orders for the whole position: the one farther from the market goes."""
        priced.buy("alice", "0.5", leverage=2)
        near = priced.sell("alice", "0.5", "52000", leverage=2, reduce_only=True)
        far = priced.sell("alice", "0.5", "53000", leverage=2, reduce_only=True)
        assert near.status is Status.OPEN
        assert (far.status, far.reason) == (Status.CANCELED, Reason.REDUCE_ONLY)
        nearer = priced.sell("alice", "0.5", "51500", leverage=2, reduce_only=True)
        assert nearer.status is Status.OPEN
        assert near.reason is Reason.REDUCE_ONLY

    def test_an_order_that_trades_at_once_comes_before_those_that_rest(self, priced):
        priced.buy("alice", "0.5", leverage=2)
        resting = priced.sell("alice", "0.5", "52000", leverage=2, reduce_only=True)
        priced.sell("alice", "0.5", leverage=2, reduce_only=True)
        assert not priced.engine.accounts["alice"].positions
        assert (resting.status, resting.reason) == (Status.CANCELED, Reason.REDUCE_ONLY)

    def test_settling_is_taken_while_positions_may_only_become_smaller(self, priced):
        priced.buy("alice", "0.5", leverage=2)
        priced.apply(SetStatus(TradingStatus.REDUCE_ONLY, XBTUSD))
        priced.sell("alice", "0.5", leverage=2, type=OrderType.SETTLE_POSITION)
        assert not priced.engine.accounts["alice"].positions
