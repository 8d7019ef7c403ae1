"""What the venue offers besides trading, as data: ways in and out (funding) and earn strategies."""

import hashlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from emulator.engine.instruments import Asset, Catalogue, scaled
from emulator.reading import WrongValue, read
from emulator.settings import PROFILES, SettingsError, read_toml

ADDRESSES = 5
"""Most deposit addresses that an account may have for one method."""
_T = TypeVar("_T")


class Method(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way in and out of one asset; the fields are described in profiles/funding/default.toml."""

    asset: str
    name: str
    network: str
    deposit_minimum: str
    withdraw_minimum: str
    withdraw_fee: str
    address: str
    deposit_fee: str = "0"
    deposit_fee_percentage: str | None = None
    limit: str | None = None
    tag: bool = False
    memo: bool = False
    fiat: bool = False

    def address_of(self, seed: int, account: str, number: int) -> str:
        """Return the account's ``number``-th deposit address, worthless everywhere else."""
        digest = hashlib.blake2b(f"{seed}:{account}:{self.asset}:{self.name}:{number}".encode()).hexdigest()
        return self.address + digest[: max(42 - len(self.address), 10)]


class SavedAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One saved withdrawal address."""

    name: str
    asset: str
    method: str
    address: str
    verified: bool = True


class Strategy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One earn strategy; the fields are described in profiles/earn/default.toml."""

    id: str
    asset: str
    lock: str
    apr: str
    apr_low: str
    apr_high: str
    minimum: str
    cap: str | None = None
    bonding_days: int = 0
    unbonding_days: int = 0

    @property
    def rate_ppm(self) -> int:
        """Yearly reward in parts per million."""
        return scaled(self.apr, 4)


class _Funding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    methods: tuple[Method, ...]
    keys: tuple[SavedAddress, ...] = ()


class _Earn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    strategies: tuple[Strategy, ...]


class Offers:
    """Methods, saved addresses and strategies."""

    def __init__(
        self, methods: tuple[Method, ...], keys: tuple[SavedAddress, ...], strategies: tuple[Strategy, ...]
    ) -> None:
        self.methods = methods
        self.keys = keys
        self.strategies = strategies

    @classmethod
    def read(cls, catalogue: Catalogue, funding: Path | None = None, earn: Path | None = None) -> "Offers":
        """Read the profiles, by default those that come along; raises SettingsError."""
        ways = _read(funding or PROFILES / "funding" / "default.toml", _Funding)
        lent = _read(earn or PROFILES / "earn" / "default.toml", _Earn)
        named = [method.asset for method in ways.methods] + [saved.asset for saved in ways.keys]
        for asset in (*named, *(strategy.asset for strategy in lent.strategies)):
            if asset not in catalogue.assets:
                raise SettingsError(f"funding or earn profile: unknown asset {asset!r}")
        return cls(ways.methods, ways.keys, lent.strategies)

    def of(self, asset: Asset | None) -> list[Method]:
        """Return the methods of an asset, or all."""
        return [method for method in self.methods if asset is None or method.asset == asset.id]

    def method(self, asset: str, name: str) -> Method | None:
        """Return one method of an asset."""
        return next((m for m in self.methods if (m.asset, m.name) == (asset, name)), None)

    def strategy(self, id_: str) -> Strategy | None:
        """Return one strategy."""
        return next((strategy for strategy in self.strategies if strategy.id == id_), None)


def _read(path: Path, kind: type[_T]) -> _T:
    values: dict[str, Any] = read_toml(path)
    try:
        return read(values, kind)
    except WrongValue as error:
        raise SettingsError(f"{path}: {error}") from None


def iiban(account: str) -> str:
    """Return an account's public number: ``AA00 XXXX XXXX XXXX``."""
    digest = hashlib.blake2b(account.encode(), digest_size=10).digest()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    text = "".join(alphabet[byte % 32] for byte in (*digest, digest[0] ^ digest[1], digest[2] ^ digest[3]))
    return f"AA{digest[0] % 90 + 10} {text[:4]} {text[4:8]} {text[8:12]}"
