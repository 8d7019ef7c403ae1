"""Identifiers in Kraken's form, derived from a seed and a counter.

``OQCLML-BW3P3-BUCMWZ``: a letter for the kind, then 5-5-6 characters of base32 (A-Z2-7).  The
mapping from counter to text is a bijection on 64 bits (SplitMix64), so identifiers never repeat, and the
same seed gives the same ones.
"""

from hashlib import blake2b

_MASK = (1 << 64) - 1
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
"""Two characters of base32 for each value of ten bits."""


class IdSequence:
    """Identifiers of one kind: ``O`` orders, ``T`` trades and amends, ``L`` ledger entries."""

    __slots__ = ("_letter", "_offset", "_salt", "count")

    def __init__(self, letter: str, seed: int, name: str) -> None:
        digest = blake2b(f"{name}:{seed}".encode(), digest_size=10).digest()
        self._letter = letter
        self._offset = int.from_bytes(digest[:8], "big")
        self._salt = int.from_bytes(digest[8:], "big")
        self.count = 0

    def next(self) -> str:
        """Return the next identifier."""
        self.count += 1
        return self.text(self.count)

    def text(self, number: int) -> str:
        """Return the identifier that belongs to counter value ``number``."""
        # All in one place, without loops, in parts no longer than Python's digits (30 bits): a fill
        # has three ids, and each takes longer than the book does.
        mixed = (number * 0x9E3779B97F4A7C15 + self._offset) & _MASK
        mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
        mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _MASK
        mixed ^= mixed >> 31
        x, y = mixed >> 39, mixed >> 14 & 0x1FFFFFF
        z = (mixed & 0x3FFF) << 16 | (mixed ^ self._salt) & 0xFFFF
        p, a = _PAIRS, _ALPHABET
        return (
            f"{self._letter}{p[x >> 15]}{p[x >> 5 & 1023]}{a[x & 31]}-"
            f"{p[y >> 15]}{p[y >> 5 & 1023]}{a[y & 31]}-{p[z >> 20]}{p[z >> 10 & 1023]}{p[z & 1023]}"
        )
