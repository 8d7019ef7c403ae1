"""API keys: signatures, nonces and permissions (Kraken's spot REST authentication guide)."""

import base64
import hashlib
import hmac
from collections.abc import Iterable

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


class ApiKey:
    """One spot API key of one account."""

    __slots__ = ("_highest", "_used", "account", "key", "nonce_window", "permissions", "secret")

    def __init__(
        self,
        account: str,
        key: str,
        secret: str,
        *,
        permissions: Iterable[str] = PERMISSIONS,
        nonce_window: int = 0,
    ) -> None:
        self.account = account
        self.key = key
        self.secret = base64.b64decode(secret)
        self.permissions = frozenset(permissions)
        self.nonce_window = nonce_window
        self._highest = -1
        self._used: set[int] = set()

    def signed(self, path: str, nonce: str, body: bytes, signature: str) -> bool:
        """Tell whether ``signature`` (API-Sign) is this key's over exactly these bytes."""
        expected = sign(self.secret, path, nonce, body).encode()
        return hmac.compare_digest(expected, signature.encode(errors="replace"))

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


def sign(secret: bytes, path: str, nonce: str, body: bytes) -> str:
    """Return API-Sign: base64 of HMAC-SHA512 over path + SHA256(nonce + body)."""
    digest = hashlib.sha256(nonce.encode() + body).digest()
    return base64.b64encode(hmac.digest(secret, path.encode() + digest, "sha512")).decode()


def demo_credentials(seed: int, account: str) -> tuple[str, str]:
    """Return the demo key and secret of ``account``; they follow from the seed, worthless elsewhere."""
    key = hashlib.blake2b(f"key:{seed}:{account}".encode(), digest_size=42).digest()
    secret = hashlib.blake2b(f"secret:{seed}:{account}".encode(), digest_size=64).digest()
    return base64.b64encode(key).decode(), base64.b64encode(secret).decode()


class KeyRing:
    """All API keys of the venue, by their public part."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = {key.key: key for key in keys}

    def find(self, public: str) -> ApiKey | None:
        """Return the key with this public part."""
        return self._keys.get(public)
