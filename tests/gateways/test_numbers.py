"""Decimal text to the engine's integers and back, and times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.gateways.numbers import (
    TooPreciseError,
    number,
    parse_rfc3339,
    rfc3339,
    text,
    units,
    without_exponent,
)
from tests.gateways.venue import START_NS

DECIMALS = st.integers(0, 10)


@given(st.integers(-(10**20), 10**20), DECIMALS)
def test_text_and_units_are_each_others_inverse(value, decimals):
    written = text(value, decimals)
    assert units(written, decimals) == value
    assert len(written.partition(".")[2]) == decimals


@given(st.integers(0, 10**12), DECIMALS, st.integers(0, 5))
def test_trailing_zeros_never_count_as_precision(value, decimals, zeros):
    written = text(value, decimals) + ("0" if decimals else ".0") * min(zeros, 1) + "0" * zeros
    assert units(written, decimals) == value


@pytest.mark.parametrize(
    ("written", "decimals", "value"),
    [
        ("0.1", 8, 10_000_000),
        (".5", 1, 5),
        ("5.", 1, 50),
        ("-0.25", 2, -25),
        ("007.50", 1, 75),
        ("0", 0, 0),
    ],
)
def test_numbers_are_read_in_every_plain_spelling(written, decimals, value):
    assert units(written, decimals) == value


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", ".", "-", "e5", "1e", "+5", "+60", " 5", "5 ", "1_0", "1,5", "1.2.3", "--5", "0x10"),
        *("1e3", "1E-8", "9.7e-7", "6.4e-07", "1.5e+3"),
        *("NaN", "nan", "Infinity", "-inf", "1e999", "1e9999", "1e-999", "٣", "5\n", "5\x00", "½"),
        *("9" * 41, "0." + "0" * 40 + "1", "1e41", "#5", "5%"),
    ],
)
@pytest.mark.parametrize("truncate", [False, True])
def test_anything_else_is_not_a_number(written, truncate):
    with pytest.raises(ValueError, match=r".*"):
        units(written, 8, truncate=truncate)
    with pytest.raises(ValueError, match="not a number"):
        number(written)


@pytest.mark.parametrize(
    ("token", "plain"),
    [
        ("6.4e-7", "0.00000064"),
        ("1e-05", "0.00001"),
        ("1.25E+3", "1250"),
        ("-5e0", "-5"),
        ("0.5", "0.5"),
        *((wild, wild) for wild in ("1e999", "1e41", "1e-200", "9" * 50 + "e1")),
    ],
)
def test_a_number_of_json_with_an_exponent_is_written_out_within_bounds(token, plain):
    assert without_exponent(token) == plain


def test_too_many_decimals_are_told_apart_or_cut_off():
    with pytest.raises(TooPreciseError):
        units("1.23", 1)
    with pytest.raises(TooPreciseError):
        units("0.00001", 4)
    assert units("1.29", 1, truncate=True) == 12
    assert units("-1.29", 1, truncate=True) == -12
    assert units("0.000000009", 8, truncate=True) == 0


@pytest.mark.parametrize(
    ("decimals", "written"),
    [(0, "2026-11-02T10:00:00Z"), (6, "2026-11-02T10:00:00.123456Z"), (9, "2026-11-02T10:00:00.123456789Z")],
)
def test_times_are_written_with_their_decimals_cut_off(decimals, written):
    assert rfc3339(START_NS + 123_456_789, decimals) == written


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999))
def test_times_are_read_back_to_the_microsecond(seconds, micros):
    time_ns = seconds * 10**9 + micros * 1000
    assert parse_rfc3339(rfc3339(time_ns)) == time_ns


@pytest.mark.parametrize(
    "written",
    ["2026-11-02T10:00:00Z", "2026-11-02T12:00:00+02:00", "2026-11-02T10:00:00.000Z"],
)
def test_times_of_any_zone_mean_the_same_moment(written):
    assert parse_rfc3339(written) == START_NS


@pytest.mark.parametrize(
    "written",
    [
        *("", "now", "1793613600", "2026-13-01T00:00:00Z", "2026-11-02T25:00:00Z", "\ud800"),
        # What ISO 8601 has besides: no zone, a blank, a date alone, no separators, weeks.
        *("2026-11-02T10:00:00", "2026-11-02 10:00:00Z", "2026-11-02", "20261102T100000Z", "2026-W45-1"),
    ],
)
def test_anything_else_is_not_a_time(written):
    with pytest.raises(ValueError, match=r".*"):
        parse_rfc3339(written)
