"""WebSocket tokens: issued over REST, used on private channels and for trading."""

import base64
import hashlib

from emulator.gateways.keys import ApiKey

LIFE_S = 900
"""A token must be used within this time; an open private subscription keeps it alive."""
MOST = 1_000
"""Most tokens of one key; its oldest one that is not in use is forgotten first."""


class Token:
    """One token and the key that it was issued to."""

    __slots__ = ("bound", "issued_ns", "key", "text")

    def __init__(self, text: str, key: ApiKey, issued_ns: int) -> None:
        self.text = text
        self.key = key
        self.issued_ns = issued_ns
        self.bound = 0
        """How many private subscriptions use it now."""


class Tokens:
    """The tokens of the venue."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._count = 0
        self._tokens: dict[str, Token] = {}
        self._of_key: dict[str, dict[str, Token]] = {}

    def issue(self, key: ApiKey, now_ns: int) -> str:
        """Return a new token for ``key``."""
        self._count += 1
        digest = hashlib.blake2b(f"token:{self._seed}:{self._count}:{key.key}".encode(), digest_size=32)
        text = base64.b64encode(digest.digest()).decode().rstrip("=")
        token = self._tokens[text] = Token(text, key, now_ns)
        own = self._of_key.setdefault(key.key, {})
        own[text] = token
        if len(own) > MOST:
            self._forget(next((old for old in own.values() if not old.bound), token))
        return text

    def find(self, text: str, now_ns: int) -> Token | None:
        """Return the token when it is valid: young enough, or in use by an open subscription."""
        token = self._tokens.get(text)
        if token is None or (not token.bound and now_ns - token.issued_ns >= LIFE_S * 10**9):
            return None
        return token

    def fault(self, text: str, now_ns: int) -> str:
        """Tell what is wrong with a token that is not valid."""
        token = self._tokens.get(text)
        if token is None:
            return f"no token of this venue has these {len(text)} characters: GetWebSocketsToken gives them"
        age_s = (now_ns - token.issued_ns) / 1e9
        return f"the token of {token.key.account} is {age_s:.0f} s old, and was to be used within {LIFE_S} s"

    def rewind(self, now_ns: int) -> None:
        """Let no token have been issued after ``now_ns``: the clock was put back."""
        for token in self._tokens.values():
            token.issued_ns = min(token.issued_ns, now_ns)

    def _forget(self, token: Token) -> None:
        del self._tokens[token.text]
        del self._of_key[token.key.key][token.text]
