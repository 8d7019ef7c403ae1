"""The coverage page tells what is true, and what it tells is tested."""

import pytest

from emulator.gateways.spot_rest.endpoints import PRIVATE, PUBLIC
from emulator.gateways.spot_ws_v1.channels import CHANNELS as V1
from emulator.gateways.spot_ws_v1.trading import METHODS as EVENTS
from emulator.gateways.spot_ws_v2.channels import CHANNELS
from emulator.gateways.spot_ws_v2.trading import METHODS
from tests.coverage import reference
from tests.coverage.page import PAGE, SECTIONS, page, said, tags


def test_page_is_what_the_tables_say():
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python -m tests.coverage"


def test_nothing_is_served_that_the_reference_does_not_list():
    assert PUBLIC.keys() <= reference.PUBLIC.keys()
    assert PRIVATE.keys() <= reference.PRIVATE.keys()
    assert CHANNELS.keys() <= reference.CHANNELS_V2.keys()
    assert METHODS.keys() <= reference.METHODS_V2.keys()
    assert V1.keys() <= reference.CHANNELS_V1.keys()
    assert EVENTS.keys() <= reference.EVENTS_V1.keys()


@pytest.mark.parametrize("section", SECTIONS)
def test_everything_is_served_and_honoured(section):
    for row in SECTIONS[section]():
        assert row.served, row.name
        assert not row.missing, (row.name, row.missing)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_row_and_parameter_is_in_a_test(section):
    for row in SECTIONS[section]():
        assert said(row.name.partition(" ")[0], "tests"), row.name  # of FIX messages, their type
        for word in (*row.honoured, *row.taken):
            tested = word in tags("tests/fix") if section == "FIX" else said(word, "tests")
            assert tested, f"{row.name}: {word}"


def test_every_error_is_raised_and_in_a_test_or_there_is_a_reason():
    for text in (*reference.ERRORS, *reference.ERRORS_V2, *reference.ERRORS_V1):
        if text not in reference.NEVER:
            assert said(text, "emulator"), text
            assert said(text, "tests"), text
