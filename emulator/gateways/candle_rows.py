"""Encoded candles, remembered: a candle that is over is written once per form, not once per answer."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from emulator.engine.instruments import Instrument
from emulator.gateways.tape import CANDLES, Candle

Form = Callable[[Instrument, int, Candle], bytes]
"""Writes one candle of a pair at an interval (minutes)."""
SERIES = 64
"""Series (of one pair, interval and form) that are remembered; those asked for last."""
_FULL = 2 * (CANDLES + 1)


class CandleRows:
    """The last candles of the series that clients ask for, as they stand on the wire."""

    def __init__(self) -> None:
        self._series: OrderedDict[tuple[Form, str, int], dict[int, tuple[int, int, bytes]]] = OrderedDict()

    def rows(self, form: Form, pair: Instrument, interval: int, candles: Iterable[Candle]) -> list[bytes]:
        """Return ``candles`` in ``form``; only those that are new or have changed are written."""
        known = self._known((form, pair.id, interval))
        rows = []
        for candle in candles:
            row = known.get(candle.start_s)
            # A trade changes the count, and what a quiet candle repeats is the close.
            if row is None or row[0] != candle.trades or row[1] != candle.close:
                row = known[candle.start_s] = (candle.trades, candle.close, form(pair, interval, candle))
            rows.append(row[2])
        if len(known) > _FULL:
            for start_s in sorted(known)[: -CANDLES - 1]:
                del known[start_s]
        return rows

    def forget(self) -> None:
        """Forget all of them: what they were written from has been forgotten."""
        self._series.clear()

    def _known(self, key: tuple[Form, str, int]) -> dict[int, tuple[int, int, bytes]]:
        known = self._series.get(key)
        if known is None:
            known = self._series[key] = {}
            if len(self._series) > SERIES:
                self._series.popitem(last=False)
        else:
            self._series.move_to_end(key)
        return known
