"""Settings that can be changed while the venue runs, for the length of a test: a reset brings them back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from emulator.control.tls import TlsControl
from emulator.gateways.venue import Venue
from emulator.gateways.wires import Wires
from emulator.reading import shown
from emulator.settings import CHOICES, Settings
from emulator.words import unknown

if TYPE_CHECKING:
    from emulator.gateways.fix.server import Server as FixServer


class RuleError(Exception):
    """What cannot be done: one line."""


class _Rule(NamedTuple):
    """One setting as the running venue has it."""

    show: Callable[[], str]
    set: Callable[[str], None]


class Rules:
    """Looks at them and changes them, in the words of the command line; ``fix`` is None without FIX."""

    def __init__(self, venue: Venue, tls: TlsControl, fix: FixServer | None) -> None:
        engine, limits = venue.engine, venue.limits

        def set_rate_limits(value: str) -> None:
            engine.rate_limits = limits.on = value == "on"

        def set_post_only(value: str) -> None:
            engine.post_only_rejects = value == "reject"

        self._rules = {
            "rate_limits": _Rule(lambda: "on" if limits.on else "off", set_rate_limits),
            "post_only": _Rule(lambda: "reject" if engine.post_only_rejects else "cancel", set_post_only),
            "certificate": _Rule(
                lambda: str(tls.show()["certificate"]), lambda value: tls.set({"certificate": value})
            ),
        }
        self._rules |= {name: _of_wire(venue, name) for name in Wires.__struct_fields__}
        if fix is not None:
            self._rules |= _of_fix(fix)
        self._standing = self.show()

    def show(self) -> dict[str, str]:
        """Return what can be changed, and what it is now."""
        return {name: rule.show() for name, rule in self._rules.items()}

    def set(self, body: dict[str, Any]) -> dict[str, str]:
        """Change settings, all or none; raises RuleError."""
        for name, value in body.items():
            if name not in self._rules:
                if name not in Settings.__struct_fields__:
                    raise RuleError(unknown("setting", name, self._rules))
                can = ", ".join(self._rules)
                raise RuleError(f"{name} cannot be changed while the venue runs; these can be: {can}")
            if value not in CHOICES[name]:
                raise RuleError(f"{name} must be one of {', '.join(CHOICES[name])}, not {shown(value)}")
        for name, value in body.items():
            self._rules[name].set(value)
        return self.show()

    def reset(self) -> None:
        """Bring back what was at the start."""
        for name, value in self._standing.items():
            if self._rules[name].show() != value:
                self._rules[name].set(value)


def _of_wire(venue: Venue, name: str) -> _Rule:
    def set_wire(value: str) -> None:
        venue.wires = msgspec.structs.replace(venue.wires, **{name: value})

    return _Rule(lambda: str(getattr(venue.wires, name)), set_wire)


def _of_fix(fix: FixServer) -> dict[str, _Rule]:
    def set_logon(value: str) -> None:
        fix.gateway.displace = value == "displace"

    def set_tls(value: str) -> None:
        fix.tls_only = value == "only"

    return {
        "fix_logon": _Rule(lambda: "displace" if fix.gateway.displace else "reject", set_logon),
        "fix_tls": _Rule(lambda: "only" if fix.tls_only else "optional", set_tls),
    }
