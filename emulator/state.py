"""The folder for what outlasts a run; where none can be had, one of this run's own."""

import os
import tempfile
from pathlib import Path

from emulator import settings as settings_
from emulator.gateways.authority import Authority
from emulator.settings import Settings, SettingsError


class State:
    """Where the local authority, and with ``--state`` FIX sessions, live.

    A user whose data folder cannot be written (no home, or one that is read-only) gets a folder of this run's
    own, which ``close`` removes: its authority lives as long as the run.  Who names a folder, or wants FIX
    sessions kept, is told what is wrong with it instead.  SettingsError.
    """

    def __init__(self, settings: Settings) -> None:
        self.warning = ""
        """One line, where the authority ends with this run."""
        if settings.state_folder and os.path.isfile(settings.state_folder):
            raise SettingsError(f"{settings.said('state_folder')}: it is no folder")
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        reason = None if settings.state_folder or settings.state else _why_not(settings)
        if reason is None:
            self.folder = settings_.state_folder(settings)
            return
        self._temporary = tempfile.TemporaryDirectory(
            prefix="kraken-emulator-state-", ignore_cleanup_errors=True
        )
        self.folder = Path(self._temporary.name)
        self.warning = f"{reason}, so this run has a certificate authority of its own (see --state-folder)"

    def close(self) -> None:
        """Remove a folder that was this run's own."""
        if self._temporary is not None:
            self._temporary.cleanup()


def _why_not(settings: Settings) -> str | None:
    """Say why the user's data folder will not do; None when it will."""
    try:
        folder = settings_.state_folder(settings)
    except SettingsError as error:
        return str(error)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return None if _has_authority(folder) else f"{folder} cannot be written ({error.strerror})"


def _has_authority(folder: Path) -> bool:
    """Tell whether there is an authority that can be read, so that nothing has to be written."""
    authority = Authority(folder)
    files = (authority.ca_path, authority.ca_key_path, authority.venue_path)
    return all(os.access(path, os.R_OK) for path in files) and authority.made() is not None
