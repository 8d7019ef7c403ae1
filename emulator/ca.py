"""``kraken-emulator ca``: the local authority, shown to people and in the forms that clients take."""

from __future__ import annotations

import shlex
from datetime import datetime
from pathlib import Path

import msgspec

from emulator import bundle as bundles
from emulator.endpoints import write_atomically
from emulator.gateways.authority import Authority, AuthorityError
from emulator.settings import SettingsError

_DAY = "%Y-%m-%d"
_BUNDLE, _CA = "{bundle}", "{ca}"
CLIENTS = (
    ("Python ssl, aiohttp, httpx, websockets", f"export SSL_CERT_FILE={_BUNDLE}"),
    ("Python requests", f"export REQUESTS_CA_BUNDLE={_BUNDLE}"),
    ("Python certifi (until its next update)", f'cat {_CA} >> "$(python -m certifi)"'),
    ("Node", f"export NODE_EXTRA_CA_CERTS={_CA}"),
    ("curl", f"export CURL_CA_BUNDLE={_BUNDLE}"),
    ("Go, .NET (Linux), Ruby, OpenSSL's own", f"export SSL_CERT_FILE={_BUNDLE}"),
    ("Rust: native-tls, rustls-native-certs", f"export SSL_CERT_FILE={_BUNDLE}"),
    (
        "Java, once",
        f"rm -f kraken-emulator.p12 && keytool -importcert -noprompt -alias kraken-emulator -file {_CA} "
        "-keystore kraken-emulator.p12 -storetype PKCS12 -storepass changeit",
    ),
    (
        "Java, then",
        "export JAVA_TOOL_OPTIONS=\"-Djavax.net.ssl.trustStore='$PWD/kraken-emulator.p12' "
        '-Djavax.net.ssl.trustStorePassword=changeit"',
    ),
    ("git", f"export GIT_SSL_CAINFO={_BUNDLE}"),
    ("ccxt, async and pro", f'ccxt.pro.kraken({{{{"cafile": "{_CA}"}}}})'),
    ("QuickFIX", f"CertificationAuthoritiesFile={_CA}"),
)
"""Clients, and how each takes the authority: the file with all authorities, or ours besides the others."""


class Shown(msgspec.Struct, frozen=True):
    """What ``--json`` prints."""

    ca: str
    fingerprint_sha256: str
    ends: datetime
    certificate_ends: datetime
    names: tuple[str, ...]
    """Hosts that the venue's certificate is valid for."""
    bundle: str | None
    """The bundle that was written."""
    bundle_of: str | None
    """The bundle that was joined with our authority."""
    rotated: bool
    clients: dict[str, str]


def show(folder: Path, bundle: str | None = None, *, rotate: bool = False) -> Shown:
    """Make the authority unless it is there, write the bundle when one is wanted; SettingsError.

    With ``rotate`` the authority is made anew.
    """
    authority = Authority(folder.absolute())
    if rotate:
        authority.rotate()
    authority.prepare()
    joined = None if bundle is None else _write_bundle(Path(bundle), authority.ca_path)
    root, made = authority.root(), authority.made()
    assert made is not None  # noqa: S101 - prepared above
    ca = str(authority.ca_path)
    whole = ca if bundle is None else str(Path(bundle).absolute())
    quoted = {"ca": shlex.quote(ca), "bundle": shlex.quote(whole)}
    return Shown(
        ca=ca,
        fingerprint_sha256=root.fingerprint,
        ends=root.ends,
        certificate_ends=made.ends,
        names=made.names,
        bundle=None if bundle is None else whole,
        bundle_of=None if joined is None else str(joined),
        rotated=rotate,
        clients={client: how.format(**quoted) for client, how in CLIENTS},
    )


def _write_bundle(bundle: Path, ca: Path) -> Path:
    """Write the system's authorities and ours; return where the system's are."""
    system = bundles.system_bundle()
    if system is None:
        known = ", ".join(bundles.SYSTEM_BUNDLES)
        raise AuthorityError(f"no bundle to join with: neither certifi nor one of {known} is there")
    if bundle.exists() and any(bundle.samefile(source) for source in (system, ca)):
        raise AuthorityError(f"--bundle: {bundle} is what would be joined: name another file")
    try:
        write_atomically(bundle, bundles.with_authority(system, ca))
    except SettingsError as error:
        raise AuthorityError(f"--bundle: {error}") from None
    return system


def as_text(shown: Shown) -> list[str]:
    """Return what a person reads."""
    lines = [
        f"CA           {shown.ca}",
        f"SHA-256      {shown.fingerprint_sha256}",
        f"valid until  {shown.ends:{_DAY}}; the venue's certificate until {shown.certificate_ends:{_DAY}}",
    ]
    if shown.rotated:
        lines.append(
            "rotated      clients must be given it again; the old certificate, without its key: ca-old.pem"
        )
    if shown.bundle is not None:
        lines.append(f"bundle       {shown.bundle}: {shown.bundle_of} and the CA")
    else:
        lines.append(
            "bundle       none: all but Node and certifi then trust the emulator only, nothing else;"
        )
        lines.append("             --bundle FILE writes the system's authorities and ours to FILE")
    width = max(len(client) for client in shown.clients)
    return [*lines, "", *(f"{client:<{width}}  {how}" for client, how in shown.clients.items())]
