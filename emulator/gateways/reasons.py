"""Why a call's key, signature or nonce was refused, in words for whoever hunts for it; never a secret.

Looked for only when somebody reads it (``--log-level debug``): the venue's own words tell nothing.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterator
from hashlib import sha256

from emulator.gateways.keys import ApiKey, KeyRing
from emulator.words import listed

SIGNATURE_BYTES = 64
"""Bytes of an HMAC with SHA-512."""
_HOSTS = ("https://api.kraken.com", "http://127.0.0.1:7480")


def of_key(keys: KeyRing, public: str) -> str:
    """Tell what is wrong with an API-Key that nobody has."""
    if not public:
        return "there is no API-Key header"
    if public != public.strip() or public.strip("\"'") != public:
        return "API-Key has blanks or quotes around it"
    for key in keys:
        if base64.b64encode(key.secret).decode() == public:
            return f"API-Key has the private key of {name(key)}: the public one is meant"
    for key in keys.fix:
        if public == key.key:
            return f"API-Key is the FIX key of {key.account}, {_fix_only(keys, key)}"
        if base64.b64encode(key.secret).decode() == public:
            return f"API-Key has the private FIX key of {key.account}, {_fix_only(keys, key)}"
    return f"no key of this venue is like API-Key, which has {len(public)} characters"


def _fix_only(keys: KeyRing, key: ApiKey) -> str:
    """Tell which keys an account has for all but FIX."""
    others = [name(other) for other in keys if other.account == key.account] or [f"none of {key.account}"]
    return f"which serves FIX only: REST and WebSocket have {listed(others)}"


def of_username(keys: KeyRing, username: str, own: ApiKey) -> str:
    """Tell what is wrong with a FIX Logon's 553, which is not the key of its SenderCompID, ``own``."""
    other = keys.find(username)
    if other is not None:
        return f"553 is {name(other)}, which serves REST and WebSocket only: the FIX key is meant"
    whose = next((key.account for key in keys.fix if key.key == username), None)
    if whose is not None:
        return f"553 is the FIX key of {whose}, and 49 is of {own.account}"
    return "553 is not the FIX key of this SenderCompID's account"


def of_signature(key: ApiKey, path: str, nonce: str, body: bytes, signature: str) -> str:
    """Tell what was to be signed, and what was signed instead, where that can be found out."""
    if not signature:
        return "there is no API-Sign header"
    if not nonce:
        expected = "there is no nonce"
    else:
        expected = (
            f"expected of {name(key)} is path {path[:100]!r} "
            f"+ SHA256(nonce {nonce[:24]!r} + {len(body)} bytes of body)"
        )
    try:
        came = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return f"{expected}; API-Sign is no base64"
    if len(came) != SIGNATURE_BYTES:
        hexadecimal = len(signature) == 2 * SIGNATURE_BYTES
        hint = ": hexadecimal, base64 is meant" if hexadecimal else f" instead of {SIGNATURE_BYTES}"
        return f"{expected}; API-Sign has {len(came)} bytes{hint}"
    for slip, made in _slips(key.secret, path, nonce, body):
        if hmac.compare_digest(made, came):
            return f"{expected}; API-Sign is {slip}"
    return f"{expected}; API-Sign is over something else, or by another private key"


def _slips(secret: bytes, path: str, nonce: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """Give signatures that clients make by mistake, with what the mistake is."""
    digest, paths = sha256(nonce.encode() + body).digest(), [path.removeprefix("/0"), path.rstrip("/")]
    paths += [path.rpartition("/")[2], path + "/", *(host + path for host in _HOSTS)]
    for other in paths:
        if other != path:
            yield f"over path {other[:100]!r}", _hmac(secret, other, digest)
    messages: list[tuple[str, bytes]] = [
        ("over SHA256(body), without the nonce in front of it", sha256(body).digest()),
        ("over SHA256(nonce), without the body", sha256(nonce.encode()).digest()),
        ("over SHA256(body + nonce): the nonce comes first", sha256(body + nonce.encode()).digest()),
        ("over nonce + body, without SHA256", nonce.encode() + body),
        (
            "over SHA256 in hexadecimal: its bytes are meant",
            sha256(nonce.encode() + body).hexdigest().encode(),
        ),
    ]
    for slip, message in messages:
        yield slip, _hmac(secret, path, message)
    yield (
        "by the private key as it is written: base64 is to be decoded",
        _hmac(base64.b64encode(secret), path, digest),
    )


def _hmac(secret: bytes, path: str, message: bytes) -> bytes:
    return hmac.digest(secret, path.encode(errors="replace") + message, "sha512")


def of_nonce(key: ApiKey, nonce: str) -> str:
    """Tell what is wrong with a nonce that was well signed."""
    if not nonce.isascii() or not nonce.isdigit() or int(nonce[:21]) >= 1 << 64:
        return f"nonce {nonce[:24]!r}: a whole number of 64 bits without a sign is meant"
    said = f"nonce {nonce} is not above {key.nonce}, the highest so far of {name(key)}"
    return (
        f"{said}: too far below it for its nonce window of {key.nonce_window}, or used before"
        if (key.nonce_window)
        else said
    )


def of_admission(key: ApiKey, address: str, otp: str | None, now_ns: int) -> str:
    """Tell why a key whose signature is good may not be used."""
    faults: list[tuple[bool, Callable[[], str]]] = [
        (key.disabled, lambda: "is disabled"),
        (not key.lives(now_ns), lambda: f"has ended {(now_ns - key.valid_until_ns) / 1e9:.0f} s ago"),
        (
            not key.comes_from(address),
            lambda: f"may be used from {', '.join(map(str, key.allowed_from))}, not from {address}",
        ),
        (otp is None, lambda: "needs a one-time password (otp)"),
    ]
    why = next((say() for is_so, say in faults if is_so), "has another one-time password (otp) now")
    return f"{name(key)} {why}"


def of_permissions(key: ApiKey, needed: tuple[frozenset[str], ...]) -> str:
    """Tell which permissions a key lacks, in the words of the accounts profile and of GetApiKeyInfo."""
    missing = [" or ".join(sorted(group)) for group in needed if not key.permissions & group]
    has = ", ".join(sorted(key.permissions)) or "none"
    return f"permission missing: {' and '.join(missing)}; {name(key)} has {has}"


def name(key: ApiKey) -> str:
    """Name a key by its account: ``key 'default' of alice``."""
    return f"key {key.name!r} of {key.account}"
