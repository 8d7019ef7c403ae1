"""``kraken-emulator paths``: where files are, or are looked for."""

from emulator import settings as settings_
from emulator.settings import PROFILES, Settings, SettingsError


def paths(settings: Settings, config: str | None) -> dict[str, str]:
    """Return paths by the names of ``arguments.PATHS``; empty where there is none."""
    try:
        state = settings_.state_folder(settings)
    except SettingsError:
        state = None
    return {
        "dictionary": str(PROFILES / "fix" / "KRAKEN-FIX44.xml"),
        "profiles": str(PROFILES),
        "tiers": settings.tiers_folder or str(PROFILES / "tiers"),
        "schedules": str(PROFILES / "schedules"),
        "state": "" if state is None else str(state.absolute()),
        "ca": "" if state is None else str(state.absolute() / "ca.pem"),
        "config": config or "",
        "endpoints": settings.endpoints_file,
    }
