"""The ports that settings lead to, and which of them are the same one twice."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from emulator.gateways.authority import WILDCARDS
from emulator.gateways.fix.services import SERVICES
from emulator.link.tiers import Tier
from emulator.settings import Settings, SettingsError

TIER_STEP, PATH_STEP = 100, 20
"""Distances between the ports of tiers, and of a tier's paths, that share an address."""
PROXY_PATH_STEP = 1
"""The distance between the proxies of a tier's paths: 20 further there is the control API."""


class _Port(NamedTuple):
    """A port, the setting that it counts from, and how far it is from that, in words and as a number."""

    number: int
    setting: str
    further: int = 0
    why: str = ""

    def told(self, settings: Settings) -> str:
        """Return ``--tls-port``, or where it is not the setting's own, how it comes from that."""
        by = settings.by(self.setting)
        return f"{by} {getattr(settings, self.setting)} (+{self.further}, {self.why})" if self.further else by


def step(tier: int, path: int, path_step: int = PATH_STEP) -> int:
    """Return how far a port is from its setting, by the places of its tier and of the tier's path."""
    return tier * TIER_STEP + path * path_step


def check(settings: Settings, tiers: Sequence[Tier], *, apart: bool) -> None:
    """Raise SettingsError where two settings name the same port of the same address.

    Paths that are ``apart`` have addresses of their own, which the control API does not share.
    """
    if settings.ports == "auto":
        return
    paths = [(t, p, tier) for t, tier in enumerate(tiers) for p in range(len(tier.paths))]
    if apart:
        _differ(settings, list(_of_path(settings, 0, 0, "")))
        return
    ports = [port for t, p, tier in paths for port in _of_path(settings, t, p, f"tier {tier.name}")]
    hosts = {settings.host, settings.control_host}
    if len(hosts) == 1 or hosts & set(WILDCARDS):
        ports.append(_Port(settings.control_port, "control_port"))
    _differ(settings, ports)


def _differ(settings: Settings, ports: Sequence[_Port]) -> None:
    found: dict[int, _Port] = {}
    for port in ports:
        if port.number and (other := found.setdefault(port.number, port)) is not port:
            both = "both lead to" if port.further or other.further else "are both"
            raise SettingsError(f"{other.told(settings)} and {port.told(settings)} {both} {port.number}")


def _of_path(settings: Settings, tier: int, path: int, name: str) -> Iterator[_Port]:
    further = step(tier, path)
    counted = [("http_port", further, name), ("tls_port", further, name)]
    if settings.fix == "on":
        services = ((service.offset, f"FIX {service.name}") for service in SERVICES)
        named = f" of {name}" if further else ""
        counted += [("fix_port", further + offset, what + named) for offset, what in services]
    if settings.proxy:
        counted.append(("proxy_port", step(tier, path, PROXY_PATH_STEP), name))
    for setting, distance, why in counted:
        if first := getattr(settings, setting):  # 0 is any free one
            yield _Port(first + distance, setting, distance, why)
