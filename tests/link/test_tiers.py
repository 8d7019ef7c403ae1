import pytest

from emulator.link.tiers import ProfileError, load_tiers
from tests.link.support import SHIPPED, made_tier

VALID = """
name = "mine"
title = "My route"
rtt_us = 2000
source = "a capture of 3 May"
access = "office line"
apis = ["rest", "websocket"]
[[paths]]
name = "A"
[jitter]
p50_us = 10
p99_us = 100
p999_us = 900
estimated = false
source = "a capture of 3 May"
"""


def folder_with(tmp_path, text, name="mine"):
    (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


def test_every_shipped_tier_loads_with_krakens_published_rtt():
    published = {"local": 0, "colo": 200, "beeks": 200, "aws": 2_000, "us": 60_000, "tokyo": 140_000}
    tiers = load_tiers(SHIPPED)
    assert {name: tier.rtt_us for name, tier in tiers.items()} == published
    assert {name for name, tier in tiers.items() if tier.spin} == {"colo", "beeks"}
    assert all("docs.kraken.com" in tier.source for name, tier in tiers.items() if name != "local")
    assert all(tier.jitter.estimated for name, tier in tiers.items() if name != "local")


def test_colo_has_two_paths_and_the_second_is_five_microseconds_longer():
    colo = load_tiers(SHIPPED)["colo"]
    assert [path.name for path in colo.paths] == ["A", "B"]
    assert (colo.path().name, colo.path("B").extra_one_way_us) == ("A", 5)


def test_a_later_folder_replaces_a_tier_of_the_same_name(tmp_path):
    own = VALID.replace("mine", "tokyo")
    tiers = load_tiers(SHIPPED, folder_with(tmp_path, own, name="tokyo"))
    assert tiers["tokyo"].rtt_us == 2_000
    assert tiers["us"].rtt_us == 60_000


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("rtt_us = 2000", "rtt_us = ", r"Invalid value \(at line 4"),
        ("[jitter]", "[jitter]\np90_us = 50", "jitter: unknown field 'p90_us', did you mean 'p99_us'?"),
        ("[[paths]]", "[[routes]]", "unknown field 'routes'; there are: name, title, "),
        ("rtt_us = 2000", 'rtt_us = "2 ms"', "rtt_us = '2 ms': a number from 0 to 10000000 is meant"),
        ("rtt_us = 2000", "rtt_us = -1", "rtt_us = -1: a number from 0"),
        ("rtt_us = 2000", "rtt_us = nan", "rtt_us = NaN: a number"),
        ("rtt_us = 2000", "rtt_us = 10_000_001", "rtt_us = 10000001: a number from 0 to 10000000 is"),
        ("p999_us = 900", "p999_us = -5", r"jitter\.p999_us = -5: a number from 0"),
        ('"websocket"', '"telnet"', r"apis\[1\]: unknown value 'telnet'; there are: fix, rest, websocket"),
        ('name = "mine"', 'name = "other"', "name is 'other', but the file is called 'mine'"),
        ('name = "A"', 'name = "A"\n[[paths]]\nname = "A"', "paths: two of them have the same name"),
        ("p50_us = 10", "p50_us = 101", r"jitter\.p50_us is larger than jitter\.p99_us"),
        ("p999_us = 900", "p999_us = 99", r"jitter\.p99_us is larger than jitter\.p999_us"),
        ("rtt_us = 2000", "rtt_us = 19", r"jitter\.p50_us is larger than half of rtt_us"),
        ("rtt_us = 2000", "rtt_us = 25", r"jitter\.p99_us is so large"),
        ("[jitter]", "[line]\nloss = 1.5\n[jitter]", r"line\.loss = 1.5: a number from 0 to 1 is meant"),
        (
            "[jitter]",
            "[to_venue]\nlost = 0.1\n[jitter]",
            "to_venue: unknown field 'lost', did you mean 'loss'?",
        ),
        ("rtt_us = 2000", "rtt_us = 2000\nto_venue_share = 2", "to_venue_share = 2: a number from 0 to 1"),
        (
            "[jitter]",
            "[requires]\nproviders = [1]\n[jitter]",
            r"requires\.providers\[0\] = 1: text of at least 1 characters",
        ),
        (
            "[jitter]",
            "[service]\nrest_us = 5\n[jitter]",
            r"service\.estimated: missing; true or false is meant",
        ),
        ("p50_us = 10", "p50_us = 0\n#", r"jitter\.p999_us must be 0 where rtt_us is 0"),
    ],
)
def test_a_wrong_profile_is_refused_in_one_line_that_names_file_and_field(tmp_path, old, new, complaint):
    text = VALID.replace(old, new, 1)
    if "must be 0" in complaint:
        text = text.replace("rtt_us = 2000", "rtt_us = 0")
    with pytest.raises(ProfileError, match=complaint) as caught:
        load_tiers(folder_with(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "mine.toml"))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b'name = "\xff"')
    with pytest.raises(ProfileError, match=r"mine\.toml: 'utf-8' codec"):
        load_tiers(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(ProfileError, match="nowhere: no such folder"):
        load_tiers(tmp_path / "nowhere")


def test_an_unknown_path_is_refused_with_what_there_is():
    with pytest.raises(ProfileError, match="tier 'made' has no path 'C'; it has A, B"):
        made_tier(2_000).path("C")
