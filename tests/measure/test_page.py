"""The page of `kraken-emulator measure`: what is drawn, in which order, and that it fits real windows."""

import html
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest

from emulator.measure import page, plot
from emulator.measure.command import Measured, Rung
from emulator.measure.figures import Figures
from emulator.measure.page import as_html
from emulator.measure.report import PROBES
from tests.measure.made import measurement

PATIENCE_S = 60


def crowded():
    """Make up what takes the most room: every tier over three links, each figure with all its digits."""

    def tier(name, path, rtt_us):
        samples = [rtt_us + 1_100_000.4 + 10 * place for place in range(1_001)]
        return Measured(
            tier=name,
            path=path,
            rtt_us=rtt_us,
            floor_us=900,
            reachable_us=150_000,
            shortest_us=rtt_us,
            probes=dict.fromkeys(PROBES, Figures.of(samples)),
            cold=dict.fromkeys(("rest", "websocket", "fix"), dict.fromkeys(page.PARTS, 140_123.4)),
        )

    ways = [
        ("local", "", 0),
        ("colo", "A", 200),
        ("colo", "B", 210),
        ("a_tier_" * 8, "", 2_000),
        ("tokyo", "", 140_000),
    ]
    rungs = [Rung(rung=name, tiers=[tier(*way) for way in ways]) for name in ("packet", "stream", "none")]
    made = measurement()
    made.rungs = [*rungs, Rung(rung="netem", reason="modprobe_" * 60)]
    made.machine["system"] = "Linux-6.18.44-with-a-long-name-of-its-own" * 3
    return made


def test_figures_stand_to_the_right_and_words_to_the_left():
    told = as_html(measurement())
    for heading in ("p50", "error", "p99.9", "over published", "samples", "early", "takes", "RTTs"):
        assert re.search(rf'<th scope="col" class="[a-z ]*figure">{re.escape(heading)}</th>', told), heading
    for heading in ("probe", "first answer over", "parts"):
        assert re.search(rf'<th scope="col"( class="long")?>{heading}</th>', told), heading
    assert ".figure { text-align: right }" in told


def pictures(text):
    return [
        ElementTree.fromstring("<svg" + each.partition("</svg>")[0] + "</svg>")
        for each in text.split("<svg")[1:]
    ]


@pytest.mark.parametrize(("slowest_us", "long"), [(300, False), (50_000, True)])
def test_a_long_tail_has_a_logarithmic_axis_that_shows_all_of_it(slowest_us, long):
    measured = measurement()
    samples = [200.0 + place % 50 for place in range(999)] + [float(slowest_us)]
    measured.rungs[0].tiers[0].probes["websocket_order"] = Figures.of(samples)
    text = as_html(measured)
    assert (text.count("logarithmic axis</figcaption>"), ">10 ms</text>" in text) == (2 * long, long)
    assert text.count("up to the slowest p99</figcaption>") == 2 * (not long)
    for line in text.split('<polyline points="')[1:]:
        places = [float(pair.partition(",")[0]) for pair in line.partition('"')[0].split()]
        assert places == sorted(places)
        assert plot.LEFT <= places[0] <= places[-1] <= plot.WIDTH - plot.RIGHT


def test_the_page_is_whole_escaped_and_draws_every_tier():
    text = as_html(measurement())
    assert "A<b>" not in text
    assert "A &amp; B" in text
    assert "no &lt;module&gt;" in text
    assert len(pictures(text)) == 2
    for elsewhere in ("http", "url(", "@import", "<script", "src=", "<link"):  # it needs nothing
        assert elsewhere not in text


def test_plots_come_first_and_tables_after_them():
    text = as_html(crowded())
    assert text.rindex("<svg") < text.index("<table")
    assert text.rindex("class=bar>") < text.index("<table")


def test_the_contents_lead_to_every_tier_and_link_and_say_what_was_not_measured():
    text = as_html(crowded())
    contents = text.partition("<nav")[2].partition("</nav>")[0]
    led_to = dict(re.findall(r'<a href="#([^"]+)">([^<]+)</a>', contents))
    tiers = ["local", "colo/A", "colo/B", "a_tier_" * 8, "tokyo"]
    assert list(led_to.values()) == [*tiers, "packet", "stream", "none", "netem"]
    headings = dict(re.findall(r'<h2 id="([^"]+)">(?:Link )?([^<:]+):', text))
    assert headings == led_to
    assert contents.endswith("netem</a> (not measured)</p>")


def test_every_element_is_closed():
    opened = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            if tag != "meta":
                opened.append(tag)

        def handle_startendtag(self, tag, attrs):
            """Take what closes itself."""

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Reader().feed(as_html(crowded()))
    assert opened == []


def test_tables_that_scroll_can_be_reached_by_keys():
    text = as_html(crowded())
    assert text.count("<table") == text.count('tabindex="0"') == 6
    for before in text.split("<table")[:-1]:
        assert re.search(r'<div class=wide role="region" tabindex="0" aria-label="[^"]+ over \w+">$', before)


def test_bars_and_plots_say_in_words_what_they_are():
    text = as_html(measurement())
    assert 'role="img" aria-label="connect 200 µs, tls 300 µs, answer 250 µs"' in text
    for picture in pictures(text):
        assert picture.get("role") == "img"
        assert "orders over WebSocket" in picture.get("aria-label")


@pytest.mark.parametrize(
    ("at_us", "told"),
    [(0.5, "0.5 µs"), (200, "200 µs"), (1_000, "1 ms"), (2_500, "2.5 ms"), (140_200.00000000003, "140.2 ms")],
)
def test_ticks_have_no_digit_that_does_not_count(at_us, told):
    assert plot.tick_text(at_us) == told


@pytest.mark.parametrize("end_us", [201, 245, 299, 301, 399, 400, 401, 1_000, 140_000])
def test_no_tick_is_cut_and_shares_are_whole_percentages(end_us):
    orders = [("packet", Figures.of([200.0] * 3 + [end_us - 0.5 + place / 8 for place in range(8)]))]
    for drawn in (plot.histogram(orders, 200, "FIX"), plot.distribution(orders, 200, "FIX")):
        (picture,) = pictures(drawn)
        texts = [(float(text.get("x")), text.get("text-anchor"), text.text) for text in picture.iter("text")]
        ticks = [(x, told) for x, anchor, told in texts if anchor == "middle"]
        assert ticks
        for x, told in ticks:
            half = len(told) * 7.5 / 2  # of the larger letters, those of narrow windows
            assert x - half >= 0
            assert x + half <= plot.WIDTH
        shares = [int(told.rstrip("%")) for _, anchor, told in texts if anchor == "end"]
        assert shares[2] == 2 * shares[1] > shares[0] == 0


def luminance(color):
    digits = color.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    """Give how far two colours are apart, as WCAG 2 defines it."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everything_can_be_told_from_the_page_in_light_and_dark(theme):
    style = page.FRAME.read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{([^}]*)\}", style)
    names = dict(re.findall(r"--(\w+): (#\w+)", light if theme == "light" else dark))
    for words in ("ink", "soft", "link"):
        assert contrast(names[words], names["page"]) >= 4.5
    for drawn in (*plot.COLORS, *page.PARTS.values()):
        assert contrast(drawn, names["page"]) >= 3
    assert not set(plot.COLORS) & set(page.PARTS.values())


LOOK = """<!doctype html><meta charset="utf-8"><body>
<iframe style="border: 0; width: %dpx; height: 720px" srcdoc="%s"></iframe>
<script>onload = () => {
  const seen = document.querySelector("iframe").contentDocument, root = seen.documentElement
  const wider = all => all.filter(one => one.scrollWidth > one.clientWidth).length
  const texts = [...seen.querySelectorAll("svg text")]
  const cut = texts.filter(one => {
    const text = one.getBoundingClientRect(), box = one.ownerSVGElement.getBoundingClientRect()
    return text.left < box.left || text.right > box.right || text.top < box.top || text.bottom > box.bottom
  })
  const first = seen.querySelector("svg").getBoundingClientRect()
  const told = {
    page: root.scrollWidth - root.clientWidth, texts: texts.length, cut: cut.length, first: first.bottom,
    tables: wider([...seen.querySelectorAll(".wide")]),
    others: wider([...seen.querySelectorAll("p, h1, h2, h3, figure, figcaption, .plots, .bar, .bar *")]),
  }
  const found = document.body.appendChild(document.createElement("pre"))
  found.id = "found"
  found.textContent = JSON.stringify(told)
}</script>"""


def seen(folder, measured, width):
    """Give what real Chromium makes of the page in a window of this width, 720 px high."""
    found = [
        path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))
    ]
    if not found:
        pytest.skip("needs Chromium: there is no chromium, chromium-browser or google-chrome here")
    (folder / "look.html").write_text(LOOK % (width, html.escape(as_html(measured))), encoding="utf-8")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [found[0], *arguments, "--dump-dom", (folder / "look.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    told = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr[-500:]
    return json.loads(told[1])


def test_nothing_is_cut_at_1280_pixels(tmp_path):
    found = seen(tmp_path, crowded(), 1280)
    assert found["texts"] > 100
    assert (found["page"], found["cut"], found["tables"], found["others"]) == (0, 0, 0, 0), found


def test_the_first_plot_is_on_the_first_screen(tmp_path):
    assert seen(tmp_path, measurement(), 1280)["first"] < 720


def test_on_a_telephone_only_tables_scroll_sideways(tmp_path):
    found = seen(tmp_path, crowded(), 390)
    assert (found["page"], found["cut"], found["others"]) == (0, 0, 0), found
