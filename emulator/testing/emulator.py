"""An emulator in this process, for as long as a ``with`` block.

>>> with Emulator(tier="tokyo") as kraken:
...     client = Client(kraken.rest, kraken.accounts[0].spot.key, kraken.accounts[0].spot.secret)
...     kraken.control.seed_book("BTC/USD", bids=[(64_000, 1.5)], asks=[(64_010, 2)])
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from emulator.testing.control import Control
from emulator.testing.places import Account, Fix, Tier, Tls, account, tier
from emulator.testing.transcript import Transcript

if TYPE_CHECKING:
    from emulator.testing.background import Background

Setting = str | int | bool | Sequence[str]
DEFAULTS: dict[str, Setting] = {"ports": "auto", "link": "stream", "market": "off", "rate_limits": "off"}
"""What differs from the command line's defaults: tests place both sides themselves, as fast as they can."""


class EmulatorError(Exception):
    """An emulator that cannot be started, or that is not running: one line that says why."""


class Emulator:
    """A venue with its tiers, on a thread of its own; several at once do not meet.

    The keyword arguments are the settings of the command line (docs/command-line.md), with ``_`` for ``-``:
    ``Emulator(tier="us,tokyo", market="synthetic", seed=7)``. Neither the environment nor a settings file
    counts. Without a ``with`` block, call ``start`` and ``stop``.
    """

    def __init__(self, **settings: Setting) -> None:
        self.transcript = Transcript()
        """What crossed its edge: every request and message, with times."""
        self._settings = DEFAULTS | settings
        self._background: Background | None = None
        self._endpoints: dict[str, Any] = {}

    def start(self) -> Emulator:
        """Return when everything answers; raises EmulatorError."""
        from emulator.testing.background import Background, StartError

        if self._background is not None:
            raise EmulatorError("this emulator is running already")
        try:
            background = Background(self._settings, self.transcript)
            self._endpoints = background.start()
        except StartError as error:
            raise EmulatorError(str(error)) from None
        self._background = background
        self._tiers = {name: tier(name, row) for name, row in self._endpoints["tiers"].items()}
        self._accounts = tuple(account(row) for row in self._endpoints["accounts"])
        self._control = Control(self._endpoints["control"])
        self.transcript.begin()
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Stop it: clients hear goodbye, and no thread, socket or port is left.  Idempotent."""
        background, self._background = self._background, None
        if background is not None:
            atexit.unregister(self.stop)
            background.stop()

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        """Say where it is: tiers and addresses, no keys."""
        if self._background is None:
            return "<Emulator, not running>"
        tiers = ", ".join(f"{at.name} ({at.rtt_us / 1e3:g} ms)" for at in self._tiers.values())
        fix = f", FIX {self.fix.spot_trading}" if self.fix.spot_trading else ""
        return (
            f"<Emulator at {tiers}: REST {self.rest}, WebSocket {self.ws}{fix}, control {self._control.url}>"
        )

    def reset(self) -> None:
        """Bring accounts, books, clock, links and certificate back to the start; any nonce will do.

        Connections stay; those of FIX are logged out.  A few milliseconds.  The same as ``control.reset``.
        """
        self.control.reset()

    # -- where it is ----------------------------------------------------------------------------------

    @property
    def endpoints(self) -> dict[str, Any]:
        """The endpoints file's contents."""
        self._running()
        return self._endpoints

    @property
    def control(self) -> Control:
        """Brings the venue into the state that a test wants."""
        self._running()
        return self._control

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts, funded, each with keys of its own."""
        self._running()
        return self._accounts

    def account(self, name: str) -> Account:
        """Return the account of this name; raises EmulatorError."""
        for found in self.accounts:
            if found.name == name:
                return found
        raise EmulatorError(f"no account {name!r}; there are: {', '.join(a.name for a in self.accounts)}")

    @property
    def tiers(self) -> dict[str, Tier]:
        """Each tier's way in, by its name."""
        self._running()
        return self._tiers

    @property
    def rest(self) -> str:
        """The first tier's REST address, as the next ones are the first tier's too."""
        return self._first.rest

    @property
    def ws(self) -> str:
        """WebSocket v1; v2 is at ``/v2`` of it."""
        return self._first.ws

    @property
    def ws_auth(self) -> str:
        """The same for private channels."""
        return self._first.ws_auth

    @property
    def ws_l3(self) -> str:
        """The same for level 3."""
        return self._first.ws_l3

    @property
    def tls(self) -> Tls:
        """All these over TLS, and the authority to trust."""
        return self._first.tls

    @property
    def fix(self) -> Fix:
        """The FIX services."""
        return self._first.fix

    @property
    def proxy(self) -> str:
        """The HTTP proxy (``proxy=True``); empty where there is none."""
        return self._first.proxy

    @property
    def _first(self) -> Tier:
        return next(iter(self.tiers.values()))

    def _running(self) -> Background:
        if self._background is None:
            raise EmulatorError("this emulator is not running: use it in a `with` block, or start it")
        return self._background
