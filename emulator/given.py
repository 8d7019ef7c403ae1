"""How settings were given: errors name what their user wrote, an option, a variable or a file's line."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import msgspec

from emulator.words import spelled


class SettingsError(ValueError):
    """A setting or a profile that cannot be used: one line that says which and why."""


class Given(NamedTuple):
    """A value, what it was given by (``--seed``, ``KRAKEN_EMULATOR_SEED``), and both as they were written."""

    value: Any
    by: str
    spelled: str


def option(name: str) -> str:
    """Return a setting as it is written on the command line."""
    return "--" + name.replace("_", "-")


class Remembering(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Settings that know how they were given; it is no part of what they are."""

    def but(self, **changes: Any) -> Self:
        """Return the same settings with some changed, which still know how they were given."""
        changed = msgspec.structs.replace(self, **changes)
        vars(changed).update(vars(self))
        return changed

    def by(self, name: str) -> str:
        """Return what a setting was given by, for errors: an option, a variable, or a file's line."""
        return self._given[name].by if name in self._given else option(name)

    def said(self, name: str) -> str:
        """Return a setting as it was given, with its value, for errors: ``--seed 7``."""
        if name in self._given:
            return self._given[name].spelled
        value = getattr(self, name)
        return spelled(option(name), ",".join(value) if isinstance(value, tuple) else value)

    @contextmanager
    def blamed(self, name: str, kind: type[Exception] = SettingsError) -> Iterator[None]:
        """Let an error of this kind, SettingsError besides, say which setting it is about."""
        try:
            yield
        except (SettingsError, kind) as error:
            raise SettingsError(f"{self.said(name)}: {error}") from None

    @property
    def _given(self) -> dict[str, Given]:
        found: dict[str, Given] = vars(self).get("given", {})
        return found
