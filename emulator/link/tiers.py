"""Tiers: named ways of reaching Kraken, read from TOML files, one a tier."""

from __future__ import annotations

import pathlib
import tomllib
from typing import Annotated, Literal

from msgspec import Meta, Struct

from emulator.link.jitter import NS_PER_US, median_of_sum_ns
from emulator.reading import WrongValue, read

_LONGEST_US = 10_000_000
_SPIN_BELOW_US = 1_000

Microseconds = Annotated[float, Meta(ge=0, le=_LONGEST_US)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
Text = Annotated[str, Meta(min_length=1)]
Api = Literal["rest", "websocket", "fix"]


class ProfileError(ValueError):
    """A profile file that cannot be used. One line: the file, the field, what is wrong."""


class Jitter(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One-way extra delay on top of the base, as three quantiles in microseconds.

    `estimated` tells whether `source` measured or published them, or somebody made a careful guess.
    """

    p50_us: Microseconds
    p99_us: Microseconds
    p999_us: Microseconds
    estimated: bool
    source: Text


class Path(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One physical route of a tier; `extra_one_way_us` comes on top in each direction."""

    name: Text
    extra_one_way_us: Microseconds = 0.0


class Line(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What packets meet with besides delay, in one direction; all off by default. Shares are 0 to 1.

    Packets keep their order, except those that `reorder` picks, at most each `reorder_gap`-th one: they are
    sent at once, as with sch_netem. `burst_start` and `burst_end` are the Gilbert-Elliott model's chances per
    packet to enter and to leave the bad state, in which `burst_loss` of all packets are lost: bursts of
    1 / `burst_end` packets on average. `loss` is lost besides, each packet on its own. `corrupt` flips one
    bit behind the Ethernet header. `rate_bits_per_s` (0: no limit) spaces packets by the time their bytes
    take on the line. A packet that finds `limit_packets` held is dropped.
    """

    loss: Share = 0.0
    burst_start: Share = 0.0
    burst_end: Share = 1.0
    burst_loss: Share = 1.0
    duplicate: Share = 0.0
    reorder: Share = 0.0
    reorder_gap: Count = 1
    corrupt: Share = 0.0
    rate_bits_per_s: Annotated[int, Meta(ge=0)] = 0
    limit_packets: Count = 100_000


class Service(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a gateway's answers take beyond the tier's RTT, in microseconds, per API."""

    rest_us: Microseconds = 0.0
    websocket_us: Microseconds = 0.0
    fix_us: Microseconds = 0.0
    estimated: bool
    source: Text


MARKS: dict[str, int] = {"rest": 3, "websocket": 7, "fix": 11}
"""The DSCP of answers that take time of their own, by API: of those that RFC 2474 leaves to local use. By it
a link that sees packets only knows which service time is in them."""


class Requirements(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What Kraken asks of clients that come by a tier; nothing by default."""

    vip: bool = False
    """Only accounts with VIP status trade here."""
    allow_listed: bool = False
    """Only connections from addresses that were given to Kraken come through."""
    providers: tuple[Text, ...] = ()
    """A subscription with one of these network providers is the only way in."""


class Tier(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named way of reaching Kraken.

    `rtt_us` is the median application-level round trip in microseconds: from a request to its answer, the
    venue's own work included, jitter included; `to_venue_share` of its fixed part is the way to the venue.
    `source` says where the figure is published. `line` is for both directions, but `to_venue` and `to_client`
    stand in its place for one of them.
    """

    name: Text
    title: Text
    rtt_us: Microseconds
    source: Text
    access: Text
    apis: Annotated[tuple[Api, ...], Meta(min_length=1)]
    paths: Annotated[tuple[Path, ...], Meta(min_length=1)]
    jitter: Jitter
    to_venue_share: Share = 0.5
    line: Line = Line()
    to_venue: Line | None = None
    to_client: Line | None = None
    service: Service = Service(estimated=False, source="nothing beyond the RTT")
    requires: Requirements = Requirements()

    @property
    def spin(self) -> bool:
        """Whether holds are so short that the loop polls for their end instead of sleeping."""
        return 0 < self.rtt_us < _SPIN_BELOW_US

    def path(self, name: str | None = None) -> Path:
        """Give the path of that name, or the first one; ProfileError when there is none."""
        for path in self.paths:
            if name in (None, path.name):
                return path
        has = ", ".join(path.name for path in self.paths)
        raise ProfileError(f"tier {self.name!r} has no path {name!r}; it has {has}")


def load_tiers(*folders: pathlib.Path) -> dict[str, Tier]:
    """Read every `*.toml` of the folders; a later folder's tier replaces an earlier one of the same name.

    Raises ProfileError, one line that names the file and the field.
    """
    tiers: dict[str, Tier] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ProfileError(f"{folder}: no such folder")
        for file in sorted(folder.glob("*.toml")):
            tiers[file.stem] = _read(file)
    return tiers


def _read(file: pathlib.Path) -> Tier:
    try:
        tier = read(tomllib.loads(file.read_text(encoding="utf-8")), Tier)
    except OSError as error:
        raise ProfileError(f"{file}: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, WrongValue) as error:
        raise ProfileError(f"{file}: {error}") from error
    if wrong := _contradiction(tier, file.stem):
        raise ProfileError(f"{file}: {wrong}")
    return tier


def _contradiction(tier: Tier, stem: str) -> str | None:
    """Say what no single field can tell: how two of them do not fit together."""
    jitter, rtt_us = tier.jitter, tier.rtt_us
    path_names = [path.name for path in tier.paths]
    checks = (
        (tier.name != stem, f"name is {tier.name!r}, but the file is called {stem!r}"),
        (len(set(path_names)) < len(path_names), "paths: two of them have the same name"),
        (jitter.p50_us > jitter.p99_us, "jitter.p50_us is larger than jitter.p99_us"),
        (jitter.p99_us > jitter.p999_us, "jitter.p99_us is larger than jitter.p999_us"),
        (not rtt_us and jitter.p999_us > 0, "jitter.p999_us must be 0 where rtt_us is 0"),
        (2 * jitter.p50_us > rtt_us, "jitter.p50_us is larger than half of rtt_us"),
    )
    for wrong, text in checks:
        if wrong:
            return text
    if median_of_sum_ns(jitter, jitter) > rtt_us * NS_PER_US:
        return "jitter.p99_us is so large that jitter alone takes longer than rtt_us"
    return None
