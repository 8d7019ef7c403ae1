"""A step of the clock that sets off very much: others are served meanwhile, and the venue can be stopped."""

import json
import signal
import threading
import time
import urllib.request

import ccxt
import pytest

from emulator.testing import Control, ControlError
from tests.clients.pointing import PATIENCE_S, ccxt_options
from tests.running import running, wait_until

YEAR_S = 365 * 86_400
POSITIONS = 40
"""Each is rolled over every four hours: 87,600 times a year in all."""


@pytest.fixture
def invested():
    """A venue without a market, where alice has positions."""
    with running("--tier", "local", "--market", "off") as venue:
        control = Control(venue.endpoints["control"])
        control.seed_book("BTC/USD", bids=[("59990", "100")], asks=[("60010", "100")])
        kraken = ccxt.kraken(ccxt_options(venue, venue.endpoints["accounts"][0]["spot"]))
        for _ in range(POSITIONS):
            kraken.create_order("BTC/USD", "market", "buy", 0.01, params={"leverage": 2})
        yield venue


def clock_s(venue):
    with urllib.request.urlopen(f"{venue.tier()['rest']}/0/public/Time", timeout=PATIENCE_S) as answer:
        return json.loads(answer.read())["result"]["unixtime"]


class Step(threading.Thread):
    """Steps the clock a year on, and notes whether that was answered."""

    def __init__(self, venue):
        super().__init__(daemon=True)
        self.control = Control(venue.endpoints["control"])
        self.clock = self.error = None

    def run(self):
        try:
            self.clock = self.control.step(YEAR_S)
        except ControlError as error:
            self.error = error


def test_others_are_answered_while_a_year_passes(invested):
    step = Step(invested)
    began = clock_s(invested)
    step.start()
    times = []
    while step.is_alive():
        times.append(clock_s(invested))
    step.join(PATIENCE_S)
    assert step.error is None
    assert step.clock["ahead_s"] == pytest.approx(YEAR_S)
    between = [time_s for time_s in times if began + 3_600 < time_s < began + YEAR_S - 3_600]
    assert len(set(between)) >= 3, "at the time that the venue had got to"
    assert times == sorted(times)
    assert clock_s(invested) >= began + YEAR_S
    account = invested.endpoints["accounts"][0]["spot"]
    kraken = ccxt.kraken(ccxt_options(invested, account))
    positions = kraken.private_post_openpositions({})["result"]
    assert len(positions) == POSITIONS


def test_the_venue_stops_while_a_year_passes(invested):
    step = Step(invested)
    began = clock_s(invested)
    step.start()
    wait_until(lambda: clock_s(invested) > began + 3_600, PATIENCE_S, "the venue to be on its way")
    invested.stop(signal.SIGTERM)
    step.join(PATIENCE_S)
    assert not step.is_alive()
    assert time.time() < began + 3_600
