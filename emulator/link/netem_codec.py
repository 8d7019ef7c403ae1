"""sch_netem in netlink: one way of a link in plain units, encoded to the kernel's attributes and back.

Written because pyroute2's own netem lacks distribution tables, 64-bit times, burst loss, ECN, slots and
seeds. `register` puts this codec in its place, process-wide. Layouts are those of linux/pkt_sched.h.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any

TABLE_SCALE = 8192
"""What one sigma is in a distribution table; entries are signed 16 bits, so it reaches 4 sigma each way."""
TABLE_ENTRIES = 16_384
"""The most entries that the kernel takes."""

_U32 = 2**32 - 1
_NS_PER_TICK = 64  # the unit of the 32-bit times, which 64-bit attributes replace


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstLoss:
    """Gilbert-Elliott loss: four probabilities a packet. Good turns bad, bad turns good, loss in each."""

    to_bad: float
    to_good: float
    loss_in_bad: float = 1.0
    loss_in_good: float = 0.0

    @classmethod
    def of(cls, loss: float, burst_packets: float) -> BurstLoss:
        """Lose the share `loss` of all packets, in bursts of `burst_packets` on average."""
        to_good = 1 / burst_packets
        return cls(to_bad=to_good * loss / (1 - loss), to_good=to_good)

    def __post_init__(self) -> None:
        _check_probabilities(self, "to_bad", "to_good", "loss_in_bad", "loss_in_good")


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Packets leave in bunches, one every `min_delay_ns` to `max_delay_ns`; 0 packets or bytes: no limit."""

    min_delay_ns: int
    max_delay_ns: int
    max_packets: int = 0
    max_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Netem:
    """What one way of a link does to packets. Times in ns, probabilities and correlations 0 to 1, bits per s.

    `jitter_ns` is one sigma of `distribution`; without one it is half the width of a uniform distribution.
    `rate` 0 is no rate: packets then overtake each other under jitter. `reorder` sends that share of packets
    at once; only every `reorder_gap`-th may be one. `corrupt` flips one bit. `ecn` marks instead of losing.
    `seed` makes the draws repeat on Linux 6.6 and later; older ones ignore it. ValueError for what cannot be.
    """

    delay_ns: int = 0
    jitter_ns: int = 0
    delay_correlation: float = 0.0
    distribution: tuple[int, ...] = field(default=(), repr=False)
    rate: int = 0
    limit_packets: int = 100_000
    loss: float = 0.0
    loss_correlation: float = 0.0
    burst_loss: BurstLoss | None = None
    duplicate: float = 0.0
    duplicate_correlation: float = 0.0
    corrupt: float = 0.0
    corrupt_correlation: float = 0.0
    reorder: float = 0.0
    reorder_correlation: float = 0.0
    reorder_gap: int = 1
    ecn: bool = False
    slot: Slot | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "corrupt", "reorder"):
            _check_probabilities(self, name, f"{name}_correlation")
        _check_probabilities(self, "delay_correlation")
        entries = self.distribution
        checks = (
            (min(self.delay_ns, self.jitter_ns, self.rate) < 0, "no delay, jitter or rate is negative"),
            (self.jitter_ns >= 2**31, "jitter_ns is at most 2.1 s"),
            (self.limit_packets < 1 or self.reorder_gap < 1, "limit_packets and reorder_gap are at least 1"),
            (len(entries) > TABLE_ENTRIES, f"distribution has more than {TABLE_ENTRIES} entries"),
            (any(abs(entry) >= 2**15 for entry in entries), "distribution has an entry beyond 16 bits"),
            (bool(self.loss and self.burst_loss), "loss and burst_loss exclude each other"),
            (bool(self.reorder) and not self.delay_ns, "reorder needs a delay to overtake"),
        )
        for wrong, text in checks:
            if wrong:
                raise ValueError(text)


def encoded(netem: Netem) -> dict[str, Any]:
    """Give netem's options as pyroute2 takes them.

    Nearly every attribute is there, also those that say nothing: when a running netem is changed, the kernel
    keeps what it is not told. It cannot be told to forget a distribution; without jitter there is no effect.
    """
    bytes_per_s = netem.rate // 8
    slot = netem.slot or Slot(min_delay_ns=0, max_delay_ns=0)
    attributes: list[tuple[str, Any]] = [
        ("TCA_NETEM_LATENCY64", netem.delay_ns),
        ("TCA_NETEM_JITTER64", netem.jitter_ns),
        (
            "TCA_NETEM_CORR",
            {
                "delay_corr": _share(netem.delay_correlation),
                "loss_corr": _share(netem.loss_correlation),
                "dup_corr": _share(netem.duplicate_correlation),
            },
        ),
        ("TCA_NETEM_REORDER", _chance(netem.reorder, netem.reorder_correlation)),
        ("TCA_NETEM_CORRUPT", _chance(netem.corrupt, netem.corrupt_correlation)),
        ("TCA_NETEM_RATE", {"rate": min(bytes_per_s, _U32)}),
        ("TCA_NETEM_ECN", int(netem.ecn)),
        (
            "TCA_NETEM_SLOT",
            {
                "min_delay": slot.min_delay_ns,
                "max_delay": slot.max_delay_ns,
                "max_packets": slot.max_packets,
                "max_bytes": slot.max_bytes,
            },
        ),
    ]
    if netem.distribution:
        table = struct.pack(f"{len(netem.distribution)}h", *netem.distribution)
        attributes.append(("TCA_NETEM_DELAY_DIST", table))
    if bytes_per_s > _U32:
        attributes.append(("TCA_NETEM_RATE64", bytes_per_s))
    if burst := netem.burst_loss:
        # The kernel's h is the share that arrives in the bad state, its k1 the share lost in the good one.
        chances = {
            "p": _share(burst.to_bad),
            "r": _share(burst.to_good),
            "h": _share(1 - burst.loss_in_bad),
            "k1": _share(burst.loss_in_good),
        }
        attributes.append(("TCA_NETEM_LOSS", {"attrs": [("NETEM_LOSS_GE", chances)]}))
    if netem.seed is not None:
        attributes.append(("TCA_NETEM_PRNG_SEED", netem.seed))
    return {
        "delay": min(netem.delay_ns // _NS_PER_TICK, _U32),
        "limit": netem.limit_packets,
        "loss": _share(netem.loss),
        "gap": netem.reorder_gap if netem.reorder else 0,
        "duplicate": _share(netem.duplicate),
        "jitter": min(netem.jitter_ns // _NS_PER_TICK, _U32),
        "attrs": attributes,
    }


def decoded(options: Any) -> Netem:
    """Give what the kernel reports of a netem (a message's TCA_OPTIONS). It never reports distributions."""

    def struct_of(name: str) -> Mapping[str, int]:
        found = options.get_attr(name)
        return _Zeros() if found is None else found

    correlation = struct_of("TCA_NETEM_CORR")
    reorder, corrupt = struct_of("TCA_NETEM_REORDER"), struct_of("TCA_NETEM_CORRUPT")
    loss = options.get_attr("TCA_NETEM_LOSS")
    burst = loss.get_attr("NETEM_LOSS_GE") if loss is not None else None
    slot = options.get_attr("TCA_NETEM_SLOT")
    return Netem(
        delay_ns=options.get_attr("TCA_NETEM_LATENCY64"),
        jitter_ns=options.get_attr("TCA_NETEM_JITTER64"),
        delay_correlation=correlation["delay_corr"] / _U32,
        rate=8 * (options.get_attr("TCA_NETEM_RATE64") or struct_of("TCA_NETEM_RATE")["rate"]),
        limit_packets=options["limit"],
        loss=options["loss"] / _U32,
        loss_correlation=correlation["loss_corr"] / _U32,
        burst_loss=None
        if burst is None
        else BurstLoss(
            to_bad=burst["p"] / _U32,
            to_good=burst["r"] / _U32,
            loss_in_bad=1 - burst["h"] / _U32,
            loss_in_good=burst["k1"] / _U32,
        ),
        duplicate=options["duplicate"] / _U32,
        duplicate_correlation=correlation["dup_corr"] / _U32,
        corrupt=corrupt["probability"] / _U32,
        corrupt_correlation=corrupt["correlation"] / _U32,
        reorder=reorder["probability"] / _U32,
        reorder_correlation=reorder["correlation"] / _U32,
        reorder_gap=options["gap"] or 1,
        ecn=bool(options.get_attr("TCA_NETEM_ECN")),
        slot=None
        if slot is None
        else Slot(
            min_delay_ns=slot["min_delay"],
            max_delay_ns=slot["max_delay"],
            max_packets=slot["max_packets"],
            max_bytes=slot["max_bytes"],
        ),
        seed=options.get_attr("TCA_NETEM_PRNG_SEED"),
    )


_HEAD = dict.fromkeys(("delay", "limit", "loss", "gap", "duplicate", "jitter"), "I")
_ATTRIBUTES = (  # the position is the attribute's number
    ("TCA_NETEM_UNSPEC", "none"),
    ("TCA_NETEM_CORR", "corr"),
    ("TCA_NETEM_DELAY_DIST", "cdata"),
    ("TCA_NETEM_REORDER", "chance"),
    ("TCA_NETEM_CORRUPT", "chance"),
    ("TCA_NETEM_LOSS", "loss"),
    ("TCA_NETEM_RATE", "rate"),
    ("TCA_NETEM_ECN", "uint32"),
    ("TCA_NETEM_RATE64", "uint64"),
    ("TCA_NETEM_PAD", "none"),
    ("TCA_NETEM_LATENCY64", "int64"),
    ("TCA_NETEM_JITTER64", "int64"),
    ("TCA_NETEM_SLOT", "slot"),
    ("TCA_NETEM_SLOT_DIST", "cdata"),
    ("TCA_NETEM_PRNG_SEED", "uint64"),
)
_STRUCTS = {
    "corr": {"delay_corr": "I", "loss_corr": "I", "dup_corr": "I"},
    "chance": {"probability": "I", "correlation": "I"},
    "rate": {"rate": "I", "packet_overhead": "i", "cell_size": "I", "cell_overhead": "i"},
    "slot": {
        "min_delay": "q",
        "max_delay": "q",
        "max_packets": "i",
        "max_bytes": "i",
        "dist_delay": "q",
        "dist_jitter": "q",
    },
}
_LOSS_MODELS = (("NETEM_LOSS_UNSPEC", "none"), ("NETEM_LOSS_GI", "gi"), ("NETEM_LOSS_GE", "ge"))
_LOSS_STRUCTS = {
    "gi": {"p13": "I", "p31": "I", "p32": "I", "p14": "I", "p23": "I"},
    "ge": {"p": "I", "r": "I", "h": "I", "k1": "I"},
}


@cache
def register() -> Any:
    """Make pyroute2 use this codec for every netem of this process; give the class of the options.

    `IPRoute.tc(…, "netem", options=encoded(netem))` then speaks it. It imports pyroute2, which takes 300 ms.
    """
    from pyroute2.netlink import nla  # type: ignore[import-untyped]
    from pyroute2.netlink.rtnl import TC_H_ROOT, tcmsg  # type: ignore[import-untyped]

    def structs(table: Mapping[str, Mapping[str, str]]) -> dict[str, type]:
        return {name: type(name, (nla,), {"fields": tuple(table[name].items())}) for name in table}

    # Not a subclass of pyroute2's netem options: its classes keep maps that they compiled once.
    loss = type("loss", (nla,), {"nla_map": _LOSS_MODELS, **structs(_LOSS_STRUCTS)})
    body = {"fields": tuple(_HEAD.items()), "nla_map": _ATTRIBUTES, "loss": loss, **structs(_STRUCTS)}
    options = type("options", (nla,), body)
    tcmsg.plugins["netem"] = SimpleNamespace(parent=TC_H_ROOT, options=options)
    return options


class _Zeros(dict[str, int]):
    """A struct that was not sent."""

    def __missing__(self, key: str) -> int:
        return 0


def _share(probability: float) -> int:
    return round(probability * _U32)


def _chance(probability: float, correlation: float) -> dict[str, int]:
    return {"probability": _share(probability), "correlation": _share(correlation)}


def _check_probabilities(value: object, *names: str) -> None:
    for name in names:
        if not 0 <= getattr(value, name) <= 1:
            raise ValueError(f"{name} is a probability, 0 to 1; it is {getattr(value, name)}")
