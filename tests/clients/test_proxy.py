"""Unmodified clients with Kraken's own hostnames in them, by the proxy: only the environment says so."""

import json
import shutil
import subprocess
import sys

import pytest

from emulator.control import exports
from tests.running import ROOT, environment, running

pytestmark = pytest.mark.client
PATIENCE_S = 60
RTT_S = 0.06


@pytest.fixture(scope="module")
def venue(accounts_profile):
    arguments = ("--tier", "local,us", "--market", "off", "--accounts", accounts_profile, "--proxy")
    with running(*arguments) as venue:
        yield venue


def call(venue, *command, tier="local"):
    """Run a command in the environment that `kraken-emulator env` gives; give what became of it."""
    account = venue.next_member()
    variables = environment(
        **exports.variables(venue.endpoints, tier),
        KEY=json.dumps(account["spot"]),
        FIX=json.dumps(account.get("fix")),
        PROXY=venue.tier(tier)["proxy"],
        REST=venue.tier(tier)["rest"],
        CA=venue.tier(tier)["tls"]["ca"],
    )
    for name in exports.EXCEPTIONS:
        variables.pop(name, None)
    return subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def python(venue, code, tier="local"):
    """Run Python code; give the JSON that it prints last."""
    done = call(venue, sys.executable, "-W", "ignore", "-c", HEAD + code, tier=tier)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


HEAD = """
import asyncio, json, os, time
key, proxy, ca = json.loads(os.environ["KEY"]), os.environ["PROXY"], os.environ["CA"]
ORDER = ("BTC/USD", "limit", "buy", 0.01, 50_000)
"""

CCXT = """
import ccxt
kraken = ccxt.kraken({"apiKey": key["key"], "secret": key["secret"], "requests_trust_env": True})
order = kraken.create_order(*ORDER)
kraken.cancel_order(order["id"])
print(json.dumps(len(kraken.fetch_balance()["total"]) > 3))
"""
CCXT_PRO = """
import ccxt.pro
async def main():
    options = {"apiKey": key["key"], "secret": key["secret"], "aiohttp_trust_env": True, "cafile": ca}
    kraken = ccxt.pro.kraken(options)
    watching = asyncio.ensure_future(kraken.watch_orders())
    async with asyncio.timeout(30):  # until it has asked: the order follows on the same connection
        while not any("executions" in client.subscriptions for client in kraken.clients.values()):
            await asyncio.sleep(0.01)
    await kraken.create_order_ws(*ORDER)
    seen = await asyncio.wait_for(watching, 30)
    await kraken.cancel_all_orders()
    await kraken.close()
    print(json.dumps(len(seen) == 1))
asyncio.run(main())
"""
CCXT_OWN_SETTINGS = """
import ccxt.pro
async def main():
    kraken = ccxt.pro.kraken({"httpsProxy": proxy, "wssProxy": proxy, "cafile": ca})
    book = await kraken.watch_order_book("BTC/USD")
    await kraken.close()
    print(json.dumps(book["symbol"] == "BTC/USD"))
asyncio.run(main())
"""
SDK = """
from kraken.spot import SpotAsyncClient, SpotWSClient, Trade
heard = []
class Client(SpotWSClient):
    async def on_message(self, message):
        heard.append(message)
async def main():
    public = Client(no_public=False)
    await public.start()
    await public.subscribe({"channel": "book", "symbol": ["BTC/USD"]})
    async with asyncio.timeout(30):
        while not any(message.get("channel") == "book" for message in heard):
            await asyncio.sleep(0.01)
    await public.close()
    # Its call for the token honours no proxy.
    private = Client(key=key["key"], secret=key["secret"], rest_url=os.environ["REST"])
    await private.start()
    await private.subscribe({"channel": "executions"})
    async with asyncio.timeout(30):
        while not any(message.get("channel") == "executions" for message in heard):
            await asyncio.sleep(0.01)
    await private.close()
    rest = SpotAsyncClient(key=key["key"], secret=key["secret"], proxy=proxy)
    balance = await rest.request("POST", "/0/private/Balance")
    await rest.close()
    return "ZUSD" in balance
found = asyncio.run(main())
trade = Trade(key=key["key"], secret=key["secret"])
print(json.dumps(found and trade.cancel_all_orders()["count"] == 0))
"""
REQUESTS = """
import requests
with requests.Session() as session:
    found = [session.get("https://api.kraken.com/0/public/SystemStatus").json() for _ in range(3)]
    found += [session.get("http://api.kraken.com/0/public/SystemStatus").json() for _ in range(3)]
print(json.dumps(all(answer["result"]["status"] == "online" for answer in found)))
"""
AIOHTTP = """
import aiohttp
async def main():
    async with aiohttp.ClientSession(trust_env=True) as session:
        for scheme in ("https", "http"):
            async with session.get(f"{scheme}://api.kraken.com/0/public/SystemStatus") as answer:
                assert (await answer.json())["result"]["status"] == "online"
        async with session.ws_connect("wss://ws.kraken.com/v2") as socket:
            return (await socket.receive_json())["channel"] == "status"
print(json.dumps(asyncio.run(main())))
"""
WEBSOCKETS = """
import websockets, websockets.sync.client
async def main(url):
    async with websockets.connect(url) as socket:
        return json.loads(await socket.recv())["channel"]
found = [asyncio.run(main(f"wss://{host}.kraken.com/v2")) for host in ("ws", "ws-auth")]
with websockets.sync.client.connect("ws://ws.kraken.com/v2") as socket:
    found.append(json.loads(socket.recv())["channel"])
print(json.dumps(found == ["status"] * 3))
"""
# Not over TLS with the client of threads: it reads and writes one SSL object at once, and one handshake in a
# thousand hangs then, with a bare server too.
URLLIB = """
import urllib.request
answer = urllib.request.urlopen("https://api.kraken.com/0/public/Time", timeout=30)
print(json.dumps(json.load(answer)["error"] == []))
"""
CLIENTS = {
    "ccxt": CCXT,
    "ccxt.pro": CCXT_PRO,
    "ccxt's own settings": CCXT_OWN_SETTINGS,
    "python-kraken-sdk": SDK,
    "requests": REQUESTS,
    "aiohttp": AIOHTTP,
    "websockets": WEBSOCKETS,
    "urllib": URLLIB,
}


@pytest.mark.parametrize("code", CLIENTS.values(), ids=CLIENTS)
def test_clients_run_unmodified_with_their_own_addresses(venue, code):
    assert python(venue, code) is True


NODE = """
const http = require("http"), tls = require("tls"), proxy = new URL(process.env.HTTPS_PROXY);
const options = {host: proxy.hostname, port: proxy.port, method: "CONNECT", path: "api.kraken.com:443"};
http.request(options).on("connect", (_, socket) => {
  const secure = tls.connect({socket, servername: "api.kraken.com"}, () => secure.write(
    "GET /0/public/SystemStatus HTTP/1.1\\r\\nHost: api.kraken.com\\r\\nConnection: close\\r\\n\\r\\n"));
  secure.on("data", data => process.stdout.write(data));
}).end();
"""
OTHERS = {
    "curl": ("curl", "-sS", "https://api.kraken.com/0/public/SystemStatus"),
    "curl without TLS": ("curl", "-sS", "http://api.kraken.com/0/public/SystemStatus"),
    "node": ("node", "-e", NODE),
}


@pytest.mark.parametrize("command", OTHERS.values(), ids=OTHERS)
def test_other_programs_reach_the_venue_too(venue, command):
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    done = call(venue, *command)
    assert '"status":"online"' in done.stdout, done.stderr


FIX = """
import ssl, socket
from tests.fix import sockets
place = "colo-london.vip-fix.kraken.com:%d"
def through(address, timeout):
    end = real(tuple(proxy.removeprefix("http://").rsplit(":", 1)), timeout)
    target = "%s:%s" % address
    end.sendall(f"CONNECT {target} HTTP/1.1\\r\\nHost: {target}\\r\\n\\r\\n".encode())
    said = b""
    while not said.endswith(b"\\r\\n\\r\\n"):
        said += end.recv(1)
    assert b" 200 " in said, said
    return end
real, socket.create_connection = socket.create_connection, through
said, account = [], {"fix": json.loads(os.environ["FIX"])}
for port, target in ((4000, "KRAKEN-MD"), (4001, "KRAKEN-TRD"), (4005, "KRAKEN-MD")):
    for context in (ssl.create_default_context(), None):
        with sockets.SocketClient(place % port, account, target, context=context) as session:
            said += [session.logon().type, session.logout().type]
print(json.dumps(said == ["A", "5"] * 6))
"""


def test_fix_goes_through_connect_with_tls_and_without(venue):
    assert python(venue, FIX) is True


REFUSED = """
import requests
try:
    requests.get("https://example.com/")
except requests.exceptions.ProxyError as error:
    print(json.dumps("403" in str(error)))
"""


def test_other_destinations_fail_in_the_client_and_are_named_by_the_emulator(venue):
    assert python(venue, REFUSED) is True
    assert "WARNING emulator.gateways.front.proxy: refused: example.com:443 is not Kraken's" in venue.output()


DISTANCE = """
import requests
took = []
with requests.Session() as session:
    for _ in range(3):
        began = time.monotonic()
        session.get("https://api.kraken.com/0/public/Time")
        took.append(time.monotonic() - began)
print(json.dumps(took))
"""


def test_the_tiers_distance_is_in_every_step(venue):
    first, *later = python(venue, DISTANCE, tier="us")
    floor = venue.endpoints["tiers"]["us"]["floor_us"] / 1e6  # of each round trip, the link leaves this out
    assert first >= 4 * RTT_S - max(0.002, 4 * floor)  # TCP, CONNECT, TLS 1.3, the request
    assert all(RTT_S - max(0.002, floor) <= seconds < first for seconds in later)


def test_a_client_library_trades_over_a_distance(venue):
    assert python(venue, CCXT_PRO, tier="us") is True
