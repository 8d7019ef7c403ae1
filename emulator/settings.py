"""Settings: one typed tree, from defaults, a settings file, the environment and arguments (last wins)."""

import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from errno import ENOENT
from pathlib import Path
from typing import Annotated, Any

import msgspec

from emulator.engine.accounts import AccountState
from emulator.engine.limits import AccountTier
from emulator.given import Given, Remembering, option
from emulator.given import SettingsError as SettingsError
from emulator.reading import WrongValue, meant, read
from emulator.words import nearest, parted, spelled, unknown

_PACKED = Path(__file__).parent / "profiles"
PROFILES = _PACKED if _PACKED.exists() else Path(__file__).parent.parent / "profiles"
"""The profiles that come with the package: in the wheel, else at the top of the checkout."""

ENVIRONMENT = "KRAKEN_EMULATOR_"
"""Prefix of environment variables: ``KRAKEN_EMULATOR_SEED=7``."""

TIER_IN_HOST = "{tier}"
"""Stands in ``host`` for the name of each tier, and for ``tier-path`` of a tier's further paths."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535, description="a port from 0 to 65535")]
_HOST = re.compile(r"(\*\.)?[^\W_]([\w-]{0,61}[^\W_])?(\.[^\W_]([\w-]{0,61}[^\W_])?)*")
_COMP_ID = "text of 1 to 32 visible ASCII characters without ="
CompId = Annotated[str, msgspec.Meta(pattern=r"^[\x21-\x3c\x3e-\x7e]{1,32}$", description=_COMP_ID)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Settings(Remembering, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be set when the venue starts."""

    tier: tuple[str, ...] = ("local",)
    """Tiers to open endpoints for, all onto the same venue."""
    link: str = "auto"
    """How tiers are made real: ``auto`` or the name of a rung."""
    enforce_access: bool = False
    """Refuse clients that do not meet what their tier requires."""
    provider: str = ""
    """Network provider that we have a subscription with, for tiers that require one."""
    allow_source: tuple[str, ...] = ()
    """Networks (CIDR) that were given to Kraken, for tiers that admit listed addresses only."""
    raw_delay: bool = False
    """Leave what the emulator and the machine take themselves on top of each tier's RTT."""
    seed: int = 0
    """Decides ids, demo keys, the market's flow, its past and the links' jitter."""
    market: str = "synthetic"
    """Who else trades: ``synthetic`` or ``off``."""
    host: str = "127.0.0.1"
    """Address that listeners bind; with ``{tier}`` in it, a name that each tier's address is found by."""
    tls_names: tuple[str, ...] = ()
    """Further names that clients know this machine by; the certificate is valid for them."""
    ports: str = "fixed"
    """``fixed``, or ``auto`` for free ones."""
    http_port: Port = 7480
    """First tier's plain port; further tiers count up by 100."""
    tls_port: Port = 7443
    """First tier's TLS port; further tiers count up by 100."""
    control_host: str = "127.0.0.1"
    """Address that the control API binds: who reaches it may do everything."""
    control_port: Port = 7490
    """Port of the control API."""
    proxy: bool = False
    """Open an HTTP proxy that takes Kraken's hostnames to the venue, and refuses all else."""
    proxy_port: Port = 7470
    """First tier's proxy port; further tiers count up by 100, a tier's further paths by 1."""
    fix: str = "on"
    """FIX acceptors: ``on`` or ``off``."""
    fix_port: Port = 4000
    """First tier's FIX market data port; trading is the next one, level 3 the fifth next, as at Kraken."""
    fix_tls: str = "optional"
    """FIX over TLS: ``optional``, or ``only``, as at Kraken."""
    fix_logon: str = "reject"
    """A second logon with a SenderCompID that is connected: ``reject`` it, or ``displace`` the first one."""
    state: bool = False
    """Keep FIX sessions in the state folder, over restarts: numbers and ClOrdIDs, not orders."""
    endpoints_file: str = ""
    """Where to write the endpoints as JSON once everything answers."""
    trust_folder: str = ""
    """Where to write, for clients: the authority, ``ca.pem``, and all to trust, ``bundle.pem``."""
    accounts: str = "default"
    """Accounts profile: a name under profiles/accounts, or a path to a .toml file."""
    instruments: str = "kraken"
    """Assets and pairs: ``kraken``'s, or a path to a .toml file that adds to them and changes them."""
    market_profile: str = "default"
    """Market profile: a name under profiles/market, or a path to a .toml file."""
    funding: str = "default"
    """Funding profile: a name under profiles/funding, or a path to a .toml file."""
    earn: str = "default"
    """Earn profile: a name under profiles/earn, or a path to a .toml file."""
    tiers_folder: str = ""
    """Folder with tier profiles of your own; they take precedence over those that come along."""
    state_folder: str = ""
    """Where the local certificate authority lives; by default the user's data folder."""
    rate_limits: str = "on"
    """Kraken's rate limits: ``on``, or ``off`` for load tests."""
    certificate: str = "valid"
    """What TLS ports present: a ``valid`` certificate, or one that clients must refuse: ``wrong-name``,
    ``expired``, ``untrusted``."""
    post_only: str = "cancel"
    """A post-only order that would cross: ``cancel`` (accepted, then cancelled) or ``reject``."""
    advertise: tuple[str, ...] = ()
    """Ports as clients outside see them, in the words of docker's ``-p``: ``127.0.0.1:17480:7480``."""
    log_level: str = ""
    """The least that is logged: ``debug`` (each refusal, and why), ``info``, ``warning``, ``error``.

    Unless it is given, `up` logs from ``info`` on, `run` from ``warning`` on."""
    pair_fees: str = "empty"
    """``fees`` and ``fees_maker`` of AssetPairs: ``empty``, as since September 2026, or the ``schedules``."""
    slashed_pairs: str = "modern"
    """Pair names with a slash over REST: ``modern`` ones (``BTC/USD``), or ``any`` (``XBT/USD`` too)."""
    ticker: str = "trades"
    """What WebSocket v2's ``ticker`` tells last: ``trades``, or ``volume_usd``, as in January 2026."""
    status_advisories: str = "on"
    """``upcoming_maintenance`` and ``emergency`` of SystemStatus and status frames: ``on``, or ``off`` for
    the wire before September 2026."""


CHOICES = {
    "market": ("synthetic", "off"),
    "ports": ("fixed", "auto"),
    "rate_limits": ("on", "off"),
    "post_only": ("cancel", "reject"),
    "pair_fees": ("empty", "schedules"),
    "slashed_pairs": ("modern", "any"),
    "ticker": ("trades", "volume_usd"),
    "status_advisories": ("on", "off"),
    "certificate": ("valid", "wrong-name", "expired", "untrusted"),
    "fix": ("on", "off"),
    "fix_tls": ("optional", "only"),
    "fix_logon": ("reject", "displace"),
    "log_level": ("debug", "info", "warning", "error"),
}
"""Settings that are one of some words."""


_LISTS = {
    "tier": "tiers by name are meant, for example us,tokyo",
    "allow_source": "networks are meant, for example 10.0.0.0/8",
    "tls_names": "names are meant, for example kraken.test,10.0.0.5",
    "advertise": "places are meant, for example 127.0.0.1:17480:7480",
}
"""Settings of several values, separated by commas, and what is meant by them."""
_PROFILES_OF = {"accounts": "accounts", "market": "market_profile", "funding": "funding", "earn": "earn"}
"""Kinds of profiles, and the settings that name one."""
OF_CHILDREN = frozenset({"CONTROL", "ENDPOINTS", "GUARD"})
"""Variables that are no settings: how commands find a running emulator, what `run` and the pytest plugin tell
the programs that they start."""
_OF_SERVICES = re.compile(r"SERVICE_(HOST|PORT\w*)|PORT(_\d+_\w+)?|NAME|ENV_\w+")
"""Variables that Kubernetes and Docker make for a service which is called kraken-emulator."""


def load(
    arguments: Mapping[str, Any],
    environment: Mapping[str, str],
    config: str | None = None,
    called: Callable[[str], str] = option,
) -> Settings:
    """Return the settings; raises SettingsError, which names the option (``called`` so), file or variable.

    Variables of the environment that are nearly a setting's are refused; ``strangers`` gives all others.
    """
    given = _of_file(config, environment)
    given |= _of_environment(environment)
    for name, value in arguments.items():
        if name not in Settings.__struct_fields__:
            raise SettingsError(unknown("setting", name, Settings.__struct_fields__))
        if value is not None:
            by, text = called(name), ",".join(value) if isinstance(value, tuple | list) else value
            given[name] = Given(value, by, by if value is True else spelled(by, text))
    settings = Settings(**{name: _value(name, each.value, each.spelled) for name, each in given.items()})
    vars(settings)["given"] = given
    settings = _with_hosts(settings)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    """Raise SettingsError for what is of the right kind, but cannot be used."""
    if not settings.tier:
        raise SettingsError(f"{settings.said('tier')}: no tier given")
    for name in settings.tier:
        if settings.tier.count(name) > 1:
            raise SettingsError(
                f"{settings.said('tier')}: {name} is given twice; a tier is opened once, for any number of "
                "clients"
            )
    for host in settings.tls_names:
        if not _is_host(host):
            raise SettingsError(f"{settings.said('tls_names')}: {host!r} is none; {_meant('tls_names')}")
    for kind, named in _PROFILES_OF.items():
        with settings.blamed(named):
            profile(kind, getattr(settings, named))
    if settings.tiers_folder and not Path(settings.tiers_folder).is_dir():
        raise SettingsError(f"{settings.said('tiers_folder')}: no such folder")


def strangers(environment: Mapping[str, str]) -> list[str]:
    """Return the variables with our prefix that are neither settings nor of use to anything else here."""
    names = [name.removeprefix(ENVIRONMENT) for name in environment if name.startswith(ENVIRONMENT)]
    known = {each.upper() for each in Settings.__struct_fields__} | OF_CHILDREN | {"CONFIG"}
    return [ENVIRONMENT + name for name in names if name not in known and not _OF_SERVICES.fullmatch(name)]


def _of_environment(environment: Mapping[str, str]) -> dict[str, Given]:
    known = {ENVIRONMENT + name.upper(): name for name in Settings.__struct_fields__}
    for stranger in strangers(environment):
        meant = nearest(stranger.removeprefix(ENVIRONMENT), map(str.upper, Settings.__struct_fields__))
        if meant is not None:
            raise SettingsError(f"{stranger}: there is no such setting, did you mean {ENVIRONMENT}{meant}?")
    return {
        name: Given(environment[variable], variable, f"{variable}={environment[variable]}")
        for variable, name in known.items()
        if variable in environment
    }


def _of_file(config: str | None, environment: Mapping[str, str]) -> dict[str, Given]:
    """Return the values of a settings file, each with its line; one that is said to be '' is none."""
    variable = ENVIRONMENT + "CONFIG"
    said = spelled("--config", config) if config is not None else f"{variable}={environment.get(variable)}"
    config = config if config is not None else environment.get(variable) or None
    if config is None:
        return {}
    if not config:
        raise SettingsError(f"{said}: a file is meant")
    given = {}
    try:
        values = read_toml(Path(config))
    except SettingsError as error:
        raise SettingsError(f"{said}: {str(error).removeprefix(f'{config}: ')}") from None
    for name, value in values.items():
        line = line_of(Path(config), name)
        if name not in Settings.__struct_fields__:
            raise SettingsError(f"{config}{line}: {unknown('setting', name, Settings.__struct_fields__)}")
        shown = str(value).lower() if isinstance(value, bool) else repr(value)
        given[name] = Given(value, f"{config}{line}: {name}", f"{config}{line}: {name} = {shown}")
    return given


def line_of(path: Path, name: str) -> str:
    """Return where a TOML file has a name: ``, line 3``; nothing when it cannot be told."""
    key = re.compile(rf"\s*(\[+\s*)?[\"']?{re.escape(name)}[\"']?\s*[=.\]]")
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((f", line {number}" for number, line in enumerate(lines, 1) if key.match(line)), "")


_TYPES = {field.name: field.type for field in msgspec.structs.fields(Settings)}


def _value(name: str, value: Any, said: str) -> Any:
    """Return a setting's value; SettingsError says what is meant."""
    if name in _LISTS and isinstance(value, str):
        try:
            value = parted(value)
        except ValueError as error:
            raise SettingsError(f"{said}: {error}; {_meant(name)}") from None
    try:
        found = read(value, _TYPES[name], strict=False)
    except WrongValue:
        raise SettingsError(f"{said}: {_meant(name)}") from None
    if name in CHOICES and found not in CHOICES[name]:
        raise SettingsError(f"{said}: {_meant(name)}")
    return found


def _meant(name: str) -> str:
    if name in CHOICES:
        return f"one of {', '.join(CHOICES[name])} is meant"
    if name in _LISTS:
        return _LISTS[name]
    return f"{meant(_TYPES[name])} is meant"


def _is_host(text: str) -> bool:
    """Tell whether a certificate can be made for this name or address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) < 254 and bool(_HOST.fullmatch(text))
    return True


def _with_hosts(settings: Settings) -> Settings:
    """Return settings whose addresses can be listened at."""
    for name in ("host", "control_host"):
        host = getattr(settings, name)
        if not host:
            raise SettingsError(f"{settings.said(name)}: an address is meant, not nothing")
        if host == "localhost":  # one address, so that one port is one listener
            settings = settings.but(**{name: "127.0.0.1"})
    if "{" in settings.host.replace(TIER_IN_HOST, ""):
        raise SettingsError(f"{settings.said('host')}: only {TIER_IN_HOST} can stand in braces")
    return settings


def read_toml(path: Path) -> dict[str, Any]:
    """Return a TOML file's contents; raises SettingsError."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {error}") from None


def profile(kind: str, name: str) -> Path:
    """Return the path of a profile: ``name`` is a path when it ends in .toml, else one that comes along."""
    if name.endswith(".toml"):
        if not Path(name).is_file():
            raise SettingsError(os.strerror(ENOENT))
        return Path(name)
    path = PROFILES / kind / f"{name}.toml"
    if not path.exists():
        known = sorted(p.stem for p in (PROFILES / kind).glob("*.toml"))
        raise SettingsError(f"{unknown(f'{kind} profile', name, known)}; or a path that ends in .toml")
    return path


def tier_folders(settings: Settings) -> tuple[Path, ...]:
    """Return the folders that tier profiles are read from; later ones take precedence."""
    own = (Path(settings.tiers_folder),) if settings.tiers_folder else ()
    return (PROFILES / "tiers", *own)


def state_folder(settings: Settings) -> Path:
    """Return where things live that outlast a run; raises SettingsError for a user without a home."""
    if settings.state_folder:
        return Path(settings.state_folder)
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    try:
        return Path(data).expanduser() / "kraken-emulator"
    except RuntimeError:
        raise SettingsError("no home folder is known, nor XDG_DATA_HOME") from None


class KeyProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A further API key of an account; the fields are described in profiles/accounts/default.toml."""

    name: str
    permissions: tuple[str, ...] | None = None
    nonce_window: Count = 0
    otp: str | None = None
    allowed_from: tuple[str, ...] = ()
    disabled: bool = False
    valid_until: Count = 0
    query_from: Count = 0
    query_to: Count = 0


class AccountProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One account of an accounts profile; the fields are described in profiles/accounts/default.toml."""

    name: str
    tier: AccountTier = AccountTier.INTERMEDIATE
    vip: bool = False
    volume_usd: Count = 0
    balances: dict[str, str] | None = None
    permissions: tuple[str, ...] | None = None
    nonce_window: Count = 0
    state: AccountState = AccountState.ACTIVE
    margin_allowance_usd: Count | None = None
    otp: str | None = None
    allowed_from: tuple[str, ...] = ()
    keys: tuple[KeyProfile, ...] = ()
    sender_comp_ids: tuple[CompId, ...] = ()

    @property
    def comp_ids(self) -> tuple[str, ...]:
        """SenderCompIDs of its FIX sessions: its name in capitals, unless the profile says otherwise."""
        return self.sender_comp_ids or (self.name.upper(),)


class _Defaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    balances: dict[str, str] = {}


class AccountsProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An accounts profile."""

    accounts: tuple[AccountProfile, ...]
    defaults: _Defaults = _Defaults()


def load_accounts(settings: Settings) -> tuple[AccountProfile, ...]:
    """Return the accounts, starting balances filled in; raises SettingsError."""
    path = profile("accounts", settings.accounts)
    try:
        found = read(read_toml(path), AccountsProfile)
    except WrongValue as error:
        raise SettingsError(f"{path}: {error}") from None
    names = [account.name for account in found.accounts]
    if not names or len(set(names)) < len(names):
        raise SettingsError(f"{path}: account names must be unique, and there must be one at least")
    comp_ids = [comp_id for account in found.accounts for comp_id in account.comp_ids]
    if len(set(comp_ids)) < len(comp_ids):
        raise SettingsError(f"{path}: SenderCompIDs must be unique")
    return tuple(
        account
        if account.balances is not None
        else msgspec.structs.replace(account, balances=found.defaults.balances)
        for account in found.accounts
    )
