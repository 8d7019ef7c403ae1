"""TLS of the venue's ports: the certificate that each connection gets, by name or by choice, and versions."""

import asyncio
import logging
import ssl
import time
from asyncio import sslproto
from collections.abc import Callable, Iterable
from functools import partial
from typing import cast

from emulator.gateways.authority import Authority, AuthorityError, Certificate
from emulator.gateways.doors import CLOSE_S, Doors, Visit

ContextSource = Callable[[], ssl.SSLContext]
"""Gives the TLS context of a connection that begins now; raises nothing."""
HANDSHAKE_S = 10
"""How long a handshake may take."""
TRY_AGAIN_S = 3600.0
"""How long a running venue waits when its certificate ends soon and cannot be renewed."""
_BY_NAME = {certificate.host: certificate for certificate in Certificate}
_log = logging.getLogger(__name__)


class Tls:
    """What the venue's TLS ports present.

    Every name that a client asks for (SNI), or none, gets the present ``certificate``; only the hosts of
    Certificate get theirs whatever it is.  Files that are renewed or rotated while the venue runs are taken
    from the next connection on.
    """

    def __init__(self, authority: Authority, certificate: Certificate = Certificate.VALID) -> None:
        self.certificate = certificate
        self._authority = authority
        self._contexts: dict[tuple[Certificate, ssl.TLSVersion], ssl.SSLContext] = {}
        self._hosts: set[str] = set()
        self._stamp: tuple[int, int] | None = None
        self._renew_at_s = 0.0

    def contexts(
        self, hosts: Iterable[str] = (), least: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    ) -> ContextSource:
        """Return the contexts of ports that clients reach by ``hosts``, from TLS version ``least`` on.

        Authority and certificate are made when they are missing; raises AuthorityError.
        """
        self._hosts |= set(hosts)
        self._authority.prepare(self._hosts)
        self._take_changed()
        self._context(self.certificate, least)
        return partial(self._now, least)

    def present(self, certificate: Certificate) -> None:
        """Present another certificate from the next connection on; raises AuthorityError."""
        for least in {least for _, least in self._contexts}:
            self._context(certificate, least)
        self.certificate = certificate

    def _now(self, least: ssl.TLSVersion) -> ssl.SSLContext:
        self._refresh()
        return self._context(self.certificate, least)

    def _context(self, certificate: Certificate, least: ssl.TLSVersion) -> ssl.SSLContext:
        found = self._contexts.get((certificate, least))
        if found is None:
            found = self._contexts[certificate, least] = self._made(certificate, least)
        return found

    def _made(self, certificate: Certificate, least: ssl.TLSVersion) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = least
        self._authority.load(context, certificate)
        context.sni_callback = partial(self._by_name, least)
        return context

    def _by_name(
        self,
        least: ssl.TLSVersion,
        connection: ssl.SSLObject | ssl.SSLSocket,
        name: str | None,
        _: ssl.SSLContext,
    ) -> int | None:
        """Give a client that asks for a host of Certificate that one, and all others the present one."""
        certificate = _BY_NAME.get((name or "").lower())
        if certificate is None:
            return None
        try:
            connection.context = self._context(certificate, least)
        except AuthorityError as error:
            _log.warning("no certificate for %s: %s", name, error)
            return int(ssl.ALERT_DESCRIPTION_INTERNAL_ERROR)
        return None

    def _refresh(self) -> None:
        """Take files that have changed, and renew those that end soon; when that fails, what was stays."""
        try:
            if time.time() >= self._renew_at_s:
                self._renew_at_s = time.time() + TRY_AGAIN_S
                self._authority.prepare(self._hosts)
                self._renew_at_s = max(self._renew_at_s, self._authority.renew_at().timestamp())
            self._take_changed()
        except AuthorityError as error:
            _log.warning("the certificate cannot be renewed, the last one stays: %s", error)

    def _take_changed(self) -> None:
        """Make the contexts anew when the certificate's file is another one, not when it is gone."""
        try:
            status = self._authority.venue_path.stat()
        except OSError:
            return
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._stamp:
            self._stamp = stamp  # once: a damaged file is not tried again with each connection
            self._contexts = {key: self._made(*key) for key in self._contexts}
            self._renew_at_s = self._authority.renew_at().timestamp()


class _Protocol(sslproto.SSLProtocol):
    """asyncio's, except that a client whose handshake is refused hears the alert that says why.

    While it shakes hands the connection counts as one that waits; after that its protocol has it counted.
    """

    max_size = 64 << 10
    """Bytes of the buffer that each connection reads into, a handshake's too; asyncio's own is 256 KiB."""
    _app_state: sslproto.AppProtocolState
    _outgoing: ssl.MemoryBIO

    visit: Visit | None = None
    doors: Doors | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self.doors is not None:
            self.visit = self.doors.enter(cast(asyncio.Transport, transport))
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._leave()
        super().connection_lost(cast("Exception | None", exc))

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        if handshake_exc is None:
            self._leave()
        super()._on_handshake_complete(handshake_exc)

    def _leave(self) -> None:
        if self.visit is not None:
            self.visit.leave()
            self.visit = None

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        refused = self._app_state is sslproto.AppProtocolState.STATE_INIT and isinstance(exc, ssl.SSLError)
        if refused and self._outgoing.pending and isinstance(self._transport, asyncio.Transport):
            self._transport.write(self._outgoing.read())
            self._transport.close()
        else:
            super()._fatal_error(exc, message)


def over_tls(
    factory: Callable[[], asyncio.BaseProtocol], contexts: ContextSource, doors: Doors | None = None
) -> Callable[[], asyncio.BaseProtocol]:
    """Return a factory whose protocols speak TLS below those of ``factory``.

    It stands above the link, so that TLS handshakes take the tier's round trips.  ``doors`` counts who
    has not shaken hands yet.
    """

    def protocol() -> asyncio.BaseProtocol:
        made = _Protocol(
            asyncio.get_running_loop(),
            factory(),
            contexts(),
            None,  # type: ignore[arg-type]  # nobody waits for the handshake
            server_side=True,
            call_connection_made=True,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=CLOSE_S,
        )
        made.doors = doors
        return made

    return protocol
