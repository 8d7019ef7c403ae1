"""What a batch of events means to those who publish market data."""

from collections.abc import Container, Sequence

from emulator.engine.events import BookChanged, Event, Traded


def gather(
    events: Sequence[Event], pairs: Container[str]
) -> tuple[dict[str, BookChanged], dict[str, list[Traded]]]:
    """Return what changed in the books of ``pairs``, and their trades.

    A book's changes are one: it is published as it is after all of them, or its checksum would not fit.
    """
    changed: dict[str, BookChanged] = {}
    traded: dict[str, list[Traded]] = {}
    for event in events:
        if type(event) is BookChanged:
            if event.pair in pairs:
                earlier = changed.get(event.pair)
                changed[event.pair] = event if earlier is None else earlier.joined(event)
        elif type(event) is Traded and event.pair in pairs:
            traded.setdefault(event.pair, []).append(event)
    return changed, traded
