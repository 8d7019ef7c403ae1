"""Emulators that the tests of one process share: each xdist worker starts its own."""

import pytest

from emulator.settings import PROFILES
from tests.running import running

pytest_plugins = ("tests.leaks", "tests.inherited")
ACCOUNTS = 400
"""More than there are tests: an account is used once, so no nonce and no order is left from another test."""


@pytest.fixture(scope="session")
def accounts_profile(tmp_path_factory):
    """Accounts that are all alike: the default profile's balances, no trading volume yet."""
    balances, _, _ = (PROFILES / "accounts" / "default.toml").read_text().partition("[[accounts]]")
    names = [f'[[accounts]]\nname = "account{number}"\n' for number in range(ACCOUNTS)]
    path = tmp_path_factory.mktemp("accounts") / "alike.toml"
    path.write_text(balances + "".join(names))
    return str(path)


@pytest.fixture(scope="session")
def busy_venue(accounts_profile):
    """A venue without distance where a synthetic market trades."""
    with running("--tier", "local", "--market", "synthetic", "--accounts", accounts_profile) as venue:
        yield venue


@pytest.fixture(scope="session")
def quiet_venue(accounts_profile):
    """A venue without distance where nobody trades but the test."""
    with running("--tier", "local", "--market", "off", "--accounts", accounts_profile) as venue:
        yield venue


@pytest.fixture(scope="session")
def distant_venue(accounts_profile):
    """A venue without a market, reached from two distances."""
    with running("--tier", "us,tokyo", "--market", "off", "--accounts", accounts_profile) as venue:
        yield venue
