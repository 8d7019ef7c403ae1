"""Identifiers in Kraken's form, derived from a seed and a counter.

``OQCLML-BW3P3-BUCMWZ``: a letter for the kind, then 5-5-6 characters of base32 (A-Z2-7).  The
mapping from counter to text is a bijection on 64 bits, so identifiers never repeat, and the same
seed gives the same ones.
"""

from hashlib import blake2b

_MASK = (1 << 64) - 1
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = tuple(a + b for a in _ALPHABET for b in _ALPHABET)
"""Two characters of base32 for each value of ten bits."""


def _mix(value: int) -> int:
    """Return SplitMix64's finaliser of ``value``: a bijection on 64-bit integers."""
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB & _MASK
    return value ^ (value >> 31)


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
        mixed = _mix((number * 0x9E3779B97F4A7C15 + self._offset) & _MASK)
        rest = mixed << 16 | (mixed ^ self._salt) & 0xFFFF
        p, a = _PAIRS, _ALPHABET  # no loop: an id is made on every order's road
        return (
            f"{self._letter}{p[rest >> 70]}{p[rest >> 60 & 1023]}{a[rest >> 55 & 31]}-"
            f"{p[rest >> 45 & 1023]}{p[rest >> 35 & 1023]}{a[rest >> 30 & 31]}-"
            f"{p[rest >> 20 & 1023]}{p[rest >> 10 & 1023]}{p[rest & 1023]}"
        )
