"""The guard of the pytest plugin: a test that reaches for the real Kraken fails, whatever its client does.

No test here asks a name server: what is not refused asks for numbers only (AI_NUMERICHOST).
"""

import pytest

pytest_plugins = "pytester"

HEAD = """
import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
import pytest

def ask(host="api.kraken.com", port=443):
    return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST)
"""
REFUSED = "kraken-emulator: the test tried to reach the real Kraken; refused: "

WAYS = """
async def asked_by_the_loop():
    await asyncio.get_running_loop().getaddrinfo("api.kraken.com", 443)

async def connected_by_the_loop():
    await asyncio.open_connection("ws.kraken.com", 443)

async def asked_by_uvloop():
    await asyncio.open_connection("ws.kraken.com", 443)

def uvloop():
    import uvloop
    uvloop.run(asked_by_uvloop())

@pytest.mark.parametrize("reach", [
    lambda: ask(),
    lambda: ask(b"API.Kraken.com.", "https"),
    lambda: ask("demo-futures.kraken.com"),
    lambda: ask("www.cryptofacilities.com"),
    lambda: socket.gethostbyname("futures.kraken.com"),
    lambda: socket.create_connection(("api.kraken.com", 443)),
    lambda: socket.socket().connect(("colo-london.vip-fix.kraken.com", 4001)),
    lambda: socket.socket().connect_ex(("api.kraken.com", 443)),
    lambda: socket.socket(type=socket.SOCK_DGRAM).connect(("api.kraken.com", 443)),
    lambda: asyncio.run(asked_by_the_loop()),
    lambda: asyncio.run(connected_by_the_loop()),
    uvloop,
])
def test_way(kraken, reach):
    with pytest.raises(pytest.fail.Exception, match="is the real Kraken"):
        reach()
"""


def test_every_way_to_ask_or_to_connect_fails_at_once_with_the_destination(run):
    pytest.importorskip("uvloop")
    result = run(HEAD + WAYS)
    result.assert_outcomes(failed=12)
    result.stdout.fnmatch_lines(
        [
            f"{REFUSED}{place}*"
            for place in (
                "api.kraken.com:443 at test_every*.py:*",
                "api.kraken.com:https at *",
                "demo-futures.kraken.com:443 at *",
                "www.cryptofacilities.com:443 at *",
                "futures.kraken.com at *",
                "api.kraken.com:443 at *",
                "colo-london.vip-fix.kraken.com:4001 at *",
                "api.kraken.com:443 at *",
                "api.kraken.com:443 at *",
                "api.kraken.com:443",
                "ws.kraken.com:443",
                "ws.kraken.com:443 at *",
            )
        ]
    )


CLIENTS = """
import aiohttp
import ccxt
import ccxt.pro
import requests
from kraken.spot import Market
from websockets.asyncio.client import connect

def test_requests(kraken):
    requests.get("https://api.kraken.com/0/public/Time")

def test_aiohttp(kraken):
    async def get():
        async with aiohttp.ClientSession() as session:
            await session.get("https://api.kraken.com/0/public/Time")
    asyncio.run(get())

def test_websockets_that_connect_again_for_ever(kraken):
    async def watch():
        async for _ in connect("wss://ws.kraken.com/v2"):
            pass
    asyncio.run(watch())

def test_ccxt(kraken):
    ccxt.krakenfutures().fetch_tickers()

def test_ccxt_pro(kraken):
    async def watch():
        async with ccxt.pro.kraken() as exchange:
            await exchange.watch_ticker("BTC/USD")
    asyncio.run(watch())

def test_sdk(kraken):
    Market().get_assets()
"""


def test_clients_with_their_own_addresses(run):
    result = run(HEAD + CLIENTS, "-W", "ignore")
    result.assert_outcomes(failed=6)
    result.stdout.fnmatch_lines(
        [
            "E * api.kraken.com:443 is the real Kraken; kraken-emulator's pytest plugin refuses it",
            "E * api.kraken.com:443 is the real Kraken*",
            "E * ws.kraken.com:443 is the real Kraken*",
            "E * futures.kraken.com:443 is the real Kraken*",
            "E * api.kraken.com:443 is the real Kraken*",
            "E * api.kraken.com:443 is the real Kraken*",
        ]
    )


def test_a_resolver_that_does_not_tell_python(run, pytester):
    pytester.makepyfile(
        pycares="""
class Channel:
    def getaddrinfo(self, host, port, *, family=0, callback):
        callback(["104.16.0.1"], None)

    def query(self, name, query_type, *, callback):
        callback(["104.16.0.1"], None)
"""
    )
    source = """
def test_it(kraken):
    import pycares

    socket.socket().close()
    for call in (
        lambda: pycares.Channel().getaddrinfo("api.kraken.com", 443, callback=print),
        lambda: pycares.Channel().query(name="ws.kraken.com", query_type=1, callback=print),
    ):
        with pytest.raises(pytest.fail.Exception, match="is the real Kraken"):
            call()
    pycares.Channel().query("example.com", 1, callback=print)

def test_without():
    import pycares

    pycares.Channel().query("api.kraken.com", 1, callback=print)
"""
    result = run(HEAD + source)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines([f"{REFUSED}api.kraken.com:443 at *, ws.kraken.com at *"])


SWALLOWED = """
def test_swallowed(kraken):
    for _ in range(3):
        try:
            ask()
        except BaseException:
            pass

def test_in_a_thread(kraken):
    thread = threading.Thread(target=test_swallowed, args=(kraken,))
    thread.start()
    thread.join()

@pytest.mark.xfail
def test_expected_to_fail(kraken):
    ask()

def test_skipped(kraken):
    try:
        ask()
    except BaseException:
        pytest.skip("no network")

def test_passes(kraken):
    pass
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2", "-p", "xdist")], ids=["one process", "xdist"])
def test_the_test_fails_whatever_its_client_makes_of_the_error(run, arguments):
    result = run(HEAD + SWALLOWED, *arguments)
    result.assert_outcomes(failed=4, passed=1)
    told = [line for line in result.outlines if line.startswith(REFUSED)]
    assert (
        sorted(line.partition(" at ")[0].removeprefix(REFUSED) for line in told) == ["api.kraken.com:443"] * 4
    )
    assert sum(line.endswith(" (3 times)") for line in told) == 2


def test_a_test_that_waits_for_what_was_refused_elsewhere_is_ended(run):
    source = """
def swallow():
    try:
        ask()
    except BaseException:
        pass

def test_it_waits(kraken):
    threading.Thread(target=swallow).start()
    while True:
        time.sleep(0.01)

@pytest.fixture
def bot(kraken):
    threading.Thread(target=swallow).start()
    while True:
        time.sleep(0.01)

def test_a_fixture_waits(bot):
    pass

def test_next(kraken):
    pass
"""
    result = run(HEAD + source)
    result.assert_outcomes(failed=1, errors=1, passed=1)
    result.stdout.fnmatch_lines(["E * api.kraken.com:443 is the real Kraken*"] * 2)


def test_child_processes_that_are_python_are_guarded_too(run):
    source = """
CODE = "import socket; socket.getaddrinfo('ws.kraken.com', 443, flags=socket.AI_NUMERICHOST)"

def test_child(kraken):
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert "LiveTrafficError: ws.kraken.com:443 is the real Kraken" in done.stderr

def test_fork(kraken):
    child = os.fork()
    if not child:
        try:
            ask()
        finally:
            os._exit(0)
    os.waitpid(child, 0)

def test_its_own_sitecustomize_is_imported_and_nothing_is_in_its_way(kraken, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.ours = 1")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.environ["PYTHONPATH"].partition(os.pathsep)[2], prepend=os.pathsep)
    code = "import sys; print(ours, *[path for path in sys.path if path.endswith('children')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1\\n", "")

def test_nothing_is_left():
    assert "KRAKEN_EMULATOR_GUARD" not in os.environ
    assert "children" not in os.environ["PYTHONPATH"]
"""
    result = run(HEAD + source)
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(
        [f"{REFUSED}ws.kraken.com:443 by process *", f"{REFUSED}api.kraken.com:443 by process * at *.py:*"]
    )


def test_what_a_fixture_does_at_its_end_counts_and_breaks_nothing(run):
    source = """
@pytest.fixture
def bot(kraken):
    yield
    ask()

def test_it(bot):
    pass

def test_next(kraken):
    pass

def test_without():
    assert "connect" not in vars(socket.socket)
"""
    result = run(HEAD + source)
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines([f"{REFUSED}api.kraken.com:443 at *"])


BOTH = """
def test_with(kraken):
    with pytest.raises(socket.gaierror):
        ask()

def test_without():
    with pytest.raises(socket.gaierror):
        ask()
"""


@pytest.mark.parametrize(("setting", "passed"), [("", 1), ("used", 1), ("always", 0), ("off", 2)])
def test_which_tests_are_guarded_is_a_setting(run, setting, passed):
    ini = f"kraken_emulator_guard = {setting}\n" if setting else ""
    run(HEAD + BOTH, ini=ini).assert_outcomes(passed=passed, failed=2 - passed)


def test_a_setting_that_there_is_not(run):
    result = run(HEAD + BOTH, ini="kraken_emulator_guard = yes\n")
    result.stderr.fnmatch_lines(["ERROR: kraken_emulator_guard: 'yes': used, always, off are meant"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


def test_below_run_its_own_guard_does_it(run, monkeypatch):
    monkeypatch.setenv("KRAKEN_EMULATOR_ENDPOINTS", "endpoints.json")
    run(HEAD + BOTH).assert_outcomes(passed=2)


def test_emulators_addresses_and_other_hosts_are_free(run):
    source = """
import requests

def test_it(kraken):
    assert requests.get(f"{kraken.rest}/0/public/Time").ok
    for host in ("localhost", "notkraken.com", "api.kraken.com.example", None):
        try:
            ask(host)
        except socket.gaierror:
            pass
    assert requests.get("http://api.kraken.com/0/public/Time", proxies={"http": kraken.proxy}).ok
"""
    run(HEAD + source, ini="kraken_emulator_options = proxy = true\n").assert_outcomes(passed=1)
