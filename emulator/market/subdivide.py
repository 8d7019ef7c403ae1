"""How a candle is cut into the shorter ones inside it: everything adds up, nothing is left over."""

from random import Random

import msgspec

from emulator.market.balance import Shape, balance, widest_span
from emulator.market.candles import LENGTHS_S, MOVING, Candle

_RANGE_PER_SIGMA = 1.6
"""Expected high - low of a Brownian path, in standard deviations of its end."""
_WICK_PER_SIGMA = 0.65
"""Most that a high or low goes beyond open and close, in standard deviations."""


def subdivide(parent: Candle, level: int, end_s: int, tick: int, rng: Random) -> tuple[Candle, ...]:
    """Cut ``parent``, a candle of ``level`` that ends at ``end_s``, into candles of the next level.

    Prices continue from child to child, one child reaches the high and one the low, and volume,
    cost and trades add up exactly.
    """
    starts = range(parent.start_s, end_s, LENGTHS_S[level + 1])
    if len(starts) == 1:
        return (parent,)
    counts = _split_trades(parent.trades, starts, end_s, rng)
    moving = [index for index, count in enumerate(counts) if count >= MOVING]
    if parent.high == parent.low:
        shapes = [_flat(parent.open)] * len(starts)
        volumes = _split_volume(parent.volume, counts, rng)
        costs = [volume * parent.open for volume in volumes]
    elif moving:
        shapes = _paths(parent, moving, len(starts), tick, rng)
        volumes = _split_volume(parent.volume, counts, rng)
        balanced = balance(parent.cost, volumes, counts, shapes, widest_span(level + 1))
        if balanced is None:
            return _concentrate(parent, starts, counts)
        volumes, costs = balanced
    else:
        return _concentrate(parent, starts, counts)
    return tuple(
        Candle(start_s, *shape, volume, cost, count)
        for start_s, shape, volume, cost, count in zip(starts, shapes, volumes, costs, counts, strict=True)
    )


def _flat(price: int) -> Shape:
    return (price, price, price, price)


def _concentrate(parent: Candle, starts: range, counts: list[int]) -> tuple[Candle, ...]:
    """Let everything happen in one child: for few trades, or a vwap that the drawn shape cannot give."""
    busiest = counts.index(max(counts))
    return tuple(
        msgspec.structs.replace(parent, start_s=start_s)
        if index == busiest
        else Candle(start_s, *_flat(parent.open if index < busiest else parent.close), 0, 0, 0)
        for index, start_s in enumerate(starts)
    )


def _split_trades(trades: int, starts: range, end_s: int, rng: Random) -> list[int]:
    """Share out a number of trades by the children's lengths, as independent trades would fall."""
    counts: list[int] = []
    if not trades:
        return [0] * len(starts)
    for start_s in starts[:-1]:
        share = min(starts.step / (end_s - start_s), 1.0)
        spread = (trades * share * (1.0 - share)) ** 0.5
        count = min(max(round(rng.gauss(trades * share, 1.2 * spread)), 0), trades)
        counts.append(count)
        trades -= count
    counts.append(trades)
    return counts


def _split_volume(volume: int, counts: list[int], rng: Random) -> list[int]:
    """Share out a volume by the number of trades, at least one lot unit a trade."""
    weights = [count * (0.6 + 0.8 * rng.random()) for count in counts]
    total = sum(weights)
    if not total:
        return [0] * len(counts)
    free = volume - sum(counts)
    volumes = [count + int(free * (weight / total)) for count, weight in zip(counts, weights, strict=True)]
    volumes[counts.index(max(counts))] += volume - sum(volumes)
    return volumes


def _paths(parent: Candle, moving: list[int], children: int, tick: int, rng: Random) -> list[Shape]:
    """Draw open, high, low, close of every child; only those in ``moving`` leave the close before."""
    low, high = parent.low, parent.high
    sigma = (high - low) / _RANGE_PER_SIGMA / len(moving) ** 0.5
    wick = _WICK_PER_SIGMA * sigma / tick
    closes = iter(_closes(parent, len(moving), sigma, rng))
    last = parent.open
    shapes = []
    for index in range(children):
        if index not in moving:
            shapes.append(_flat(last))
            continue
        close = _between(round(next(closes) / tick) * tick, low, high)
        top = max(last, close) + round(wick * rng.random()) * tick
        bottom = min(last, close) - round(wick * rng.random()) * tick
        shapes.append((last, min(top, high), max(bottom, low), close))
        last = close
    index = max(moving, key=lambda index: shapes[index][1])
    shapes[index] = (shapes[index][0], high, shapes[index][2], shapes[index][3])
    index = min(moving, key=lambda index: shapes[index][2])
    shapes[index] = (shapes[index][0], shapes[index][1], low, shapes[index][3])
    return shapes


def _closes(parent: Candle, steps: int, sigma: float, rng: Random) -> list[float]:
    """Draw a bridge from the open to the close in ``steps``, drawn out towards the high and the low."""
    last = float(parent.open)
    path = []
    for todo in range(steps, 1, -1):
        last = rng.gauss(last + (parent.close - last) / todo, sigma * ((todo - 1) / todo) ** 0.5)
        path.append(last)
    middle = (parent.open + parent.close) / 2
    vwap = parent.cost / parent.volume
    if (sum(path) - middle * len(path)) * (vwap - middle) < 0.0:
        path = [2 * middle - price for price in reversed(path)]
    path.append(float(parent.close))
    if steps > 1:
        room = _WICK_PER_SIGMA / 2 * sigma
        peak = max(range(steps - 1), key=path.__getitem__)
        _bend(path, peak, parent.high - room - max(path[peak], parent.open, parent.close))
        trough = min(range(steps - 1), key=path.__getitem__)
        _bend(path, trough, parent.low + room - min(path[trough], parent.open, parent.close))
    return path


def _bend(path: list[float], at: int, by: float) -> None:
    """Move a path by ``by`` at one place, and by less the nearer a step is to its fixed ends."""
    steps = len(path)
    for index in range(steps - 1):
        share = (index + 1) / (at + 1) if index <= at else (steps - 1 - index) / (steps - 1 - at)
        path[index] += by * share


def _between(price: int, low: int, high: int) -> int:
    return min(max(price, low), high)
