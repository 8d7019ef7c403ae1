"""What holds after any sequence of commands, whoever sends them and whatever they ask for.

Several clients of different tiers and the market's own account trade up to three of five pairs that
share assets, within a few ticks of each other, so that most orders meet.  Every rule of ``AnySession``
sends a few commands; every invariant is checked after each rule.  At the end the whole session is
replayed on a fresh engine.
"""

from collections import Counter, deque
from typing import Any

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emulator.engine import commands, events
from emulator.engine.accounts import Account
from emulator.engine.book import Book
from emulator.engine.events import Event
from emulator.engine.instruments import Catalogue, Side, rescale_floor
from emulator.engine.limits import AccountTier
from emulator.engine.orders import Order, OrderType, Reason, SelfTrade, Status, TimeInForce
from emulator.engine.spot import SpotEngine
from tests.engine.conftest import INSTRUMENTS
from tests.engine.venue import DAY_NS, SECOND_NS, START_NS, event_text, queue, state_of

MIDDLES = {
    "XXBTZUSD": 600_000,
    "XETHXXBT": 5_000,
    "XETHZUSD": 300_000,
    "ZEURZUSD": 108_000,
    "XBTUSDT": 600_010,
}
"""Price around which each pair trades, in its units."""
OFF_TICK = "XETHZUSD"
"""The pair with a tick of five units, where a price can be off the tick."""
FUNDS = {"ZUSD": 60_0000, "XXBT": 8_000_000, "XETH": 150_000_000, "ZEUR": 15_0000, "USDT": 30_00000000}
"""What each client begins with: enough for a handful of orders."""
CLIENTS = ("alice", "bob", "carol")
ANSWERS = (
    events.Accepted,
    events.Rejected,
    events.Amended,
    events.CancelledAll,
    events.CancelAfterSet,
    events.Done,
    events.Ended,
    events.Posted,
)
"""One of these is in the events of every command."""


def small_catalogue() -> Catalogue:
    whole = Catalogue.from_json(INSTRUMENTS.read_bytes())
    pairs = {name: whole.pairs[name] for name in MIDDLES}
    pairs[OFF_TICK] = msgspec.structs.replace(pairs[OFF_TICK], tick=5)
    return Catalogue(whole.assets, pairs)


CATALOGUE = small_catalogue()


def new_engine() -> SpotEngine:
    accounts = [
        Account("alice"),
        Account("bob", tier=AccountTier.STARTER, volume_usd=9_990),
        Account("carol", volume_usd=10_000_000),
        Account("house", house=True),
    ]
    return SpotEngine(CATALOGUE, accounts, seed=7)


clients = st.sampled_from(CLIENTS)
sides = st.sampled_from(Side)
ticks = st.sampled_from([0, 0, 0, 1, -1, 1, -1, 2, -2])
lots = st.sampled_from([3, 3, 4, 5, 7, 9, 12, 18, 2])
"""Quantities in thirds of the pair's minimum: two are refused."""
dust = st.sampled_from([0, 0, 1, 4_321, 33_333])
which = st.integers(0, 1 << 16)
levels = st.tuples(st.integers(0, 2), lots)
"""How many ticks from the middle, and how much."""
rarely = st.sampled_from([False] * 7 + [True])
iceberg = {"type": OrderType.ICEBERG}
order_kinds = st.sampled_from(
    [
        {},
        {},
        {},
        iceberg | {"slices": 3},
        iceberg | {"slices": 7},
        iceberg | {"slices": 15},
        iceberg | {"slices": 16},
        iceberg | {"slices": 2, "tif": TimeInForce.FOK},
        {"type": OrderType.MARKET},
        {"type": OrderType.MARKET, "post_only": True},
        {"all_in": True},
        {"all_in": True, "type": OrderType.MARKET},
        {"tif": TimeInForce.IOC},
        {"tif": TimeInForce.FOK},
        {"tif": TimeInForce.FOK},
        {"tif": TimeInForce.GTD, "expires_s": 20},
        {"tif": TimeInForce.GTD, "expires_s": 0},
        {"post_only": True},
        {"post_only": True, "tif": TimeInForce.IOC},
        {"cl_ord_id": "a"},
        {"cl_ord_id": "b"},
        {"late": True},
        {"off_tick": True},
    ]
)
order_terms = st.fixed_dictionaries(
    {
        "account": clients,
        "pair": which,
        "side": sides,
        "lot": lots,
        "dust": dust,
        "tick": ticks,
        "kind": order_kinds,
        "self_trade": st.sampled_from(SelfTrade),
        "fee_in_base": st.booleans(),
    }
)
amend_terms = st.fixed_dictionaries(
    {
        "which": which,
        "lot": st.none() | lots,
        "dust": dust,
        "tick": st.none() | ticks,
        "slices": st.sampled_from([None, None, 1, 3, 15]),
        "odd": st.sampled_from([None, None, None, "post only", "off tick"]),
    }
)


class AnySession(RuleBasedStateMachine):
    """A session at the venue; see the top of the file."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = new_engine()
        self.now_ns = START_NS
        self.steps: list[tuple[Any, int]] = []
        self.told: list[str] = []
        self.last: list[Event] = []
        self.pairs: list[str] = []
        self.client_orders: list[Order] = []
        self.house_orders: list[Order] = []
        self.deposited: Counter[str] = Counter()
        self.ledger: Counter[tuple[str, str]] = Counter()
        self.displayed: dict[str, dict[int, int]] = {pair: {} for pair in MIDDLES}
        self.sums: dict[str, list[int]] = {}
        self.place: dict[int, int] = {}
        self.places = 0

    # -- commands ---------------------------------------------------------------------------------

    @initialize(pairs=st.lists(st.sampled_from(list(MIDDLES)), min_size=1, max_size=3, unique=True))
    def doors_open(self, pairs) -> None:
        self.pairs = pairs
        for name in CLIENTS:
            for asset, units in FUNDS.items():
                self.deposit(name, asset, units)

    @rule(orders=st.lists(order_terms, min_size=1, max_size=8))
    def clients_place(self, orders) -> None:
        for terms in orders:
            self.client_places(**terms)

    def client_places(self, account, pair, side, lot, dust, tick, kind, self_trade, fee_in_base) -> None:
        pair = self.pairs[pair % len(self.pairs)]
        price = self.price(pair, tick) + kind.get("off_tick", False)
        qty = (
            self.affordable(account, pair, side, price)
            if "all_in" in kind
            else self.quantity(pair, lot, dust)
        )
        type_ = kind.get("type", OrderType.LIMIT)
        self.send(
            commands.PlaceOrder(
                account=account,
                pair=pair,
                side=side,
                type=type_,
                qty=qty,
                price=None if type_ is OrderType.MARKET else price,
                tif=kind.get("tif", TimeInForce.GTC),
                post_only=kind.get("post_only", False),
                display=-(-qty // kind.get("slices", 1)),
                expire_ns=self.now_ns + kind.get("expires_s", 0) * SECOND_NS,
                cl_ord_id=kind.get("cl_ord_id"),
                self_trade=self_trade,
                fee_in_base=fee_in_base,
                deadline_ns=self.now_ns if "late" in kind else 0,
            )
        )

    @rule(pair=which, side=sides, lot=lots, dust=dust, tick=ticks, ioc=st.booleans(), only_dust=rarely)
    def market_places_its_own(self, pair, side, lot, dust, tick, ioc, only_dust) -> None:
        pair = self.pairs[pair % len(self.pairs)]
        self.send(
            commands.PlaceOrder(
                account="house",
                pair=pair,
                side=side,
                type=OrderType.LIMIT,
                qty=dust + 1 if only_dust else self.quantity(pair, lot, dust),
                price=self.price(pair, tick),
                tif=TimeInForce.IOC if ioc else TimeInForce.GTC,
            )
        )

    @precondition(lambda self: self.house_orders)
    @rule(which=which)
    def market_cancels_its_own(self, which) -> None:
        resting = [order for order in self.house_orders if order.level is not None]
        orders = resting or self.house_orders
        self.perform(("cancel_house", orders[which % len(orders)].seq))

    @precondition(lambda self: self.client_orders)
    @rule(amends=st.lists(amend_terms, min_size=1, max_size=6))
    def clients_amend(self, amends) -> None:
        for terms in amends:
            self.client_amends(**terms)

    def client_amends(self, which, lot, dust, tick, slices, odd) -> None:
        order = self.pick(which)
        pair = order.instrument.id
        qty = None if lot is None else self.quantity(pair, lot, dust)
        is_iceberg = order.type is OrderType.ICEBERG
        self.send(
            commands.AmendOrder(
                account=order.account.name,
                txid=order.txid,
                qty=qty,
                price=None if tick is None else self.price(pair, tick) + (odd == "off tick"),
                display=-(-(qty or order.qty) // slices) if slices and (is_iceberg or odd) else None,
                post_only=odd == "post only",
            )
        )

    @precondition(lambda self: self.client_orders)
    @rule(
        which=which, lot=st.none() | lots, dust=dust, tick=st.none() | ticks, post_only=rarely,
        fee_in_base=st.none() | st.booleans(),
    )  # fmt: skip
    def client_edits(self, which, lot, dust, tick, post_only, fee_in_base) -> None:
        order = self.pick(which)
        pair = order.instrument.id
        self.send(
            commands.EditOrder(
                account=order.account.name,
                txid=order.txid,
                qty=None if lot is None else self.quantity(pair, lot, dust),
                price=None if tick is None else self.price(pair, tick),
                post_only=post_only,
                fee_in_base=fee_in_base,
            )
        )

    @precondition(lambda self: self.client_orders)
    @rule(which=which, by_cl_ord_id=st.booleans())
    def client_cancels(self, which, by_cl_ord_id) -> None:
        order = self.pick(which)
        if by_cl_ord_id and order.cl_ord_id:
            self.send(commands.CancelOrder(account=order.account.name, cl_ord_id=order.cl_ord_id))
        else:
            self.send(commands.CancelOrder(account=order.account.name, txid=order.txid))

    @rule(
        what=st.integers(0, 9), account=clients, asset=st.sampled_from(list(FUNDS)), amount=st.integers(1, 60)
    )
    def something_rarer_happens(self, what, account, asset, amount) -> None:
        match what:
            case 0:
                self.send(commands.CancelAll(account))
            case 1 | 2:
                self.send(commands.CancelAllAfter(account, amount if what == 1 else 0))
            case 3:
                self.deposit(account, asset, amount)
            case 4:
                self.time_passes(31 * DAY_NS)
            case _:
                self.time_passes(amount * SECOND_NS)

    # -- what tests make happen -------------------------------------------------------------------

    @rule(account=clients, asset=st.sampled_from(list(FUNDS)), units=st.integers(0, 1 << 30))
    def balance_is_set(self, account, asset, units) -> None:
        change = units - self.engine.accounts[account].balances.get(asset, 0)
        if self.succeeds(commands.SetBalances(account, ((asset, units),))):
            self.deposited[asset] += change

    @rule(
        pair=which, below=st.lists(levels, max_size=3), above=st.lists(levels, max_size=3),
        adds=st.booleans(), match=st.booleans(),
    )  # fmt: skip
    def book_is_seeded(self, pair, below, above, adds, match) -> None:
        pair = self.pairs[pair % len(self.pairs)]

        def rows(wanted, sign):
            return tuple((self.price(pair, sign * tick), self.quantity(pair, lot, 0)) for tick, lot in wanted)

        bids, asks = rows(below, -1), rows(above, 1)
        done = self.succeeds(
            commands.SetBook(house="house", pair=pair, bids=bids, asks=asks, adds=adds, match=match)
        )
        if done and not adds and not match:
            book = self.engine.markets[pair].book
            orders = [order for row in queues(book) for order in row if order.account.house]
            house: Counter[int] = Counter()
            for order in orders:
                house[order.price if order.buy else -order.price] += order.remaining
            wanted: Counter[int] = Counter()
            for price, qty in bids:
                wanted[price] += qty
            for price, qty in asks:
                wanted[-price] += qty
            assert house == wanted

    @rule(pair=which, side=sides, lot=lots, tick=ticks, through=st.booleans())
    def trade_is_printed(self, pair, side, lot, tick, through) -> None:
        pair = self.pairs[pair % len(self.pairs)]
        price = self.price(pair, tick)
        qty = self.quantity(pair, lot, 0)
        open_before = len([order for order in self.client_orders if order.status is Status.OPEN])
        if self.succeeds(
            commands.PrintTrade(house="house", pair=pair, side=side, price=price, qty=qty, through=through)
        ):
            assert self.engine.markets[pair].last_price == price
            if not through:
                still_open = [order for order in self.client_orders if order.status is Status.OPEN]
                assert len(still_open) == open_before

    @precondition(lambda self: self.client_orders)
    @rule(which=which, part=st.sampled_from([None, None, 1, 2, 3]), better=st.sampled_from([0, 0, 1, -1]))
    def order_is_filled(self, which, part, better) -> None:
        order = self.pick(which)
        qty = None if part is None else max(order.remaining // part, 1)
        price = order.price - better * order.instrument.tick if better else None
        left, open_ = order.remaining, order.status is Status.OPEN
        command = commands.FillOrder(
            house="house", account=order.account.name, txid=order.txid, qty=qty, price=price
        )
        if self.succeeds(command):
            assert order.remaining == (left - qty if qty is not None else 0)
        elif open_ and better != (-1 if order.buy else 1):
            raise AssertionError("an open order can be filled at its limit or better")

    @precondition(lambda self: self.client_orders)
    @rule(which=which, reason=st.sampled_from([Reason.USER, Reason.EXPIRED]))
    def order_is_ended(self, which, reason) -> None:
        order = self.pick(which)
        if self.succeeds(commands.EndOrder(account=order.account.name, txid=order.txid, reason=reason)):
            assert order.reason is reason

    @rule(keeps_market=st.booleans(), seldom=rarely)
    def everything_begins_anew(self, keeps_market, seldom) -> None:
        if not seldom:
            return
        deposits = tuple(commands.Deposit(name, asset, u) for name in CLIENTS for asset, u in FUNDS.items())
        assert self.succeeds(commands.Reset(deposits, keeps_market))
        self.deposited = Counter({asset: units * len(CLIENTS) for asset, units in FUNDS.items()})
        for name in CLIENTS:
            account = self.engine.accounts[name]
            assert {entry.type for entry in account.ledger.values()} == {"deposit"}
            assert not any((account.open, account.closed, account.trades))
        if not keeps_market:
            assert not any(self.displayed.values())

    def succeeds(self, command: commands.Command) -> bool:
        """Send a command; tell whether it was carried out."""
        self.send(command)
        return not any(isinstance(event, events.Rejected) for event in self.last)

    def deposit(self, account: str, asset: str, units: int) -> None:
        self.deposited[asset] += units
        self.send(commands.Deposit(account, asset, units))

    def time_passes(self, duration_ns: int) -> None:
        self.now_ns += duration_ns
        self.perform(("advance", None))

    # -- carrying out, and listening --------------------------------------------------------------

    @staticmethod
    def quantity(pair: str, lot: int, dust: int) -> int:
        return CATALOGUE.pairs[pair].order_min * lot // 3 + dust

    @staticmethod
    def price(pair: str, tick: int) -> int:
        return MIDDLES[pair] + tick * CATALOGUE.pairs[pair].tick

    def affordable(self, account: str, pair: str, side: Side, price: int) -> int:
        """Return about all that ``account`` could buy or sell at ``price``, fee of 0.4 % included."""
        known = CATALOGUE.pairs[pair]
        if side is Side.SELL:
            units = self.engine.accounts[account].available(known.base.id)
            return rescale_floor(units, known.base.decimals, known.lot_decimals)
        units = self.engine.accounts[account].available(known.quote.id)
        return rescale_floor(units, known.quote.decimals, known.exact_decimals) * 1000 // (price * 1004)

    def pick(self, which: int) -> Order:
        """Return a client's order: an open one, unless none is, or once in a while."""
        resting = [order for order in self.client_orders if order.status is Status.OPEN]
        orders = resting if resting and which % 16 else self.client_orders
        return orders[which // 16 % len(orders)]

    def send(self, command: commands.Command) -> None:
        before = state_of(self.engine)
        target, old = self.amended(command)
        tape, fills = expected_trades(self.engine, command)
        filled_before = {order.seq: order.filled for order, _ in fills}
        self.last = heard = self.perform(command)
        if any(isinstance(event, events.Rejected) for event in heard):
            assert len(heard) == 1
            assert state_of(self.engine) == before, "a rejected command changes nothing"
            return
        assert any(isinstance(event, ANSWERS) for event in heard)
        self.take_places(heard, target, old)
        if isinstance(command, commands.PlaceOrder):
            public = [(event.price, event.qty) for event in heard if isinstance(event, events.Traded)]
            assert public == tape
            for order, qty in fills:
                filled_before[order.seq] += qty
            assert {order.seq: order.filled for order, _ in fills} == filled_before

    def perform(self, step: Any) -> list[Event]:
        self.now_ns += 1
        self.steps.append((step, self.now_ns))
        heard = carry_out(self.engine, step, self.now_ns, self.house_orders)
        self.told += map(event_text, heard)
        for event in heard:
            self.listen(event)
        return heard

    def listen(self, event: Event) -> None:
        match event:
            case events.Accepted(order=order) if not order.account.house:
                self.client_orders.append(order)
                self.sums[order.txid] = [0, 0, 0]
            case events.Filled(order=order, trade=trade):
                sums = self.sums[order.txid]
                for index, part in enumerate((trade.qty, trade.price * trade.qty, trade.fee)):
                    sums[index] += part
                assert (trade.cum_qty, trade.cum_cost, trade.cum_fee) == tuple(sums)
                if order.type is not OrderType.MARKET:
                    assert trade.price <= order.price if order.buy else trade.price >= order.price
            case events.Posted(account=account, entry=entry):
                self.ledger[account, entry.asset] += entry.amount - entry.fee
                assert entry.balance == self.ledger[account, entry.asset]
            case events.BookChanged(pair=pair, changes=changes):
                for key, qty in changes:
                    self.displayed[pair][key] = qty
                    if not qty:
                        del self.displayed[pair][key]

    def amended(self, command: commands.Command) -> tuple[Order | None, tuple[int, int]]:
        """Return the order that ``command`` would amend, with its price and quantity until now."""
        if isinstance(command, commands.AmendOrder):
            order = self.engine.accounts[command.account].open.get(command.txid or "")
            if order is not None:
                return order, (order.price, order.qty)
        return None, (0, 0)

    def take_places(self, heard: list[Event], amended: Order | None, old: tuple[int, int]) -> None:
        """Note when each order took its place in a queue: slices as they come, then the order itself."""
        taken = [event.order for event in heard if isinstance(event, events.Refilled)]
        taken += [event.order for event in heard if isinstance(event, events.Accepted)]
        if amended is not None and (amended.price != old[0] or amended.qty > old[1]):
            taken.append(amended)
        for order in taken:
            self.places += 1
            self.place[order.seq] = self.places

    # -- what always holds ------------------------------------------------------------------------

    @invariant()
    def value_is_conserved(self) -> None:
        held: Counter[str] = Counter(self.engine.settlement.fees)
        for account in self.engine.accounts.values():
            held.update(account.balances)
        assert {asset: held[asset] for asset in held if held[asset]} == {
            asset: units for asset, units in self.deposited.items() if units
        }

    @invariant()
    def balances_are_what_the_ledger_adds_up_to(self) -> None:
        for name in CLIENTS:
            balances = self.engine.accounts[name].balances
            assert balances == {asset: self.ledger[name, asset] for asset in balances}

    @invariant()
    def no_client_spends_what_it_does_not_have(self) -> None:
        for name in CLIENTS:
            account = self.engine.accounts[name]
            for asset in account.balances.keys() | account.holds.keys():
                assert account.balances.get(asset, 0) >= 0
                assert account.available(asset) >= 0

    @invariant()
    def holds_are_those_of_the_open_orders(self) -> None:
        for name in CLIENTS:
            account = self.engine.accounts[name]
            held: Counter[str] = Counter()
            for order in account.open.values():
                pair = order.instrument
                held[pair.quote.id if order.buy else pair.base.id] += order.hold
                assert order.hold == order.hold_needed(order.price * order.remaining)
            assert {asset: units for asset, units in account.holds.items() if units} == +held

    @invariant()
    def book_is_never_crossed(self) -> None:
        for market in self.engine.markets.values():
            bid, ask = market.book.bids.best(), market.book.asks.best()
            assert bid is None or ask is None or bid.price < ask.price

    @invariant()
    def levels_are_sorted_and_display_what_their_orders_show(self) -> None:
        for market in self.engine.markets.values():
            for side in (market.book.bids, market.book.asks):
                assert side.keys == sorted(side.levels)
                for key, level in side.levels.items():
                    orders = queue(level)
                    assert level.price * side.sign == key
                    assert level.qty == sum(order.shown for order in orders) > 0
                    assert {order.price for order in orders} == {level.price}

    @invariant()
    def queues_are_in_the_order_in_which_places_were_taken(self) -> None:
        for market in self.engine.markets.values():
            for order_queue in queues(market.book):
                places = [self.place[order.seq] for order in order_queue]
                assert places == sorted(places)

    @invariant()
    def book_messages_rebuild_the_displayed_book(self) -> None:
        for pair, market in self.engine.markets.items():
            book = market.book
            levels = book.bids.levels | book.asks.levels
            assert self.displayed[pair] == {key: level.qty for key, level in levels.items()}

    @invariant()
    def open_orders_are_the_resting_ones(self) -> None:
        resting = {
            order.seq
            for market in self.engine.markets.values()
            for order_queue in queues(market.book)
            for order in order_queue
        }
        open_ = {order.seq for name in CLIENTS for order in self.engine.accounts[name].open.values()}
        assert open_ == {order.seq for order in self.client_orders if order.status is Status.OPEN}
        assert resting == open_ | {order.seq for order in self.house_orders if order.status is Status.OPEN}

    @invariant()
    def shown_quantity_is_what_is_left_or_a_slice_of_it(self) -> None:
        for market in self.engine.markets.values():
            for order_queue in queues(market.book):
                for order in order_queue:
                    most = order.remaining
                    if order.type is OrderType.ICEBERG:
                        assert 0 < order.shown <= min(order.display, most)
                    else:
                        assert order.shown == most > 0

    @invariant()
    def filled_quantities_add_up(self) -> None:
        for order in self.client_orders:
            assert order.filled <= order.qty
            assert [order.filled, order.cost, order.fee] == self.sums[order.txid]
            assert (order.status is Status.CLOSED) == (order.filled == order.qty and not order.reason)
            if order.tif is TimeInForce.FOK and order.type is not OrderType.MARKET:
                assert order.filled in (0, order.qty), "fill or kill is all or nothing"

    @invariant()
    def client_ids_are_those_of_open_orders(self) -> None:
        for name in CLIENTS:
            account = self.engine.accounts[name]
            named = [order for order in account.open.values() if order.cl_ord_id is not None]
            assert account.by_cl_ord_id == {order.cl_ord_id: order for order in named}
            assert len(account.by_cl_ord_id) == len(named)

    def teardown(self) -> None:
        """Replay: the same seed and commands give the same events, to the letter, in slices too."""
        for at_once in (None, 1):
            engine, house_orders, told = new_engine(), [], []
            for step, now_ns in self.steps:
                told += map(event_text, carry_out(engine, step, now_ns, house_orders, at_once))
            assert told == self.told
            assert state_of(engine) == state_of(self.engine)


def queues(book: Book) -> list[list[Order]]:
    return [queue(level) for side in (book.bids, book.asks) for level in side.levels.values()]


def carry_out(
    engine: SpotEngine, step: Any, now_ns: int, house_orders: list[Order], at_once: int | None = None
) -> list[Event]:
    """Carry out one step of a session, what is due ``at_once`` at a time; note the market's own orders."""
    match step:
        case "advance", _:
            heard = engine.advance(now_ns, at_once)
            while (due_ns := engine.deadline()) is not None and due_ns <= now_ns:
                heard += engine.advance(now_ns, at_once)
            return heard
        case "cancel_house", seq:
            return engine.cancel_house(next(order for order in house_orders if order.seq == seq), now_ns)
    heard = engine.apply(step, now_ns)
    house_orders += [e.order for e in heard if isinstance(e, events.Accepted) and e.order.account.house]
    return heard


Expected = tuple[list[tuple[int, int]], list[tuple[Order, int]]]


def expected_trades(engine: SpotEngine, command: commands.Command) -> Expected:
    """Return ``(price, quantity)`` of each trade of a new order, and the maker and quantity of each.

    A second opinion on matching: a plain walk over the levels, with a queue that forgets nothing.
    """
    if not isinstance(command, commands.PlaceOrder):
        return [], []
    if command.post_only:
        return [], []
    buy, limit, wanted = command.side is Side.BUY, command.price, command.qty
    house = engine.accounts[command.account].house
    tape, fills = [], []
    for level in engine.markets[command.pair].book.side(not buy).top(1_000):
        if limit is not None and (level.price > limit if buy else level.price < limit):
            break
        waiting = deque((order, order.shown, order.remaining - order.shown) for order in queue(level))
        while waiting and wanted:
            maker, shown, hidden = waiting.popleft()
            if maker.account.name == command.account and not house:
                if command.self_trade is SelfTrade.CANCEL_OLDEST:
                    continue
                return ([], []) if killed(command, wanted) else (tape, fills)
            part = min(shown, wanted)
            wanted -= part
            tape.append((level.price, part))
            fills.append((maker, part))
            if hidden:
                waiting.append((maker, min(maker.display, hidden), hidden - min(maker.display, hidden)))
    return ([], []) if killed(command, wanted) else (tape, fills)


def killed(command: commands.PlaceOrder, wanted: int) -> bool:
    return command.tif is TimeInForce.FOK and command.type is not OrderType.MARKET and wanted > 0


TestAnySession = pytest.mark.timeout(600)(AnySession.TestCase)  # a failure is shrunk for minutes
TestAnySession.settings = settings(max_examples=250, stateful_step_count=30)
