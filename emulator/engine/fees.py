"""Fee schedules: maker's and taker's rate by the account's volume of the last 30 days."""

from bisect import bisect_right

import msgspec

_ABOVE = 1 << 60


class FeeSchedule(msgspec.Struct, frozen=True):
    """Rates by 30-day volume: ``(volume in whole USD, parts per million)``, ascending."""

    name: str
    taker: tuple[tuple[int, int], ...]
    maker: tuple[tuple[int, int], ...]

    def level(self, volume_usd: int) -> int:
        """Return the index of the taker row that ``volume_usd`` has reached."""
        return bisect_right(self.taker, (volume_usd, _ABOVE)) - 1

    def rates_ppm(self, volume_usd: int) -> tuple[int, int]:
        """Return the maker's and the taker's rate in parts per million."""
        here, maker, taker = (volume_usd, _ABOVE), self.maker, self.taker
        return maker[bisect_right(maker, here) - 1][1], taker[bisect_right(taker, here) - 1][1]
