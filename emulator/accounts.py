"""The accounts profile as the venue has it: accounts, their keys, and the deposits that fill them."""

import ipaddress
from collections.abc import Iterator

from emulator.engine.accounts import Account
from emulator.engine.commands import Deposit
from emulator.engine.instruments import Catalogue, scaled
from emulator.gateways.keys import PERMISSIONS, TOTP, ApiKey, demo_credentials, totp
from emulator.gateways.offers import Offers
from emulator.reading import WrongValue
from emulator.settings import AccountProfile, KeyProfile, SettingsError
from emulator.words import unknown

MARKET = "market"
"""The synthetic market's own account."""
_OWN = "default"
"""The name of an account's first key."""


def account(row: AccountProfile) -> Account:
    """Return the account as the engine has it; raises SettingsError."""
    if row.name == MARKET:
        raise SettingsError(f"account {row.name}: this name is the synthetic market's")
    return Account(
        row.name,
        tier=row.tier,
        vip=row.vip,
        volume_usd=row.volume_usd,
        margin_allowance_usd=row.margin_allowance_usd,
        state=row.state,
    )


def keys(seed: int, row: AccountProfile, now_ns: int) -> Iterator[ApiKey]:
    """Return the account's keys: its own, and those that the profile names besides; raises SettingsError."""
    own = KeyProfile(
        name=_OWN,
        permissions=row.permissions,
        nonce_window=row.nonce_window,
        otp=row.otp,
        allowed_from=row.allowed_from,
    )
    yield _key(demo_credentials(seed, row.name), row, own, now_ns)
    for further in row.keys:
        yield _key(demo_credentials(seed, f"{row.name}/{further.name}"), row, further, now_ns)


def _key(credentials: tuple[str, str], row: AccountProfile, key: KeyProfile, now_ns: int) -> ApiKey:
    if strange := set(key.permissions or ()) - PERMISSIONS:
        where = f"accounts[{row.name}]{'' if key.name == _OWN else f'.keys[{key.name}]'}.permissions"
        raise SettingsError(f"{where}: {unknown('permission', min(strange), sorted(PERMISSIONS))}")
    try:
        allowed_from = tuple(ipaddress.ip_network(text) for text in key.allowed_from)
        if key.otp is not None and key.otp.startswith(TOTP):
            totp(key.otp.removeprefix(TOTP), 0)
    except ValueError as error:
        raise SettingsError(f"account {row.name}, key {key.name}: {error}") from None
    return ApiKey(
        row.name,
        *credentials,
        name=key.name,
        permissions=PERMISSIONS if key.permissions is None else key.permissions,
        nonce_window=key.nonce_window,
        otp=key.otp,
        allowed_from=allowed_from,
        disabled=key.disabled,
        valid_until_ns=key.valid_until * 10**9,
        query_from_ns=key.query_from * 10**9,
        query_to_ns=key.query_to * 10**9,
        created_ns=now_ns,
    )


def deposits(row: AccountProfile, catalogue: Catalogue, offers: Offers, seed: int) -> Iterator[Deposit]:
    """Return what fills the account with its balances, by each asset's first method; raises SettingsError."""
    for name, amount in (row.balances or {}).items():
        asset = catalogue.assets.get(name)
        if asset is None:
            where = f"accounts[{row.name}].balances"
            raise SettingsError(f"{where}: {unknown('asset', name, sorted(catalogue.assets))}")
        units = _amount(row, name, amount, asset.decimals)
        method = next(iter(offers.of(asset)), None)
        if method is None:
            yield Deposit(row.name, name, units)
        else:
            address = method.address_of(seed, row.name, 1)
            yield Deposit(row.name, name, units, method=method.name, address=address)


def _amount(row: AccountProfile, asset: str, amount: str, decimals: int) -> int:
    try:
        value = scaled(amount, decimals)
    except (ValueError, ArithmeticError):
        value = -1
    if value < 0:
        where, most = f"accounts[{row.name}].balances.{asset}", f"at most {decimals} decimals"
        raise SettingsError(str(WrongValue.of(where, amount, f"an amount from 0 with {most} is meant")))
    return value
