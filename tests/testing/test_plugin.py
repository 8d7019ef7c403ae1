"""The pytest plugin, as users have it: found by its entry point, in runs of pytest of their own."""

from xml.etree import ElementTree

pytest_plugins = "pytester"

CCXT = """
import ccxt
import pytest

def exchange(kraken, account=0):
    spot = kraken.accounts[account].spot
    urls = {"api": {"public": kraken.rest, "private": kraken.rest}}
    return ccxt.kraken({"apiKey": spot.key, "secret": spot.secret, "enableRateLimit": False, "urls": urls})
"""


def test_every_test_has_fresh_accounts_books_and_nonces(run):
    source = """
@pytest.mark.parametrize("scale", [10**9, 10**6, 1])
def test_trade(kraken, scale):
    client, calls = exchange(kraken), iter(range(1, 100))
    client.nonce = lambda: scale * next(calls)
    assert client.fetch_order_book("BTC/USD")["asks"] == []
    assert client.fetch_balance()["BTC"]["total"] == 25
    kraken.control.seed_book("BTC/USD", bids=[(59_990, 1)], asks=[(60_010, 1)])
    client.create_order("BTC/USD", "market", "buy", 0.5)
    assert client.fetch_balance()["BTC"]["total"] > 25

def test_one_emulator_serves_the_session(kraken, kraken_session):
    assert kraken is kraken_session
"""
    run(CCXT + source).assert_outcomes(passed=4)


def test_a_failure_shows_what_crossed_the_edge_in_its_own_test(run):
    source = """
def test_earlier(kraken):
    exchange(kraken).fetch_ticker("ETH/USD")

def test_passes(kraken):
    exchange(kraken).fetch_balance()

def test_fails(kraken):
    with pytest.raises(ccxt.InsufficientFunds):
        exchange(kraken).create_order("BTC/USD", "limit", "buy", 1000, 60_000)
    assert False

def test_fails_without(request):
    assert False
"""
    result = run(CCXT + source, "-rA", "--show-capture=no")
    result.assert_outcomes(passed=2, failed=2)
    result = run(CCXT + source)
    result.stdout.fnmatch_lines(
        [
            "*--- kraken-emulator transcript, tier local ---*",
            '* 0.* s  #*GET /0/public/AssetPairs -> 200 OK {"error":*ms)',
            "* 0.* s  #1 POST /0/private/AddOrder nonce=*=limit*-> 200 OK*EOrder:Insufficient funds*ms)",
        ]
    )
    result.stdout.no_fnmatch_line("*ETH*Ticker*")
    result.stdout.no_fnmatch_line("*/0/private/Balance*")
    assert result.stdout.str().count("kraken-emulator transcript") == 1


def test_a_file_of_results_has_the_transcripts(run, pytester):
    source = """
@pytest.mark.parametrize("base", [10**6, 10**9])
def test_fails(kraken, base):
    exchange(kraken).fetch_balance()
    assert False

@pytest.fixture
def broken(kraken):
    exchange(kraken).fetch_order_book("BTC/USD")
    raise ValueError

def test_cannot_begin(broken):
    pass

def test_says_so(kraken):
    exchange(kraken).fetch_balance()
    pytest.fail("wrong", pytrace=False)
"""
    for more in ([], ["-n", "2"]):
        run(CCXT + source, "--junit-xml=report.xml", *more).assert_outcomes(failed=3, errors=1)
        root = ElementTree.parse(pytester.path / "report.xml").getroot()
        told = {case.get("name"): case[0].text for case in root.iter("testcase")}
        assert len(told) == 4
        for name, text in told.items():
            assert text.count("kraken-emulator transcript, tier local") == 1
            path = "/0/public/Depth" if name == "test_cannot_begin" else "/0/private/Balance"
            assert path in text


def test_links_fail_at_the_tier_of_a_test_that_asks_for_none(run):
    result = run("""
from http.client import HTTPConnection
from urllib.request import Request, urlopen
import pytest

def change(kraken, what, method="PATCH", body=b"{}"):
    where = f"{kraken.control.url}/control/links/local{what}"
    urlopen(Request(where, body, {"Content-Type": "application/json"}, method=method)).close()

@pytest.fixture(scope="module")
def client(kraken_session):
    connection = HTTPConnection(kraken_session.rest.partition("//")[2])
    yield connection
    connection.close()

def time(client):
    client.request("GET", "/0/public/Time")
    return client.getresponse().read()

def test_answers_are_lost(kraken, client):
    time(client)
    change(kraken, "", body=b'{"to_client": {"loss": 1}}')
    client.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        time(client)
    client.close()

def test_a_reset_ends_it(kraken, client):
    time(client)
    change(kraken, "/fail", "POST")
    with pytest.raises(ConnectionError):
        time(client)
    client.close()

def test_a_reset_ends_that_too(kraken, client):
    time(client)
""")
    result.assert_outcomes(passed=3)


def test_the_marker_chooses_tiers(run):
    source = """
import time
import requests

@pytest.mark.tier("tokyo")
def test_far(kraken):
    with requests.Session() as session:
        session.get(f"{kraken.rest}/0/public/Time").close()
        began = time.monotonic()
        assert session.get(f"{kraken.rest}/0/public/Time").json()["error"] == []
        assert time.monotonic() - began > 0.139

@pytest.mark.tier("us", "tokyo")
class TestBoth:
    def test_several(self, kraken):
        assert list(kraken.tiers) == ["us", "tokyo"]
        assert kraken.rest == kraken.tiers["us"].rest != kraken.tiers["tokyo"].rest

    @pytest.mark.tier("local")
    def test_the_nearest_marker_counts(self, kraken):
        assert list(kraken.tiers) == ["local"]

def test_default(kraken, kraken_session):
    assert kraken is kraken_session and list(kraken.tiers) == ["local"]

@pytest.mark.tier("mars")
def test_unknown(kraken):
    pass

@pytest.mark.tier(rtt=5)
def test_not_a_name(kraken):
    pass
"""
    result = run(CCXT + source, "-rE", ini="kraken_emulator_options = raw_delay = true\n")
    result.assert_outcomes(passed=4, errors=2)
    result.stdout.fnmatch_lines(
        [
            "kraken-emulator does not start: tier mars: unknown tier 'mars'; there are: *",
            "@pytest.mark.tier: names of tiers are meant, for example 'tokyo'",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    told = result.stdout.str().partition("short test summary")[0]
    assert told.count("unknown tier 'mars'") == 1
    assert "During handling" not in told


def test_the_ini_file_says_what_the_emulator_is_like(run):
    source = """
def test_settings(kraken, kraken_session):
    assert kraken is kraken_session
    assert list(kraken.tiers) == ["us"]
    assert kraken.fix.spot_md == ""
"""
    ini = "kraken_emulator_options =\n    fix = off\n    tier = us\n    raw-delay = true\n"
    run(source, ini=ini).assert_outcomes(passed=1)
    result = run(source, ini="kraken_emulator_options = fix off\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["kraken_emulator_options: 'fix off': NAME = VALUE is meant"])


def test_unittest_and_clients_that_stay_connected(run):
    source = """
import json
import unittest
import pytest
from websockets.sync.client import connect

@pytest.fixture(scope="session")
def socket(kraken_session):
    with connect(f"{kraken_session.ws}/v2", proxy=None) as client:
        yield client

@pytest.mark.parametrize("number", [1, 2])
def test_socket(kraken, socket, number):
    socket.send(json.dumps({"method": "ping", "req_id": number}))
    while json.loads(socket.recv()).get("req_id") != number:
        pass

@pytest.mark.usefixtures("kraken_session")
class Case(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _kraken(self, kraken):
        self.kraken = kraken

    def test_it(self):
        self.assertEqual(self.kraken.control.balances("alice")["account"], "alice")
        self.fail("no")
"""
    result = run(source)
    result.assert_outcomes(passed=2, failed=1)


def test_workers_of_xdist_have_emulators_of_their_own(run):
    source = """
@pytest.mark.parametrize("number", range(12))
def test_trade(kraken, number, record_property):
    client = exchange(kraken)
    assert client.fetch_order_book("BTC/USD")["bids"] == []
    kraken.control.seed_book("BTC/USD", bids=[(59_990, number + 1)])
    assert client.fetch_order_book("BTC/USD")["bids"][0][:2] == [59_990, number + 1]
    assert number != 7
"""
    result = run(CCXT + source, "-n", "2", "-p", "xdist")
    result.assert_outcomes(passed=11, failed=1)
    result.stdout.fnmatch_lines(["*--- kraken-emulator transcript, tier local ---*", "*GET /0/public/Depth*"])


def test_a_run_that_does_not_use_it_imports_nothing_of_the_venue(run):
    source = """
import sys

def test_nothing(request):
    assert "emulator.testing.plugin" in sys.modules
    ours = {name for name in sys.modules if name.partition(".")[0] == "emulator"}
    assert ours == {"emulator", "emulator.testing", "emulator.testing.plugin"}
    assert {"aiohttp", "msgspec", "quickfix", "websockets"}.isdisjoint(sys.modules)
"""
    run(source).assert_outcomes(passed=1)


def test_it_explains_itself(run):
    run("", "--markers").stdout.fnmatch_lines(["@pytest.mark.tier(name, ...): connectivity tiers*"])
    result = run("", "--fixtures")
    result.stdout.fnmatch_lines(["kraken_session *session scope*", "kraken -- *"])


def test_settings_of_a_marker_are_those_of_one_test(run):
    source = """
pytestmark = pytest.mark.kraken(post_only="reject")

def crossing(kraken):
    kraken.control.seed_book("BTC/USD", asks=[(60_010, 1)])
    exchange(kraken).create_order("BTC/USD", "limit", "buy", 0.1, 60_020, {"postOnly": True})

@pytest.mark.kraken(
    rate_limits="on", fix_logon="displace", fix_tls="only", pair_fees="schedules", status_advisories="off"
)
def test_marked(kraken):
    assert exchange(kraken).public_get_assetpairs({"pair": "XBTUSD"})["result"]["XXBTZUSD"]["fees"]
    assert "emergency" not in exchange(kraken).public_get_systemstatus()["result"]
    assert kraken.control.settings() == {
        "rate_limits": "on", "post_only": "reject", "certificate": "valid", "pair_fees": "schedules",
        "slashed_pairs": "modern", "ticker": "trades", "status_advisories": "off",
        "fix_logon": "displace", "fix_tls": "only",
    }
    with pytest.raises(ccxt.BaseError, match="Too many requests"):
        for _ in range(40):
            exchange(kraken).public_get_time()

@pytest.mark.kraken(post_only="cancel")
def test_the_nearest_marker_counts(kraken):
    crossing(kraken)
    for _ in range(40):
        exchange(kraken).public_get_time()

def test_all_others_have_the_modules(kraken):
    with pytest.raises(ccxt.ExchangeError, match="Post only order"):
        crossing(kraken)

def test_it_is_brought_back(kraken_session):
    assert kraken_session.control.settings()["post_only"] == "cancel"
    assert "emergency" in exchange(kraken_session).public_get_systemstatus()["result"]
"""
    run(CCXT + source).assert_outcomes(passed=4)


def test_a_setting_that_takes_another_emulator_is_one_line(run):
    source = """
import pytest

@pytest.mark.kraken(seed="7")
def test_fixed(kraken): ...

@pytest.mark.kraken(sed="7")
def test_unknown(kraken): ...

@pytest.mark.kraken(post_only="maybe")
def test_value(kraken): ...

@pytest.mark.kraken(post_only=True)
def test_kind(kraken): ...

@pytest.mark.kraken("on")
def test_without_a_name(kraken): ...
"""
    result = run(source)
    result.assert_outcomes(errors=5)
    wires = "pair_fees, slashed_pairs, ticker, status_advisories"
    can = f"rate_limits, post_only, certificate, {wires}, fix_logon, fix_tls"
    result.stdout.fnmatch_lines(
        [
            f"@pytest.mark.kraken: seed cannot be changed while the venue runs; these can be: {can}",
            f"@pytest.mark.kraken: unknown setting 'sed'; there are: {can}",
            "@pytest.mark.kraken: post_only must be one of cancel, reject, not 'maybe'",
            "@pytest.mark.kraken: post_only must be one of cancel, reject, not true",
            "@pytest.mark.kraken: NAME=VALUE is meant, like rate_limits='on'",
        ]
    )
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*During handling*")


def test_what_the_fixture_is_says_where_it_is_and_no_secrets(run):
    source = """
@pytest.mark.tier("us")
def test_it(kraken):
    said = repr(kraken)
    assert said.startswith(f"<Emulator at us (60 ms): REST {kraken.rest}, WebSocket {kraken.ws}, FIX 127.")
    assert said.endswith(f", control {kraken.control.url}>")
    for account in kraken.accounts:
        for secret in (account.spot.secret, account.fix.secret):
            assert secret not in said + repr(kraken.accounts) + repr(kraken.control)
"""
    run(CCXT + source).assert_outcomes(passed=1)
