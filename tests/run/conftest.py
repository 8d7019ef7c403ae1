"""Where no namespaces can be had, there is nothing to test."""

import pytest

from tests.run.support import namespaces_refused


@pytest.fixture(scope="session", autouse=True)
def _possible():
    if reason := namespaces_refused():
        pytest.skip(reason)
