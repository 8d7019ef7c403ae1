"""REST: ledgers, fees, amends, exports, deposits, withdrawals, transfers, subaccounts, Earn."""

import csv
import io
import zipfile

import pytest

from emulator.engine.commands import Deposit
from emulator.gateways.offers import iiban
from emulator.gateways.parameters import Params
from emulator.gateways.spot_rest.endpoints import PRIVATE
from tests.gateways.venue import START_S, Client, done, refused

DAY = 86_400
WITHDRAWAL = {"asset": "XBT", "key": "btc-wallet", "amount": "0.5"}


def download(kraken, account="alice", **params):
    """Return the body of RetrieveExport."""
    return done(PRIVATE["RetrieveExport"].call(kraken.venue, kraken.key(account), Params(params))).body


# -- ledgers and fees ------------------------------------------------------------------------------------


def test_trade_writes_two_entries_the_fee_on_its_currency(kraken):
    kraken.trade("1", "60000")
    page = kraken.private("Ledgers", "carol", type="trade")
    assert page["count"] == 2
    coins, dollars = page["ledger"].values()
    assert list(coins) == [
        *("refid", "time", "type", "subtype", "aclass", "asset", "amount", "fee", "balance"),
    ]
    assert (coins["asset"], coins["amount"], coins["fee"]) == ("XXBT", "1.0000000000", "0.0000000000")
    assert (dollars["asset"], dollars["amount"], dollars["fee"]) == ("ZUSD", "-60000.0000", "240.0000")
    assert coins["refid"] == dollars["refid"]
    [id_] = [id_ for id_, row in page["ledger"].items() if row["asset"] == "ZUSD"]
    assert kraken.private("QueryLedgers", "carol", id=id_) == {id_: dollars}
    assert kraken.private("Ledgers", "carol", asset="BTC,ETH", type="trade")["count"] == 1
    assert "count" not in kraken.private("Ledgers", "carol", without_count="true")
    assert kraken.private("Ledgers", "carol", start=str(START_S + 1))["ledger"] == {}
    assert kraken.private("Ledgers", "carol", end=id_, type="trade")["count"] >= 1


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("Ledgers", {"type": "nonsense"}, "EGeneral:Invalid arguments:type"),
        ("Ledgers", {"asset": "NOPE"}, "EQuery:Unknown asset"),
        ("Ledgers", {"ofs": "-1"}, "EGeneral:Invalid arguments:ofs"),
        ("QueryLedgers", {}, "EGeneral:Invalid arguments:id"),
        ("QueryLedgers", {"id": "LNOSUC-HTHIN-ATALLX"}, "EQuery:Unknown ledger"),
        ("QueryLedgers", {"id": "LNOSUC-HTHING-ATALLX"}, "EOrder:Invalid order"),
        ("QueryLedgers", {"id": "LNOSUC-HTHIN-ATALLX,x"}, "EOrder:Invalid order"),
        ("TradeVolume", {"pair": "NOPE"}, "EQuery:Unknown asset pair"),
        ("OrderAmends", {"order_id": "x"}, "EOrder:Invalid order"),
        ("OrderAmends", {"order_id": "ONOSUC-HTHIN-ATALLX"}, "EOrder:Unknown order"),
    ],
)
def test_ledger_refusals(kraken, method, params, error):
    with refused(error):
        kraken.private(method, **params)


def test_volume_tells_the_fees_of_the_level_it_has_reached(kraken):
    fresh = kraken.private("TradeVolume", "carol", pair="XBTUSD,USDTUSD")
    assert (fresh["currency"], fresh["volume"]) == ("ZUSD", "0.0000")
    assert fresh["fees"]["XXBTZUSD"] == {
        "fee": "0.4000",
        "minfee": "0.0500",
        "maxfee": "0.4000",
        "nextfee": "0.3500",
        "tiervolume": "0.0000",
        "nextvolume": "10000.0000",
    }
    assert fresh["fees_maker"]["XXBTZUSD"]["fee"] == "0.2500"
    assert fresh["fees"]["USDTZUSD"]["fee"] == "0.2000"
    kraken.trade("1", "60000")
    after = kraken.private("TradeVolume", "carol", pair="XBTUSD", fee_schedule="true")
    assert (after["volume"], after["fees"]["XXBTZUSD"]["fee"]) == ("60000.0000", "0.2400")
    [schedule] = after["schedules"]
    assert [tier["min_spot_volume"] for tier in schedule["tiers"] if tier["active"]] == ["50000.0000"]
    assert kraken.private("TradeVolume")["fees"] is None
    as_objects = kraken.submit("TradeVolume", {"pair": [{"asset": "XBTUSD", "aclass": "forex"}]})
    assert list(as_objects["fees"]) == ["XXBTZUSD"]


def test_amends_tell_how_an_order_was(kraken):
    order = kraken.place("alice", "buy", "1", "60000")
    [original] = kraken.private("OrderAmends", order_id=order.txid)["amends"]
    assert (original["amend_type"], original["order_qty"], original["limit_price"]) == (
        *("original", "1.00000000", "60000.0"),
    )
    answer = kraken.private("AmendOrder", txid=order.txid, order_qty="0.5", limit_price="59000")
    result = kraken.private("OrderAmends", order_id=order.txid)
    assert result["count"] == 2
    first, second = result["amends"]
    assert first == original
    assert (second["amend_id"], second["amend_type"], second["order_qty"], second["reason"]) == (
        *(answer["amend_id"], "user", "0.50000000", "User requested"),
    )


def test_key_tells_about_itself_in_both_spellings(kraken):
    info = kraken.private("GetApiKeyInfo")
    assert info["apiKeyName"] == info["api_key_name"] == "default"
    assert info["nonceWindow"] == info["nonce_window"] == 0
    assert "query-funds" in info["permissions"]
    assert kraken.private("CreditLines") is None


# -- exports ---------------------------------------------------------------------------------------------


def test_export_is_written_and_fetched(kraken):
    kraken.trade("1", "60000")
    asked = kraken.private("AddExport", "carol", report="trades", description="mine", fields="vol,price")
    assert len(asked["id"]) == 4
    [row] = kraken.private("ExportStatus", "carol", report="trades")
    assert (row["status"], row["descr"], row["fields"]) == ("Queued", "mine", "vol,price")
    with refused("EExport:Not ready"):
        download(kraken, "carol", id=asked["id"])
    kraken.wait(1)
    assert kraken.private("ExportStatus", "carol", report="trades")[0]["status"] == "Processing"
    with refused("EGeneral:Invalid arguments:type"):
        kraken.private("RemoveExport", "carol", id=asked["id"], type="delete")
    kraken.wait(1)
    with zipfile.ZipFile(io.BytesIO(download(kraken, "carol", id=asked["id"]))) as archive:
        assert archive.namelist() == ["trades.csv"]
        rows = list(csv.DictReader(io.StringIO(archive.read("trades.csv").decode())))
    assert [(row["vol"], row["price"]) for row in rows] == [("1.00000000", "60000.00000")]
    assert kraken.private("RemoveExport", "carol", id=asked["id"], type="delete") == {"delete": True}
    assert kraken.private("ExportStatus", "carol", report="trades") == []


def test_ledgers_are_exported_too_and_what_waits_can_be_cancelled(kraken):
    asked = kraken.private("AddExport", report="ledgers", description="x", format="TSV", starttm="1")
    kraken.wait(2)
    with zipfile.ZipFile(io.BytesIO(download(kraken, id=asked["id"]))) as archive:
        [head, *rows] = archive.read("ledgers.tsv").decode().splitlines()
    assert head.split("\t")[:4] == ["txid", "refid", "time", "type"]
    assert len(rows) == len(kraken.engine.accounts["alice"].ledger)
    early = kraken.private("AddExport", report="ledgers", description="x", starttm="1", endtm="2")
    kraken.wait(2)
    with zipfile.ZipFile(io.BytesIO(download(kraken, id=early["id"]))) as archive:
        assert len(archive.read("ledgers.csv").decode().splitlines()) == 1
    other = kraken.private("AddExport", report="ledgers", description="x")
    assert kraken.private("RemoveExport", id=other["id"], type="cancel") == {"cancel": True}


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("AddExport", {"report": "orders", "description": "x"}, "report"),
        ("AddExport", {"report": "trades"}, "description"),
        ("AddExport", {"report": "trades", "description": "x", "format": "PDF"}, "format"),
        ("AddExport", {"report": "trades", "description": "x", "fields": "nonsense"}, "fields"),
        ("ExportStatus", {}, "report"),
        ("RetrieveExport", {"id": "NONE"}, "id"),
        ("RemoveExport", {"id": "NONE", "type": "delete"}, "id"),
    ],
)
def test_export_refusals(kraken, method, params, name):
    with refused(f"EGeneral:Invalid arguments:{name}"):
        kraken.private(method, **params)


# -- deposits and withdrawals ----------------------------------------------------------------------------


def test_deposit_methods_and_addresses(kraken):
    methods = kraken.private("DepositMethods", asset="BTC")
    assert [row["method"] for row in methods] == ["Bitcoin", "Bitcoin Lightning"]
    assert list(methods[0].items()) == [
        ("method", "Bitcoin"),
        ("limit", False),
        ("fee", "0.0000000000"),
        ("gen-address", True),
        ("minimum", "0.0001"),
    ]
    ask = {"asset": "XBT", "method": "Bitcoin"}
    [first] = kraken.submit("DepositAddresses", ask)
    assert first["new"] is True
    [again] = kraken.submit("DepositAddresses", ask)
    assert again == {"address": first["address"], "expiretm": "0"}
    assert kraken.submit("DepositAddresses", ask, "bob")[0]["address"] != first["address"]
    for _ in range(4):
        kraken.submit("DepositAddresses", ask | {"new": True})
    with refused("EFunding:Too many addresses"):
        kraken.submit("DepositAddresses", ask | {"new": True})
    assert kraken.submit("DepositAddresses", {"asset": "XRP", "method": "Ripple XRP"})[0]["tag"]
    for params, error in (
        ({"asset": "NOPE", "method": "x"}, "EFunding:Unknown asset"),
        ({"asset": "BTC", "method": "x"}, "EFunding:No funding method"),
    ):
        with refused(error):
            kraken.submit("DepositAddresses", params)
    with refused("EFunding:No funding method"):
        kraken.private("DepositMethods", asset="KFEE")


def test_deposit_shows_up_everywhere(kraken):
    client = Client(kraken.gateway)
    client.subscribe("balances", token=kraken.token("dave"))
    kraken.execute(Deposit("dave", "XXBT", 10**10, method="Bitcoin", address="bc1qx"))
    [row] = client.take()[-1]["data"]
    assert (row["type"], row["asset"], row["balance"]) == ("deposit", "BTC", "1.0000000000")
    deposit = kraken.private("DepositStatus", "dave", asset="BTC")[0]
    assert (deposit["amount"], deposit["status"], deposit["info"]) == ("1.0000000000", "Success", "bc1qx")
    assert deposit["refid"] == row["ref_id"]
    assert kraken.private("Balance", "dave")["XXBT"] == "1.0000000000"


def test_withdrawal_goes_its_way(kraken):
    before = kraken.engine.accounts["alice"].balances["XXBT"]
    info = kraken.private("WithdrawInfo", **WITHDRAWAL)
    assert (info["amount"], info["fee"], info["method"]) == ("0.4998000000", "0.0002000000", "Bitcoin")
    refid = kraken.private("Withdraw", **WITHDRAWAL)["refid"]
    assert before - kraken.engine.accounts["alice"].balances["XXBT"] == 5 * 10**9
    [entry] = kraken.private("Ledgers", type="withdrawal")["ledger"].values()
    assert (entry["amount"], entry["fee"], entry["refid"]) == ("-0.4998000000", "0.0002000000", refid)
    for passed, status in ((0, "Initial"), (10, "Pending"), (20, "Success")):
        kraken.wait(passed)
        [row] = kraken.private("WithdrawStatus", asset="XBT")
        assert (row["status"], row["refid"], row["network"], row["key"]) == (
            *(status, refid, "Bitcoin", "btc-wallet"),
        )
    with refused("EFunding:Invalid reference id"):
        kraken.private("WithdrawCancel", asset="XBT", refid=refid)


def test_withdrawal_can_be_cancelled_before_it_is_sent(kraken):
    before = dict(kraken.engine.accounts["alice"].balances)
    refid = kraken.private("Withdraw", **WITHDRAWAL)["refid"]
    assert kraken.private("WithdrawCancel", asset="XBT", refid=refid) is True
    assert kraken.engine.accounts["alice"].balances == before
    [row] = kraken.private("WithdrawStatus")
    assert (row["status"], row["status-prop"]) == ("Failure", "canceled")
    kraken.wait(60)
    assert kraken.private("WithdrawStatus")[0]["status"] == "Failure"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"asset": "NOPE"}, "EFunding:Unknown asset"),
        ({"key": "nobody"}, "EFunding:Unknown withdraw key"),
        ({"key": "unverified"}, "EFunding:Unknown withdraw key"),
        ({"key": "eth-wallet"}, "EFunding:Unknown withdraw key"),
        ({"amount": "0"}, "EFunding:Invalid amount"),
        ({"amount": "0.0001"}, "EFunding:Invalid amount"),
        ({"amount": "0.00000000001"}, "EFunding:Invalid amount"),
        ({"amount": "x"}, "EGeneral:Invalid arguments:amount"),
        ({"amount": "10000000000"}, "EFunding:Insufficient funds"),
        ({"max_fee": "0.0001"}, "EFunding:Max fee exceeded"),
        ({"address": "elsewhere"}, "Invalid withdrawal address"),
    ],
)
def test_withdrawal_refusals(kraken, change, error):
    with refused(error):
        kraken.private("Withdraw", **(WITHDRAWAL | change))
    assert not kraken.engine.accounts["alice"].withdrawals


def test_status_is_paged_by_a_cursor(kraken):
    for _ in range(5):
        kraken.private("Withdraw", **WITHDRAWAL)
    first = kraken.private("WithdrawStatus", cursor="true", limit="2")
    assert (len(first["withdrawals"]), first["next_cursor"]) == (2, "2")
    second = kraken.private("WithdrawStatus", cursor=first["next_cursor"], limit="3")
    assert (len(second["withdrawals"]), second["next_cursor"]) == (3, None)
    with refused("EGeneral:Invalid arguments:cursor"):
        kraken.private("WithdrawStatus", cursor="x")
    with refused("EFunding:Unknown reference id"):
        kraken.private("WithdrawCancel", asset="XBT", refid="nothing")


def test_saved_addresses_and_methods(kraken):
    rows = kraken.private("WithdrawAddresses", asset="XBT")
    assert [(row["key"], row["asset"], row["verified"]) for row in rows] == [
        *(("btc-wallet", "XBT", True), ("unverified", "XBT", False)),
    ]
    assert len(kraken.private("WithdrawAddresses", asset="XBT", verified="true")) == 1
    methods = kraken.private("WithdrawMethods", asset="USDT", network="Tron")
    assert [row["method"] for row in methods] == ["Tether USD (TRC20)"]
    assert len(kraken.private("WithdrawMethods")) > 10


def test_margin_in_use_cannot_be_withdrawn(kraken):
    kraken.execute(Deposit("dave", "ZUSD", 200_000_000))
    kraken.place("bob", "sell", "1", "60000")
    kraken.place("dave", "buy", "1", "60000", leverage=5)
    with refused("EFunding:Insufficient funds"):
        kraken.private("Withdraw", "dave", asset="USD", key="bank-usd", amount="15000")
    kraken.private("Withdraw", "dave", asset="USD", key="bank-usd", amount="5000")


# -- transfers and subaccounts ---------------------------------------------------------------------------


def test_funds_move_to_the_futures_wallet(kraken):
    ends = {"from": "Spot Wallet", "to": "Futures Wallet"}
    kraken.private("WalletTransfer", asset="XBT", amount="1", **ends)
    assert kraken.engine.accounts["alice"].futures == {"XXBT": 10**10}
    [entry] = kraken.private("Ledgers", type="transfer")["ledger"].values()
    assert (entry["amount"], entry["subtype"]) == ("-1.0000000000", "spottofutures")
    with refused("EGeneral:Invalid arguments:to"):
        kraken.private("WalletTransfer", asset="XBT", amount="1", **(ends | {"to": "Moon"}))


def test_master_moves_funds_to_its_subaccount_and_back(kraken):
    assert kraken.private("CreateSubaccount", username="desk-1", email="desk@example.com") is True
    ends = {"from": iiban("alice"), "to": iiban("desk-1")}
    answer = kraken.private("AccountTransfer", asset="XBT", amount="1", **ends)
    assert answer["status"] == "complete"
    assert kraken.engine.accounts["desk-1"].balances["XXBT"] == 10**10
    back = {"from": ends["to"].replace(" ", ""), "to": ends["from"]}
    kraken.private("AccountTransfer", asset="XBT", amount="1", **back)
    with refused("EFunding:Insufficient funds"):
        kraken.private("AccountTransfer", asset="XBT", amount="1", **back)
    [row] = kraken.private("TradeVolume")["volume_subaccounts"]
    assert row["iiban"] == iiban("desk-1")
    for change, name in (
        ({"to": iiban("bob")}, "to"),
        ({"from": "AA"}, "from"),
        ({"to": ends["from"]}, "to"),
    ):
        with refused(f"EGeneral:Invalid arguments:{name}"):
            kraken.private("AccountTransfer", asset="XBT", amount="1", **(ends | change))
    for params in ({"username": "bob", "email": "a@b"}, {"username": "a b", "email": "a@b"}):
        with refused("EGeneral:Invalid arguments:username"):
            kraken.private("CreateSubaccount", **params)


# -- Earn ------------------------------------------------------------------------------------------------

DOT, ETH = "ESRFUO3-Q62XD-WIOIL7", "ESDQCOL-WTZEU-NU55QF"


def test_strategies_are_listed(kraken):
    found = kraken.private("Earn/Strategies")
    assert found["next_cursor"] is None
    [dot] = [item for item in found["items"] if item["id"] == DOT]
    assert (dot["asset"], dot["lock_type"]["type"]) == ("DOT", "bonded")
    assert dot["lock_type"]["unbonding_period"] == 28 * DAY
    assert [item["id"] for item in kraken.private("Earn/Strategies", asset="ETH")["items"]] == [ETH]
    backwards = kraken.private("Earn/Strategies", ascending="true")["items"]
    assert backwards == found["items"][::-1]
    flexible = kraken.submit("Earn/Strategies", {"lock_type": ["flex"]})["items"]
    assert {item["lock_type"]["type"] for item in flexible} == {"flex"}
    with refused("EGeneral:Invalid arguments:lock_type"):
        kraken.submit("Earn/Strategies", {"lock_type": ["nonsense"]})


def test_funds_go_into_a_strategy_and_come_back(kraken):
    before = kraken.engine.accounts["alice"].balances["XETH"]
    assert kraken.private("Earn/Allocate", strategy_id=ETH, amount="2") is True
    assert kraken.private("Earn/AllocateStatus", strategy_id=ETH) == {"pending": True}
    busy = "EEarnings:Busy:Another (de)allocation for the same strategy is in progress"
    with refused(busy):
        kraken.private("Earn/Allocate", strategy_id=ETH, amount="1")
    kraken.wait(2)
    assert kraken.private("Earn/AllocateStatus", strategy_id=ETH) == {"pending": False}
    [item] = kraken.private("Earn/Allocations")["items"]
    assert item["amount_allocated"]["total"]["native"] == "2.0000000000"
    assert before - kraken.engine.accounts["alice"].balances["XETH"] == 2 * 10**10
    kraken.trade("1", "4000", pair="XETHZUSD")
    worth = kraken.private("Earn/Allocations", converted_asset="USD", ascending="true")
    assert (worth["converted_asset"], worth["total_allocated"]) == ("USD", "8000.0000")
    kraken.private("Earn/Deallocate", strategy_id=ETH, amount="2")
    assert kraken.private("Earn/DeallocateStatus", strategy_id=ETH) == {"pending": True}
    kraken.wait(2)
    assert kraken.engine.accounts["alice"].balances["XETH"] == before
    assert kraken.private("Earn/Allocations", hide_zero_allocations="true")["items"] == []
    kinds = [row["subtype"] for row in kraken.private("Ledgers", type="transfer")["ledger"].values()]
    assert kinds == ["spotfromstaking", "spottostaking"]


def test_bonded_funds_come_back_after_their_time_and_rewards_are_paid(kraken):
    kraken.private("Earn/Allocate", strategy_id=DOT, amount="3650")
    kraken.wait(7 * DAY + 2)
    [entry] = kraken.private("Ledgers", type="staking")["ledger"].values()
    assert entry["amount"] == "7.0000000000"  # 10 % a year
    [item] = kraken.private("Earn/Allocations")["items"]
    assert item["total_rewarded"]["native"] == "7.0000000000"
    before = kraken.engine.accounts["alice"].balances["DOT"]
    kraken.private("Earn/Deallocate", strategy_id=DOT, amount="3650")
    kraken.wait(2)
    [item] = kraken.private("Earn/Allocations")["items"]
    assert item["amount_allocated"]["unbonding"]["native"] == "3650.0000000000"
    kraken.wait(28 * DAY)
    assert kraken.engine.accounts["alice"].balances["DOT"] == before + 3650 * 10**10


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"strategy_id": "x", "amount": "1"}, "EGeneral:Invalid arguments:Invalid strategy ID"),
        (
            {"strategy_id": ETH, "amount": "0.0001"},
            "EEarnings:Below min:(De)allocation operation amount less than minimum",
        ),
        (
            {"strategy_id": ETH, "amount": "10000000000"},
            "EEarnings:Insufficient funds:Insufficient funds to complete the (de)allocation request",
        ),
        (
            {"strategy_id": "ESMWVX6-JAPVY-23L3CV", "amount": "1001"},
            "EEarnings:Above max:The allocation exceeds user limit for the strategy",
        ),
        ({"strategy_id": ETH, "amount": "x"}, "EGeneral:Invalid arguments:amount"),
    ],
)
def test_earn_refusals(kraken, params, error):
    with refused(error):
        kraken.private("Earn/Allocate", **params)
