"""TLS by the control API: the certificate that clients get, changed while they are connected."""

from __future__ import annotations

from typing import Any

import msgspec

from emulator.gateways.authority import Authority, AuthorityError, Certificate
from emulator.gateways.tls import Tls
from emulator.reading import read


class TlsError(Exception):
    """What cannot be done: one line."""


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    certificate: Certificate


class TlsControl:
    """Looks at what TLS ports present, and changes it from the next connection on."""

    def __init__(self, tls: Tls, authority: Authority) -> None:
        self._tls = tls
        self._authority = authority
        self._standing = tls.certificate

    def show(self) -> Any:
        """Return the present certificate, and the authority as PEM, for clients who cannot read its file."""
        authority = self._authority.ca_path.read_text(encoding="ascii")
        return {"certificate": self._tls.certificate.value, "ca": authority}

    def set(self, body: dict[str, Any]) -> Any:
        """Present another certificate; raises TlsError."""
        wanted = read(body, _Change).certificate
        try:
            self._tls.present(wanted)
        except AuthorityError as error:
            raise TlsError(str(error)) from None
        return self.show()

    def reset(self) -> None:
        """Present what was presented when this was made; raises TlsError."""
        self.set({"certificate": self._standing.value})
