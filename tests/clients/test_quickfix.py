"""QuickFIX as a client: an initiator with the project's dictionary, over TLS, from logon to logout."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emulator.settings import PROFILES
from tests.running import ROOT, Running, running

pytestmark = pytest.mark.client
DICTIONARY = PROFILES / "fix" / "KRAKEN-FIX44.xml"
PATIENCE_S = 40.0
ORDER = "38=0.02|40=2|44=50000.0|54=1|55=BTC/USD|59=1|60=20260101-00:00:00.000"
TRADE = ORDER.replace("BTC/USD", "BTC/GBP").replace("50000.0", "40000.0")
LATE_TRADE = ORDER.replace("BTC/USD", "ETH/GBP").replace("50000.0", "2000.0")
"""Orders in pairs of their own: the venue is shared with tests that leave orders behind."""


class Trader:
    """A QuickFIX initiator in a process of its own."""

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        file = folder / "settings.json"
        file.write_text(json.dumps(settings))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.clients.quickfix_trader", str(file)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.heard: list[str] = []

    def send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def wait_for(self, *marks: str) -> str:
        """Return the next line that has all ``marks``."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            line = self._process.stdout.readline()
            assert line, f"it ended: {self.heard}"
            self.heard.append(line.strip())
            if all(mark in line for mark in marks):
                return line.strip()
        raise AssertionError(f"no {marks} in {self.heard}")

    def end(self, how: str = "logout") -> None:
        self.send(how)
        self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


@pytest.fixture
def start(quiet_venue: Running, tmp_path: Path) -> Iterator[Callable[..., Trader]]:
    """Start an initiator: ``start(account, "spot_trading")``."""
    traders: list[Trader] = []

    def make(account: dict[str, Any], service: str = "spot_trading", **more: Any) -> Trader:
        tier = quiet_venue.tier()
        trading = service == "spot_trading"
        settings = {
            "place": tier["fix"][service],
            "target": "KRAKEN-TRD" if trading else "KRAKEN-MD",
            "comp_id": account["fix"]["sender_comp_id"],
            "key": account["fix"]["key"],
            "secret": account["fix"]["secret"] if trading else None,
            "ca": tier["tls"]["ca"],
            "dictionary": str(DICTIONARY),
            "reset": True,
            **more,
        }
        folder = tmp_path / str(len(traders))
        folder.mkdir()
        traders.append(Trader(settings, folder))
        return traders[-1]

    yield make
    for trader in traders:
        trader.kill()


def order_id() -> int:
    return time.time_ns() // 1000


def field(line: str, tag: int) -> str:
    return dict(part.partition("=")[::2] for part in line.split("|"))[str(tag)]


@pytest.mark.parametrize("tls", [True, False])
def test_an_order_lives_from_new_to_cancelled(quiet_venue, start, tls):
    trader = start(quiet_venue.next_member(), **({} if tls else {"ca": None}))
    trader.wait_for("logon")
    first = order_id()
    trader.send(f"D|11={first}|{ORDER}")
    trader.wait_for("|35=8|", f"|11={first}|", "|150=A|")
    new = trader.wait_for("|35=8|", f"|11={first}|", "|150=0|", "|39=0|")
    second = order_id()
    trader.send(f"G|11={second}|37={field(new, 37)}|38=0.03|40=2|41={first}|" + ORDER.partition("40=2|")[2])
    trader.wait_for(f"|11={second}|", f"|41={first}|", "|150=5|", "|38=0.03|")
    third = order_id()
    trader.send(f"F|11={third}|37={field(new, 37)}|41={second}|54=1|55=BTC/USD|60=20260101-00:00:00")
    trader.wait_for(f"|11={third}|", f"|41={second}|", "|150=4|", "|151=0.0|")
    trader.send(f"F|11={order_id()}|37={field(new, 37)}|54=1|55=BTC/USD|60=20260101-00:00:00")
    trader.wait_for("|35=j|", "|58=Open Order to cancel not found|", "|380=101|")
    trader.end()


def test_two_traders_trade_with_each_other(quiet_venue, start):
    maker, taker = start(quiet_venue.next_member()), start(quiet_venue.next_member())
    for trader in (maker, taker):
        trader.wait_for("logon")
    maker.send(f"D|11={order_id()}|" + TRADE.replace("54=1", "54=2"))
    maker.wait_for("|150=0|")
    taker.send(f"D|11={order_id()}|{TRADE}")
    bought = taker.wait_for("|150=F|", "|39=2|", "|5050=1|")
    sold = maker.wait_for("|150=F|", "|39=2|", "|5050=0|")
    assert field(bought, 527) == field(sold, 527)
    assert float(field(bought, 137)) == pytest.approx(800 * 0.008)
    for trader in (maker, taker):
        trader.end()


def test_reports_that_were_missed_are_sent_again(quiet_venue, start, tmp_path):
    """QuickFIX itself asks for what it has missed, when it comes back with its store."""
    member, other = quiet_venue.next_member(), start(quiet_venue.next_member())
    store = tmp_path / "store"
    store.mkdir()
    trader = start(member, store=str(store), reset=False)
    trader.wait_for("logon")
    trader.send(f"D|11={order_id()}|{LATE_TRADE}")
    new = trader.wait_for("|150=0|")
    trader.end()  # in order: the order stays
    other.wait_for("logon")
    other.send(f"D|11={order_id()}|" + LATE_TRADE.replace("54=1", "54=2"))
    other.wait_for("|150=F|")
    other.end()
    back = start(member, store=str(store), reset=False)
    fill = back.wait_for("|35=8|", "|150=F|")
    assert field(fill, 37) == field(new, 37)
    assert field(fill, 43) == "Y"
    assert field(fill, 122) < field(fill, 52)
    back.end()


def test_the_truth_is_heard_after_a_restart_of_the_venue(accounts_profile, start, tmp_path):
    """With its own store it comes back where it was; the venue was killed, and has no orders any more."""
    store = tmp_path / "store"
    store.mkdir()
    kept = ("--market", "off", "--accounts", accounts_profile, "--state", "--state-folder", str(tmp_path))

    def mine(venue: Running, member: dict[str, Any]) -> Trader:
        trader = start(
            member,
            place=venue.tier()["fix"]["spot_trading"],
            ca=None,
            **({"store": str(store), "reset": False} if member is alice else {}),
        )
        trader.wait_for("logon")
        return trader

    with running(*kept) as venue:
        alice, bob = venue.next_member(), venue.next_member()
        trader, other = mine(venue, alice), mine(venue, bob)
        ids = [order_id() + place for place in range(2)]
        for cl_ord_id in ids:
            trader.send(f"D|11={cl_ord_id}|{ORDER}")
            placed = trader.wait_for("|150=0|", f"|11={cl_ord_id}|")
        trader.end()  # in order: the orders stay, and one is filled unheard
        other.send(f"D|11={order_id()}|" + ORDER.replace("54=1", "54=2"))
        other.wait_for("|150=F|", "|39=2|")
        venue.process.kill()
        venue.process.wait()
    with running(*kept) as venue:
        back = mine(venue, alice)
        gone = [back.wait_for("|35=8|") for _ in ids]
        assert {int(field(line, 11)): field(line, 14) for line in gone} == dict.fromkeys(ids, "0.0")
        assert {(field(line, 150), field(line, 58)) for line in gone} == {("4", "Venue restarted")}
        back.send(f"H|11={order_id()}|37={field(placed, 37)}|55=BTC/USD")
        back.wait_for("|35=j|", "|380=101|")
        new = order_id()
        back.send(f"D|11={new}|{ORDER}")
        back.wait_for("|150=0|", f"|11={new}|")
        assert not any("|150=F|" in line for line in back.heard)
        back.end()


def test_a_crash_cancels_what_was_placed(quiet_venue, start):
    member = quiet_venue.next_member()
    trader = start(member)
    trader.wait_for("logon")
    trader.send(f"D|11={order_id()}|{ORDER}")
    placed = trader.wait_for("|150=0|")
    trader.end("drop")
    back = start(member)
    back.wait_for("logon")
    back.send(f"H|11={order_id()}|37={field(placed, 37)}|55=BTC/USD")
    back.wait_for("|150=I|", "|39=4|")
    back.end()


def test_books_and_trades(quiet_venue, start):
    reader, trader = start(quiet_venue.next_member(), "spot_md"), start(quiet_venue.next_member())
    for client in (reader, trader):
        client.wait_for("logon")
    reader.send("x|320=list|559=0|55=LTC/USDT")
    reader.wait_for("|35=y|", "|55=LTC/USDT|", "|5032=1|")
    reader.send("V|262=book|263=1|264=10|265=1|266=Y|267=3|269=0|269=1|269=2|146=1|55=LTC/USDT")
    reader.wait_for("|35=W|", "|55=LTC/USDT|", "|262=book|")
    trader.send(f"D|11={order_id()}|38=1|40=2|44=50|54=1|55=LTC/USDT|59=1|60=20260101-00:00:00")
    reader.wait_for("|35=X|", "|279=0|", "|269=0|", "|270=50.0|", "|5041=")
    reader.send("V|262=bad|263=1|264=7|267=2|269=0|269=1|146=1|55=LTC/USDT")
    reader.wait_for("|35=Y|", "|262=bad|", "|281=5|")
    for client in (reader, trader):
        client.end()
