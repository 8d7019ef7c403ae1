"""What nobody closed: it fails the test that left it, unless third-party clients are what the test drives.

Files, sockets and coroutines that are forgotten are found by the collector, whenever it runs, and say nothing
of who made them. So tests that are marked ``client`` collect what they leave before they end, and are not
failed by it; whatever is found in another test is ours.
"""

import gc
import sys
import tracemalloc  # noqa: F401 - pytest imports it when it is told of such a thing, which can happen meanwhile
from collections.abc import Generator

import pytest

FOUND_BY_THE_COLLECTOR = (
    "default::ResourceWarning",
    "default:coroutine .* was never awaited:RuntimeWarning",
    "default::pytest.PytestUnraisableExceptionWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("client"):
            for rule in FOUND_BY_THE_COLLECTOR:
                item.add_marker(pytest.mark.filterwarnings(rule))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Collect when fixtures are down and forgotten: what is raised then would be told of the next test."""
    try:
        return (yield)
    finally:
        if item.get_closest_marker("client"):
            hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
            gc.collect()
            sys.unraisablehook = hook
