"""``Emulator``: a whole venue in this process, and nothing of it when it has stopped."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.request
from contextlib import suppress

import ccxt
import pytest
from websockets.asyncio.client import connect

from emulator.testing import Control, Emulator, EmulatorError
from tests.fix.sockets import SocketClient
from tests.running import ROOT

BOOK = {"bids": [(59_990, 1)], "asks": [(60_010, 1)]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One state folder for all, as users have it: the authority is made once."""
    return str(tmp_path_factory.mktemp("state"))


def exchange(kraken: Emulator, account: int = 0) -> ccxt.kraken:
    spot = kraken.accounts[account].spot
    api = {"public": kraken.rest, "private": kraken.rest}
    return ccxt.kraken(
        {"apiKey": spot.key, "secret": spot.secret, "enableRateLimit": False, "urls": {"api": api}}
    )


def get(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def test_attributes_are_the_fields_of_the_endpoints_file(folder):
    with Emulator(tier="local,tokyo", raw_delay=True, proxy=True, state_folder=folder) as kraken:
        rows, tiers = kraken.endpoints, kraken.endpoints["tiers"]
        for name in ("rest", "ws", "ws_auth", "ws_l3", "proxy"):
            assert getattr(kraken, name) == tiers["local"][name]
            assert getattr(kraken.tiers["tokyo"], name) == tiers["tokyo"][name]
            if name != "proxy":
                assert getattr(kraken.tls, name) == tiers["local"]["tls"][name]
        assert kraken.tls.ca.startswith(folder)
        assert kraken.tiers["tokyo"].rtt_us == 140_000
        assert kraken.fix.spot_trading == tiers["local"]["fix"]["spot_trading"]
        first, row = kraken.accounts[0], rows["accounts"][0]
        assert (first.name, first.spot.key, first.spot.secret) == ("alice", *row["spot"].values())
        assert (first.fix.key, first.fix.sender_comp_id) == (row["fix"]["key"], "ALICE")
        assert kraken.account("bob") == kraken.accounts[1]
        assert kraken.control.url == rows["control"]
        assert Control(rows["control"]).clock()["scale"] == 1
        with pytest.raises(EmulatorError, match="no account 'nobody'; there are: alice, bob"):
            kraken.account("nobody")


def test_without_fix_there_are_no_services(folder):
    with Emulator(fix="off", state_folder=folder) as kraken:
        assert (kraken.fix.spot_trading, kraken.accounts[0].fix.key, kraken.proxy) == ("", "", "")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tier": "mars"}, "unknown tier 'mars'; there are: "),
        ({"market": "bull"}, "market bull: one of synthetic, off is meant"),
        ({"colour": "red"}, "unknown setting 'colour'; there are: tier, "),
        ({"endpoints_file": "/nowhere/at/all"}, "endpoints_file /nowhere/at/all: No such file"),
        ({"accounts": "/nowhere.toml"}, "/nowhere.toml: No such file"),
        ({"host": "192.0.2.1"}, "host 192.0.2.1: cannot be listened at"),
    ],
)
def test_what_is_wrong_is_one_line_and_leaves_nothing(folder, settings, reason):
    before = threading.active_count()
    with pytest.raises(EmulatorError, match=reason) as told:
        Emulator(**{"state_folder": folder} | settings).start()
    assert "\n" not in str(told.value)
    assert threading.active_count() == before


def test_one_that_is_not_running_says_so(folder):
    kraken = Emulator(state_folder=folder)
    with pytest.raises(EmulatorError, match="is not running"):
        _ = kraken.rest
    kraken.stop()
    with kraken, pytest.raises(EmulatorError, match="is running already"):
        kraken.start()
    with kraken:  # again
        assert get(f"{kraken.rest}/0/public/Time")["error"] == []


def test_the_environment_does_not_count(folder, monkeypatch):
    monkeypatch.setenv("KRAKEN_EMULATOR_TIER", "mars")
    with Emulator(state_folder=folder) as kraken:
        assert list(kraken.tiers) == ["local"]


def test_its_endpoints_file_is_for_programs_that_the_test_starts(folder, tmp_path):
    file = tmp_path / "endpoints.json"
    with Emulator(state_folder=folder, endpoints_file=str(file)) as kraken:
        assert json.loads(file.read_bytes()) == kraken.endpoints


def test_two_at_once_do_not_meet(folder):
    with Emulator(state_folder=folder) as one, Emulator(state_folder=folder, seed=7) as other:
        assert one.accounts[0].spot.key != other.accounts[0].spot.key
        one.control.seed_book("BTC/USD", **BOOK)
        assert exchange(one).fetch_order_book("BTC/USD")["bids"][0][:2] == [59_990, 1]
        assert exchange(other).fetch_order_book("BTC/USD")["bids"] == []
        clients = []
        for kraken in (one, other):
            client = SocketClient(kraken.fix.spot_trading, kraken.endpoints["accounts"][0], "KRAKEN-TRD")
            assert client.logon().type == "A"
            clients.append(client)
        one.stop()
        clients[1].send("1", (112, "still there"))
        assert clients[1].read()[112] == "still there"
        for client in clients:
            client.close()


def test_a_reset_is_complete_and_takes_milliseconds(folder):
    with Emulator(tier="us", raw_delay=True, state_folder=folder) as kraken:
        client = exchange(kraken)
        client.nonce = lambda: 1 << 62
        assert client.fetch_balance()["USD"]["free"] == 1_000_000
        kraken.control.set_balances("alice", ZUSD=5)
        urllib.request.urlopen(
            urllib.request.Request(
                f"{kraken.control.url}/control/links/us",
                b'{"rtt_us": 1000}',
                {"Content-Type": "application/json"},
                method="PATCH",
            )
        ).close()
        kraken.reset()
        assert not get(f"{kraken.control.url}/control/links/us")["links"][0]["changed"]
        client.nonce = lambda: 1
        assert client.fetch_balance()["USD"]["free"] == 1_000_000, "a nonce far below the last one"
        taken_s = []
        for _ in range(20):
            began = time.monotonic()
            kraken.reset()
            taken_s.append(time.monotonic() - began)
        assert sorted(taken_s)[10] < 0.1, taken_s


def test_a_start_takes_less_than_three_tenths_of_a_second(folder):
    taken_s = []
    for _ in range(5):
        began = time.monotonic()
        with Emulator(state_folder=folder):
            taken_s.append(time.monotonic() - began)
    assert min(taken_s) < 0.3, taken_s


def test_inside_a_running_loop_and_clients_hear_goodbye(folder):
    async def trade() -> str:
        with Emulator(state_folder=folder) as kraken:
            client = await connect(f"{kraken.ws}/v2", proxy=None)
            status = json.loads(await client.recv())
        async for _ in client:
            pass
        assert client.close_code == 1001
        return status["channel"]

    began = time.monotonic()
    assert asyncio.run(trade()) == "status"
    assert time.monotonic() - began < 5, "and the connection ends with the emulator"


def test_the_transcript_has_requests_messages_and_fix_over_tls_too(folder):
    async def look(kraken: Emulator) -> None:
        async with connect(f"{kraken.ws}/v2", proxy=None) as client:
            await client.send('{"method":"ping","req_id":7}')
            while "pong" not in await client.recv():
                pass

    with Emulator(state_folder=folder) as kraken:
        assert str(kraken.transcript) == "", "what the venue does to get ready is not told"
        client = exchange(kraken)
        client.urls["api"] = {"public": kraken.tls.rest, "private": kraken.tls.rest}
        client.validateServerSsl = kraken.tls.ca
        client.fetch_balance()
        asyncio.run(look(kraken))
        fix = SocketClient(kraken.fix.spot_trading, kraken.endpoints["accounts"][0], "KRAKEN-TRD")
        fix.logon()
        fix.close()
        text = str(kraken.transcript)
    assert "POST /0/private/BalanceEx nonce=" in text or "POST /0/private/Balance nonce=" in text
    assert '-> 200 OK {"error":[],"result":{' in text
    assert "-> 101 Switching Protocols" in text
    assert '> {"method":"ping","req_id":7}' in text
    assert '< {"method":"pong","req_id":7' in text
    assert "> 8=FIX.4.4|9=" in text
    assert "|35=A|" in text


def test_started_ten_times_it_leaks_no_thread_descriptor_or_memory(folder):
    def once() -> None:
        with Emulator(state_folder=folder) as kraken:
            get(f"{kraken.rest}/0/public/Time")

    def left() -> tuple[int, int]:
        return threading.active_count(), len(os.listdir("/dev/fd"))

    once()
    gc.collect()
    tracemalloc.start()
    try:
        before, bytes_before = left(), tracemalloc.get_traced_memory()[0]
        for _ in range(10):
            once()
        gc.collect()
        assert left() == before
        assert tracemalloc.get_traced_memory()[0] - bytes_before < 4 << 20
    finally:
        tracemalloc.stop()


def test_connections_that_clients_leave_open_end_with_it(folder):
    with Emulator(tier="us", raw_delay=True, state_folder=folder) as kraken:
        places = [url.rpartition("/")[2] for url in (kraken.rest, kraken.tls.rest, kraken.control.url)]
        places += [kraken.fix.spot_trading, kraken.fix.spot_md]
        ends = []
        for place in places:
            host, _, port = place.rpartition(":")
            ends.append(socket.create_connection((host, int(port)), timeout=20))
        for end in ends[1:-1]:
            end.sendall(b"8")
        ends[0].sendall(b"GET /0/public/Time HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert ends[0].recv(12) == b"HTTP/1.1 200"  # what was sent before has come too
    for end in ends:
        with end, suppress(ConnectionResetError):
            while end.recv(1024):
                pass


def test_the_collector_and_ctrl_c_are_left_alone(folder):
    before = gc.get_threshold(), gc.get_freeze_count(), signal.getsignal(signal.SIGINT)
    with Emulator(state_folder=folder):
        assert (gc.get_threshold(), gc.get_freeze_count(), signal.getsignal(signal.SIGINT)) == before


FEW_DESCRIPTORS = """
import resource, sys
from emulator.testing import Emulator
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
with Emulator(state_folder=sys.argv[1]):
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_the_limit_of_descriptors_is_left_alone(folder):
    done = python(FEW_DESCRIPTORS, folder)
    assert (done.stdout, done.stderr) == ("256\n", "")


INTERRUPTED = """
import signal, sys
from concurrent.futures import ThreadPoolExecutor
from emulator.testing import Emulator
if sys.argv[2] == "main":
    kraken = Emulator(state_folder=sys.argv[1]).start()
else:
    with ThreadPoolExecutor() as threads:
        kraken = threads.submit(Emulator(state_folder=sys.argv[1]).start).result()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
# and it is never stopped
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("thread", ["main", "another"])
def test_ctrl_c_still_interrupts_and_the_interpreter_ends_with_one_that_runs(folder, thread):
    done = python(INTERRUPTED, folder, thread)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_importing_it_imports_nothing_of_the_venue():
    code = (
        "import sys, emulator.testing.plugin; plugin = set(sys.modules)\n"
        "from emulator.testing import Emulator\n"
        "heavy = {'asyncio', 'aiohttp', 'msgspec', 'emulator.app'}\n"
        "print('urllib.request' in plugin, heavy & set(sys.modules))"
    )
    done = python(code)
    assert (done.stdout, done.stderr) == ("False set()\n", "")
