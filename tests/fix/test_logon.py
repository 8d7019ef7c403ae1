"""Who may log on, over what, and what the others hear (reference: FIX 1.2, 1.5, 1.6, 1.9)."""

import socket
import ssl

import pytest

from emulator.engine.accounts import AccountState
from emulator.gateways.keys import ApiKey, fix_credentials
from emulator.gateways.rate_limits import LOCKOUT_NS, MOST_FAILURES, RateLimits
from tests.fix.inside import Direct, FixVenue
from tests.fix.sockets import SocketClient
from tests.gateways.venue import SEED
from tests.running import running

FAILURE = "authentication failure"


def refused(client: Direct, *fields: tuple[int, object], number: int = 1, reset: bool = False) -> None:
    """Log on with these fields; the answer must be the Logout of a failure, and the end."""
    client.number = number
    more = [(141, "Y")] if reset else []
    client.send("A", (98, 0), (108, 30), *more, *fields)
    answers = client.take()
    assert [(answer.type, answer.get(58)) for answer in answers] == [("5", FAILURE)]
    assert client.closed


def closed_silently(client: Direct, msg_type: str, *fields: tuple[int, object], number: int = 1) -> None:
    client.send(msg_type, *fields, number=number)
    assert client.closed
    assert client.take() == []


def traded(inside: FixVenue, name: str = "ALICE") -> Direct:
    """Return a client that has traded and lost its connection: expected 3 and next 4 are its numbers."""
    client = inside.trader(name, (8674, 1))
    client.order()
    assert len(client.take()) == 2
    client.close()
    return client


def goes_on(inside: FixVenue, name: str = "ALICE") -> None:
    """A session that has traded must have its old numbers still, and what it sent."""
    again = inside.client(name)
    again.number = 3
    answer = again.logon(reset=False)
    assert (answer.type, answer[34]) == ("A", "4")
    again.send("2", (7, 1), (16, 3))
    assert [message.type for message in again.take()] == ["4", "8", "8"]


# -- the wire -------------------------------------------------------------------------------------


def test_logon_over_plain_tcp_is_answered_with_its_own_values(quiet_venue, connect):
    answer = connect(quiet_venue.next_member()).logon(heartbeat=60)
    assert answer.pairs[2:4] == [("35", "A"), ("34", "1")]
    assert answer.pairs[7:-1] == [("98", "0"), ("108", "60"), ("141", "Y")]


def test_passwords_are_never_sent_back(quiet_venue, connect):
    answer = connect(quiet_venue.next_member()).logon((8674, 1))
    assert not {553, 554, 5025, 8674} & {int(tag) for tag, _ in answer.pairs}


def tls(venue, version=None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=venue.tier()["tls"]["ca"])
    if version is not None:
        context.maximum_version = version
    return context


@pytest.mark.parametrize("service", ["spot_trading", "spot_md", "spot_md_l3"])
def test_logon_over_tls_1_3_on_the_same_port(quiet_venue, connect, service):
    client = connect(quiet_venue.next_member(), service, context=tls(quiet_venue))
    assert client._end.version() == "TLSv1.3"
    assert client.logon().type == "A"
    assert client.sync() == []
    client.logout()


def test_tls_1_2_is_refused(quiet_venue, connect):
    with pytest.raises(ssl.SSLError, match=r"(?i)alert protocol version"):
        connect(quiet_venue.next_member(), context=tls(quiet_venue, ssl.TLSVersion.TLSv1_2))


def test_tls_only_answers_plain_clients_with_an_alert(accounts_profile):
    with running("--market", "off", "--accounts", accounts_profile, "--fix-tls", "only") as venue:
        place = venue.tier()["fix"]["spot_trading"]
        host, _, port = place.rpartition(":")
        with socket.create_connection((host, int(port)), 20) as plain:
            plain.sendall(b"8=FIX.4.4\x01")
            alert = plain.recv(100)
            assert alert[:3] == b"\x15\x03\x03"
            assert plain.recv(100) == b""
        member = venue.next_member()
        with SocketClient(place, member, "KRAKEN-TRD", context=tls(venue)) as client:
            assert client.logon().type == "A"


# -- credentials ----------------------------------------------------------------------------------


def good(client: Direct, number: int = 3) -> dict[int, object]:
    return dict(client.credentials(number))


WRONG = {
    "wrong password": {554: "A" * 88},
    "empty-looking password": {554: "="},
    "wrong key": {553: "another key"},
    "no key": {553: None},
    "no password": {554: None},
    "no nonce": {5025: None},
    "a nonce that is no number": {5025: "now"},
    "a nonce of other digits": {5025: "\u0661\u0662"},
    "another nonce than was signed": {5025: "1"},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_credentials_are_refused_and_the_session_stays_as_it_was(inside, wrong):
    traded(inside)
    client = inside.client()
    fields = good(client) | wrong
    refused(client, *((tag, value) for tag, value in fields.items() if value is not None), number=3)
    goes_on(inside)


@pytest.mark.parametrize("off_ms", [-5_001, -86_400_000, 5_001, 86_400_000])
def test_a_nonce_far_from_the_venues_time_is_refused(inside, off_ms):
    traded(inside)
    client = inside.client()
    now_ms = inside.kraken.clock.ns // 10**6
    refused(client, *client.credentials(3, now_ms + off_ms), number=3)
    goes_on(inside)


@pytest.mark.parametrize("off_ms", [-5_000, 5_000])
def test_a_nonce_within_five_seconds_is_taken(inside, off_ms):
    client = inside.client()
    client.send("A", (98, 0), (108, 30), *client.credentials(1, inside.kraken.clock.ns // 10**6 + off_ms))
    assert client.read().type == "A"


def test_a_nonce_is_good_for_one_logon(inside):
    client = inside.client()
    nonce = inside.next_nonce()
    client.send("A", (98, 0), (108, 30), *client.credentials(1, nonce))
    assert client.read().type == "A"
    client.close()
    again = inside.client()
    refused(again, *again.credentials(1, nonce), number=1)
    earlier = inside.client()
    refused(earlier, *earlier.credentials(1, nonce - 1), number=1)


def test_a_refused_logon_that_asks_for_a_reset_resets_nothing(inside):
    traded(inside)
    client = inside.client()
    refused(client, *client.credentials(1)[:1], (554, "x"), (5025, inside.next_nonce()), reset=True)
    goes_on(inside)


def test_the_refusal_has_the_number_that_the_logon_would_have_had(inside):
    traded(inside)
    client = inside.client()
    client.send("A", (98, 0), (108, 30), number=3)
    assert client.read()[34] == "4"
    client = inside.client()
    client.send("A", (98, 0), (108, 30), (141, "Y"), number=1)
    assert client.read()[34] == "1"


def test_the_password_covers_the_number(inside):
    client = inside.client()
    refused(client, *client.credentials(2), number=1)


def test_a_key_of_another_account_is_refused(inside):
    client = inside.client()
    client.key, client.secret = fix_credentials(SEED, "bob")
    refused(client, *client.credentials(1))


def test_market_data_needs_no_password(quiet_venue, connect):
    member = quiet_venue.next_member()
    client = connect(member, "spot_md")
    assert client.logon().type == "A"
    # Trading and market data are sessions of their own.
    assert connect(member).logon().type == "A"
    assert client.sync() == []


# -- who and where --------------------------------------------------------------------------------


def test_an_unknown_comp_id_is_closed_without_a_word(inside):
    client = inside.client("NOBODY")
    closed_silently(client, "A", (98, 0), (108, 30), *client.credentials(1))
    assert not inside.gateway.sessions


@pytest.mark.parametrize("target", ["KRAKEN-MD", "KRAKEN", "kraken-trd", ""])
def test_the_right_comp_id_with_a_wrong_target_is_closed_without_a_word(inside, target):
    client = inside.client()
    client.target = target
    closed_silently(client, "A", (98, 0), (108, 30), *client.credentials(1))


def test_market_data_logon_at_the_trading_port_is_closed_without_a_word(quiet_venue, connect):
    client = connect(quiet_venue.next_member())
    client.target = "KRAKEN-MD"
    client.send("A", (98, 0), (108, 30), (141, "Y"))
    assert client.rest() == []


@pytest.mark.parametrize("msg_type", ["0", "1", "2", "4", "5", "D", "V", "ZZ"])
def test_a_first_message_that_is_no_logon_is_closed_without_a_word(inside, msg_type):
    closed_silently(inside.client(), msg_type)
    assert inside.trader().session is not None


def test_a_logon_with_a_wrong_checksum_is_closed_without_a_word(inside):
    client = inside.client()
    message = bytearray(client.message("A", (98, 0), (108, 30), *client.credentials(1), number=1))
    message[-2] ^= 1
    client.raw(bytes(message))
    assert client.closed
    assert client.take() == []


MALFORMED = {
    "unknown tag": [(98, 0), (108, 30), (9999, 1)],
    "98 missing": [(108, 30)],
    "108 missing": [(98, 0)],
    "98 not 0": [(98, 1), (108, 30)],
    "108 no number": [(98, 0), (108, "half a minute")],
    "108 negative": [(98, 0), (108, -1)],
    "108 beyond all bounds": [(98, 0), (108, 10**20)],
    "8674 no choice": [(98, 0), (108, 30), (8674, "maybe")],
    "twice the same": [(98, 0), (98, 0), (108, 30)],
}


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_logon_that_fails_the_dictionary_is_closed_and_the_next_one_goes_on(inside, fields, reset):
    traded(inside)
    client = inside.client()
    more = [(141, "Y"), (5030, "Y")] if reset else []
    closed_silently(client, "A", *fields, *more, *client.credentials(3), number=3)
    goes_on(inside)


def test_a_malformed_logon_does_not_forget_used_order_ids(inside):
    placed = traded(inside)
    used = inside.gateway.sessions["spot_trading", "ALICE"].cl_ord_ids.highest
    client = inside.client()
    closed_silently(client, "A", (108, 30), (5030, "Y"), *client.credentials(3), number=3)
    assert inside.gateway.sessions["spot_trading", "ALICE"].cl_ord_ids.highest == used
    assert placed.messages


def test_a_heartbeat_interval_of_nothing_is_taken(inside):
    client = inside.client()
    assert client.logon(heartbeat=0)[108] == "0"


# -- one logon at a time --------------------------------------------------------------------------


def test_second_logon_of_a_connected_comp_id_is_refused(quiet_venue, connect):
    member = quiet_venue.next_member()
    first, second = connect(member), connect(member)
    assert first.logon().type == "A"
    second.send("A", (98, 0), (108, 30), (141, "Y"), *second.credentials(1), number=1)
    assert second.rest() == []
    first.order()
    assert [report[150] for report in first.reports(2)] == ["A", "0"]


def test_a_second_logon_takes_the_place_of_the_first_one_where_that_is_wanted(accounts_profile):
    with running("--market", "off", "--accounts", accounts_profile, "--fix-logon", "displace") as venue:
        place, member = venue.tier()["fix"]["spot_trading"], venue.next_member()
        with (
            SocketClient(place, member, "KRAKEN-TRD") as first,
            SocketClient(place, member, "KRAKEN-TRD") as second,
        ):
            assert first.logon().type == "A"
            first.order()
            first.reports(2)
            second.number = 3
            answer = second.logon(reset=False)
            goodbye, *rest = first.rest()
            assert (goodbye.type, goodbye[58], goodbye[34]) == ("5", "displaced by another logon", "4")
            assert rest == []
            assert (answer.type, answer[34]) == ("A", "5")
            second.order()
            second.reports(2)


def test_a_wrong_password_displaces_nobody():
    inside = FixVenue(displace=True)
    first = inside.trader()
    second = inside.client()
    refused(second, *second.credentials(1)[:1], (554, "x"), (5025, inside.next_nonce()))
    first.order()
    assert len(first.take()) == 2
    inside.close()


def test_several_comp_ids_of_one_account_trade_side_by_side(tmp_path):
    profile = tmp_path / "accounts.toml"
    profile.write_text(
        '[defaults.balances]\nZUSD = "1000000"\n'
        '[[accounts]]\nname = "fund"\nsender_comp_ids = ["FUND-A", "FUND-B"]\n'
    )
    with running("--market", "off", "--accounts", str(profile)) as venue:
        place, member = venue.tier()["fix"]["spot_trading"], venue.next_member()
        assert member["fix"]["sender_comp_ids"] == ["FUND-A", "FUND-B"]
        with (
            SocketClient(place, member, "KRAKEN-TRD", comp_id="FUND-A") as one,
            SocketClient(place, member, "KRAKEN-TRD", comp_id="FUND-B") as other,
        ):
            assert one.logon()[56] == "FUND-A"
            assert other.logon()[56] == "FUND-B"
            one.order()
            report = one.reports(2)[1]
            # An order belongs to the CompID that placed it.
            other.cancel(report[37])
            assert other.read()[380] == "101"
            assert one.sync() == []
            one.cancel(report[37])
            assert one.read()[150] == "4"


# -- accounts and addresses -----------------------------------------------------------------------


@pytest.mark.parametrize("service", ["spot_trading", "spot_md"])
@pytest.mark.parametrize("state", [AccountState.DISABLED, AccountState.UNCONFIRMED])
def test_an_account_that_is_not_open_may_not_log_on(inside, state, service):
    inside.accounts["alice"].state = state
    client = inside.client("ALICE", service)
    refused(client, *(client.credentials(1) if service == "spot_trading" else ()))
    inside.accounts["alice"].state = AccountState.ACTIVE
    assert inside.trader().session is not None


def test_a_locked_account_logs_on_but_does_not_trade(inside):
    inside.accounts["alice"].state = AccountState.LOCKED
    client = inside.trader()
    client.order()
    assert [message.type for message in client.take()] == ["j"]


def test_a_key_that_has_ended_or_is_disabled_may_not_log_on(inside):
    key: ApiKey = inside.members["ALICE"].key
    for attribute, value in (("disabled", True), ("valid_until_ns", inside.kraken.clock.ns)):
        before = getattr(key, attribute)
        setattr(key, attribute, value)
        client = inside.client()
        refused(client, *client.credentials(1))
        setattr(key, attribute, before)
    assert inside.trader().session is not None


def test_too_many_failures_lock_the_address_out_for_a_while(inside):
    inside.kraken.venue.limits = RateLimits()
    for _ in range(MOST_FAILURES):
        refused(inside.client(), (553, "x"), (554, "x"), (5025, "1"))
    client = inside.client()
    refused(client, *client.credentials(1))
    refused(inside.client("BOB", "spot_md"))
    inside.wait(LOCKOUT_NS / 10**9)
    assert inside.trader().session is not None


def test_a_good_logon_forgives_earlier_failures(inside):
    inside.kraken.venue.limits = RateLimits()
    for _ in range(3):
        for _ in range(MOST_FAILURES - 1):
            refused(inside.client(), (553, "x"), (554, "x"), (5025, "1"))
        inside.trader().close()
