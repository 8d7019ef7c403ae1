"""WebSocket frames as bytes (RFC 6455 section 5): those of the server, and what a client's may be like."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
CONTROL = 0x08
"""The bit that opcodes of control frames have."""
_LARGEST_CONTROL = 125
NORMAL, GOING_AWAY, PROTOCOL_ERROR, INVALID_DATA = 1000, 1001, 1002, 1007
POLICY, TOO_BIG, INTERNAL_ERROR = 1008, 1009, 1011
_CLOSE_CODES = frozenset((*range(1000, 1004), *range(1007, 1015)))
"""Those of the RFC and its registry that may stand on the wire; from 3000 to 4999 all may."""


class FaultError(Exception):
    """What a connection fails for: a close code, and a reason for who reads it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def text_frame(payload: bytes) -> bytes:
    """Return ``payload`` as one text frame."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def control_frame(opcode: int, payload: bytes = b"") -> bytes:
    """Return a control frame with at most 125 bytes."""
    return bytes((0x80 | opcode, len(payload))) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return a close frame; a long reason is cut."""
    text = reason.encode()[: _LARGEST_CONTROL - 2].decode(errors="ignore").encode()
    return control_frame(CLOSE, code.to_bytes(2, "big") + text)


def frame_bounds(data: bytes, start: int, size: int) -> tuple[int, int]:
    """Return where the payload of a client's frame at ``start`` begins and ends.

    While the header is not all there, both are where it ends as far as is known: beyond ``size``.
    """
    if size - start < 2:
        return start + 2, start + 2
    second = data[start + 1]
    length, header = second & 0x7F, 2
    if length >= 126:
        header = 4 if length == 126 else 10
        if size - start < header:
            return start + header, start + header
        length = int.from_bytes(data[start + 2 : start + header], "big")
    payload = start + header + (4 if second & 0x80 else 0)
    return payload, payload + length


def check_header(first: int, second: int, length: int, *, continues: bool) -> None:
    """Check the header of a client's frame; ``continues``: a fragmented message has begun.  FaultError."""
    opcode = first & 0x0F
    if first & 0x70:
        raise FaultError(PROTOCOL_ERROR, "reserved bits must be 0")
    if opcode not in _OPCODES:
        raise FaultError(PROTOCOL_ERROR, "invalid opcode")
    if not second & 0x80:
        raise FaultError(PROTOCOL_ERROR, "incorrect masking")
    if opcode & CONTROL:
        if length > _LARGEST_CONTROL:
            raise FaultError(PROTOCOL_ERROR, "control frame too long")
        if not first & 0x80:
            raise FaultError(PROTOCOL_ERROR, "fragmented control frame")
    elif (opcode == CONTINUATION) != continues:
        what = "expected a continuation frame" if continues else "unexpected continuation frame"
        raise FaultError(PROTOCOL_ERROR, what)


def check_close(payload: bytes) -> None:
    """Check the payload of a client's close frame.  FaultError."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in _CLOSE_CODES or 3000 <= code < 5000):
        raise FaultError(PROTOCOL_ERROR, "invalid close code")
    if not is_text(payload[2:]):
        raise FaultError(INVALID_DATA, "invalid UTF-8 in a close reason")


def is_text(message: bytes) -> bool:
    """Tell whether a whole message is UTF-8."""
    if message.isascii():
        return True
    try:
        message.decode()
    except UnicodeDecodeError:
        return False
    return True
