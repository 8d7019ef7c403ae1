"""Wire form of WebSocket v2's envelope: requests in, replies out.  Pure functions."""

from collections.abc import Mapping
from typing import Any

import msgspec

from emulator.gateways.numbers import rfc3339, without_exponent

LARGEST_REQ_ID = (1 << 63) - 1
NO_METHOD = "error"
"""``method`` of the answer to what names none that can be read (recorded in January 2026)."""
FIELDS = frozenset({"method", "params", "req_id"})
"""What a request may have at its top level."""


class Number(str):
    """A JSON number that is not an integer literal, with its digits as they were sent.

    One with an exponent is written out: JSON's own writers use it (Python's for 0.00005), so it means no
    more here than the number itself; over REST, where numbers are text, it is refused.
    """

    __slots__ = ()


def _number(token: str) -> Number:
    """Return a number of a request.  JSON's grammar has exponents, so they are taken here, unlike in text."""
    return Number(without_exponent(token) if "e" in token or "E" in token else token)


class MalformedError(ValueError):
    """The frame is not a JSON object."""


class Request(msgspec.Struct, frozen=True):
    """One request as the client sent it."""

    method: str
    params: dict[str, Any]
    req_id: int | None
    fault: str = ""
    """What is wrong with its top level, in Kraken's words."""
    symbol: str | None = None
    """The pair that a request with such a fault names there."""


_decode = msgspec.json.Decoder(float_hook=_number).decode
_quoted = msgspec.json.Encoder().encode


def decode(data: bytes | str) -> Request:
    """Read one request; raises MalformedError."""
    try:
        message = _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedError(str(error)) from None
    if not isinstance(message, dict):
        raise MalformedError("it is JSON, but no object")
    method, params, req_id = message.get("method"), message.get("params"), message.get("req_id")
    fields = 2 if req_id is None else 3
    if type(req_id) is not int or not 0 <= req_id <= LARGEST_REQ_ID:
        req_id = None
    # As many fields as were found: there are no others.
    if type(params) is dict and type(method) is str and len(message) == fields and method != "ping":
        return Request(method, params, req_id)
    return _faulty(message, method, params, req_id)


def _faulty(message: dict[str, Any], method: Any, params: Any, req_id: int | None) -> Request:
    """Return a request whose top level is not most's: without ``params``, or with what it may not have."""
    if method is None:
        return Request(NO_METHOD, {}, req_id, "Method(s) not found")
    if type(method) is not str:  # a number with a fraction is text too, but of another type
        return Request(NO_METHOD, {}, req_id, "Method field must be a string")
    allowed = FIELDS - {"params"} if method == "ping" else FIELDS
    for field in message:
        if field not in allowed:
            where = f"for the given msg type: {method.replace('_', ' ')}"
            symbol = message.get("symbol")
            pair = symbol if type(symbol) is str else None
            return Request(method, {}, req_id, f"Unsupported field: '{field[:64]}' {where}", pair)
    if "params" in message and not isinstance(params, dict):
        return Request(method, {}, req_id, "Params field must be an object")
    return Request(method, params or {}, req_id)


def string(value: str) -> str:
    """Return ``value`` as a JSON string, quotes included."""
    return _quoted(str(value)).decode()


# -- replies: top-level keys in alphabetical order, as in every recording -------------------------------


def _req_id(req_id: int | None) -> str:
    return "" if req_id is None else f'"req_id":{req_id},'


def success(method: str, req_id: int | None, result: str, in_ns: int, out_ns: int) -> bytes:
    """Return a success reply; ``result`` is JSON text."""
    return (
        f'{{"method":"{method}",{_req_id(req_id)}"result":{result},"success":true,'
        f'"time_in":"{rfc3339(in_ns)}","time_out":"{rfc3339(out_ns)}"}}'
    ).encode()


def failure(
    method: str, req_id: int | None, error: str, in_ns: int, out_ns: int, symbol: str | None = None
) -> bytes:
    """Return a failure reply; ``symbol`` stands at top level when the error concerns one symbol."""
    pair = "" if symbol is None else f'"symbol":{string(symbol)},'
    return (
        f'{{"error":{string(error)},"method":{string(method)},{_req_id(req_id)}"success":false,{pair}'
        f'"time_in":"{rfc3339(in_ns)}","time_out":"{rfc3339(out_ns)}"}}'
    ).encode()


def invalid_session(channel: str, req_id: int | None, in_ns: int, out_ns: int) -> bytes:
    """Return the refusal of a private subscription with a bad token (recorded form: two more keys)."""
    return (
        f'{{"channel":"{channel}","error":"ESession:Invalid session","method":"subscribe",{_req_id(req_id)}'
        f'"status":"error","success":false,"time_in":"{rfc3339(in_ns)}","time_out":"{rfc3339(out_ns)}"}}'
    ).encode()


def partly(method: str, req_id: int | None, result: str, in_ns: int, out_ns: int) -> bytes:
    """Return the reply to a batch of which something was refused: no success, but a result."""
    return (
        f'{{"method":"{method}",{_req_id(req_id)}"result":{result},"success":false,'
        f'"time_in":"{rfc3339(in_ns)}","time_out":"{rfc3339(out_ns)}"}}'
    ).encode()


def pong(req_id: int | None, in_ns: int, out_ns: int) -> bytes:
    """Return the answer to a ping."""
    times = f'"time_in":"{rfc3339(in_ns)}","time_out":"{rfc3339(out_ns)}"'
    return f'{{"method":"pong",{_req_id(req_id)}{times}}}'.encode()


def batch_cancelled(req_id: int | None, count: int, in_ns: int, out_ns: int) -> bytes:
    """Return the reply to batch_cancel, with the documented and the recorded count."""
    return (
        f'{{"method":"batch_cancel","orders_cancelled":{count},{_req_id(req_id)}"result":{{"count":{count}}},'
        f'"success":true,"time_in":"{rfc3339(in_ns)}","time_out":"{rfc3339(out_ns)}"}}'
    ).encode()


VERSION = "2.0.10"


ADVISORY_DECIMALS = 6
"""Decimals of times in advisories (recorded in October 2026)."""
_by_the_alphabet = msgspec.json.Encoder(order="sorted").encode


def status(system: str, connection_id: int | None, advisories: Mapping[str, Any]) -> bytes:
    """Return the first frame of every connection; without an id what all are told when something changes.

    Each advisory has its keys in alphabetical order (recorded in October 2026).
    """
    known = "" if connection_id is None else f',"connection_id":{connection_id}'
    told = "".join(f',"{name}":{_by_the_alphabet(rows).decode()}' for name, rows in advisories.items())
    return (
        f'{{"channel":"status","type":"update","data":[{{"version":"{VERSION}","system":"{system}",'
        f'"api_version":"v2"{known}{told}}}]}}'
    ).encode()


HEARTBEAT = b'{"channel":"heartbeat"}'
