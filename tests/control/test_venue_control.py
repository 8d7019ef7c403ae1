"""Trading status, index prices and deposits by the control API and the command line."""

import json
import subprocess
import urllib.error
import urllib.request

import ccxt
import pytest

from tests.clients.pointing import ccxt_options
from tests.running import COMMAND, ROOT, environment, running


@pytest.fixture(scope="module")
def venue():
    with running("--market", "off") as up:
        yield up


def control(venue):
    return venue.endpoints["control"]


def tell(venue, *words):
    """Run the command line; return its exit code and what it said."""
    done = subprocess.run(
        [*COMMAND, *words, "--control", control(venue)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stdout + done.stderr


def call(venue, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(control(venue) + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture
def exchange(venue):
    client = ccxt.kraken(ccxt_options(venue))
    client.load_markets()
    yield client
    call(venue, "PATCH", "/control/venue", {"status": "online"})
    call(venue, "PATCH", "/control/venue/XBTUSD", {"status": "online"})
    client.cancel_all_orders()
    client.session.close()


def test_status_of_a_pair_is_changed_by_the_command_line(venue, exchange):
    order = exchange.create_order("BTC/USD", "limit", "buy", 0.01, 50_000)
    code, said = tell(venue, "venue", "cancel_only", "--pair", "BTC/USD")
    assert (code, said.split()) == (0, ["what", "status", "XBTUSD", "cancel_only"])
    with pytest.raises(ccxt.OnMaintenance, match="EService:Market in cancel_only mode"):
        exchange.create_order("BTC/USD", "limit", "buy", 0.01, 50_000)
    exchange.create_order("ETH/USD", "limit", "buy", 0.01, 1_000)
    exchange.cancel_order(order["id"])
    pairs = exchange.public_get_assetpairs()["result"]
    assert pairs["XXBTZUSD"]["status"] == "cancel_only"
    code, said = tell(venue, "venue")
    assert said.split() == ["what", "status", "venue", "online", "XBTUSD", "cancel_only"]


def test_status_of_the_venue(venue, exchange):
    assert tell(venue, "venue", "maintenance")[0] == 0
    assert exchange.fetch_status()["status"] == "maintenance"
    with pytest.raises(ccxt.ExchangeNotAvailable, match="EService:Unavailable"):
        exchange.create_order("BTC/USD", "limit", "buy", 0.01, 50_000)
    assert tell(venue, "venue", "online")[0] == 0
    assert exchange.fetch_status()["status"] == "ok"


def test_advisories_are_announced_and_taken_back(venue):
    code, said = tell(venue, "venue", "--maintenance-in", "1h30m", "--emergency", "Slow order entry")
    assert code == 0
    assert [line.split("  ")[0] for line in said.splitlines()] == [
        *("what", "venue", "upcoming maintenance", "emergency"),
    ]
    answer, now = call(venue, "GET", "/control/venue")
    assert answer == 200
    assert [event["phase"] for event in now["upcoming_maintenance"]] == ["reminder_24h"]
    assert [incident["title"] for incident in now["emergency"]] == ["Slow order entry"]
    assert tell(venue, "venue", "--no-advisories")[1].split() == ["what", "status", "venue", "online"]


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("", {"upcoming_maintenance": [{}]}, "either expected_start_utc or starts_in_s"),
        ("", {"upcoming_maintenance": [{"starts_in_s": -1}]}, "starts_in_s"),
        (
            "",
            {"emergency": [{"title": "x", "impact": "foo"}]},
            "emergency[0].impact: unknown value 'foo'; there are: critical, major, minor, none",
        ),
        (
            "",
            {"emergency": [{"title": "x", "incident_status": "foo"}]},
            "emergency[0].incident_status: unknown value 'foo'; there are: identified, ",
        ),
        (
            "",
            {"emergency": [{"title": "x", "affected_services": ["x"]}]},
            "emergency[0].affected_services[0]: unknown value 'x'; there are: all, futures_fix, ",
        ),
        (
            "",
            {"upcoming_maintenance": [{"starts_in": 1}]},
            "upcoming_maintenance[0]: unknown field 'starts_in', did you mean 'starts_in_s'? There are: ",
        ),
        (
            "",
            {"upcoming_maintenance": [{"expected_start_utc": "tomorrow"}]},
            "upcoming_maintenance[0].expected_start_utc = 'tomorrow': a time is meant, as in 2026-",
        ),
        (
            "",
            {"status": "cancel_only", "upcoming_maintenance": [{"starts_in_s": 1, "cancel_before_utc": "x"}]},
            "upcoming_maintenance[0].cancel_before_utc = 'x': a time is meant",
        ),
        ("", {"emergency": "x"}, "emergency = 'x': a list is meant"),
        ("", {"emergency": [{}]}, "emergency[0].title: missing; text of 1 to 200 characters is meant"),
        ("", {"status": 3}, "status = 3: text is meant"),
        ("/XBTUSD", {"status": "cancel_only", "index": "x"}, "index: 'x' is not a price of XBTUSD"),
        ("/XBTUSD", {"emergency": []}, "a pair has not"),
    ],
)
def test_what_cannot_be_announced_is_said(venue, path, body, error):
    status, answer = call(venue, "PATCH", f"/control/venue{path}", body)
    assert status == 400
    assert error in answer["error"]
    assert "\n" not in answer["error"]
    assert call(venue, "GET", f"/control/venue{path}")[1]["status"] == "online"


@pytest.mark.parametrize(
    ("method", "path", "body", "error"),
    [
        ("PATCH", "/control/settings", {"seed": 3}, "seed cannot be changed while the venue runs; these "),
        ("PATCH", "/control/settings", {"seed": "3"}, "seed cannot be changed while the venue runs; these"),
        ("PATCH", "/control/settings", {"rate_limits": True}, "rate_limits must be one of on, off, not true"),
        ("PATCH", "/control/settings", {"rate_limits": []}, "rate_limits must be one of on, off, not []"),
        ("POST", "/control/accounts/alice/deposits", {"asset": "BTC", "amount": 1}, "amount = 1: text is"),
        ("PUT", "/control/venue/XBTUSD/book", {"bids": [60000]}, "bids[0] = 60000: a price with a "),
        ("PUT", "/control/venue/XBTUSX/book", {}, "unknown pair 'XBTUSX', did you mean 'BTC/USD'? "),
        ("PUT", "/control/venue/BTC-USD/book", {}, "unknown pair 'BTC-USD', did you mean 'BTC/USD'? "),
        ("PUT", "/control/venue/XBT%2FUSX/book", {}, "unknown pair 'XBT/USX', did you mean 'BTC/USD'? "),
        (
            "POST",
            "/control/accounts/alice/deposits",
            {"asset": "XXBTC", "amount": "1"},
            "unknown asset 'XXBTC', did ",
        ),
        ("PUT", "/control/venue/NOPE/book", {}, "unknown pair 'NOPE'; there are 51, BTC/USD, "),
        ("PATCH", "/control/settings", {"sed": None}, "unknown setting 'sed'; there are: rate_limits, "),
        ("POST", "/control/clock", {"step_s": "x"}, "step_s = 'x': a number is meant"),
        ("PATCH", "/control/links", {"loss": "much"}, "loss = 'much': a number from 0 to 1 is meant"),
        (
            "POST",
            "/control/links/play",
            {"schedul": "flap"},
            "unknown field 'schedul', did you mean 'schedule'?",
        ),
        (
            "POST",
            "/control/links/play",
            {"schedule": "flop"},
            "unknown schedule 'flop', did you mean 'flap'?",
        ),
    ],
)
def test_what_a_body_must_not_say_is_told_with_field_value_and_what_is_meant(
    venue, method, path, body, error
):
    status, answer = call(venue, method, path, body)
    assert (status, answer["error"][: len(error)]) == (400, error)
    assert "\n" not in answer["error"]


def test_a_body_that_is_empty_is_told(venue):
    url = control(venue) + "/control/venue"
    request = urllib.request.Request(url, b"", {"Content-Type": "application/json"}, method="PATCH")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    said = json.loads(caught.value.read())["error"]
    assert said == 'the body is empty: a JSON object is meant, as in {"status": "online"}'


def test_index_price_lets_triggers_wait_for_it(venue, exchange):
    stop = {"trigger": "index", "stopLossPrice": 50_000}
    with pytest.raises(ccxt.ExchangeError, match="Index unavailable"):
        exchange.create_order("BTC/USD", "market", "sell", 0.01, None, stop)
    assert call(venue, "PATCH", "/control/venue/XBTUSD", {"index": "60000"}) == (
        200,
        {"pair": "XBTUSD", "status": "online", "index": "60000.0"},
    )
    order = exchange.create_order("BTC/USD", "market", "sell", 0.01, None, stop)
    call(venue, "PATCH", "/control/venue/XBTUSD", {"index": "49999.9"})
    assert exchange.fetch_order(order["id"])["status"] == "canceled"  # there is nobody to sell to
    call(venue, "PATCH", "/control/venue/XBTUSD", {"index": "0"})


def test_deposit_by_the_command_line_is_there_at_once(venue, exchange):
    [name] = [row["name"] for row in venue.endpoints["accounts"] if row["spot"]["key"] == exchange.apiKey]
    before = exchange.fetch_balance()["BTC"]["total"]
    code, said = tell(venue, "deposit", name, "BTC", "1.5", "--method", "Bitcoin")
    assert code == 0
    assert f"XBT    {before + 1.5:.10f}" in said
    assert exchange.fetch_balance()["BTC"]["total"] == before + 1.5
    deposits = exchange.fetch_deposits("BTC")  # the balance at start was one too
    assert (1.5, "ok") in [(row["amount"], row["status"]) for row in deposits]
    status, account = call(venue, "GET", f"/control/accounts/{name}")
    assert (status, account["account"], account["state"]) == (200, name, "active")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("venue", "asleep"), "unknown status 'asleep'"),
        (
            ("venue", "limit_only"),
            "status 'limit_only': a pair can have it, the venue cannot: name one (--pair)",
        ),
        (("venue", "online", "--pair", "NOPE"), "unknown pair 'NOPE'"),
        (("deposit", "nobody", "BTC", "1"), "unknown account 'nobody'"),
        (("deposit", "market", "BTC", "1"), "unknown account 'market'"),
        (("deposit", "alice", "NOPE", "1"), "unknown asset 'NOPE'"),
        (("deposit", "alice", "BTC", "-1"), "is not an amount"),
        (("deposit", "alice", "BTC", "1", "--method", "Pigeon"), "unknown method 'Pigeon'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(venue, words, reason):
    code, said = tell(venue, *words)
    assert code == 2
    assert reason in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", "/control/venue", None, 405),
        ("GET", "/control/venue/a/b", None, 404),
        ("PATCH", "/control/venue", {"index": "5"}, 400),
        ("PATCH", "/control/venue", {"nonsense": 1}, 400),
        ("PATCH", "/control/venue/XBTUSD", {"index": "x"}, 400),
        ("GET", "/control/accounts", None, 404),
        ("POST", "/control/accounts/alice/deposits", {"asset": "BTC"}, 400),
        ("GET", "/control/nothing", None, 404),
    ],
)
def test_requests_that_are_wrong(venue, method, path, body, status):
    code, answer = call(venue, method, path, body)
    assert code == status
    assert list(answer) == ["error"]
