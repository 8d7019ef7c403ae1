"""How sessions end, and what becomes of their orders (reference: FIX 1.8 and 1.10)."""

import ssl

import pytest

from tests.fix.inside import Direct, FixVenue
from tests.fix.messages import Message
from tests.fix.sockets import SocketClient
from tests.running import running, wait_until


def open_ids(inside: FixVenue) -> list[str]:
    """Return the ClOrdIDs of alice's open FIX orders."""
    return [live.cl_ord_id for live in inside.gateway.orders.values() if live.session.comp_id == "ALICE"]


def back(inside: FixVenue, number: int, *fields: tuple[int, object]) -> Direct:
    """Log on again without a reset, as the client whose next number is ``number``."""
    client = inside.client()
    client.number = number
    assert client.logon(*fields, reset=False).type == "A"
    return client


# -- Logout ---------------------------------------------------------------------------------------


def test_logout_is_answered_and_the_connection_closed(quiet_venue, connect):
    client = connect(quiet_venue.next_member())
    client.logon()
    answer = client.logout()
    assert (answer[34], answer.get(58)) == ("2", None)


@pytest.mark.parametrize("secure", [False, True])
def test_who_was_logged_out_may_log_on_at_once(quiet_venue, connect, secure):
    context = ssl.create_default_context(cafile=quiet_venue.tier()["tls"]["ca"]) if secure else None
    member = quiet_venue.next_member()
    for _ in range(5):
        client = connect(member, "spot_md", context=context)
        assert client.logon().type == "A"
        client.send("5")
        assert client.until("5").type == "5"  # and its own end of the connection stays open


def test_orders_outlive_a_logout(inside):
    client = inside.trader()
    order = client.order()
    client.send("5")
    assert client.closed
    assert open_ids(inside) == [order]
    again = back(inside, 4)
    again.cancel(orig=order)
    assert again.take()[-1][150] == "4"


@pytest.mark.parametrize("tier", ["local", "tokyo"])
def test_stopping_the_venue_says_goodbye_to_everybody(accounts_profile, tier):
    with running("--tier", tier, "--market", "off", "--accounts", accounts_profile) as venue:
        at, members = venue.tier()["fix"], [venue.next_member() for _ in range(5)]
        clients = [SocketClient(at["spot_trading"], member, "KRAKEN-TRD") for member in members]
        clients.append(SocketClient(at["spot_md"], members[0], "KRAKEN-MD"))
        for client in clients:
            client.logon()
        silent = SocketClient(at["spot_trading"], members[0], "KRAKEN-TRD")
        venue.stop()
        for client in clients:
            (goodbye,) = client.rest()
            assert (goodbye.type, goodbye[34], goodbye[58]) == ("5", "2", "the venue stops")
            client.close()
        assert clients[0].messages[0].type == "A"
        assert silent.rest() == []
        silent.close()


def test_a_market_data_session_that_asks_for_nothing_is_dropped_after_a_while(inside):
    idle, busy = inside.client("ALICE", "spot_md"), inside.client("BOB", "spot_md")
    idle.logon()
    busy.logon()
    busy.send("g", (263, 1), (335, "s"), (336, "ALL"))
    busy.send("x", (320, "l"), (559, 0), (55, "BTC/USD"), (263, 1))
    inside.wait(59)
    assert not idle.closed
    inside.wait(2)
    assert idle.closed
    assert not busy.closed


# -- cancel on disconnect -------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [[], [(8674, 0)]])
def test_orders_of_a_connection_that_is_lost_are_cancelled(inside, fields):
    client = inside.trader("ALICE", *fields)
    orders = [client.resting(), client.resting()]
    assert open_ids(inside) == [order[11] for order in orders]
    client.close()
    assert open_ids(inside) == []
    again = back(inside, 4)
    again.send("2", (7, 6), (16, 7))
    reports = again.take()
    assert [(report[150], report[39], report[43]) for report in reports] == [("4", "4", "Y")] * 2
    assert [(report[37], report[11], report.get(41)) for report in reports] == [
        (order[37], order[11], None) for order in orders
    ]


def test_orders_stay_where_that_is_wanted(inside):
    client = inside.trader("ALICE", (8674, 1))
    order = client.order()
    client.close()
    assert open_ids(inside) == [order]


def test_what_a_logon_says_of_its_orders_does_not_bind_the_next_one(inside):
    client = inside.trader("ALICE", (8674, 1))
    client.close()
    again = back(inside, 2)
    again.order()
    again.close()
    assert open_ids(inside) == []


def test_only_orders_since_the_last_logon_are_cancelled(inside):
    client = inside.trader("ALICE", (8674, 1))
    kept = client.order()
    client.close()
    again = back(inside, 3)
    again.order()
    again.close()
    assert open_ids(inside) == [kept]


def test_orders_of_others_and_of_other_protocols_stay(inside):
    inside.kraken.place("alice", "buy", "1", "40000")
    alice, bob = inside.trader("ALICE"), inside.trader("BOB")
    alice.order()
    bob.order()
    alice.close()
    assert open_ids(inside) == []
    assert len(inside.accounts["alice"].open) == 1
    assert len(inside.accounts["bob"].open) == 1


def test_losing_the_market_data_session_cancels_nothing(inside):
    trader, listener = inside.trader(), inside.client("ALICE", "spot_md")
    listener.logon()
    order = trader.order()
    listener.close()
    assert open_ids(inside) == [order]


def test_an_end_for_a_number_that_is_too_low_cancels_as_a_lost_connection_does(inside):
    client = inside.trader()
    client.order()
    client.send("0", number=1)
    assert client.closed
    assert open_ids(inside) == []


def test_a_filled_part_stays_filled_when_the_rest_is_cancelled(inside):
    client = inside.trader()
    client.order()
    inside.kraken.place("bob", "sell", "0.004", "50000")
    client.close()
    again = back(inside, 3)
    again.send("2", (7, 2), (16, 5))
    reports: list[Message] = again.take()
    assert [(report[150], report[14]) for report in reports[-2:]] == [("F", "0.004"), ("4", "0.004")]


def test_a_socket_that_breaks_cancels_too(quiet_venue, connect):
    member = quiet_venue.next_member()
    client = connect(member)
    client.logon()
    client.order()
    client.reports(2)
    client.close()
    watcher = connect(member)
    watcher.number = 3

    def back_in() -> bool:
        watcher.send("A", (98, 0), (108, 30), *watcher.credentials(3), number=3)
        return watcher.read().type == "A"

    assert wait_until(back_in, 5, "the first connection is gone")
    # The Logon's own number tells that a report came before it.
    assert watcher.messages[-1][34] == "5"


def test_a_displaced_connection_takes_its_subscriptions_along():
    inside = FixVenue(displace=True)
    inside.reader().subscribed()
    second = inside.reader()
    inside.kraken.trade("0.1", "64000.6")
    assert second.take() == []
    inside.close()


def test_a_displaced_connection_is_told_and_keeps_its_orders():
    inside = FixVenue(displace=True)
    first = inside.trader()
    order = first.order()
    first.take()
    second = back(inside, 3)
    (goodbye,) = first.take()
    assert (goodbye.type, goodbye[34]) == ("5", "4")
    assert first.closed
    first.close()
    assert open_ids(inside) == [order]
    assert second.session is not None
    assert not second.session.ended
    inside.close()
