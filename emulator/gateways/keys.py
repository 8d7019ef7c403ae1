"""API keys: signatures, nonces, one-time passwords, permissions (Kraken's spot REST authentication guide)."""

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

PERMISSIONS = frozenset(
    {
        "query-funds",
        "add-funds",
        "withdraw-funds",
        "earn-funds",
        "query-open-trades",
        "query-closed-trades",
        "modify-trades",
        "close-trades",
        "query-ledger",
        "export-data",
        "create-ws-token",
    }
)
"""Every permission a key can carry, in the words of ``GetApiKeyInfo``."""
TOTP = "totp:"
"""Prefix of a one-time password's secret; without it the password is a fixed one."""
_STEP_S = 30
_DRIFT = (0, -1, 1)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ApiKey:
    """One spot API key of one account."""

    __slots__ = (
        "_highest",
        "_used",
        "account",
        "allowed_from",
        "created_ns",
        "disabled",
        "key",
        "last_used_ns",
        "name",
        "nonce_window",
        "otp",
        "permissions",
        "query_from_ns",
        "query_to_ns",
        "secret",
        "valid_until_ns",
    )

    def __init__(
        self,
        account: str,
        key: str,
        secret: str,
        *,
        name: str = "default",
        permissions: Iterable[str] = PERMISSIONS,
        nonce_window: int = 0,
        otp: str | None = None,
        allowed_from: Iterable[Network] = (),
        disabled: bool = False,
        valid_until_ns: int = 0,
        query_from_ns: int = 0,
        query_to_ns: int = 0,
        created_ns: int = 0,
    ) -> None:
        self.account = account
        self.key = key
        self.name = name
        self.secret = base64.b64decode(secret)
        self.permissions = frozenset(permissions)
        self.nonce_window = nonce_window
        self.otp = otp
        self.allowed_from = tuple(allowed_from)
        """Networks that calls may come from; none: from anywhere."""
        self.disabled = disabled
        self.valid_until_ns = valid_until_ns
        """When the key ends; 0 for never."""
        self.query_from_ns = query_from_ns
        """History before this is not shown; 0 for all."""
        self.query_to_ns = query_to_ns
        self.created_ns = created_ns
        self.last_used_ns = 0
        self._highest = -1
        self._used: set[int] = set()

    @property
    def nonce(self) -> int:
        """The highest nonce so far; 0 before the first."""
        return max(self._highest, 0)

    def signed(self, path: str, nonce: str, body: bytes, signature: str) -> bool:
        """Tell whether ``signature`` (API-Sign) is this key's over exactly these bytes."""
        expected = sign(self.secret, path, nonce, body).encode()
        return hmac.compare_digest(expected, signature.encode(errors="replace"))

    def reset(self) -> None:
        """Be as if it had never been used: any nonce is taken next."""
        self._highest = -1
        self._used.clear()
        self.last_used_ns = 0

    def take_nonce(self, nonce: int) -> bool:
        """Consume ``nonce``; False when it is not above all earlier ones (window aside) or was used."""
        if not 0 <= nonce < 1 << 64:
            return False
        if nonce > self._highest:
            self._highest = nonce
        elif nonce < self._highest - self.nonce_window or nonce in self._used or not self.nonce_window:
            return False
        if self.nonce_window:
            self._used.add(nonce)
            if len(self._used) > 2 * self.nonce_window + 1000:
                self._used = {n for n in self._used if n >= self._highest - self.nonce_window}
        return True

    def lives(self, now_ns: int) -> bool:
        """Tell whether the key may be used at all."""
        return not self.disabled and (not self.valid_until_ns or now_ns < self.valid_until_ns)

    def comes_from(self, address: str) -> bool:
        """Tell whether calls from this address are allowed."""
        if not self.allowed_from:
            return True
        try:
            source = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        source = getattr(source, "ipv4_mapped", None) or source
        return any(source in network for network in self.allowed_from)

    def unlocked_by(self, otp: str | None, now_ns: int) -> bool:
        """Tell whether ``otp`` is the one-time password that the key asks for now."""
        if self.otp is None:
            return True
        if otp is None:
            return False
        if not self.otp.startswith(TOTP):
            return hmac.compare_digest(otp.encode(), self.otp.encode())
        step = now_ns // (_STEP_S * 10**9)
        secret = self.otp.removeprefix(TOTP)
        return any(hmac.compare_digest(otp.encode(), totp(secret, step + by).encode()) for by in _DRIFT)


def totp(secret: str, step: int) -> str:
    """Return the six digits of a base32 secret at a 30 s step (RFC 6238 over RFC 4226, SHA-1)."""
    padded = secret.upper() + "=" * (-len(secret) % 8)
    digest = hmac.digest(base64.b32decode(padded), step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    code = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{code % 10**6:06d}"


def sign(secret: bytes, path: str, nonce: str, body: bytes) -> str:
    """Return API-Sign: base64 of HMAC-SHA512 over path + SHA256(nonce + body)."""
    digest = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.digest(secret, path.encode() + digest, "sha512")).decode()


def demo_credentials(seed: int, account: str) -> tuple[str, str]:
    """Return the demo key and secret of ``account``; they follow from the seed, worthless elsewhere."""
    key = hashlib.blake2b(f"key:{seed}:{account}".encode(), digest_size=42).digest()
    secret = hashlib.blake2b(f"secret:{seed}:{account}".encode(), digest_size=64).digest()
    return base64.b64encode(key).decode(), base64.b64encode(secret).decode()


def fix_credentials(seed: int, account: str) -> tuple[str, str]:
    """Return the demo key and secret of ``account`` for FIX, which serve nothing else."""
    return demo_credentials(seed, f"fix:{account}")


class KeyRing:
    """All API keys of the venue, by their public part."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = {key.key: key for key in keys}
        self.fix: Sequence[ApiKey] = ()
        """Keys that serve FIX and nothing else: they are known here so that a mistake can be told."""

    def __iter__(self) -> Iterator[ApiKey]:
        """Go through all keys."""
        return iter(self._keys.values())

    def find(self, public: str) -> ApiKey | None:
        """Return the key with this public part."""
        return self._keys.get(public)

    def reset(self) -> None:
        """Let every key be as if it had never been used."""
        for key in self._keys.values():
            key.reset()
