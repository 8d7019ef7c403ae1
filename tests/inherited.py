"""Programs that tests start have signals as a terminal's do, whatever the tests themselves inherited.

Ignored signals are inherited (nohup, a script's background job), handlers are not: one that does nothing is
as good as ignoring them here, and gives whoever is executed the default.
"""

import signal
from collections.abc import Iterator

import pytest

ENDING = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_inherited_as_ignored() -> Iterator[None]:
    ignored = [number for number in ENDING if signal.getsignal(number) is signal.SIG_IGN]
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    others = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it takes exit codes away
    for number in ignored:
        signal.signal(number, lambda *_: None)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, others)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
