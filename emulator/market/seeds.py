"""Independent random streams from one seed, without hashing text at run time."""

from zlib import crc32

_MASK = (1 << 64) - 1


def stream(seed: int, name: str) -> int:
    """Return the seed of the stream ``name``: the same on every machine and in every run."""
    return place_in(seed & _MASK, crc32(name.encode()))


def place_in(stream_seed: int, place: int) -> int:
    """Return the seed of one ``place`` of a stream.

    Neighbouring seeds are good enough: ``random.Random`` mixes an integer seed thoroughly itself.
    """
    return (stream_seed * 0xD1342543DE82EF95 + place * 0x9E3779B97F4A7C15) & _MASK
