"""``kraken-emulator up``: from the ready line to the end of the process."""

import asyncio
import json
import os
import signal
import socket
import ssl
import stat
import urllib.request
from urllib.parse import urlsplit

import pytest
import websockets
from websockets.sync.client import connect

from emulator.gateways.keys import demo_credentials
from emulator.link.ladder import RUNGS
from tests.running import running

QUIET = ("--market", "off")


def keys(venue):
    return {row["name"]: (row["spot"]["key"], row["spot"]["secret"]) for row in venue.endpoints["accounts"]}


def port(url):
    return urlsplit(url).port


def get_time(tier, context=None):
    url = (tier["tls"] if context else tier)["rest"]
    with urllib.request.urlopen(f"{url}/0/public/Time", timeout=10, context=context) as answer:
        return json.loads(answer.read())


async def first_frame(url, trust):
    async with websockets.connect(url, ssl=trust) as link:
        return await asyncio.wait_for(link.recv(), 10)


def test_as_soon_as_the_endpoints_file_is_there_everything_answers():
    with running("--tier", "local,aws") as venue:
        assert venue.endpoints["tiers"].keys() == {"local", "aws"}
        for tier in venue.endpoints["tiers"].values():
            context = ssl.create_default_context(cafile=tier["tls"]["ca"])
            assert get_time(tier)["error"] == get_time(tier, context)["error"] == []
            for url, trust in ((tier["ws"], None), (tier["ws_auth"], None), (tier["tls"]["ws"], context)):
                assert json.loads(asyncio.run(first_frame(f"{url}/v2", trust)))["channel"] == "status"
        out = venue.stdout()
        assert "ready; Ctrl-C stops" in out
        assert all(tier["rest"] in out for tier in venue.endpoints["tiers"].values())


def test_the_certificate_is_valid_for_kraken_s_names_and_its_key_is_private():
    with running(*QUIET) as venue:
        tls = venue.tier()["tls"]
        context = ssl.create_default_context(cafile=tls["ca"])
        for name in ("api.kraken.com", "ws.kraken.com", "ws-auth.kraken.com", "localhost", "127.0.0.1"):
            with (
                socket.create_connection(("127.0.0.1", port(tls["rest"])), 10) as plain,
                context.wrap_socket(plain, server_hostname=name) as secure,
            ):
                assert secure.version() >= "TLSv1.2"
        folder = os.path.dirname(tls["ca"])
        for name in ("ca-key.pem", "venue.pem"):
            assert stat.S_IMODE(os.stat(os.path.join(folder, name)).st_mode) == 0o600


@pytest.mark.parametrize("flaw", ["wrong-name", "expired", "untrusted"])
def test_a_venue_with_a_flawed_certificate_starts_says_so_and_is_refused_by_clients_that_check(flaw):
    with running("--certificate", flaw, *QUIET) as venue:
        context = ssl.create_default_context(cafile=venue.tier()["tls"]["ca"])
        assert (
            f"TLS      {flaw} certificate: to be refused; valid.kraken-emulator.test has a" in venue.stdout()
        )
        with pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"):
            get_time(venue.tier(), context)
        assert get_time(venue.tier())["error"] == []


def test_json_is_one_line_of_the_documented_shape():
    with running("--json", "--tier", "us,tokyo", *QUIET) as venue:
        assert venue.stdout().count("\n") == 1
        printed = json.loads(venue.stdout())
        assert printed == venue.endpoints
        assert printed["pid"] == venue.pid
        assert len(printed["accounts"]) >= 16
        assert printed["accounts"][0]["name"] == "alice"
        assert all(row["spot"].keys() == {"key", "secret"} for row in printed["accounts"])
        assert list(printed["tiers"]) == ["us", "tokyo"]
        ports = set()
        for tier in printed["tiers"].values():
            assert tier["rung"] != "none"
            assert tier["rtt_us"] in (60_000, 140_000)
            for scheme, urls in (("", tier), ("s", tier["tls"])):
                assert urls["rest"].startswith(f"http{scheme}://127.0.0.1:")
                assert urls["ws"].startswith(f"ws{scheme}://127.0.0.1:")
                assert urls["ws_auth"].startswith(f"ws{scheme}://127.0.0.1:")
                ports.add(port(urls["rest"]))
        assert len(ports) == 4


def test_two_emulators_side_by_side_share_keys_only_when_they_share_the_seed():
    with running("--seed", "7", *QUIET) as one, running("--seed", "7", *QUIET) as other:
        assert port(one.tier()["rest"]) != port(other.tier()["rest"])
        assert keys(one) == keys(other)
        assert keys(one)["bob"] == demo_credentials(7, "bob")
        assert get_time(one.tier())["error"] == get_time(other.tier())["error"] == []
        assert not set(keys(one).values()) & {demo_credentials(8, name) for name in keys(one)}
        one.stop()
        assert get_time(other.tier())["error"] == []


def test_arguments_the_environment_and_a_settings_file_together(tmp_path):
    config = tmp_path / "settings.toml"
    config.write_text('tier = ["tokyo"]\nseed = 1\nmarket = "off"\n')
    more = {"KRAKEN_EMULATOR_TIER": "us", "KRAKEN_EMULATOR_SEED": "2"}
    with running("--tier", "aws", "--config", str(config), **more) as venue:
        assert list(venue.endpoints["tiers"]) == ["aws"]
        assert keys(venue)["alice"] == demo_credentials(2, "alice")
        assert "no market" in venue.stdout()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_it_in_order(number):
    async def scenario(venue):
        tier = venue.tier()
        context = ssl.create_default_context(cafile=tier["tls"]["ca"])
        async with (
            websockets.connect(f"{tier['ws']}/v2") as plain,
            websockets.connect(f"{tier['tls']['ws']}/v2", ssl=context) as secure,
        ):
            request = {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USD"]}}
            await plain.send(json.dumps(request))
            while json.loads(await plain.recv()).get("channel") != "book":
                pass
            await asyncio.to_thread(venue.stop, number)
            for link in (plain, secure):
                async for _ in link:  # what came before the close; ends quietly for a code of 1000 or 1001
                    pass
                assert link.close_code == 1001

    with running("--tier", "local") as venue:
        get_time(venue.tier())
        asyncio.run(asyncio.wait_for(scenario(venue), 60))
        for urls in (venue.tier(), venue.tier()["tls"]):
            socket.create_server(("127.0.0.1", port(urls["rest"]))).close()


def test_the_goodbye_reaches_a_client_that_is_far_away():
    with running("--tier", "tokyo") as venue, connect(f"{venue.tier()['ws']}/v2", open_timeout=10) as link:
        assert json.loads(link.recv(timeout=10))["channel"] == "status"
        venue.stop()
        assert list(link) == []
        assert link.close_code == 1001


def test_auto_takes_the_best_link_and_keeps_the_usual_address_open():
    best = next(rung for rung in RUNGS if rung.works() is None)
    with running("--tier", "aws", "--link", "auto", "--market", "off") as venue:
        tier = venue.tier()
        assert tier["rung"] == best.name
        assert get_time(tier)["error"] == []
        assert ("loopback" in tier) == best.own_addresses
        if best.own_addresses:
            assert tier["loopback"]["rung"] == "stream"
            assert tier["loopback"]["rest"].startswith("http://127.0.0.1:")
            assert get_time(tier["loopback"])["error"] == []
        for rung in RUNGS[: RUNGS.index(best)]:
            assert f"not link {rung.name}: {rung.works()}" in venue.stdout()


def test_a_tier_without_distance_needs_no_link_of_its_own():
    with running("--tier", "local", "--link", "auto", *QUIET) as venue:
        assert venue.tier()["rest"].startswith("http://127.0.0.1:")
        assert "loopback" not in venue.tier()


def test_both_paths_of_colo_have_a_way_in():
    with running("--tier", "colo", *QUIET) as venue:
        paths = venue.tier()["paths"]
        assert list(paths) == ["A", "B"]
        assert paths["A"]["rest"] == venue.tier()["rest"] != paths["B"]["rest"]
        assert (paths["A"]["rtt_us"], paths["B"]["rtt_us"]) == (200, 210)
        assert all(get_time(path)["error"] == [] for path in paths.values())
        assert paths["A"]["floor_us"] > 0
        assert paths["A"]["reachable_us"] >= 200


def test_enforced_rules_let_nobody_in_who_does_not_meet_them_and_say_so():
    with running("--tier", "local,aws,us", "--enforce-access", "--provider", "bso", *QUIET) as venue:
        assert get_time(venue.tier("local"))["error"] == []
        assert get_time(venue.tier("us"))["error"] == []
        with pytest.raises(OSError, match=r"reset|closed"):
            get_time(venue.tier("aws"))
        assert "aws: every connection is reset: no address is listed" in venue.stdout()


def test_the_orders_that_measure_the_machine_at_start_leave_nothing_behind():
    with running("--tier", "aws", *QUIET) as measured, running("--tier", "aws", "--raw-delay", *QUIET) as raw:
        assert measured.tier()["floor_us"] > 0
        assert raw.tier()["floor_us"] == 0
        for venue in (measured, raw):
            with urllib.request.urlopen(
                venue.tier()["rest"] + "/0/public/Depth?pair=XBTUSD", timeout=10
            ) as answer:
                assert json.loads(answer.read())["result"] == {"XXBTZUSD": {"asks": [], "bids": []}}
