"""Who may come in where: each tier's access rules, as far as the settings have them enforced."""

import ipaddress
from collections.abc import Sequence

from emulator.gateways.access import Entrance, Network
from emulator.link import tiers
from emulator.settings import Settings, SettingsError, tier_folders
from emulator.words import unknown


def entrances(settings: Settings, tiers_: Sequence[tiers.Tier]) -> dict[str, Entrance]:
    """Return what connections may do by each tier; raises SettingsError."""
    if settings.provider:
        # Of any profile, not only of those that are open: who has a subscription has it everywhere.
        every = (*tiers_, *tiers.load_tiers(*tier_folders(settings)).values())
        if settings.provider not in (known := {name for tier in every for name in tier.requires.providers}):
            with settings.blamed("provider"):
                raise SettingsError(unknown("provider", settings.provider, sorted(known)))
    with settings.blamed("allow_source", ValueError):
        listed = tuple(ipaddress.ip_network(text) for text in settings.allow_source)
    return {tier.name: _entrance(settings, tier, listed) for tier in tiers_}


def _entrance(settings: Settings, tier: tiers.Tier, listed: tuple[Network, ...]) -> Entrance:
    requires, enforced = tier.requires, settings.enforce_access
    return Entrance(
        apis=tier.apis if enforced else None,
        vip=requires.vip and enforced,
        sources=listed if requires.allow_listed and enforced else None,
        connected=not (requires.providers and enforced) or settings.provider in requires.providers,
        rest_us=tier.service.rest_us,
        fix_us=tier.service.fix_us,
        websocket_us=tier.service.websocket_us,
        marks=tiers.MARKS,
    )
