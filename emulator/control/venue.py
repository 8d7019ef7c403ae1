"""The venue by the control API: what may be done in its pairs, their index prices, deposits."""

from __future__ import annotations

from typing import Any

import msgspec

from emulator.engine.accounts import Account
from emulator.engine.commands import Deposit, SetIndex, SetStatus
from emulator.engine.events import Rejected
from emulator.engine.instruments import Asset, Instrument, scaled
from emulator.engine.status import SYSTEM, TradingStatus
from emulator.gateways.advisories import Emergency, Maintenance
from emulator.gateways.numbers import text
from emulator.gateways.venue import Venue
from emulator.reading import read
from emulator.words import unknown


class VenueError(Exception):
    """What cannot be done: one line."""


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    status: str | None = None
    index: str | None = None
    upcoming_maintenance: tuple[Maintenance, ...] | None = None
    emergency: tuple[Emergency, ...] | None = None


class _Deposit(msgspec.Struct, forbid_unknown_fields=True):
    asset: str
    amount: str
    method: str | None = None


LARGEST = 10**30
"""Amounts, prices and quantities in units of their decimals are below this."""


class VenueControl:
    """Looks at the venue and changes it."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def show(self, pair: str | None) -> Any:
        """Return the venue's status, pairs that differ from the usual and what is announced, or one pair."""
        engine, now_ns = self._venue.engine, self._venue.clock.now_ns()
        if pair is not None:
            return self._show_pair(self.pair(pair))
        changed = {
            market.instrument.altname: market.status.value
            for market in engine.markets.values()
            if market.status is not TradingStatus.ONLINE
        }
        return {
            "status": engine.system.value,
            "pairs": changed,
            "instruments": engine.catalogue.as_of,
            "upcoming_maintenance": self._venue.advisories.schedule(now_ns),
            "emergency": self._venue.advisories.fields(now_ns)["emergency"],
        }

    def set(self, pair: str | None, body: dict[str, Any]) -> Any:
        """Change the venue's or a pair's status, the pair's index price, or what the venue announces."""
        change = read(body, _Change)
        found = None if pair is None else self.pair(pair)
        commands: list[SetStatus | SetIndex] = []
        if change.status is not None:
            known = SYSTEM if found is None else frozenset(TradingStatus)
            names = sorted(status.value for status in known)
            if change.status not in names:
                if change.status in tuple(TradingStatus):
                    raise VenueError(
                        f"status {change.status!r}: a pair can have it, the venue cannot: name one (--pair)"
                    )
                raise VenueError(unknown("status", change.status, names))
            status = TradingStatus(change.status)
            commands.append(SetStatus(status, None if found is None else found.id))
        if change.index is not None:
            if found is None:
                raise VenueError("index: a pair has one, the venue has not")
            commands.append(SetIndex(found.id, _index(change.index, found)))
        if change.upcoming_maintenance is not None or change.emergency is not None:
            self._announce(found, change)
        for command in commands:  # only now, when all that was asked can be
            self._execute(command)
        return self.show(pair)

    def _announce(self, pair: Instrument | None, change: _Change) -> None:
        if pair is not None:
            raise VenueError("upcoming_maintenance and emergency: the venue has them, a pair has not")
        venue = self._venue
        venue.advisories.set(venue.clock.now_ns(), change.upcoming_maintenance, change.emergency)

    def show_account(self, name: str) -> Any:
        """Return an account's balances."""
        assets, account = self._venue.engine.catalogue.assets, self.account(name)
        balances = {
            assets[asset].altname: text(amount, assets[asset].decimals)
            for asset, amount in account.balances.items()
        }
        return {"account": account.name, "state": account.state.value, "balances": balances}

    def deposit(self, name: str, body: dict[str, Any]) -> Any:
        """Credit a deposit; it shows up everywhere as if it had arrived."""
        wanted = read(body, _Deposit)
        account, asset = self.account(name), self.asset(wanted.asset)
        methods = self._venue.offers.of(asset)
        known = [method for method in methods if wanted.method in (None, method.name)]
        if wanted.method is not None and not known:
            raise VenueError(unknown("method", str(wanted.method), (method.name for method in methods)))
        method = known[0] if known else None
        command = Deposit(
            account.name,
            asset.id,
            _units(wanted.amount, asset),
            method="" if method is None else method.name,
            address="" if method is None else method.address_of(self._venue.seed, account.name, 1),
        )
        self._execute(command)
        return self.show_account(name)

    def account(self, name: str) -> Account:
        """Return a client's account by its name."""
        account = self._venue.engine.accounts.get(name)
        if account is None or account.house:
            clients = (each.name for each in self._venue.engine.accounts.values() if not each.house)
            raise VenueError(unknown("account", name, clients))
        return account

    def asset(self, name: str) -> Asset:
        """Return an asset by any of its names."""
        asset = self._venue.names.asset(name)
        if asset is None:
            assets = self._venue.engine.catalogue.assets.values()
            spellings = {each.altname: each.name for each in assets}
            raise VenueError(unknown("asset", name, (each.name for each in assets), spellings))
        return asset

    def pair(self, name: str) -> Instrument:
        """Return a pair by any of its names."""
        pair = self._venue.names.pair(name)
        if pair is None:
            pairs = self._venue.engine.catalogue.pairs.values()
            spellings = {also: each.symbol for each in pairs for also in (each.altname, each.wsname)}
            raise VenueError(unknown("pair", name, (each.symbol for each in pairs), spellings))
        return pair

    def _show_pair(self, pair: Instrument) -> Any:
        market = self._venue.engine.markets[pair.id]
        index = text(market.index_price, pair.price_decimals) if market.index_price else None
        return {"pair": pair.altname, "status": market.status.value, "index": index}

    def _execute(self, command: Deposit | SetStatus | SetIndex) -> None:
        for event in self._venue.execute(command):
            if isinstance(event, Rejected):
                raise VenueError(f"refused: {event.reason.name.lower()}")


def _units(value: str, asset: Asset) -> int:
    try:
        amount = scaled(value, asset.decimals)
    except (ValueError, ArithmeticError):
        amount = 0
    if not 0 < amount < LARGEST:
        rule = f"more than 0, with at most {asset.decimals} decimals"
        raise VenueError(f"amount: {value!r} is not an amount of {asset.altname}: {rule}")
    return amount


def _index(value: str, pair: Instrument) -> int:
    try:
        price = scaled(value, pair.price_decimals)
    except (ValueError, ArithmeticError):
        price = -1
    if price < 0:
        raise VenueError(f"index: {value!r} is not a price of {pair.altname}")
    return price
