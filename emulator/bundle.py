"""Bundles of certificates that clients take: the system's authorities and ours in one file."""

import os
from pathlib import Path

from emulator.endpoints import write_atomically
from emulator.settings import SettingsError
from emulator.words import no_folder

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch, Gentoo
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # Alpine, OpenSSL's default
)


def system_bundle() -> Path | None:
    """Give the system's certificate bundle, or certifi's of this Python where the system has none."""
    readable = [path for path in SYSTEM_BUNDLES if os.path.isfile(path) and os.access(path, os.R_OK)]
    if readable:
        return Path(readable[0])
    try:
        import certifi
    except ImportError:
        return None
    return Path(certifi.where())


def with_authority(bundle: Path, ca: Path) -> bytes:
    """Give a bundle's certificates and the emulator's own authority."""
    return bundle.read_bytes().rstrip(b"\n") + b"\n" + ca.read_bytes()


def share(folder: Path, ca: Path) -> Path:
    """Write ``ca.pem`` and ``bundle.pem`` for clients that share a folder with us; return the former's path.

    Where the system has no bundle ours is the only authority in it.  SettingsError where the folder cannot be
    written.
    """
    system = system_bundle()
    authority = ca.read_bytes()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot be made: {no_folder(error)}") from None
    contents = {
        "bundle.pem": authority if system is None else with_authority(system, ca),
        "ca.pem": authority,
    }
    for name, content in contents.items():
        write_atomically(folder / name, content)
        (folder / name).chmod(0o644)
    return folder / "ca.pem"
