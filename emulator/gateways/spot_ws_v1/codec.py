"""Wire form of WebSocket v1: requests in, control frames and data out.  Pure functions.

Control frames are objects with an ``event`` and their keys in alphabetical order; data are arrays.  All
decimal numbers are strings, with the larger of the pair's price and cost decimals for prices.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from emulator.engine.instruments import Instrument
from emulator.gateways.numbers import text
from emulator.gateways.parameters import decode_json

VERSION = "1.9.6"
OLDER_VERSION = "1.9.2"
ADVISORY_DECIMALS = 6
LARGEST_REQ_ID = (1 << 63) - 1
HEARTBEAT = b'{"event":"heartbeat"}'


def _as_sent(number: Any) -> msgspec.Raw:
    """Return a number with a fraction digit for digit: refusals show what was asked for."""
    return msgspec.Raw(str(number).encode())


_encode = msgspec.json.Encoder(order="sorted", enc_hook=_as_sent).encode
_plain = msgspec.json.Encoder().encode


class MalformedError(ValueError):
    """The frame is not a JSON object."""


def decode(data: bytes | str) -> dict[str, Any]:
    """Read one request; raises MalformedError."""
    try:
        message = decode_json(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(str(error)) from None
    if not isinstance(message, dict):
        raise MalformedError("it is JSON, but no object")
    return message


def req_id(message: dict[str, Any]) -> dict[str, Any]:
    """Return ``reqid`` as it is echoed; nothing when there was none."""
    value = message.get("reqid")
    return {"reqid": value} if type(value) is int and 0 <= value <= LARGEST_REQ_ID else {}


def control(event: str, message: dict[str, Any], **fields: Any) -> bytes:
    """Return a control frame that answers ``message``."""
    return _encode({"event": event, **req_id(message), **fields})


def system_status(status: str, connection_id: int | None, advisories: Mapping[str, Any]) -> bytes:
    """Return the first frame of every connection; without an id what is told when something changes.

    The one with advisories has its keys in an order of its own (recorded in September 2026), each advisory in
    alphabetical order, as over v2; without them it is the older one.
    """
    known = {} if connection_id is None else {"connectionID": connection_id}
    if not advisories:
        return _encode({"event": "systemStatus", "status": status, "version": OLDER_VERSION, **known})
    told = {name: msgspec.Raw(_encode(rows)) for name, rows in advisories.items()}
    return _plain({"event": "systemStatus", "version": VERSION, "status": status, **known, **told})


def public(channel_id: int, payloads: list[str], channel: str, pair: Instrument) -> bytes:
    """Return public data; ``payloads`` are JSON texts, one or (for books) two."""
    return f'[{channel_id},{",".join(payloads)},"{channel}","{pair.wsname}"]'.encode()


def private(rows: list[dict[str, Any]], channel: str, sequence: int) -> bytes:
    """Return private data: objects by their ids."""
    return _plain([rows, channel, {"sequence": sequence}])


# -- numbers ---------------------------------------------------------------------------------------------


def price_decimals(pair: Instrument) -> int:
    """Return how many decimals prices have here: measured on ten pairs, not documented."""
    return max(pair.price_decimals, pair.cost_decimals)


def price(pair: Instrument, value: int) -> str:
    """Return a price."""
    decimals = price_decimals(pair)
    return text(value * 10 ** (decimals - pair.price_decimals), decimals)


def cost(pair: Instrument, exact: int) -> str:
    """Return an exact cost."""
    return text(pair.reported_cost(exact), pair.cost_decimals)


def average(pair: Instrument, exact: int, quantity: int) -> str:
    """Return an average price."""
    decimals = price_decimals(pair)
    return text(pair.average_price(exact, quantity, decimals), decimals)


def order_average(pair: Instrument, exact: int, quantity: int) -> str:
    """Return the average price of an order: its cost as it is told, over its quantity.

    Recorded in 2022: cost 101.25370642 and volume 0.84709869 at 119.53 make 119.53000001.
    """
    decimals = price_decimals(pair)
    if not quantity:
        return text(0, decimals)
    scaled = pair.reported_cost(exact) * 10 ** (decimals + pair.lot_decimals - pair.cost_decimals)
    return text((2 * scaled + quantity) // (2 * quantity), decimals)


def volume(pair: Instrument, value: int) -> str:
    """Return a quantity."""
    return text(value, pair.lot_decimals)


def seconds(time_ns: int) -> str:
    """Return a time as ``seconds.micros``."""
    return text(time_ns // 1000, 6)
