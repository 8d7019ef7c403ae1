"""A local certificate authority in a folder, and what it issues: the venue's certificate, and flawed ones."""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import msgspec

from emulator.gateways.hosts import HOSTNAMES, TEST_DOMAIN
from emulator.settings import SettingsError
from emulator.words import no_folder

if TYPE_CHECKING:
    import trustme

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
WILDCARDS = ("0.0.0.0", "::")  # noqa: S104 - names of "every address", not one to bind
MOST_NAMES = 100
"""Most names in the certificate; those of earlier runs are kept up to this many."""
AUTHORITY_LIFE = timedelta(days=3652)
"""Life of the authority: ten years."""
LIFE = timedelta(days=800)
"""Life of the venue's certificate; some clients refuse more than 825 days."""
RENEW_BEFORE = timedelta(days=30)
"""Authority and certificate are made anew when they would end within this time."""
CLOCKS_DIFFER = timedelta(days=1)
"""How long before it is made a certificate begins to be valid."""
_log = logging.getLogger(__name__)


class Certificate(StrEnum):
    """What the certificate is like that a client gets."""

    VALID = "valid"
    WRONG_NAME = "wrong-name"
    EXPIRED = "expired"
    UNTRUSTED = "untrusted"

    @property
    def host(self) -> str:
        """The hostname that gets this one whatever the others get."""
        return f"{self.value}.{TEST_DOMAIN}"


TEST_HOSTS = tuple(certificate.host for certificate in Certificate)
VENUE_NAMES = (*HOSTNAMES, *LOCAL_NAMES, Certificate.VALID.host)
"""Names that the venue's certificate is always valid for."""


class _Flaw(msgspec.Struct, frozen=True):
    """How a certificate differs from the venue's."""

    names: tuple[str, ...] = ()
    life: timedelta = LIFE
    by_stranger: bool = False


_FLAWS = {
    Certificate.WRONG_NAME: _Flaw(names=(f"another-name.{TEST_DOMAIN}",)),
    Certificate.EXPIRED: _Flaw(life=timedelta(days=-1)),
    Certificate.UNTRUSTED: _Flaw(by_stranger=True),
}


class Root(msgspec.Struct, frozen=True):
    """The authority's own certificate."""

    fingerprint: str
    """SHA-256 of its DER form, as tools print it: pairs of capital hexadecimal digits with colons."""
    ends: datetime


class Made(msgspec.Struct, frozen=True):
    """What the venue's certificate was made for, and by whom."""

    names: tuple[str, ...]
    ends: datetime
    issuer: str = ""
    """Fingerprint of the authority."""


class AuthorityError(SettingsError):
    """Files of the authority that are damaged, or cannot be read or written: one line."""


_Given = ParamSpec("_Given")
_Got = TypeVar("_Got")


def _in_one_line(
    method: Callable[Concatenate[Authority, _Given], _Got],
) -> Callable[Concatenate[Authority, _Given], _Got]:
    """Let a method raise AuthorityError for all that can be wrong with files."""

    @wraps(method)
    def told(self: Authority, /, *given: _Given.args, **named: _Given.kwargs) -> _Got:
        try:
            return method(self, *given, **named)
        except AuthorityError:
            raise
        except (ssl.SSLError, ValueError):
            reason = "its files are damaged, remove them"
        except OSError as error:
            reason = no_folder(error)
        where = self.ca_path.parent
        raise AuthorityError(
            f"cannot keep the certificate authority in {where} (see --state-folder): {reason}"
        )

    return told


class Authority:
    """The certificate authority in a folder: ``ca.pem`` for clients to trust, the rest for us.

    Its methods raise AuthorityError.
    """

    def __init__(self, folder: Path) -> None:
        self.ca_path = folder / "ca.pem"
        self.old_ca_path = folder / "ca-old.pem"
        """The certificate, without its key, of the authority that was before the last rotation."""
        self.ca_key_path = folder / "ca-key.pem"
        self.venue_path = folder / "venue.pem"
        self._made_path = folder / "venue.json"
        self._folder = folder
        self._warned_of: set[Path] = set()

    @_in_one_line
    def prepare(self, hosts: Iterable[str] = ()) -> None:
        """Make what is missing, ends soon, or lacks a name, for clients that come by ``hosts`` too."""
        names = (*VENUE_NAMES, *(host for host in hosts if host not in WILDCARDS))
        if not self._usable(names):
            with self._alone():
                if not self._usable(names):  # another emulator may have been faster
                    self._make(names)
        for path in (self.ca_key_path, self.venue_path):
            mode = path.stat().st_mode if path.exists() else 0
            if mode & 0o077 and path not in self._warned_of:
                self._warned_of.add(path)
                _log.warning("%s is a key that others can get at: chmod 600 %s", path, path)

    @_in_one_line
    def rotate(self) -> None:
        """Make a new authority and certificate; of the old ones only the authority's certificate is kept."""
        with self._alone():
            self._make_root()
            self._make(VENUE_NAMES)

    @_in_one_line
    def root(self) -> Root:
        """Return what the authority is."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.ca_path.read_text(encoding="ascii"))
        (der, *_), (fields, *_) = context.get_ca_certs(binary_form=True), context.get_ca_certs()
        ends = ssl.cert_time_to_seconds(str(fields["notAfter"]))
        digest = hashlib.sha256(der).hexdigest().upper()
        fingerprint = ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
        return Root(fingerprint, datetime.fromtimestamp(ends, UTC))

    def made(self) -> Made | None:
        """Return what the venue's certificate that is there was made for; None when nothing says so."""
        try:
            return msgspec.json.decode(self._made_path.read_bytes(), type=Made)
        except (OSError, msgspec.DecodeError):
            return None

    def renew_at(self) -> datetime:
        """Return when the venue's certificate is due to be made anew; its authority never is before it."""
        made = self.made()
        return (datetime.now(UTC) + LIFE if made is None else made.ends) - RENEW_BEFORE

    @_in_one_line
    def load(self, context: ssl.SSLContext, certificate: Certificate) -> None:
        """Let a server's context present a certificate; a flawed one is made for it, and kept nowhere."""
        flaw = _FLAWS.get(certificate)
        if flaw is None:
            context.load_cert_chain(self.venue_path)
            return
        made = self.made()
        own = made.names if made is not None else VENUE_NAMES
        issuer = _stranger() if flaw.by_stranger else self._issuer()
        ends = datetime.now(UTC) + flaw.life
        names = flaw.names or (*own, certificate.host)
        issuer.issue_cert(*names, not_before=ends - LIFE, not_after=ends).configure_cert(context)

    # -- making -----------------------------------------------------------------------------------

    def _usable(self, names: Iterable[str]) -> bool:
        """Say whether what is there will do."""
        made = self.made()
        if made is None or not self.venue_path.exists() or not self.ca_path.exists():
            return False
        root, soon = self.root(), datetime.now(UTC) + RENEW_BEFORE
        ours = made.issuer == root.fingerprint
        return ours and min(root.ends, made.ends) > soon and set(names) <= set(made.names)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the folder, which is made when it is missing, against other emulators that start now."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            with suppress(OSError):  # file systems without locks
                fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _make(self, names: Iterable[str]) -> None:
        """Make the venue's certificate, and the authority where there is none that lasts."""
        why = self._why_new_root()
        if why is not None:
            if self.ca_path.exists():
                _log.warning("%s %s: it is made anew, and clients must be given it again", self.ca_path, why)
            self._make_root()
        made, wanted, root = self.made(), dict.fromkeys(names), self.root()
        kept = made.names[: max(0, MOST_NAMES - len(wanted))] if made is not None else ()
        every, now = tuple(dict.fromkeys((*wanted, *kept))), datetime.now(UTC)
        ends = min(now + LIFE, root.ends)
        certificate = self._issuer().issue_cert(*every, not_before=now - CLOCKS_DIFFER, not_after=ends)
        _write(self.venue_path, certificate.private_key_and_cert_chain_pem.bytes(), 0o600)
        _write(self._made_path, msgspec.json.encode(Made(every, ends, root.fingerprint)), 0o644)

    def _why_new_root(self) -> str | None:
        """Say why the authority that is there will not do; None when it will."""
        if not self.ca_path.exists() or not self.ca_key_path.exists():
            return "has no key beside it"
        ends = self.root().ends
        return f"ends {ends:%Y-%m-%d}" if ends <= datetime.now(UTC) + RENEW_BEFORE else None

    def _make_root(self) -> None:
        certificate, key = _new_root(AUTHORITY_LIFE)
        if self.ca_path.exists():
            _write(self.old_ca_path, self.ca_path.read_bytes(), 0o644)
        _write(self.ca_key_path, key, 0o600)
        _write(self.ca_path, certificate, 0o644)

    def _issuer(self) -> trustme.CA:
        import trustme  # a tenth of a second, needed once per machine
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        certificate, key = self.ca_path.read_bytes(), self.ca_key_path.read_bytes()
        own = load_pem_private_key(key, password=None).public_key()
        if x509.load_pem_x509_certificate(certificate).public_key() != own:
            raise ValueError("the key is another certificate's")
        return trustme.CA.from_pem(certificate, key)


def _stranger() -> trustme.CA:
    """Return an authority that nobody has heard of."""
    import trustme

    return trustme.CA(organization_name="nobody", organization_unit_name="an authority that nobody trusts")


def _new_root(life: timedelta) -> tuple[bytes, bytes]:
    """Return a new authority's certificate and key as PEM; trustme's own would end in the year 3000."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    called = {
        NameOID.ORGANIZATION_NAME: "kraken-emulator",
        NameOID.ORGANIZATIONAL_UNIT_NAME: "local venue",
        NameOID.COMMON_NAME: f"kraken-emulator local authority, {now:%Y-%m-%d}",
    }
    name = x509.Name([x509.NameAttribute(oid, text) for oid, text in called.items()])
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCKS_DIFFER)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
                **usage,
            ),
            critical=True,
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file whole or not at all: a running emulator may read it meanwhile.

    What root writes belongs to whom the folder belongs to, who may run the next emulator there.
    """
    partial = path.with_suffix(f".{os.getpid()}")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        folder = path.parent.stat()
        if os.geteuid() == 0:
            with suppress(OSError):  # root without that capability, or without that user in its namespace
                os.fchown(file.fileno(), folder.st_uid, folder.st_gid)
    partial.replace(path)
