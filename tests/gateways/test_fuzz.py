"""Whatever a client sends as a parameter, it gets an answer or the venue's own error."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.gateways.errors import VenueError
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest import codec, exports
from emulator.gateways.spot_rest.endpoints import PRIVATE, PUBLIC
from tests.coverage import reference
from tests.gateways.venue import XBTUSD, Client, Kraken, done

WORDS = st.sampled_from(
    [
        *(
            "",
            "0",
            "1",
            "-1",
            "1.5",
            "1e5",
            "9" * 39,
            "NaN",
            "x",
            "é",
            "\x00",
            "true",
            "XBTUSD",
            "BTC",
            "ZUSD",
        ),
        *("buy", "sell", "limit", "market", "stop-loss", "trailing-stop-limit", "+1%", "#5", "-0.5%", "+"),
        *("60000", "59000.1", "viqc", "post,fcib", "GTD", "+60", "trades", "ledgers", "all", "Bitcoin"),
        *("btc-wallet", "Spot Wallet", "Futures Wallet", "2026-11-02T10:00:05Z", "10", "100", "5:1", "2"),
        *("ESDQCOL-WTZEU-NU55QF", "OQCLML-BW3P3-BUCMWZ", "index", "a@b", "delete", "last,last"),
    ]
)
VALUES = st.recursive(
    WORDS | st.integers(-5, 10**20) | st.booleans() | st.none() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["ordertype", "price", "price2", "asset", "txid", "x"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def names(method):
    table = reference.PUBLIC if method in PUBLIC else reference.PRIVATE
    return [word.lstrip("-") for word in table[method].split()]


@pytest.mark.parametrize("method", [*PUBLIC, *PRIVATE])
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_parameters(method, data):
    kraken = Kraken()
    kraken.trade("0.1", "60000")
    kraken.place("alice", "buy", "1", "50000", cl_ord_id="x")
    values = dict.fromkeys(names(method), VALUES)
    params = Params(data.draw(st.fixed_dictionaries({}, optional=values)))
    try:
        if method in PUBLIC:
            answer = done(PUBLIC[method](kraken.venue, params))
        else:
            answer = done(PRIVATE[method].call(kraken.venue, kraken.key(), params))
    except VenueError as error:
        assert str(error).startswith(("E", "Invalid withdrawal"))  # noqa: PT017 - either way is right
    else:
        assert isinstance(answer, exports.Download) or codec.result(answer)
    assert kraken.engine.markets[XBTUSD].last_price


WS_VALUES = VALUES | st.floats(allow_nan=False, allow_infinity=False, width=32)
WS_WORDS = {**reference.METHODS_V2, **dict.fromkeys(("subscribe", "unsubscribe"), "")}


@pytest.mark.parametrize("method", WS_WORDS)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_websocket_requests(method, data):
    kraken = Kraken()
    kraken.trade("0.1", "60000")
    client = Client(kraken.gateway)
    words = WS_WORDS[method].replace("-", "").split()
    usual = {"token": kraken.token(), "symbol": "BTC/USD", "side": "buy", "order_qty": 1}
    if method.endswith("subscribe"):
        channel = data.draw(st.sampled_from([*reference.CHANNELS_V2]))
        words = reference.CHANNELS_V2[channel].replace("-", "").split()
        usual = {"channel": channel, "symbol": ["BTC/USD"]}
    params = data.draw(st.fixed_dictionaries({}, optional=dict.fromkeys(words, WS_VALUES)))
    for name in data.draw(st.sets(st.sampled_from([*usual]))):
        params[name] = usual[name]
    client.take()
    replies = client.ask(method, **params)
    assert replies
    assert all("method" in reply or "channel" in reply for reply in replies)
