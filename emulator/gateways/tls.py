"""TLS: a local certificate authority, made once, and the venue's certificate from it."""

import asyncio
import os
import ssl
from asyncio import sslproto
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from emulator.gateways.hosts import HOSTNAMES

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - names of "every address", not one to bind
MOST_NAMES = 100
"""Most names in the certificate; those of earlier runs are kept up to this many."""
LIFE = timedelta(days=800)
"""Life of the venue's certificate; some clients refuse more than 825 days."""
RENEW_BEFORE = timedelta(days=30)
"""The certificate is made anew when it would end within this time."""


class _Made(msgspec.Struct):
    """What the venue's certificate was made for."""

    names: tuple[str, ...]
    ends: datetime


class Authority:
    """The certificate authority in a folder: ``ca.pem`` for clients to trust, the rest for us."""

    def __init__(self, folder: Path) -> None:
        self.ca_path = folder / "ca.pem"
        self._ca_key_path = folder / "ca-key.pem"
        self._venue_path = folder / "venue.pem"
        self._made_path = folder / "venue.json"
        self._folder = folder

    def context(self, hosts: Iterable[str] = ()) -> ssl.SSLContext:
        """Return the server's TLS context, for clients that come by ``hosts`` too.

        Authority and certificate are made when they are missing, stale, or lack a name.
        """
        names = dict.fromkeys((*HOSTNAMES, *LOCAL_NAMES, *(host for host in hosts if host not in WILDCARDS)))
        made = self._last_made()
        if made is None or not names.keys() <= set(made.names):
            kept = made.names[: MOST_NAMES - len(names)] if made is not None else ()
            self._make(tuple(dict.fromkeys((*names, *kept))))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._venue_path)
        return context

    def _last_made(self) -> _Made | None:
        """Return what the certificate that is there was made for; None when it cannot be used any more."""
        try:
            made = msgspec.json.decode(self._made_path.read_bytes(), type=_Made)
        except (OSError, msgspec.DecodeError):
            return None
        usable = self._venue_path.exists() and self.ca_path.exists()
        return made if usable and made.ends > datetime.now(UTC) + RENEW_BEFORE else None

    def _make(self, names: tuple[str, ...]) -> None:
        import trustme  # a tenth of a second, needed once per machine

        self._folder.mkdir(parents=True, exist_ok=True)
        if self.ca_path.exists() and self._ca_key_path.exists():
            authority = trustme.CA.from_pem(self.ca_path.read_bytes(), self._ca_key_path.read_bytes())
        else:
            authority = trustme.CA(organization_name="kraken-emulator", organization_unit_name="local venue")
            _write(self._ca_key_path, authority.private_key_pem.bytes(), 0o600)
            _write(self.ca_path, authority.cert_pem.bytes(), 0o644)
        ends = datetime.now(UTC) + LIFE
        certificate = authority.issue_cert(*names, not_after=ends)
        parts = (certificate.private_key_pem, *certificate.cert_chain_pems)
        _write(self._venue_path, b"".join(part.bytes() for part in parts), 0o600)
        _write(self._made_path, msgspec.json.encode(_Made(names, ends)), 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, also when two emulators start at once."""
    partial = path.with_suffix(f".{os.getpid()}")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
    partial.replace(path)


def over_tls(
    factory: Callable[[], asyncio.BaseProtocol], context: ssl.SSLContext, handshake_s: int | None = None
) -> Callable[[], asyncio.BaseProtocol]:
    """Return a factory whose protocols speak TLS below those of ``factory``.

    It stands above the link, so that TLS handshakes take the tier's round trips.  ``handshake_s`` bounds how
    long these may take; asyncio's own bound is a minute.
    """

    def protocol() -> asyncio.BaseProtocol:
        return sslproto.SSLProtocol(
            asyncio.get_running_loop(),
            factory(),
            context,
            None,  # type: ignore[arg-type]  # nobody waits for the handshake
            server_side=True,
            call_connection_made=True,
            ssl_handshake_timeout=handshake_s,
        )

    return protocol
