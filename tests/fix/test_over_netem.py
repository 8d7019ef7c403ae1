"""FIX sessions over the kernel's own sch_netem: logon, orders, heartbeats, the tier's distance, an outage."""

import select
import ssl
import statistics
import time

import pytest

from emulator.link.netem import NetemRung
from tests.clients.test_quickfix import DICTIONARY, ORDER, Trader, field, order_id
from tests.fix.messages import states
from tests.fix.sockets import SocketClient
from tests.running import kraken_emulator, running

RTT_S = 0.06  # the tier `us`
SLACK_S = 0.01  # the kernel's timers, and a machine that is itself emulated
TRIES = 5


@pytest.fixture(scope="module")
def venue():
    if reason := NetemRung().works():
        pytest.skip(reason)
    with running("--link", "netem", "--tier", "us", "--market", "off") as venue:
        assert venue.tier()["rung"] == "netem"
        yield venue


@pytest.fixture(params=["plain", "tls"])
def client(venue, request):
    context = None
    if request.param == "tls":
        context = ssl.create_default_context(cafile=venue.tier()["tls"]["ca"])
    place = venue.tier()["fix"]["spot_trading"]
    with SocketClient(place, venue.next_member(), "KRAKEN-TRD", context=context) as client:
        yield client


def link(venue, *words):
    done = kraken_emulator("link", *words, "--control", venue.endpoints["control"])
    assert done.returncode == 0, done.stderr


def order_s(client):
    """Place an order; the seconds until its first report."""
    began = time.monotonic()
    client.order()
    reports = client.reports(1)
    took_s = time.monotonic() - began
    reports += client.reports(1)
    assert states(reports) == ["AA", "00"]
    return took_s


def test_an_order_takes_the_tiers_round_trip_to_its_report(client):
    assert client.logon().type == "A"
    order_s(client)
    for _ in range(TRIES):
        took_s = [order_s(client) for _ in range(9)]
        assert min(took_s) >= RTT_S * 0.95  # less its floor, which is what the median order takes besides
        if statistics.median(took_s) <= RTT_S + SLACK_S:
            break
    else:
        pytest.fail(f"{statistics.median(took_s) * 1e3:.1f} ms instead of {RTT_S * 1e3:g}")
    assert client.logout().type == "5"


def test_heartbeats_come_by_themselves_and_when_asked_for(client):
    client.logon(heartbeat=1)
    assert client.until("0").get(112) is None
    assert {message.type for message in client.sync()} <= {"0", "1"}
    client.logout()


def test_a_session_lives_through_a_change_of_distance_and_an_outage(venue, client):
    client.logon()
    try:
        link(venue, "set", "us", "rtt=200ms")
        assert order_s(client) >= 0.19
        link(venue, "reset", "us")
        link(venue, "set", "us", "to_client.loss=100%")
        number = client.number
        client.order()
        assert not select.select([client._end], [], [], 5 * RTT_S)[0]
        link(venue, "reset", "us")
        assert states(client.reports(2)) == [
            "AA",
            "00",
        ]  # TCP has sent them again: nothing is lost or told twice
        assert client.number == number + 1
    finally:
        link(venue, "reset", "us")
    client.logout()


@pytest.mark.client
@pytest.mark.parametrize("tls", [True, False])
def test_quickfix_trades_over_the_distance(venue, tmp_path, tls):
    account, tier = venue.next_member(), venue.tier()
    settings = {
        "place": tier["fix"]["spot_trading"],
        "target": "KRAKEN-TRD",
        "comp_id": account["fix"]["sender_comp_id"],
        "key": account["fix"]["key"],
        "secret": account["fix"]["secret"],
        "ca": tier["tls"]["ca"] if tls else None,
        "dictionary": str(DICTIONARY),
        "reset": True,
    }
    trader = Trader(settings, tmp_path)
    try:
        trader.wait_for("logon")
        first, second = order_id(), order_id() + 1
        began = time.monotonic()
        trader.send(f"D|11={first}|{ORDER}")
        new = trader.wait_for("|35=8|", f"|11={first}|", "|150=0|")
        assert time.monotonic() - began >= RTT_S * 0.95
        trader.send(f"F|11={second}|37={field(new, 37)}|41={first}|54=1|55=BTC/USD|60=20260101-00:00:00")
        trader.wait_for(f"|11={second}|", "|150=4|")
        trader.end()
    finally:
        trader.kill()
