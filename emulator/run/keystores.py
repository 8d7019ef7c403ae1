"""Java's trust stores: where they are, and copies of them that trust the emulator's authority too."""

from __future__ import annotations

import glob
import hashlib
import hmac
import os
import shlex
import shutil
import struct
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, pkcs12

from emulator.run.trust import readable

PASSWORD = "changeit"  # noqa: S105 - Java's own default, documented with keytool
ALIAS = "kraken-emulator-run"
"""The authority's name in a copy: not the one that `kraken-emulator ca` proposes, which may be another."""

_INSTALLATIONS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "~/.sdkman/candidates/java/*",
    "~/.jdks/*",
    "~/.gradle/jdks/*",
    "~/.asdf/installs/java/*",
    "~/.local/share/mise/installs/java/*",
)
_IN_INSTALLATION = (
    "lib/security/jssecacerts",
    "lib/security/cacerts",
    "jre/lib/security/jssecacerts",  # Java 8
    "jre/lib/security/cacerts",
)
_SYSTEM = ("/etc/ssl/certs/java/cacerts", "/etc/pki/java/cacerts")
_OPTIONS = (
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
    "JAVA_OPTS",
    "MAVEN_OPTS",
    "GRADLE_OPTS",
)
_STORE, _PASSWORD = "-Djavax.net.ssl.trustStore=", "-Djavax.net.ssl.trustStorePassword="

_JKS_HEAD = struct.Struct(">III")
"""Magic number, version, how many entries."""
_JKS_MAGIC, _JKS_VERSION, _JKS_TRUSTED = 0xFEEDFEED, 2, 2
_JKS_SALT = b"Mighty Aphrodite"
_DIGEST_SIZE = hashlib.sha1().digest_size  # noqa: S324 - the format's


class KeystoreError(Exception):
    """A keystore that cannot be copied with one more authority: why, in a few words."""


def stores(command: Sequence[str], environment: Mapping[str, str]) -> list[Path]:
    """Give the trust stores that Java may read for the command, as paths without links.

    They are those that its options name, and those of the installations that it may use.
    """
    found = [Path(path) for path in _named(_STORE, command, environment)]
    for home in _homes(command, environment):
        found += [home / path for path in _IN_INSTALLATION]
    found += [Path(path) for path in _SYSTEM]
    return readable(found)


def passwords(command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Give the passwords that a trust store may have: those that the command's options name, and Java's."""
    return list(dict.fromkeys((*_named(_PASSWORD, command, environment), PASSWORD)))


def with_authority(keystore: bytes, ca: x509.Certificate, passwords: Iterable[str]) -> bytes:
    """Give a copy of a trust store, JKS or PKCS12, that has one more authority; KeystoreError.

    A JKS keeps everything, its password too. A PKCS12 keeps its certificates with their names, and becomes
    one that any password opens, or none, as Java's own are since 18.
    """
    if keystore[:4] == _JKS_MAGIC.to_bytes(4, "big"):
        return _jks(keystore, ca, passwords)
    return _pkcs12(keystore, ca, passwords)


def _homes(command: Sequence[str], environment: Mapping[str, str]) -> Iterable[Path]:
    """Give the installations of Java that the command may use; ones that do not exist hold nothing."""
    if home := environment.get("JAVA_HOME"):
        yield Path(home)
    for name in (command[0], "java"):
        if program := shutil.which(name, path=environment.get("PATH")):
            yield Path(program).absolute().parent.parent
            yield Path(program).resolve().parent.parent
    for pattern in _INSTALLATIONS:
        yield from map(Path, sorted(glob.glob(os.path.expanduser(pattern))))


def _named(option: str, command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Give the values of an option of Java, on the command line and in the variables that add to it."""
    words = list(command)
    for name in _OPTIONS:
        text = environment.get(name, "")
        try:
            words += shlex.split(text)
        except ValueError:  # a quote that is not closed: for Java to complain of
            words += text.split()
    return [word.removeprefix(option) for word in words if word.startswith(option)]


def _jks(keystore: bytes, ca: x509.Certificate, passwords: Iterable[str]) -> bytes:
    """Append a trusted entry to a JKS: what it holds is not read, only counted and signed anew."""
    content, digest = keystore[:-_DIGEST_SIZE], keystore[-_DIGEST_SIZE:]
    if len(content) < _JKS_HEAD.size:
        raise KeystoreError("it is cut short")
    magic, version, count = _JKS_HEAD.unpack_from(content)
    if version != _JKS_VERSION:
        raise KeystoreError(f"it is a JKS of version {version}")
    password = next((one for one in passwords if hmac.compare_digest(_signed(content, one), digest)), None)
    if password is None:
        raise KeystoreError("it has another password, or is damaged")
    certificate = ca.public_bytes(Encoding.DER)
    made_ms = int(ca.not_valid_before_utc.timestamp() * 1000)
    entry = struct.pack(">I", _JKS_TRUSTED) + _jks_text(ALIAS) + struct.pack(">Q", made_ms)
    entry += _jks_text("X.509") + struct.pack(">I", len(certificate)) + certificate
    amended = _JKS_HEAD.pack(magic, version, count + 1) + content[_JKS_HEAD.size :] + entry
    return amended + _signed(amended, password)


def _signed(content: bytes, password: str) -> bytes:
    """Give the digest that ends a JKS."""
    whole = password.encode("utf-16-be", "surrogatepass") + _JKS_SALT + content
    return hashlib.sha1(whole).digest()  # noqa: S324 - the format's


def _jks_text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode("ascii")


def _pkcs12(keystore: bytes, ca: x509.Certificate, passwords: Iterable[str]) -> bytes:
    """Write the certificates of a PKCS12 and one more into another one."""
    old = _opened(keystore, passwords)
    if old.key is not None:
        raise KeystoreError("it has a private key")
    trusted = [old.cert] if old.cert else []
    trusted += [*old.additional_certs, pkcs12.PKCS12Certificate(ca, ALIAS.encode())]
    return _unsigned(pkcs12.serialize_java_truststore(trusted, NoEncryption()))


def _opened(keystore: bytes, passwords: Iterable[str]) -> pkcs12.PKCS12KeyAndCertificates:
    for password in passwords:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what authorities of old have in their certificates
            try:
                return pkcs12.load_pkcs12(keystore, password.encode("utf-8", "surrogatepass"))
            except Exception:  # noqa: S112 - many kinds, InvalidVersion and others, of files that are not ours
                continue
    raise KeystoreError("it has another password, or is no keystore that can be read here")


def _unsigned(keystore: bytes) -> bytes:
    """Leave out what a PKCS12 is signed with: the last of its three parts, which only one password fits.

    The parts are PFX of RFC 7292: SEQUENCE { version, authSafe, macData OPTIONAL }.
    """
    begin, _ = _inside(keystore, 0)
    _, version_end = _inside(keystore, begin)
    _, content_end = _inside(keystore, version_end)
    size = content_end - begin
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    length = octets if size < 128 else bytes([0x80 | len(octets)]) + octets
    return keystore[:1] + length + keystore[begin:content_end]


def _inside(der: bytes, at: int) -> tuple[int, int]:
    """Tell where the contents of the DER element at `at` begin and end."""
    size, begin = der[at + 1], at + 2
    if size >= 128:
        octets, begin = size & 0x7F, begin + (size & 0x7F)
        size = int.from_bytes(der[begin - octets : begin], "big")
    return begin, begin + size
