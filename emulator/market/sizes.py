"""Quantities that look like people's and programs' orders, in lot units."""

from random import Random

from emulator.engine.instruments import Instrument

_ROUND_SHARE = 0.55
_SHORT_SHARE = 0.85
_UNITS: tuple[tuple[int, int], ...] = (
    (1, 1),
    *((10 ** max(n - 2, 0), 10 ** max(n - 4, 0)) for n in range(1, 40)),
)
"""By how many digits a quantity has: the unit that leaves two of them, and the one that leaves four."""


def least_qty(pair: Instrument, price: int) -> int:
    """Return the least quantity the venue takes at ``price`` (price units)."""
    return max(pair.order_min, -(-pair.cost_min // price))


def natural(qty: float, rng: Random) -> int:
    """Round ``qty`` down as traders do: mostly to two digits, else to four, seldom not at all."""
    units = int(qty)
    draw = rng.random()
    if draw >= _SHORT_SHARE:
        return units
    two, four = _UNITS[len(str(units))]
    unit = two if draw < _ROUND_SHARE else four
    return units // unit * unit
