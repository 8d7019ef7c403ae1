"""Pairs and assets of one's own: the page's example runs, and each mistake is named."""

import json
import re
import urllib.request

import ccxt
import pytest

from emulator import instruments
from emulator.settings import Settings, SettingsError
from tests.clients.pointing import ccxt_options
from tests.running import ROOT, kraken_emulator, running

GUIDE = (ROOT / "docs" / "instruments.md").read_text()
PROFILE, FEES = re.findall(r"^```toml\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
[PROGRAM] = re.findall(r"^```python\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
[SAID] = re.findall(r"^```text\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
QUIET = '[assets.STAR]\n[pairs.STARBTC]\nbase = "STAR"\nquote = "XBT"\nprice_decimals = 8\norder_min = "1"\n'


@pytest.fixture(scope="module")
def venue(tmp_path_factory):
    path = tmp_path_factory.mktemp("instruments") / "own.toml"
    path.write_text(PROFILE + QUIET)
    with running("--instruments", str(path), "--rate-limits", "off") as venue:
        yield venue


@pytest.fixture
def public(venue):
    def public(method):
        with urllib.request.urlopen(f"{venue.tier()['rest']}/0/public/{method}", timeout=30) as answer:
            return json.loads(answer.read())

    return public


def refusal(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        instruments.load(Settings(instruments=str(path)))
    said = str(error.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    return said.removeprefix(f"{path}: ")


def test_the_pages_program_runs(tmp_path, monkeypatch, capsys):
    (tmp_path / "own.toml").write_text(PROFILE)
    monkeypatch.chdir(tmp_path)
    exec(compile(PROGRAM, "docs/instruments.md", "exec"), {})
    price, _ = eval(capsys.readouterr().out)
    assert 11 < float(price) < 14


def test_a_pair_of_ones_own_is_traded_in_over_rest(venue):
    kraken = ccxt.kraken(ccxt_options(venue))
    market = kraken.load_markets()["ACME/USD"]
    assert (market["precision"]["price"], market["limits"]["amount"]["min"]) == (0.0001, 0.5)
    bought = kraken.create_order("ACME/USD", "market", "buy", 10)
    assert kraken.fetch_order(bought["id"])["filled"] == 10
    assert float(kraken.fetch_balance()["ACME"]["total"]) == 10
    kraken.session.close()


def test_the_market_has_a_past_of_a_pair_with_prices(public):
    assert len(public("OHLC?pair=ACMEUSD&interval=60")["result"]["ACMEUSD"]) > 700


def test_a_field_of_krakens_pair_is_changed_and_the_others_stay(public):
    [pair] = public("AssetPairs?pair=XBTUSD")["result"].values()
    assert (pair["ordermin"], pair["tick_size"], pair["altname"]) == ("0.001", "0.1", "XBTUSD")


def test_nobody_trades_in_a_pair_without_prices_until_clients_do(venue, public):
    assert "but not in STAR/BTC: no price is known" in venue.stdout()
    assert public("Depth?pair=STARBTC")["result"] == {"STARBTC": {"asks": [], "bids": []}}
    [candles] = [rows for name, rows in public("OHLC?pair=STARBTC")["result"].items() if name != "last"]
    assert not any(int(row[-1]) for row in candles)
    account = venue.endpoints["accounts"][1]["spot"]
    kraken = ccxt.kraken(ccxt_options(venue, account, "local"))
    placed = kraken.create_order("STAR/BTC", "limit", "buy", 5, 0.0001)
    assert kraken.fetch_order(placed["id"])["status"] == "open"
    assert float(public("Depth?pair=STARBTC")["result"]["STARBTC"]["bids"][0][0]) == 0.0001
    kraken.session.close()


def test_all_that_differs_from_krakens_is_what_the_file_says(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(PROFILE + QUIET + FEES)
    kraken, own = instruments.kraken(), instruments.load(Settings(instruments=str(path)))
    added = own.catalogue.pairs.keys() - kraken.pairs.keys()
    assert added == own.own == {"ACMEUSD", "STARBTC"}
    assert own.catalogue.assets.keys() - kraken.assets.keys() == {"ACME", "STAR"}
    changed = [name for name, pair in kraken.pairs.items() if own.catalogue.pairs[name] != pair]
    assert changed == ["XXBTZUSD"]
    pair = own.catalogue.pairs["STARBTC"]
    assert (pair.altname, pair.wsname, pair.symbol) == ("STARXBT", "STAR/XBT", "STAR/BTC")
    assert pair.cost_min_text == kraken.pairs["XETHXXBT"].cost_min_text != "0.5"
    assert own.catalogue.as_of == kraken.as_of


def test_a_price_here_goes_before_the_market_profiles(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text("[assets.XXBT]\nprice_usd = 1000\n")
    options = {"instruments": str(path), "market": "synthetic"}
    with running(*(word for name, value in options.items() for word in (f"--{name}", value))) as venue:
        kraken = ccxt.kraken(ccxt_options(venue))
        assert 900 < kraken.fetch_ticker("BTC/USD")["last"] < 1100
        kraken.session.close()


def test_a_file_that_cannot_be_used_ends_the_start_with_one_line(tmp_path):
    path = tmp_path / "own.toml"
    path.write_text(PROFILE.replace("price_decimals = 4", "price_decimals = 0"))
    for name, said in (
        (
            str(path),
            "own.toml: pairs.ACMEUSD: 125 levels of ACME/USD do not fit below a price of 12 ticks; a smaller",
        ),
        (str(tmp_path / "none.toml"), f"{tmp_path / 'none.toml'}: No such file or directory"),
        ("mine", "unknown instruments profile 'mine'; there are: kraken; or a path that ends in .toml"),
    ):
        ran = kraken_emulator("up", "--ports", "auto", "--instruments", name)
        assert ran.returncode == 2
        assert len(ran.stderr.splitlines()) == 1
        assert said in ran.stderr


def test_what_the_page_says_of_mistakes_is_said(tmp_path):
    said = [
        refusal(tmp_path, PROFILE.replace('order_min = "0.5"', line))
        for line in ('order_min = "0.5"\nfee_schedule = "none"', "order_min = 0.5")
    ]
    assert "".join(f"own.toml: {line}\n" for line in said) == SAID


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[assets.ACME]", "[asset.ACME]", "unknown field 'asset'.* are: assets, fee_schedules, pairs"),
        ("[assets.ACME]", "[assets.acme]", "assets.acme: capitals and digits"),
        ("[assets.ACME]", "[assets]\nACME = 3\n[assets.ACM]", "assets.ACME: fields are meant"),
        ("price_usd", "prize_usd", "assets.ACME: unknown field 'prize_usd', .* are: name, "),
        ("price_usd = 12.5", "price_usd = -1", "assets.ACME.price_usd = -1: a number above 0 "),
        ("price_usd = 12.5", "price_usd = nan", "assets.ACME.price_usd = NaN: a number above 0 "),
        ("price_usd = 12.5", "daily_volatility = 0.1", "assets.ACME.daily_volatility: price_usd is missing"),
        ("price_usd = 12.5", 'status = "open"', "assets.ACME.status: unknown value 'open'; there are: dep"),
        ("price_usd = 12.5", "decimals = 4", "assets.ACME.display_decimals: at most decimals, 4"),
        ("price_usd = 12.5", "decimals = 13", "assets.ACME.decimals = 13: a whole number from 0 to 12"),
        ("price_usd = 12.5", 'name = "BTC"', "assets.ACME: BTC is a name of XXBT already"),
        ("price_usd = 12.5", 'collateral_value = "2"', "assets.ACME.collateral_value: '2' is no number"),
        ('quote = "USD"', 'quote = "USDX"', "pairs.ACMEUSD.quote: unknown value 'USDX'.*here are: ACME, ADA"),
        ('quote = "USD"', 'quote = "ACME"', "pairs.ACMEUSD.quote: another asset than the base"),
        ('quote = "USD"', "", "pairs.ACMEUSD.quote: missing; text is meant"),
        ('"0.5"', '"-1"', "pairs.ACMEUSD.order_min: '-1' is no number above 0"),
        ('"0.5"', '"NaN"', "pairs.ACMEUSD.order_min: 'NaN' is no number above 0"),
        ('"0.5"', '"1"\ntick_size = "0.00005"', "pairs.ACMEUSD.tick_size: .* at most 4 decimals"),
        ('"0.5"', '"1"\nleverage_buy = [1]', r"pairs.ACMEUSD.leverage_buy\[0\] = 1: a whole number from 2"),
        ('"0.5"', '"1"\nlong_position_limit = 3', "pairs.ACMEUSD.long_position_limit: both limits"),
        ('"0.5"', '"1"\nlot_decimals = 9', "pairs.ACMEUSD.lot_decimals: at most the decimals of ACME, 8"),
        ('"0.5"', '"1"\nsymbol = "ACMEUSD"', "pairs.ACMEUSD.symbol: one / is meant"),
        ('"0.5"', '"1"\naltname = "XBTUSD"', "pairs.ACMEUSD: XBTUSD is a name of XXBTZUSD already"),
        ('"0.5"', '"1"\nfoo = 1', "pairs.ACMEUSD: unknown field 'foo'; there are: base"),
        ("[pairs.XXBTZUSD]", '[pairs.XXBTZUSD]\nbase = "ETH"', "pairs.XXBTZUSD.base = 'ETH': BTC/USD stays"),
        ("[pairs.XXBTZUSD]", '[pairs.XXBTZUSD]\nquote = "EUR"', "pairs.XXBTZUSD.quote = 'EUR': BTC/USD"),
        ("[pairs.ACMEUSD]", '[pairs."ACME/USD"]', "pairs.ACME/USD: capitals and digits"),
        ("[assets", '[fee_schedules.x]\ntaker = []\nmaker = []\n[assets', "fee_schedules.x.taker: rows of"),
        ("[assets", '[fee_schedules.x]\ntaker = [[0, "1"]]\n[assets', "fee_schedules.x.maker: missing"),
        ("[assets", "[fee_schedules]\nx = 1\n[assets", "fee_schedules.x = 1: fields of taker, maker are"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_row_and_field(tmp_path, old, new, said):
    assert old in PROFILE
    assert re.match(said, refusal(tmp_path, PROFILE.replace(old, new, 1)))
