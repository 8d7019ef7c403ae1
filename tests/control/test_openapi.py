"""The control API's description has every route, and `Control` in Python can call every one of them."""

import json

import ccxt
import pytest
from openapi_spec_validator import validate

from emulator.control.server import ROUTES
from emulator.testing import Control, ControlError
from tests.clients.pointing import ccxt_options
from tests.control import description
from tests.running import running

SERVED = {(method, path) for path, methods in ROUTES.items() for method in methods}


@pytest.fixture(scope="module")
def venue():
    with running("--tier", "colo,us", "--market", "off", "--raw-delay") as venue:
        yield venue


@pytest.fixture
def control(venue):
    control = Control(venue.endpoints["control"])
    yield control
    control.reset()


def test_the_description_is_openapi():
    validate(description.DOCUMENT)


def test_its_server_is_the_one_that_was_asked():
    """Whatever the port is: a relative address is resolved against where the description was found."""
    assert description.DOCUMENT["servers"] == [{"url": "/"}]


def test_every_route_and_method_is_described_and_no_other():
    assert description.operations() == SERVED


def test_every_schema_is_used():
    text = json.dumps(description.DOCUMENT)
    unused = [
        f"{kind}/{name}"
        for kind, table in description.DOCUMENT["components"].items()
        for name in table
        if f'"#/components/{kind}/{name}"' not in text
    ]
    assert unused == []


def test_the_control_api_serves_its_description(control):
    assert control.openapi() == description.DOCUMENT


def test_what_is_not_as_described_is_noticed():
    venue = {"pairs": {}, "instruments": "2026-10-06", "upcoming_maintenance": [], "emergency": []}
    answer = json.dumps({"status": "online", **venue}).encode()
    asleep = json.dumps({"status": "asleep", **venue}).encode()
    description.hold("GET", "http://x/control/venue", "", None, 200, answer)
    with pytest.raises(AssertionError, match="'asleep' is not one of"):
        description.hold("GET", "http://x/control/venue", "", None, 200, asleep)
    with pytest.raises(AssertionError, match="Additional properties"):
        description.hold("GET", "http://x/control/venue", "", None, 200, answer[:-1] + b', "more": 1}')
    with pytest.raises(AssertionError, match="does not have it"):
        description.hold("GET", "http://x/control/moon", "", None, 200, answer)


def order(venue, control):
    exchange = ccxt.kraken(ccxt_options(venue))
    try:
        return exchange.create_order("BTC/USD", "limit", "buy", 0.01, 50_000)["id"]
    finally:
        exchange.session.close()


def test_the_python_client_calls_every_route(venue, control, described, tmp_path):
    account = venue.endpoints["accounts"][0]["name"]
    trace = tmp_path / "line.csv"
    trace.write_text("time_s,one_way_us,loss\n0,30000,0\n600,30000,0\n")
    control.health()
    assert control.endpoints() == venue.endpoints
    control.openapi()
    balance = control.balances(account)["balances"]["XBT"]
    assert float(control.deposit(account, "BTC", "1.5")["balances"]["XBT"]) == float(balance) + 1.5
    control.set_balances(account, ZUSD=10_000)
    control.seed_book("BTC/USD", bids=[(40_000, 1)], asks=[(60_000, 1)])
    control.seed_book("BTC/USD", asks=[(60_001, 1)], add=True)
    assert len(control.book("BTC/USD")["asks"]) == 2
    control.print_trade("BTC/USD", 55_000, "0.1")
    control.set_index("BTC/USD", 55_000)
    assert control.status("BTC/USD") == {"pair": "XBTUSD", "status": "online", "index": "55000.0"}
    assert control.fill(order(venue, control))["status"] == "closed"
    assert control.expire(order(venue, control))["status"] == "expired"
    assert control.cancel(order(venue, control))["status"] == "canceled"
    control.set_status("post_only")
    assert control.status()["status"] == "post_only"
    announced = control.announce([{"starts_in_s": 7200}], [{"title": "Slow", "impact": "minor"}])
    assert announced["upcoming_maintenance"][0]["time_to_start_s"] > 7000
    assert announced["emergency"][0]["title"] == "Slow"
    assert control.announce(emergency=[])["emergency"] == []
    assert len(control.status()["upcoming_maintenance"]) == 1
    assert control.step(60)["ahead_s"] == control.clock()["ahead_s"] == 60
    control.scale(1)
    assert control.set_settings(post_only="reject", fix_tls="only")["post_only"] == "reject"
    assert control.settings()["fix_tls"] == "only"
    assert control.set_certificate("expired")["certificate"] == control.certificate()["certificate"]
    for target in (None, "us", "colo/A"):
        assert control.links(target)[0]["up"]
    for target in ("us", "colo/A"):
        assert control.set_link(target, rtt="90ms", to_venue={"loss": "1%"})[0]["rtt_us"] == 90_000
        assert control.set_link(target, loss=0.02, down=False)[0]["to_client"]["loss"] == 0.02
        assert control.play(target, "reroute")[0]["playing"] == "reroute"
        assert control.play(target, trace, loop=True)[0]["playing"] == "trace"
        assert control.stop_playing(target)[0]["playing"] is None
        assert not control.fail_link(target)[0]["up"]
        assert control.restore_link(target)[0]["up"]
        assert not control.reset_links(target)[0]["changed"]
    every = {"PATCH": "", "POST": "/play", "DELETE": "/play"}
    assert control.reset_links()
    control.reset()
    called = {(method, description.template_of(path)) for method, path in described}
    of_all_at_once = {
        *((method, f"/control/links{action}") for method, action in every.items()),
        ("POST", "/control/links/fail"),
        ("POST", "/control/links/restore"),
    }
    assert SERVED - called == of_all_at_once  # a target must be named for these


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda c: c.announce("x"), "upcoming_maintenance = 'x': a list of dicts, [{...}], is meant"),
        (lambda c: c.announce({"title": "x"}), "upcoming_maintenance = {'title': 'x'}: a list of dicts"),
        (lambda c: c.announce([3]), "upcoming_maintenance = [3]: a list of dicts"),
        (lambda c: c.announce(3), "upcoming_maintenance = 3: a list of dicts"),
        (lambda c: c.announce(emergency=[{"title": object}]), "emergency = {'emergency': "),
        (lambda c: c.seed_book("BTC/USD", bids=[60_000]), "bids = [60000]: levels of price and quantity"),
        (lambda c: c.seed_book("BTC/USD", asks=5), "asks = 5: levels of price and quantity"),
        (lambda c: c.seed_book("BTC/USD", bids=[(1, 2, 3)]), "bids = [(1, 2, 3)]: levels of price and"),
        (lambda c: c.seed_book("BTC/USD", bids=[(1, 2), (None, 2)]), "bids[1] = None: a number or decimal"),
        (lambda c: c.print_trade("BTC/USD", price=1, qty=object), "qty = <class 'object'>: a number or dec"),
        (lambda c: c.set_balances("alice", ZUSD=None), "ZUSD = None: a number or decimal text is meant"),
        (lambda c: c.set_balances("alice", ZUSD=True), "ZUSD = True: a number or decimal text is meant"),
        (lambda c: c.deposit("alice", "BTC", []), "amount = []: a number or decimal text is meant"),
        (lambda c: c.set_index("BTC/USD", ()), "index = (): a number or decimal text is meant"),
        (lambda c: c.fill(3), "3: a name is meant, as text"),
        (lambda c: c.fill("O", qty={}), "qty = {}: a number or decimal text is meant"),
        (lambda c: c.step(object), "step_s = {'step_s': <class 'object'>}: text, numbers, lists and dicts"),
        (lambda c: c.step("x"), "step_s = 'x': a number is meant"),
        (lambda c: c.book(None), "None: a name is meant, as text"),
        (lambda c: c.links(3), "3: a name is meant, as text"),
        (lambda c: c.set_link(3, rtt="1s"), "3: a name is meant, as text"),
        (lambda c: c.set_link("us", rtt_us=object), "rtt_us = {'rtt_us': <class 'object'>}: text, numbers"),
        (lambda c: c.play("us", 3), "3: a name is meant, as text"),
        (lambda c: c.set_settings(seed=3), "seed cannot be changed while the venue runs"),
        (lambda c: Control(3), "3: a name is meant, as text"),
    ],
)
def test_an_argument_that_makes_no_sense_is_a_control_error_in_one_line(control, call, said):
    with pytest.raises(ControlError) as error:
        call(control)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_what_changes_something_returns_what_it_is_then(control):
    assert control.set_status("cancel_only")["status"] == "cancel_only"
    assert control.set_status("online", "BTC/USD") == control.status("BTC/USD")
    assert control.set_index("BTC/USD", 60_000)["index"] == "60000.0"


def test_what_cannot_be_done_is_one_line(control):
    for call in (
        lambda: control.set_link("mars", rtt="1s"),
        lambda: control.set_link("us", speed=1),
        lambda: control.set_link("us", rtt="far"),
        lambda: control.play("us", "nothing"),
        lambda: control.deposit("nobody", "BTC", 1),
        lambda: control.set_certificate("rusty"),
        lambda: control.status("NOPE"),
        lambda: control.announce([{"title": "When?"}]),
    ):
        with pytest.raises(ControlError) as error:
            call()
        assert "\n" not in str(error.value)
