"""Everything the venue sends is valid by the dictionary that it gives to clients, tag by tag and in order.

The dictionary is read by QuickFIX, as a client would; a scripted day at the venue gives the messages.
"""

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator

import pytest
import quickfix

from emulator.engine import commands
from emulator.engine.status import TradingStatus
from emulator.gateways.fix.wire import encode, pairs, timestamp
from tests.fix.inside import DICTIONARY, Direct, FixVenue
from tests.fix.messages import Message, now

READ = quickfix.DataDictionary(str(DICTIONARY))
ENUMS = {
    field.attrib["number"]: {value.attrib["enum"] for value in field}
    for field in ET.parse(DICTIONARY).getroot().iterfind("fields/field")
    if len(field)
}
"""What fields with a closed set of values may be."""
MULTIPLE = {"18"}
GROUPS = {136: {137, 138, 139, 891}, 78: {79}}
"""Members of groups by the tag that counts them; they stand behind it, whatever their number."""
SOH = "\x01"

# -- the reference's examples of what clients send (fix.md, sections 1, 4 and 7) ----------------------

TRADING = {
    "D": "8=FIX.4.4|9=162|35=D|34=2|49=EMUTEST|52=20260302-12:00:01.000|56=KRAKEN-TRD|"
    "11=1772452801000000|18=P|"
    "38=0.25|40=2|44=64000.1|54=1|55=BTC/USD|59=1|60=20260302-12:00:01.000|7928=1|10=068|",
    "G": "8=FIX.4.4|9=192|35=G|34=3|49=EMUTEST|52=20260302-12:00:03.000|56=KRAKEN-TRD|11=1772452803000000|"
    "37=OEMUL2-AAAAA-BBBBBB|38=0.3|40=2|41=1772452801000000|44=64010.0|54=1|55=BTC/USD|59=1|"
    "60=20260302-12:00:03.000|10=044|",
    "F": "8=FIX.4.4|9=164|35=F|34=4|49=EMUTEST|52=20260302-12:00:05.000|56=KRAKEN-TRD|11=1772452805000000|"
    "37=OEMUL2-AAAAA-BBBBBB|41=1772452803000000|54=1|55=BTC/USD|60=20260302-12:00:05.000|10=073|",
    "q": "8=FIX.4.4|9=122|35=q|34=8|49=EMUTEST|52=20260302-12:00:07.000|56=KRAKEN-TRD|11=1772452807000000|"
    "55=BTC/USD|60=20260302-12:00:07.000|530=1|10=086|",
    "H": "8=FIX.4.4|9=114|35=H|34=9|49=EMUTEST|52=20260302-12:00:08.000|56=KRAKEN-TRD|11=1772452808000000|"
    "37=OEMUL2-AAAAA-BBBBBB|55=BTC/USD|10=245|",
}
MARKET_DATA = {
    "V": "8=FIX.4.4|9=133|35=V|34=2|49=EMUTEST|52=20260302-12:00:20.000|56=KRAKEN-MD|146=1|"
    "55=BTC/USD|262=bk1|"
    "263=1|264=10|265=1|266=Y|267=3|269=0|269=1|269=2|10=241|",
    "x": "8=FIX.4.4|9=84|35=x|34=3|49=EMUTEST|52=20260302-12:00:22.000|56=KRAKEN-MD|55=BTC/USD|320=il1|559=0|"
    "10=047|",
    "g": "8=FIX.4.4|9=85|35=g|34=4|49=EMUTEST|52=20260302-12:00:23.000|56=KRAKEN-MD|263=1|335=ts1|"
    "336=SESSION|"
    "10=148|",
}

# -- its examples of what the venue sends (sections 5 and 7): the body, and the place of every tag ----

REPORTS = {
    "A": "6=0.0|11=1772452801000000|14=0.0|17=PEMUAAA:2EMUAAAAAAAAA|37=OEMUL2-AAAAA-BBBBBB|38=0.25|39=A|40=2|"
    "44=64000.1|54=1|55=BTC/USD|58=buy 0.25 BTC/USD @ limit 64000.1|59=1|60=20260302-12:00:01.003|150=A|"
    "151=0.25|381=0.0|",
    "0": "6=0.0|11=1772452801000000|14=0.0|17=PEMUAAB:2EMUAAAAAAAAB|37=OEMUL2-AAAAA-BBBBBB|38=0.25|39=0|40=2|"
    "44=64000.1|54=1|55=BTC/USD|58=buy 0.25 BTC/USD @ limit 64000.1|59=1|60=20260302-12:00:01.004|150=0|"
    "151=0.25|381=0.0|",
    "F": "6=64000.1|11=1772452801000000|14=0.1|17=PEMUAAC:2EMUAAAAAAAAC|31=64000.1|32=0.1|"
    "37=OEMUL2-AAAAA-BBBBBB|38=0.25|39=1|40=2|44=64000.1|54=1|55=BTC/USD|59=1|60=20260302-12:00:02.500|"
    "118=6400.01|136=1|137=16.000025|138=USD|139=4|891=2|150=F|151=0.15|381=6400.01|527=90211|"
    "1003=TEMUAA-AAAAA-AAAAAA|5050=0|",
    "5": "6=64000.1|11=1772452803000000|14=0.1|17=PEMUAAD:2EMUAAAAAAAAD|37=OEMUL2-AAAAA-BBBBBB|"
    "38=0.3|39=5|40=2|"
    "41=1772452801000000|44=64010.0|54=1|55=BTC/USD|59=1|60=20260302-12:00:03.005|150=5|151=0.2|381=6400.01|",
    "4": "6=64000.1|11=1772452805000000|14=0.1|17=PEMUAAE:2EMUAAAAAAAAE|37=OEMUL2-AAAAA-BBBBBB|"
    "38=0.3|39=4|40=2|"
    "41=1772452803000000|44=64010.0|54=1|55=BTC/USD|59=1|60=20260302-12:00:05.003|150=4|151=0.0|381=6400.01|",
}
OTHERS = {
    "j": "45=0|58=EOrder:Insufficient funds|372=D|379=1772452807000000|380=0|",
    "3": "45=7|58=Missing mandatory field: Side (54)|371=54|372=D|373=1|",
    "W": "55=BTC/USD|262=bk1|268=4|269=1|278=O64001.0|270=64001.0|271=0.5|273=11:59:58.101|269=1|"
    "278=O64002.5|"
    "270=64002.5|271=1.25|273=11:59:57.000|269=0|278=B64000.1|270=64000.1|271=0.25|273=11:59:59.250|269=0|"
    "278=B63999.9|270=63999.9|271=2.0|273=11:59:12.004|",
    "X": "55=BTC/USD|262=bk1|268=1|279=1|269=1|278=O64001.0|270=64001.0|271=0.4|273=12:00:20.410|"
    "5041=2031158670|",
    "X trade": "55=BTC/USD|262=bk1|268=1|279=0|269=2|278=90212|270=64001.0|271=0.1|273=12:00:20.410|"
    "40=1|2446=1|",
    "Y": "58=MarketData subscription failed due to unsupported symbol: TEST/TEST|262=bk2|281=0|",
    "h": "335=ts1|336=SESSION|340=2|",
}
LISTED = (
    "320=il1|322=1772452800004000000|560=0|146=1|55=BTC/USD|562=0.00000001|5010=8|5011=0.0001|"
    "5013=0.5|2349=1|"
    "5022=0.1|5032=1|"
)
"""Without 5012, which the venue's list of instruments has no value for."""
OURS = {"17", "37", "60", "137", "273", "278", "322", "527", "1003", "5011"}
"""Tags whose values differ from run to run, or as instruments do: a fee has as many decimals as a cost."""


def raw(example: str) -> bytes:
    return example.replace("|", SOH).encode()


def fields(example: str) -> list[tuple[str, str]]:
    return pairs(example.replace("|", SOH))


def body(message: Message) -> list[tuple[str, str]]:
    """Fields behind the header, which a resent message has longer."""
    found = [pair for pair in message.pairs[:-1] if pair[0] not in ("43", "122")]
    assert [tag for tag, _ in found[:7]] == ["8", "9", "35", "34", "49", "52", "56"]
    return found[7:]


def validate(message: bytes) -> None:
    """Hold a message against the dictionary; QuickFIX looks at values in groups with less care than we do."""
    read = quickfix.Message(message.decode(), READ, True)
    READ.validate(read)
    assert sorted(pairs(read.toString())) == sorted(pairs(message.decode())), "no group was cut short"
    for tag, value in pairs(message.decode()):
        assert READ.isField(int(tag))
        for one in value.split() if tag in MULTIPLE else [value]:
            assert one in ENUMS.get(tag, {one}), (tag, value)


def say(peer: Direct, example: str, order_id: str = "") -> list[Message]:
    """Send an example as this client, now, about this order."""
    own = {"34": str(peer.number), "49": peer.comp_id, "52": now()}
    content = [(tag, own.get(tag, value)) for tag, value in fields(example)[2:-1]]
    content = [(tag, order_id if tag == "37" else value) for tag, value in content]
    peer.number += 1
    peer.raw(encode("".join(f"{tag}={value}{SOH}" for tag, value in content)))
    return peer.take()


def same(message: Message, example: str) -> None:
    """The tags are those of the example, in its order; so are the values that can be."""
    expected = fields(example)
    assert [tag for tag, _ in body(message)] == [tag for tag, _ in expected]
    assert [pair for pair in body(message) if pair[0] not in OURS] == [
        pair for pair in expected if pair[0] not in OURS
    ]


# -- a day at the venue -----------------------------------------------------------------------------


def order(trader: Direct, **fields: object) -> list[Message]:
    """Place an order at the price of the examples, of a tenth."""
    return trader.ordered(**{"t38": "0.1", "t44": "64000.1"} | fields)


def orders_of_all_kinds(inside: FixVenue, trader: Direct) -> None:
    """Every way in which an order begins, changes and ends."""
    kraken = inside.kraken
    later = lambda seconds: timestamp(kraken.clock.ns + seconds * 10**9)  # noqa: E731
    kraken.place("bob", "sell", "50", "64002")
    kraken.place("bob", "buy", "50", "63000")
    kraken.trade("0.1", "64001.5")
    report = order(trader, t78=1, t79="sub-account")[0]
    trader.status(report[37])
    kraken.place("bob", "sell", "0.03", "64000.1")
    trader.status(report[37])
    (amended,) = trader.replaced(report, t38="0.2", t44="64000.3")
    trader.canceled(amended[37])
    order(trader, t40="1", t44=None, t38="0.2")
    order(trader, t40="1", t44=None, t38="500", t18="v")
    order(trader, t44="64002", t18="f")
    order(trader, t44="65000", t18="P")
    order(trader, t44="64002", t38="100", t59="3")
    order(trader, t44="64002", t38="100", t59="4")
    order(trader, t59="6", t126=later(5)[:17])
    order(trader, t168=later(2))
    kraken.wait(6)
    order(trader, t38="1.5", t1138="0.1")
    kraken.place("bob", "sell", "0.25", "64000.1")
    order(trader, t44="64002", t5001="1", t38="0.5")
    for kind, stop, limit, side in (
        ("3", "64010", None, 1), ("4", "64010", "64020", 1), ("R", "64010", None, 2),
        ("T", "64010", "63990", 2), ("U", "63900", None, 2), ("V", "63900", "63890", 2),
    ):  # fmt: skip
        order(trader, t40=kind, t99=stop, t44=limit, t54=side, t388="5")
    kraken.execute(commands.CancelOrder(account="bob", txid=next(iter(kraken.engine.accounts["bob"].open))))
    kraken.trade("0.1", "64100")
    kraken.trade("0.1", "64150")
    kraken.trade("0.1", "63950", taker="sell")
    order(trader, t44="63000", t7928="0", t54=2)
    order(trader, t44="63000")
    order(trader)
    order(trader, t55="ETH/USD", t44="3000", t38="1")
    kraken.execute(commands.CancelAll("alice"))
    order(trader)
    trader.mass_cancel("7")


def refusals(inside: FixVenue, trader: Direct) -> None:
    """Every way in which a message is refused."""
    order(trader, t55="NO/WAY")
    order(trader, t38="0.00000001")
    order(trader, t38="90000000000")
    order(trader, t54=None)
    order(trader, t40="9")
    order(trader, t6001="1")
    order(trader, t11="1")
    order(trader, t40="3", t44=None)
    trader.canceled("OXXXXX")
    trader.status("OXXXXX")
    trader.ask("AE")
    trader.ask("x", (320, "a"), (559, 4))
    inside.kraken.execute(commands.SetStatus(TradingStatus.MAINTENANCE))
    order(trader)
    inside.kraken.execute(commands.SetStatus(TradingStatus.ONLINE))


def session_messages(peer: Direct) -> None:
    """Heartbeat, resends, gaps, Logout, and a logon that is refused."""
    peer.ask("1", (112, "hello"))
    peer.ask("2", (7, 1), (16, 0))
    peer.ask("0", number=peer.number + 3)
    peer.ask("4", (36, peer.number + 4), (123, "Y"))
    peer.number += 4
    peer.ask("0")
    peer.ask("5")


def listings(inside: FixVenue, reader: Direct) -> None:
    for number, kind in enumerate((4, 0, 1, 7)):
        reader.ask("x", (55, "BTC/USD"), (263, 1), (320, f"l{number}"), (559, kind))
    reader.ask("g", (263, 1), (335, "a"), (336, "SESSION"))
    reader.ask("g", (263, 1), (335, "a"), (336, "SESSION"))
    for status in ("post_only", "cancel_only", "maintenance", "online"):
        inside.kraken.execute(commands.SetStatus(TradingStatus(status)))
    for status in ("limit_only", "reduce_only", "online"):
        inside.kraken.execute(commands.SetStatus(TradingStatus(status), "XXBTZUSD"))


@pytest.fixture(scope="module")
def day() -> Iterator[list[Message]]:
    """All that the venue has said on that day, to everybody."""
    with FixVenue() as inside:
        trader = inside.trader()
        reader, orders = inside.reader("BOB"), inside.reader("CAROL", "spot_md_l3")
        for depth in (1, 10, 1000):
            reader.subscribed("BTC/USD", "ETH/USD", depth=depth, types="012", request=f"d{depth}")
            orders.subscribed("BTC/USD", "ETH/USD", depth=depth, level3=True, request=f"d{depth}")
        reader.subscribed("NO/WAY", request="bad")
        reader.subscribed(request="d1")
        orders.subscribed(request="L2")
        orders_of_all_kinds(inside, trader)
        refusals(inside, trader)
        listings(inside, reader)
        reader.subscribed(request="late")
        orders.subscribed(request="late", level3=True)
        everybody = [trader, reader, orders]
        for peer in everybody:
            session_messages(peer)
        stranger = inside.client("DAVE")
        assert stranger.logon((553, "nobody")).type == "5"
        yield [message for peer in (*everybody, stranger) for message in peer.messages]


def test_every_message_is_valid(day: list[Message]) -> None:
    for message in day:
        validate(message.raw)


def test_that_day_had_messages_of_every_kind(day: list[Message]) -> None:
    assert {message.type for message in day} == set("A02345" + "8j" + "WXYyh")
    reports = [message for message in day if message.type == "8"]
    assert {report[150] for report in reports} == set("A0F45CDI")
    assert {report[39] for report in reports} == set("A01245C")
    assert {report[40] for report in reports} == set("1234RTUV")
    assert {report[59] for report in reports} == set("1346")
    optional = {31, 41, 44, 58, 79, 99, 118, 137, 527, 1003, 1102, 1138, 5050}
    assert optional <= {int(tag) for report in reports for tag, _ in report.pairs}
    assert {j[380] for j in day if j.type == "j"} == {"0", "2", "3", "5", "101"}
    assert {reject[373] for reject in day if reject.type == "3"} >= {"0", "1", "5", "11"}


def test_tags_ascend_and_groups_stand_at_their_counter(day: list[Message]) -> None:
    for message in day:
        if message.type in "yWX":
            continue
        tags, members = [], set[int]()
        for tag, _ in body(message):
            if int(tag) in members:
                continue
            members = GROUPS.get(int(tag), set())
            tags.append(int(tag))
        assert tags == sorted(tags), message


HEADS = {"W": ["55", "262", "268"], "X": ["55", "262", "268"]}
ENTRIES = {
    ("W", 5): "269 278 270 271 273",
    ("W", 7): "269 278 270 271 273 5060 5273",
    ("X", 6): "279 269 278 270 271 273",
    ("X", 8): "279 269 278 270 271 273 5060 5273",
}
TRADE = "279 269 278 270 271 273 40 2446"


def test_entries_of_market_data_have_the_documented_order(day: list[Message]) -> None:
    for message in day:
        if message.type not in HEADS:
            continue
        tags = [tag for tag, _ in body(message)]
        assert tags[:3] == HEADS[message.type]
        book = message.type == "W" or message[269] != "2"
        if message.type == "X" and book:
            assert tags.pop() == "5041"
        count = int(message[268])
        if count:
            size = (len(tags) - 3) // count
            entry = ENTRIES[message.type, size] if book else TRADE
            assert tags[3:] == entry.split() * count


def test_text_is_ascii_and_numbers_are_plain(day: list[Message]) -> None:
    for message in day:
        assert message.raw.isascii()
        for tag, value in message.pairs:
            if tag in {"6", "14", "31", "32", "38", "44", "99", "151", "270", "271", "381", "1102", "1138"}:
                whole, point, fraction = value.partition(".")
                assert point
                assert (whole + fraction).isdecimal()
                assert fraction == "0" or not fraction.endswith("0"), message


# -- the examples -----------------------------------------------------------------------------------


@pytest.mark.parametrize("example", [*TRADING.values(), *MARKET_DATA.values()], ids=[*TRADING, *MARKET_DATA])
def test_the_examples_are_valid_themselves(example: str) -> None:
    validate(raw(example))


def test_the_reference_trading_session(inside: FixVenue) -> None:
    """What section 4 sends gets what section 5 shows."""
    trader = inside.trader()
    pending, new = say(trader, TRADING["D"])
    same(pending, REPORTS["A"])
    same(new, REPORTS["0"])
    inside.kraken.place("bob", "sell", "0.1", "64000.1")
    (fill,) = trader.take()
    same(fill, REPORTS["F"])
    (replaced,) = say(trader, TRADING["G"], new[37])
    same(replaced, REPORTS["5"])
    (cancelled,) = say(trader, TRADING["F"], new[37])
    same(cancelled, REPORTS["4"])
    assert say(trader, TRADING["q"]) == []
    (state,) = say(trader, TRADING["H"], new[37])
    assert (state[150], state[39], state[37]) == ("I", "4", new[37])


def test_the_reference_refusals(inside: FixVenue) -> None:
    trader = inside.trader("DAVE")
    (refused,) = say(trader, TRADING["D"].replace("11=1772452801000000", "11=1772452807000000"))
    same(refused, OTHERS["j"])
    trader.number = 7
    inside.gateway.sessions["spot_trading", "DAVE"].core.set_numbers(7, 4)
    (rejected,) = say(trader, TRADING["D"].replace("54=1|", ""))
    same(rejected, OTHERS["3"])


def test_the_reference_market_data_session(inside: FixVenue) -> None:
    """What section 7 asks for gets what it shows."""
    kraken = inside.kraken
    for side, qty, price in (
        ("sell", "0.5", "64001.0"), ("sell", "1.25", "64002.5"),
        ("buy", "0.25", "64000.1"), ("buy", "2", "63999.9"),
    ):  # fmt: skip
        kraken.place("bob", side, qty, price)
    reader = inside.reader()
    (snapshot,) = say(reader, MARKET_DATA["V"])
    same(snapshot, OTHERS["W"])
    kraken.place("carol", "buy", "0.1")
    update, trade = reader.take()
    same(update, OTHERS["X"])
    same(trade, OTHERS["X trade"])
    (refused,) = say(reader, MARKET_DATA["V"].replace("BTC/USD", "TEST/TEST").replace("bk1", "bk2"))
    same(refused, OTHERS["Y"])
    (listed,) = say(reader, MARKET_DATA["x"])
    same(listed, LISTED)
    (status,) = say(reader, MARKET_DATA["g"])
    same(status, OTHERS["h"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace("|271=0.4", ""),
        lambda text: text.replace("|262=bk1", ""),
        lambda text: text.replace("|279=1", "|279=7"),
        lambda text: text.replace("|268=1", "|268=2"),
        lambda text: text.replace("|5041=", "|6041="),
    ],
)
def test_the_dictionary_tells_what_is_not_valid(spoil: Callable[[str], str]) -> None:
    """So that the tests above say something."""
    head = "35=X|34=4|49=KRAKEN-MD|52=20260302-12:00:20.412|56=EMUTEST|"
    validate(encode((head + OTHERS["X"]).replace("|", SOH)))
    with pytest.raises((quickfix.FIXException, AssertionError)):
        validate(encode(spoil("|" + head + OTHERS["X"])[1:].replace("|", SOH)))
