"""Beside a proxy, clients that ignore it: none of them asks for the real Kraken's name, and each one fails
with a line that says why."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from emulator.control import exports
from tests.running import ROOT, environment, running

pytestmark = pytest.mark.client
PATIENCE_S = 100
LINE = "kraken-emulator: refused: api.kraken.com:443 is the real Kraken; this program ignores the proxy"
LOOKED_UP = re.compile(r"getaddrinfo|EAI_AGAIN|Name or service|name resolution|not resolve", re.IGNORECASE)
URL = "https://api.kraken.com/0/public/Time"

CCXT = "import ccxt\nccxt.kraken().fetch_time()"
CCXT_ASYNC = """
import asyncio, ccxt.async_support as ccxt
async def main():
    await ccxt.kraken().fetch_time()
asyncio.run(main())
"""
CCXT_UNDETERRED = """
import ccxt, time
while True:
    try:
        ccxt.kraken().fetch_time()
    except Exception:
        time.sleep(0.01)
"""
README = """
import ccxt
kraken = ccxt.kraken({"apiKey": "KEY", "secret": "SECRET"})
print(kraken.fetch_ticker("BTC/USD"))
"""
AIOHTTP = """
import aiohttp, asyncio
async def main():
    async with aiohttp.ClientSession() as session:
        await session.get("https://api.kraken.com/0/public/Time")
asyncio.run(main())
"""
REQUESTS = """
import requests
session = requests.Session()
session.trust_env = False
session.get("https://api.kraken.com/0/public/Time")
"""
SDK = """
import asyncio
from kraken.spot import SpotAsyncClient
async def main():
    await SpotAsyncClient().request("GET", "/0/public/Time", auth=False)
asyncio.run(main())
"""
URLLIB = """
import urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
opener.open("https://api.kraken.com/0/public/Time")
"""
THREAD = """
import http.client, threading, time
def call():
    try:
        http.client.HTTPSConnection("api.kraken.com").request("GET", "/0/public/Time")
    except BaseException:
        pass
threading.Thread(target=call).start()
while True:
    time.sleep(0.01)
"""
CHILD = """
import subprocess, sys
code = "import socket; socket.create_connection(('api.kraken.com', 443))"
subprocess.run([sys.executable, "-c", code], check=True)
"""
PYTHON = {
    "ccxt": CCXT,
    "ccxt, async": CCXT_ASYNC,
    "a loop that tries again": CCXT_UNDETERRED,
    "README's program without its addresses": README,
    "aiohttp": AIOHTTP,
    "requests without the environment": REQUESTS,
    "python-kraken-sdk, async": SDK,
    "urllib without proxies": URLLIB,
    "a thread that fails in silence": THREAD,
    "a child": CHILD,
}
NODE = {
    "fetch": f"fetch({URL!r}).then(() => console.log('reached'))",
    "https": f"require('https').get({URL!r}, () => console.log('reached'))",
    "tls": "require('tls').connect(443, 'api.kraken.com', () => console.log('reached'))",
    "net": "require('net').connect({host: 'api.kraken.com', port: 443}, () => console.log('reached'))",
    "esm": f"import('https').then(https => https.get({URL!r}, () => console.log('reached')))",
}
JAVA = """
import java.net.URI;
import java.net.http.*;
import java.net.ProxySelector;

public class Main {
    public static void main(String[] words) throws Exception {
        HttpClient.Builder builder = HttpClient.newBuilder();
        if (words[0].equals("direct")) builder.proxy(HttpClient.Builder.NO_PROXY);
        HttpRequest request = HttpRequest.newBuilder(URI.create(words[1])).build();
        System.out.println(builder.build().send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
"""


@pytest.fixture(scope="module")
def venue():
    with running("--tier", "local", "--market", "off", "--proxy") as venue:
        yield venue


@pytest.fixture
def call(venue):
    """Run a command in the environment that `kraken-emulator env` gives."""

    def call(*command):
        variables = environment(**exports.variables(venue.endpoints, None))
        for name in exports.EXCEPTIONS:
            variables.pop(name, None)
        return subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    return call


@pytest.mark.parametrize("code", PYTHON.values(), ids=PYTHON)
def test_a_python_program_that_ignores_the_proxy_ends_and_says_why(call, code):
    done = call(sys.executable, "-W", "ignore", "-c", code)
    assert done.returncode != 0
    assert LINE in done.stderr
    assert done.stderr.count(LINE) == 1
    assert done.stdout == ""
    assert not re.search("gaierror|Temporary failure|Name or service", done.stderr)


def test_the_line_says_what_the_library_wants(call):
    assert "(ccxt wants requests_trust_env=True; async and pro" in call(sys.executable, "-c", CCXT).stderr
    assert "(aiohttp wants ClientSession(trust_env=True))" in call(sys.executable, "-c", AIOHTTP).stderr


@pytest.mark.parametrize("code", NODE.values(), ids=NODE)
def test_a_node_program_that_ignores_the_proxy_fails_and_says_why(call, code):
    if not shutil.which("node"):
        pytest.skip("Node is not installed")
    done = call("node", "-e", code)
    assert done.returncode != 0
    assert LINE in done.stderr
    assert "reached" not in done.stdout
    assert not LOOKED_UP.search(done.stderr)


def test_a_node_program_may_ask_for_other_names(call):
    if not shutil.which("node"):
        pytest.skip("Node is not installed")
    code = """
const dns = require("dns");
dns.lookup("localhost", (error, address) => console.log("a", error, address));
dns.promises.lookup("localhost", {family: 4}).then(({ address }) => console.log("b", address));
dns.promises.lookup("api.kraken.com").catch(error => console.log("c", error.code));
dns.resolve4("ws.kraken.com", error => console.log("d", error.code));
dns.lookup("notkraken.com.localhost", () => console.log("e"));
"""
    said = call("node", "-e", code).stdout
    assert {"b 127.0.0.1", "c ENOTFOUND", "d ENOTFOUND", "e"} <= set(said.splitlines())
    assert "a null" in said


@pytest.fixture(scope="module")
def java(tmp_path_factory):
    """The words that run the Java program."""
    if not shutil.which("java") or not shutil.which("javac"):
        pytest.skip("Java is not installed")
    folder = tmp_path_factory.mktemp("java")
    (folder / "Main.java").write_text(JAVA)
    subprocess.run(["javac", "-d", folder, folder / "Main.java"], check=True, timeout=PATIENCE_S)
    return ("java", "-cp", str(folder))


def test_a_java_program_honours_the_proxy_and_fails_past_it(venue, call, java, tmp_path):
    store, ca = tmp_path / "trust.p12", venue.tier()["tls"]["ca"]
    words = ["-importcert", "-noprompt", "-alias", "kraken", "-file", ca, "-storepass", "changeit"]
    subprocess.run(
        ["keytool", *words, "-keystore", store, "-storetype", "PKCS12"],
        check=True,
        capture_output=True,
        timeout=PATIENCE_S,
    )
    trust = (java[0], f"-Djavax.net.ssl.trustStore={store}", "-Djavax.net.ssl.trustStorePassword=changeit")
    done = call(*trust, *java[1:], "Main", "by proxy", URL)
    assert json.loads(done.stdout)["error"] == [], done.stderr
    done = call(*trust, *java[1:], "Main", "direct", URL)
    assert done.returncode != 0
    assert "UnresolvedAddressException" in done.stderr or "ConnectException" in done.stderr


def test_what_the_environment_had_is_kept_and_twice_is_once():
    """`env` is evaluated again for another tier."""
    endpoints = {"tiers": {"us": {"proxy": "http://127.0.0.1:7470", "tls": {"ca": "/ca.pem"}}}}
    had = {
        "PYTHONPATH": "/own:/more",
        "NODE_OPTIONS": "--max-old-space-size=99",
        "JAVA_TOOL_OPTIONS": "-Xmx9m",
    }
    once = exports.variables(endpoints, None, had)
    assert once["PYTHONPATH"] == f"{exports.CHILDREN}:/own:/more"
    assert once["NODE_OPTIONS"].endswith('guard.cjs" --max-old-space-size=99')
    assert once["JAVA_TOOL_OPTIONS"].startswith("-Xmx9m -Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=7470 ")
    assert exports.variables(endpoints, None, once) == once
    endpoints["tiers"]["us"]["proxy"] = "http://127.0.0.1:7570"
    assert exports.variables(endpoints, None, once)["JAVA_TOOL_OPTIONS"].count("proxyPort=7570") == 2


def test_under_run_the_guards_stand_aside(call, monkeypatch):
    """There Kraken's names are the emulator."""
    monkeypatch.setenv("KRAKEN_EMULATOR_ENDPOINTS", "endpoints.json")
    code = "import socket\ntry: socket.getaddrinfo('api.kraken.com', 443)\nexcept OSError: print('asked')"
    variables = {"KRAKEN_EMULATOR_GUARD": "proxy", "KRAKEN_EMULATOR_ENDPOINTS": "endpoints.json"}
    path = {"PYTHONPATH": str(exports.CHILDREN)}
    done = subprocess.run(
        ["unshare", "-Urn", sys.executable, "-c", code],  # nothing is asked of anybody in there
        env=environment(**variables, **path),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.stdout == "asked\n", done.stderr
