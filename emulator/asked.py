"""The tiers and the link that settings ask for."""

from collections.abc import Sequence

from emulator import settings as settings_
from emulator.link import ladder, tiers
from emulator.settings import Settings, SettingsError
from emulator.words import unknown


def load_tiers(settings: Settings) -> tuple[tiers.Tier, ...]:
    """Return the tiers that were asked for; raises SettingsError or ProfileError."""
    known = tiers.load_tiers(*settings_.tier_folders(settings))
    for name in settings.tier:
        if name not in known:
            raise SettingsError(f"{settings.said('tier')}: {unknown('tier', name, known)}")
    return tuple(known[name] for name in settings.tier)


def choose_link(settings: Settings, tiers_: Sequence[tiers.Tier]) -> ladder.Choice:
    """Return the link that was asked for, or the best one; raises SettingsError."""
    with settings.blamed("link", ladder.LinkError):
        return ladder.choose(settings.link, nearby=not any(tier.rtt_us for tier in tiers_))
