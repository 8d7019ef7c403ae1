"""`kraken-emulator measure`: figures by hand, the probe against made-up servers, and the whole for real."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import subprocess

import pytest
import trustme
from websockets.asyncio.server import serve

from emulator import measuring as product
from emulator.arguments import parse
from emulator.gateways.fix.wire import Framer, encode, fields, sound
from emulator.link.tiers import load_tiers
from emulator.measure import prober, report, requests
from emulator.measure.command import (
    AT_ONCE,
    SELDOM,
    SPACINGS_US,
    UNDER_WAY,
    Measured,
    Rung,
    shortest_us,
    spacing_us,
)
from emulator.measure.figures import Figures, quantile
from emulator.measure.page import as_html
from emulator.measure.prober import ProbeError, Prober
from emulator.settings import PROFILES
from tests.measure.made import measurement
from tests.running import COMMAND, ROOT, environment, wait_until

PATIENCE_S = 60

# Figures


def test_quantiles_lie_between_neighbours():
    assert [quantile([10, 20, 30, 40], share) for share in (0, 0.5, 1)] == [10, 25, 40]
    assert quantile([7.0], 0.99) == 7


def test_a_quantile_that_too_few_samples_tell_is_not_told():
    assert Figures.of(range(99)).p99_us is None
    assert (Figures.of(range(100)).p99_us, Figures.of(range(100)).p999_us) == (98.0, None)
    assert Figures.of(range(1_001)).p999_us == 999


def test_what_comes_sooner_than_anything_may_is_early():
    assert Figures.of([199.9, 200.0, 260.0]).early(200.0) == 1
    assert Figures.of([1.0]).early(0.0) == 0


def test_a_round_trip_takes_its_fixed_delays_at_least():
    tiers = load_tiers(PROFILES / "tiers")
    shortest = shortest_us([tiers["colo"], tiers["local"]])
    assert shortest["colo"] == shortest["colo/A"] < 200
    assert shortest["colo/B"] == pytest.approx(shortest["colo/A"] + 10)
    assert shortest["local"] == 0


def test_the_error_is_relative_to_what_is_stated():
    figures = Figures.of([2_100, 2_100])
    assert figures.error(2_000) == pytest.approx(0.05)
    assert figures.error(0) is None


# The probe


def probing(job, handler=None, **options):
    """Have a job done against a WebSocket server with this handler; port and host are filled in."""

    async def scenario():
        async with serve(handler, "127.0.0.1", 0, **options) as server, Prober() as prober:
            there = {"host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
            return await prober.run({**there, **job})

    return asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


WEBSOCKET = {"kind": "websocket", "path": "/v2", "spacing_us": 0, "timeout_s": 20}


def numbered(count):
    return [json.dumps({"method": "ping", "req_id": place}) for place in range(1, count + 1)]


@pytest.mark.parametrize("spacing_us", [0, 100])
@pytest.mark.parametrize("spin", [False, True])
def test_each_message_is_matched_with_its_answer_whatever_comes_between(spacing_us, spin):
    async def handler(connection):
        async for text in connection:
            await connection.send('{"channel":"heartbeat"}')
            await connection.send('{"req_id":999,"success":false}')
            await connection.send(json.dumps({"req_id": json.loads(text)["req_id"], "success": True}))

    result = probing({**WEBSOCKET, "messages": numbered(40), "spacing_us": spacing_us, "spin": spin}, handler)
    assert len(result["took_us"]) == 40
    assert min(result["took_us"]) > 0
    assert result["refused"] == 0


def test_answers_may_come_late_and_in_another_order():
    async def handler(connection):
        texts = [await connection.recv() for _ in range(5)]
        for text in reversed(texts):
            await connection.send(text)

    took_us = probing({**WEBSOCKET, "messages": numbered(5), "spacing_us": 2_000}, handler)["took_us"]
    assert took_us == sorted(took_us, reverse=True)
    assert took_us[0] >= 8_000


def test_refusals_are_counted_and_the_first_is_kept():
    async def handler(connection):
        async for text in connection:
            number = json.loads(text)["req_id"]
            await connection.send(
                json.dumps({"req_id": number, "success": number != 2, "error": "EOrder:No"})
            )

    result = probing({**WEBSOCKET, "messages": numbered(3)}, handler)
    assert result["refused"] == 1
    assert '"req_id": 2' in result["first_refusal"]


async def silent(connection):
    await connection.wait_closed()


async def hanging_up(connection):
    await connection.close()


@pytest.mark.parametrize(
    ("job", "handler", "complaint"),
    [
        ({**WEBSOCKET, "messages": numbered(1), "timeout_s": 0.2}, silent, "no answer within 0.2 s"),
        ({**WEBSOCKET, "messages": numbered(1)}, hanging_up, "closed the connection|Broken pipe|reset"),
        ({"kind": "guess"}, silent, "a bad job: KeyError"),
        ({"kind": "connect", "port": 1, "count": 1}, silent, "refused"),
    ],
)
def test_a_job_that_cannot_be_done_is_one_line(job, handler, complaint):
    with pytest.raises(ProbeError, match=complaint) as caught:
        probing(job, handler)
    assert "\n" not in str(caught.value)


async def beating(connection):
    while True:  # until it hangs up: a silence would end the wait as well
        await connection.send('{"channel":"heartbeat"}')
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("spin", [False, True])
def test_heartbeats_are_no_answer(spin):
    with pytest.raises(ProbeError, match=r"no answer within 0\.3 s"):
        probing({**WEBSOCKET, "messages": numbered(1), "timeout_s": 0.3, "spin": spin}, beating)


def test_what_is_still_to_be_sent_does_not_postpone_the_deadline():
    heard = []

    async def handler(connection):
        async for text in connection:
            heard.append(text)  # noqa: PERF401 - until it hangs up

    job = {**WEBSOCKET, "messages": numbered(100_000), "spacing_us": 10_000, "timeout_s": 0.3}
    with pytest.raises(ProbeError, match=r"no answer within 0\.3 s"):
        probing(job, handler)
    assert 0 < len(heard) < 100_000


def test_nobody_is_late_while_nobody_is_waited_for():
    async def handler(connection):
        beats = asyncio.ensure_future(beating(connection))
        async for text in connection:
            await connection.send(text)
        beats.cancel()

    job = {**WEBSOCKET, "messages": numbered(3), "spacing_us": 900_000, "timeout_s": 0.6}
    assert len(probing(job, handler)["took_us"]) == 3


def test_a_probe_that_is_given_up_on_answers_no_later_job(monkeypatch):
    monkeypatch.setattr(prober, "_GIVE_UP_AFTER_S", 0.3)
    monkeypatch.setattr(prober, "_EACH_US", 0)

    async def scenario():
        async with serve(silent, "127.0.0.1", 0) as server, Prober() as probe:
            job = {**WEBSOCKET, "host": "127.0.0.1", "port": server.sockets[0].getsockname()[1]}
            with pytest.raises(ProbeError, match=r"the probe does not answer within 0\.3 s"):
                await probe.run({**job, "messages": numbered(1)})
            with pytest.raises(ProbeError, match="the probe"):
                await probe.run({**job, "kind": "connect", "count": 1})
            await probe._process.wait()  # it has been ended, not only left alone
            assert probe._process.returncode == -signal.SIGKILL

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_a_job_may_take_as_long_as_its_messages_are_spread_over(monkeypatch):
    monkeypatch.setattr(prober, "_GIVE_UP_AFTER_S", 2.0)

    async def handler(connection):
        async for text in connection:
            await connection.send(text)

    result = probing({**WEBSOCKET, "messages": numbered(30), "spacing_us": 100_000}, handler)
    assert len(result["took_us"]) == 30


def test_the_limit_of_a_job_grows_with_what_it_has_to_do():
    far = {**WEBSOCKET, "spacing_us": 5_000, "rtt_us": 140_000}
    few, many = (prober.patience_s({**far, "messages": numbered(count)}) for count in (2, 2 * 12_000))
    assert many - few > 2 * 12_000 * 0.005
    orders = {"kind": "http", "requests": ["GET /"] * 2_000, "rtt_us": 140_000}
    assert prober.patience_s(orders) > 2_000 * 0.140
    assert prober.patience_s({"kind": "cold", "count": 2_000, "rtt_us": 140_000}) > 2_000 * 4 * 0.140
    assert prober.patience_s({"kind": "connect", "count": 10, "pause_us": 1e6}) > 10


def test_what_must_not_be_left_half_done_is_done_before_a_cancellation_goes_on():
    done = []

    async def scenario():
        going_on, let_it = asyncio.Event(), asyncio.Event()

        async def work():
            going_on.set()
            await let_it.wait()
            done.append(True)

        task = asyncio.ensure_future(prober.to_the_end(work()))
        await going_on.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        let_it.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))
    assert done == [True]


def answering(job, answer):
    """Have a job done against a server that gives `answer` to each request."""

    async def serve_one(reader, writer):
        while await reader.read(1 << 16):
            writer.write(answer)

    async def scenario():
        server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
        async with server, Prober() as probe:
            port = server.sockets[0].getsockname()[1]
            return await probe.run({"host": "127.0.0.1", "port": port, "timeout_s": 0.3, **job})

    return asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_requests_over_rest_are_timed_and_errors_counted():
    body = b'{"error":["EOrder:Insufficient funds"]}'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    result = answering({"kind": "http", "requests": ["GET / HTTP/1.1\r\n\r\n"] * 3, "timeout_s": 20}, answer)
    assert (len(result["took_us"]), result["refused"]) == (3, 3)
    assert "Insufficient funds" in result["first_refusal"]


@pytest.mark.parametrize(
    ("job", "complaint"),
    [
        ({"kind": "http", "requests": ["GET / HTTP/1.1\r\n\r\n"]}, "no answer within"),
        ({**WEBSOCKET, "messages": numbered(1), "timeout_s": 0.3}, "no answer within"),
    ],
)
def test_garbage_is_no_answer(job, complaint):
    with pytest.raises(ProbeError, match=complaint):
        answering(job, b"\x00\xff garbage")


def test_connections_are_timed():
    assert len(probing({"kind": "connect", "count": 3}, silent)["took_us"]) == 3


def test_a_cold_start_is_told_in_its_parts(tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.kraken.com").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def handler(connection):
        await connection.recv()
        await connection.send('{"channel":"book","type":"snapshot"}')
        await connection.wait_closed()

    job = {"kind": "cold", "ca": str(tmp_path / "ca.pem"), "server_name": "api.kraken.com", "count": 2}
    parts = probing({**job, "path": "/v2", "request": "{}"}, handler, ssl=context)["parts_us"]
    assert {name: len(took) for name, took in parts.items()} == dict.fromkeys(
        ("connect", "tls", "upgrade", "answer"), 2
    )


# Orders over FIX

SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw=="
FIX = {"kind": "fix", "spacing_us": 0, "timeout_s": 20}


def session(orders=1):
    return requests.FixAccount("EMU-FIX-KEY-0001", SECRET, "EMUTEST").session(orders)


def told(msg_type, **more):
    """Give a message of the venue's: `told("8", t11=5)`."""
    parts = (f"{name[1:]}={value}\x01" for name, value in {"t35": msg_type, **more}.items())
    return encode("".join(parts))


def said(text):
    return fields(text if isinstance(text, str) else text.decode())


def by_the_book(message):
    """Answer as a venue does that takes every order."""
    match message["35"]:
        case "A" | "5" as msg_type:
            return told(msg_type)
        case "D":
            return told("8", t11=message["11"], t150="A") + told("8", t11=message["11"], t150="0")
        case "F":
            return told("8", t11=message["11"], t41=message["41"], t150="4")


def over_fix(job, answer=by_the_book, *, context=None, piece=1 << 16):
    """Have a job done against a server that gives `answer` of each message's fields; None hangs up."""

    async def serve_one(reader, writer):
        framer, replies = Framer(), []
        with contextlib.closing(writer), contextlib.suppress(ConnectionResetError):
            while None not in replies and (data := await reader.read(1 << 16)):
                replies = [answer(said(message)) for message in framer.feed(data)]
                for reply in filter(None, replies):
                    for place in range(0, len(reply), piece):
                        writer.write(reply[place : place + piece])
                        await asyncio.sleep(0)

    async def scenario():
        server = await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=context)
        async with server, Prober() as probe:
            port = server.sockets[0].getsockname()[1]
            return await probe.run({"host": "127.0.0.1", "port": port, **FIX, **job})

    return asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))


def test_the_logon_has_the_password_of_the_reference(monkeypatch):
    monkeypatch.setattr(requests.time, "time_ns", lambda: 1_767_225_600_000 * 10**6)
    logon = said(session()["logon"])
    assert logon["554"] == (
        "3s/ptCoxKmS0gTKW0xOVi5YZkwmyVLWACRjm/mKBW4rI94QI07eHF9+D7bYBeCRrUIhr2btYwtfKMZB489Vozg=="
    )
    assert (logon["34"], logon["5025"], logon["141"]) == ("1", "1767225600000", "Y")


def test_sessions_are_numbered_and_no_id_or_nonce_comes_twice_or_goes_back():
    account = requests.FixAccount("key", SECRET, "EMUTEST")
    sessions = [account.session(3) for _ in range(5)]
    for each in sessions:
        texts = [each["logon"], *each["messages"], each["logout"]]
        assert [said(text)["34"] for text in texts] == [str(place) for place in range(1, 9)]
        assert all(sound(text.encode()) for text in texts)
        assert [said(text)["35"] for text in texts] == ["A", *["D", "F"] * 3, "5"]
        for order, cancellation in zip(each["messages"][0::2], each["messages"][1::2], strict=True):
            assert said(cancellation)["41"] == said(order)["11"]
    ids = [int(said(text)["11"]) for each in sessions for text in each["messages"]]
    nonces = [int(said(each["logon"])["5025"]) for each in sessions]
    for numbers in (ids, nonces):
        assert numbers == sorted(set(numbers))
    assert ids[-1] < 10**18


@pytest.mark.parametrize("spacing_us", [0, 100])
@pytest.mark.parametrize("spin", [False, True])
def test_each_order_is_matched_with_its_first_report_whatever_comes_between(spacing_us, spin):
    def answer(message):
        noise = told("0") + b"garbage 8=FIX" + told("8", t11="7", t150="A") + told("j", t379="7")
        return noise + by_the_book(message)

    result = over_fix({**session(20), "spacing_us": spacing_us, "spin": spin}, answer)
    assert len(result["took_us"]) == 40
    assert min(result["took_us"]) > 0
    assert result["refused"] == 0


def test_reports_may_come_late_and_in_another_order():
    job, waiting = session(3), []

    def answer(message):
        if message["35"] not in "DF":
            return by_the_book(message)
        waiting.append(by_the_book(message))
        if len(waiting) < 6:
            return b""
        return b"".join(reversed(waiting))

    took_us = over_fix({**job, "spacing_us": 2_000}, answer)["took_us"]
    assert took_us == sorted(took_us, reverse=True)
    assert took_us[0] >= 10_000


def test_a_message_in_pieces_is_one():
    assert len(over_fix(session(2), piece=1)["took_us"]) == 4


REFUSALS = {
    "business": lambda m: told("j", t45=0, t58="EOrder:Insufficient funds", t379=m["11"], t380=0),
    "session": lambda m: told("3", t45=m["34"], t58="EOrder:Insufficient funds", t371=54),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_refused_orders_are_counted_and_the_first_text_is_kept(kind):
    def answer(message):
        return (REFUSALS[kind] if message["34"] in ("4", "5") else by_the_book)(message)

    result = over_fix(session(3), answer)
    assert (result["refused"], result["first_refusal"]) == (2, "EOrder:Insufficient funds")
    assert min(result["took_us"]) > 0


def test_a_logout_refuses_all_that_has_no_answer():
    def answer(message):
        return told("5", t58="session rollover") if message["34"] == "4" else by_the_book(message)

    result = over_fix(session(3), answer)
    assert (result["refused"], result["first_refusal"]) == (4, "session rollover")


def refusing(message):
    return told("5", t58="authentication failure")


def logging_on(then):
    """Take the Logon; give `then` of whatever follows."""
    return lambda message: told("A") if message["35"] == "A" else then


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (refusing, "the logon was refused: authentication failure"),
        (lambda _: None, "closed the connection|Broken pipe|reset"),
        (logging_on(None), "closed the connection|Broken pipe|reset"),
        (lambda _: b"", r"no answer within 0\.3 s"),
        (logging_on(b""), r"no answer within 0\.3 s"),
        (logging_on(told("0")), r"no answer within 0\.3 s"),
        (lambda _: b"\x00\xff8=FIX.4.4\x019=garbage", r"no answer within 0\.3 s"),
        (lambda m: b"" if m["35"] == "5" else by_the_book(m), r"no answer within 0\.3 s"),
    ],
)
def test_a_session_that_comes_to_nothing_is_one_line(answer, complaint):
    with pytest.raises(ProbeError, match=complaint) as caught:
        over_fix({**session(2), "timeout_s": 0.3}, answer)
    assert "\n" not in str(caught.value)


def test_a_cold_start_over_fix_ends_with_the_logon_and_logs_out(tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("fix.kraken.com").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    heard = []

    def answer(message):
        heard.append(message["35"])
        return by_the_book(message)

    job = {"kind": "cold", "ca": str(tmp_path / "ca.pem"), "server_name": "fix.kraken.com", "count": 1}
    parts = over_fix({**job, **session(0)}, answer, context=context)["parts_us"]
    assert {name: len(took) for name, took in parts.items()} == dict.fromkeys(("connect", "tls", "answer"), 1)
    assert heard == ["A", "5"]


@pytest.fixture
def at_the_venue(quiet_venue):
    """Have sessions of one account done at a real venue, one after the other, with a probe's process each."""
    host, _, port = quiet_venue.tier()["fix"]["spot_trading"].rpartition(":")
    names = quiet_venue.next_member()["fix"]

    def run(change=lambda session: session, secret=names["secret"]):
        account = requests.FixAccount(names["key"], secret, names["sender_comp_id"])

        async def scenario():
            async with Prober() as probe:
                job = {**FIX, "host": host, "port": int(port), **change(account.session(5))}
                return await probe.run(job)

        return asyncio.run(asyncio.wait_for(scenario(), PATIENCE_S))

    return run


def test_the_venue_takes_one_session_after_the_other(at_the_venue):
    for _ in range(3):
        result = at_the_venue()
        assert (len(result["took_us"]), result["refused"]) == (10, 0), result


def test_the_venue_refuses_a_wrong_password(at_the_venue):
    with pytest.raises(ProbeError, match="the logon was refused: authentication failure"):
        at_the_venue(secret=SECRET)


def test_what_the_venue_refuses_is_counted(at_the_venue):
    def too_large(session):
        texts = [text.partition("\x0135=")[2].rpartition("10=")[0] for text in session["messages"]]
        larger = [encode("35=" + text.replace("\x0138=0.001", "\x0138=1000000")).decode() for text in texts]
        return {**session, "messages": larger}

    result = at_the_venue(too_large)
    assert (result["refused"], result["first_refusal"]) == (10, "EOrder:Insufficient funds")


# The report


def test_the_text_has_every_probe_its_error_and_what_the_machine_cannot_do():
    text = report.as_text(measurement())
    assert "+12.25% (+24 µs)" in text
    assert "+24 / +49 / +49 µs" in text
    assert "0.50 RTTs" in text
    assert "-50.00%" not in text
    assert "link netem: not measured: no <module>" in text
    assert "3.75" in text
    assert "so the nearest it can be is 270 µs" in text


def test_fix_is_told_and_drawn_as_websocket_is():
    measured = measurement()
    (tier,) = measured.rungs[0].tiers
    tier.probes["fix_order"] = Figures.of([210.0 + place % 50 for place in range(1_000)])
    tier.cold["fix"] = {"connect": 200.0, "tls": 300.0, "answer": 250.0}
    text = report.as_text(measured)
    (row,) = [line for line in text.splitlines() if "order → ack, FIX" in line]
    assert "+17.25% (+34 µs)" in row
    (row,) = [line for line in text.splitlines() if " fix " in line]
    assert "750 µs" in row
    assert "3.75" in row
    page = as_html(measured)
    assert page.count("<svg") == 4
    assert "share of orders over FIX" in page
    assert "fix, packet" in page


@pytest.mark.parametrize("rtt_us", [0, 200, 2_000, 60_000, 140_000, 10_000_000])
def test_no_more_is_under_way_at_once_than_tcp_sends_into_the_unknown(rtt_us):
    assert rtt_us / spacing_us(rtt_us) <= UNDER_WAY < 10
    assert spacing_us(rtt_us) >= min(SPACINGS_US.values())


def test_what_came_too_early_is_counted_where_there_is_a_distance():
    measured = measurement()
    (tier,) = measured.rungs[0].tiers
    tier.shortest_us = 203.0
    connect, orders = (dict(zip(report.HEADINGS, row, strict=True)) for row in report.rows(tier, "packet"))
    assert (connect["early"], orders["early"]) == ("-", "60")


def test_seldom_and_cold_orders_are_rows_that_say_what_they_are():
    measured = measurement()
    (tier,) = measured.rungs[0].tiers
    tier.probes |= {"seldom_order": Figures.of([300.0]), "at_once_order": Figures.of([900.0])}
    for told in (report.as_text(measured), as_html(measured)):
        assert "the same, every 100 ms" in told
        assert f"the same, {AT_ONCE} at once, new connection" in told
        assert "slow start" in told


@pytest.mark.parametrize(
    ("rung", "error"), [("netem", "-"), ("packet", "-"), ("stream", "+350.00% (+700 µs)")]
)
def test_orders_at_once_have_an_error_only_where_tcp_does_not_take_part_in_it(rung, error):
    probes = {"at_once_order": Figures.of([900.0])}
    near = Measured(tier="colo", path="A", rtt_us=200, floor_us=0, reachable_us=200, probes=probes)
    (row,) = report.rows(near, rung)
    told = dict(zip(report.HEADINGS, row, strict=True))
    assert told["error"] == error
    assert (told["over published"] == "-") == (error == "-")


def test_errors_are_in_microseconds_however_large():
    figures = Figures.of([62_500.0] * 100)
    far = Measured(tier="us", path="", rtt_us=60_000, floor_us=0, reachable_us=0, probes={"ping": figures})
    (row,) = report.rows(far, "packet")
    told = dict(zip(report.HEADINGS, row, strict=True))
    assert (told["error"], told["over published"]) == ("+4.17% (+2,500 µs)", "+2,500 / +2,500 / - µs")


# The command


def test_it_measures_and_writes_both_files(tmp_path):
    folder = tmp_path / "results" / "of today"  # made, as it is not there
    arguments = ["--tier", "local,aws", "--link", "stream", "--output", str(folder)]
    arguments += ["--quick", "--samples", "20"]  # who says how many, gets as many
    done = subprocess.run(
        [*COMMAND, "measure", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "order → ack, WebSocket" in done.stdout
    written = json.loads((folder / "measurement.json").read_bytes())
    (rung,) = written["rungs"]
    assert [row["tier"] for row in rung["tiers"]] == ["local", "aws"]
    near, far = rung["tiers"]
    orders = {"websocket_order", "seldom_order", "fix_order", "rest_order"}
    assert set(near["probes"]) == {"connect", "ping", "rest_time"} | orders
    assert set(far["probes"]) == set(near["probes"]) | {"at_once_order"}
    assert len(far["probes"]["seldom_order"]["samples_us"]) == SELDOM[0]
    assert len(far["probes"]["at_once_order"]["samples_us"]) == AT_ONCE
    assert near["shortest_us"] == 0 < far["shortest_us"] < 2_000
    for name in ("websocket_order", "fix_order"):
        assert len(far["probes"][name]["samples_us"]) == 20
        assert far["probes"][name]["p50_us"] >= 1_700 > near["probes"]["connect"]["min_us"]
    assert set(far["cold"]) == {"rest", "websocket", "fix"}
    assert set(far["cold"]["fix"]) == {"connect", "tls", "answer"}
    assert "<svg" in (folder / "measurement.html").read_text()


@pytest.mark.parametrize(
    ("samples", "quick", "taken"), [(None, False, 1_000), (None, True, 100), (7, True, 7)]
)
def test_so_many_samples_are_taken_as_are_asked_for(samples, quick, taken):
    asked = parse(["measure", "--tier", "local", "--link", "none", *(["--quick"] if quick else [])])
    plan, _ = product._plan({**vars(asked), "samples": samples})
    assert plan.samples == taken


@pytest.mark.parametrize(
    ("rungs", "complaint"),
    [
        ([("netem", "no module")], "nothing could be measured: link netem: no module"),
        ([("netem", "a"), ("packet", "b")], "nothing could be measured: link netem: a; link packet: b"),
        ([], "nothing could be measured: no link works here"),
    ],
)
def test_where_nothing_could_be_measured_nothing_is_written(rungs, complaint, tmp_path, monkeypatch):
    async def measured(plan, progress):
        made = measurement()
        made.rungs = [Rung(rung=name, reason=reason) for name, reason in rungs]
        return made

    monkeypatch.setattr(product, "measure", measured)
    folder = tmp_path / "results"
    asked = vars(parse(["measure", "--link", "none", "--output", str(folder)]))
    with pytest.raises(product.MeasureError) as error:
        product.run(asked, lambda what, share: None, alone=False)
    assert str(error.value) == complaint
    assert not folder.exists()


def test_a_tier_that_does_not_offer_fix_has_no_rows_of_it(tmp_path):
    profile = (PROFILES / "tiers" / "local.toml").read_text().replace('"local"', '"web"')
    (tmp_path / "web.toml").write_text(profile.replace(', "fix"]', "]"))
    arguments = ["--tier", "web", "--tiers-folder", str(tmp_path), "--link", "stream", "--samples", "5"]
    done = subprocess.run(
        [*COMMAND, "measure", *arguments, "--output", str(tmp_path)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert "FIX" not in done.stdout
    (rung,) = json.loads((tmp_path / "measurement.json").read_bytes())["rungs"]
    (row,) = rung["tiers"]
    assert "websocket_order" in row["probes"]
    assert set(row["cold"]) == {"rest", "websocket"}
    assert "over FIX" not in (tmp_path / "measurement.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--tier", "mars"], "--tier mars: unknown tier 'mars'"),
        (["--tier", ""], "--tier '': no tier given"),
        (["--link", ""], "--link '': no link given"),
        (["--link", "stream,,none"], "--link stream,,none: nothing stands beside a comma"),
        (["--tier", "us,us"], "us is given twice"),
        (
            ["--link", "stream,bogus"],
            "--link stream,bogus: unknown link 'bogus'; there are: netem, packet, stream, none",
        ),
        (["--market", "bogus"], "--market bogus: one of synthetic, off is meant"),
        (["--samples", "0"], "a number from 2 to 100000 is meant"),
        (["--output", "/dev/null/there"], "--output /dev/null/there: cannot be written"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(arguments, complaint):
    done = subprocess.run(
        [*COMMAND, "measure", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def started_with(scratch):
    """Give the processes whose environment says that this folder is theirs: nobody else's does."""
    mark, found = f"TMPDIR={scratch}".encode(), set()
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as variables:
            if mark in variables.read().split(b"\0"):
                found.add(int(name))
    return found


@contextlib.contextmanager
def measuring(folder):
    """Measure what takes long; give the process, and the folder where it has what it needs meanwhile."""
    scratch = folder / "scratch"
    scratch.mkdir()
    process = subprocess.Popen(
        [*COMMAND, "measure", "--tier", "tokyo", "--link", "stream", "--output", str(folder)],
        cwd=ROOT,
        env=environment(TMPDIR=str(scratch)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process, scratch
    finally:
        for pid in started_with(scratch):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


def stop(process, number):
    """Send SIGINT as a terminal does, to all that are in its foreground; others to the command alone."""
    if number == signal.SIGINT:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)


def ended(process, scratch, folder):
    """Give the exit code and what it said, when nothing is left."""
    said = process.communicate(timeout=PATIENCE_S)
    wait_until(lambda: not started_with(scratch), PATIENCE_S, "its processes have ended")
    assert list(scratch.iterdir()) == []
    assert [path.name for path in folder.iterdir()] == ["scratch"]
    return process.returncode, said


def probing_now(process, scratch):
    """Wait until the emulator is up, and the probe has begun; give the emulator's id."""
    (file,) = wait_until(lambda: list(scratch.glob("*/endpoints.json")), PATIENCE_S, "the emulator is up")
    emulator = json.loads(file.read_bytes())["pid"]
    others = {process.pid, emulator}
    wait_until(lambda: started_with(scratch) > others, PATIENCE_S, "the probe runs too")
    return emulator


CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
SIGNALS = pytest.mark.parametrize(("number", "code"), CODES)


@SIGNALS
def test_it_can_be_stopped_and_leaves_nothing(tmp_path, number, code):
    with measuring(tmp_path) as (process, scratch):
        probing_now(process, scratch)
        stop(process, number)
        assert ended(process, scratch, tmp_path) == (code, ("", ""))


@SIGNALS
def test_it_can_be_stopped_while_the_emulator_starts(tmp_path, number, code):
    with measuring(tmp_path) as (process, scratch):
        wait_until(lambda: len(started_with(scratch)) >= 2, PATIENCE_S, "the emulator has begun")
        stop(process, number)
        assert ended(process, scratch, tmp_path) == (code, ("", ""))


@SIGNALS
def test_who_stops_it_again_does_not_make_it_leave_anything(tmp_path, number, code):
    with measuring(tmp_path) as (process, scratch):
        emulator = probing_now(process, scratch)
        os.kill(emulator, signal.SIGSTOP)  # so that it cannot end yet
        stop(process, number)
        both = {process.pid, emulator}
        wait_until(lambda: started_with(scratch) == both, PATIENCE_S, "the probe has ended")
        for again in (number, signal.SIGTERM, signal.SIGINT):
            stop(process, again)
        os.kill(emulator, signal.SIGCONT)
        assert ended(process, scratch, tmp_path) == (code, ("", ""))


def test_an_emulator_that_does_not_end_is_ended(tmp_path):
    with measuring(tmp_path) as (process, scratch):
        os.kill(probing_now(process, scratch), signal.SIGSTOP)
        stop(process, signal.SIGTERM)
        assert ended(process, scratch, tmp_path) == (143, ("", ""))


def test_settings_of_the_environment_do_not_change_what_is_measured(tmp_path):
    arguments = ["--tier", "aws", "--link", "stream", "--samples", "20", "--output", str(tmp_path)]
    done = subprocess.run(
        [*COMMAND, "measure", *arguments],
        cwd=ROOT,
        env=environment(KRAKEN_EMULATOR_ENFORCE_ACCESS="1"),  # resets who is not listed
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    (rung,) = json.loads((tmp_path / "measurement.json").read_bytes())["rungs"]
    assert rung["reason"] is None
