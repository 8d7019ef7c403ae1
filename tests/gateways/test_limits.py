"""Limits at the edge: calls per key and address, connections, lockouts; keys' own restrictions."""

import asyncio
import base64
import ipaddress

import pytest

from emulator.engine.accounts import AccountState
from emulator.engine.limits import AccountTier
from emulator.gateways.errors import check_state
from emulator.gateways.keys import ApiKey, totp
from emulator.gateways.parameters import Params
from emulator.gateways.rate_limits import CONNECTIONS_NS, LOCKOUT_NS, MOST_FAILURES, RateLimits
from emulator.gateways.spot_rest.endpoints import PRIVATE, PUBLIC
from emulator.gateways.spot_rest.session import admit
from tests.gateways.sockets import serving
from tests.gateways.venue import START_NS, Client, Kraken, refused

SECOND = 10**9
HERE, THERE = "127.0.0.1", "127.0.0.2"


def test_thirty_public_calls_at_once_then_one_a_second():
    limits = RateLimits()
    for _ in range(30):
        limits.public(HERE, "Ticker", "", START_NS)
    with refused("EGeneral:Too many requests"):
        limits.public(HERE, "Depth", "", START_NS)
    limits.public(THERE, "Ticker", "", START_NS)
    limits.public(HERE, "Ticker", "", START_NS + SECOND)
    with refused("EGeneral:Too many requests"):
        limits.public(HERE, "Ticker", "", START_NS + SECOND)


def test_trades_and_candles_are_counted_per_pair():
    limits = RateLimits()
    for pair in ("XBTUSD", "ETHUSD"):
        for method in ("Trades", "OHLC"):
            for _ in range(30):
                limits.public(HERE, method, pair, START_NS)
            with refused("EGeneral:Too many requests"):
                limits.public(HERE, method, pair.lower(), START_NS)


@pytest.mark.parametrize(
    ("tier", "most", "per_second"),
    [(AccountTier.STARTER, 15, 0.33), (AccountTier.INTERMEDIATE, 20, 0.5), (AccountTier.PRO, 20, 1)],
)
def test_private_calls_are_counted_per_key(tier, most, per_second):
    limits = RateLimits()
    for _ in range(most):
        limits.private("key", tier, 1, START_NS)
    with refused("EAPI:Rate limit exceeded"):
        limits.private("key", tier, 1, START_NS)
    limits.private("key", tier, 0, START_NS)
    limits.private("other", tier, 2, START_NS)
    later = START_NS + int(2.01 / per_second * SECOND)
    limits.private("key", tier, 2, later)
    with refused("EAPI:Rate limit exceeded"):
        limits.private("key", tier, 1, later)


def test_what_calls_cost():
    costs = {name: row.cost for name, row in PRIVATE.items()}
    free = {name for name, cost in costs.items() if cost == 0}
    assert free == {
        *("AddOrder", "AddOrderBatch", "AmendOrder", "EditOrder", "CancelOrder", "CancelOrderBatch"),
    }
    assert {name for name, cost in costs.items() if cost == 2} >= {
        *("ClosedOrders", "TradesHistory", "QueryTrades"),
    }


def test_connections_are_counted_over_ten_minutes_and_then_refused_for_ten():
    limits = RateLimits()
    assert all(limits.connects(HERE, START_NS + n) for n in range(150))
    assert not limits.connects(HERE, START_NS + 200)
    assert limits.connects(THERE, START_NS + 200)
    assert not limits.connects(HERE, START_NS + CONNECTIONS_NS)
    assert limits.connects(HERE, START_NS + 200 + CONNECTIONS_NS)


def test_many_failures_in_a_row_lock_an_address_out():
    limits = RateLimits()
    for _ in range(MOST_FAILURES - 1):
        limits.authenticated(HERE, START_NS, well=False)
    limits.authenticated(HERE, START_NS, well=True)
    limits.authenticated(HERE, START_NS, well=False)
    limits.check_lockout(HERE, START_NS)
    for _ in range(MOST_FAILURES):
        limits.authenticated(HERE, START_NS, well=False)
    with refused("EGeneral:Temporary lockout"):
        limits.check_lockout(HERE, START_NS)
    limits.check_lockout(THERE, START_NS)
    limits.check_lockout(HERE, START_NS + LOCKOUT_NS)


def test_nothing_is_counted_when_they_are_off():
    limits = RateLimits(on=False)
    for _ in range(1000):
        limits.public(HERE, "Ticker", "", START_NS)
        limits.private("key", AccountTier.STARTER, 2, START_NS)
        limits.authenticated(HERE, START_NS, well=False)
        assert limits.connects(HERE, START_NS)
    limits.check_lockout(HERE, START_NS)


# -- keys ------------------------------------------------------------------------------------------------

SECRET = base64.b64encode(b"secret").decode()


def key(**restrictions):
    return ApiKey("alice", "public", SECRET, **restrictions)


def call(restricted, otp=None, address=HERE, now_ns=START_NS):
    admit(restricted, Params({} if otp is None else {"otp": otp}), address, now_ns)


def test_disabled_and_ended_keys_are_invalid():
    with refused("EAPI:Invalid key"):
        call(key(disabled=True))
    ends = key(valid_until_ns=START_NS + 1)
    call(ends)
    with refused("EAPI:Invalid key"):
        call(ends, now_ns=START_NS + 1)


def test_key_may_be_bound_to_addresses():
    bound = key(allowed_from=[ipaddress.ip_network("127.0.0.0/30"), ipaddress.ip_network("2001:db8::/32")])
    for address in (HERE, "::ffff:127.0.0.2", "2001:db8::1%eth0"):
        call(bound, address=address)
    for address in ("127.0.0.4", "2001:db9::1", "unknown"):
        with refused("EGeneral:Permission denied"):
            call(bound, address=address)


def test_fixed_password():
    locked = key(otp="open sesame")
    call(locked, "open sesame")
    for wrong in (None, "", "sesame"):
        with refused("EGeneral:Permission denied"):
            call(locked, wrong)


def test_one_time_password_follows_the_rfc():
    # RFC 6238, appendix B (SHA-1, last six of eight digits)
    secret = base64.b32encode(b"12345678901234567890").decode()
    for time_s, code in ((59, "287082"), (1_111_111_109, "081804"), (20_000_000_000, "353130")):
        assert totp(secret, time_s // 30) == code
    locked = key(otp=f"totp:{secret}")
    step = START_NS // (30 * SECOND)
    for by in (-1, 0, 1):
        call(locked, totp(secret, step + by))
    for wrong in (totp(secret, step + 2), None, "x"):
        with refused("EGeneral:Permission denied"):
            call(locked, wrong)


def test_accounts_may_be_locked_unconfirmed_or_disabled():
    check_state(AccountState.ACTIVE, trades=True)
    check_state(AccountState.LOCKED, trades=False)
    for state, trades, error in (
        (AccountState.LOCKED, True, "ETrade:User Locked"),
        (AccountState.UNCONFIRMED, False, "EAuth:Account unconfirmed"),
        (AccountState.DISABLED, False, "EAuth:Account temporary disabled"),
    ):
        with refused(error):
            check_state(state, trades=trades)


def test_websocket_asks_the_same_of_keys_and_accounts(kraken):
    [ring] = [key for key in kraken.ring if key.account == "alice"]
    token = kraken.venue.tokens.issue(ring, START_NS)
    client = Client(kraken.gateway)
    order = {"order_type": "limit", "side": "buy", "order_qty": 1, "limit_price": 1, "symbol": "BTC/USD"}
    kraken.engine.accounts["alice"].state = AccountState.LOCKED
    assert client.error("add_order", **order, token=token) == "ETrade:User Locked"
    ring.disabled = True
    assert client.error("add_order", **order, token=token) == "ESession:Invalid session"


# -- over sockets ----------------------------------------------------------------------------------------


def over_sockets(talk, prepare=lambda _: None):
    async def scenario():
        kraken = Kraken()
        kraken.venue.limits = RateLimits()
        prepare(kraken)
        async with serving(kraken) as served:
            return await talk(kraken, await served.connect())

    return asyncio.run(asyncio.wait_for(scenario(), 30))


def test_public_burst_is_refused_with_status_200():
    async def talk(_, peer):
        answers = [await peer.get("/0/public/Time") for _ in range(31)]
        assert [answer["error"] for answer in answers] == [[]] * 30 + [["EGeneral:Too many requests"]]

    over_sockets(talk)


def test_private_calls_are_counted_and_failures_lock_out():
    async def talk(kraken, peer):
        kraken.engine.accounts["alice"].tier = AccountTier.STARTER
        answers = [await peer.private("Balance", nonce) for nonce in range(1, 18)]
        assert [answer["error"] for answer in answers[14:]] == [
            *([], ["EAPI:Rate limit exceeded"], ["EAPI:Rate limit exceeded"]),
        ]
        answers = [await peer.private("Balance", 1) for _ in range(MOST_FAILURES + 1)]
        assert answers[0]["error"] == ["EAPI:Invalid nonce"]
        assert answers[-1]["error"] == ["EGeneral:Temporary lockout"]

    over_sockets(talk)


def test_restrictions_of_keys_hold():
    def restrict(kraken):
        [alice] = [key for key in kraken.ring if key.account == "alice"]
        alice.otp = "open sesame"
        kraken.engine.accounts["bob"].state = AccountState.DISABLED

    async def talk(kraken, peer):
        assert (await peer.private("Balance", 1))["error"] == ["EGeneral:Permission denied"]
        assert (await peer.private("Balance", 2, otp="open sesame"))["error"] == []
        assert (await peer.private("Balance", 1, "bob"))["error"] == ["EAuth:Account temporary disabled"]

    over_sockets(talk, restrict)


def test_too_many_websockets_are_refused_at_the_handshake():
    async def talk(kraken, peer):
        for number in range(150):
            assert kraken.venue.limits.connects("127.0.0.1", kraken.clock.ns + number)
        peer.writer.write(b"GET /v2 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n\r\n")
        status, _, _ = await peer.response()
        assert status == 429

    over_sockets(talk)


def test_fault_of_ours_is_an_internal_error(monkeypatch):
    def fail(*_):
        raise RuntimeError

    monkeypatch.setitem(PUBLIC, "Time", fail)

    async def talk(_, peer):
        assert (await peer.get("/0/public/Time"))["error"] == ["EGeneral:Internal error"]

    over_sockets(talk)
