"""WebSocket frames from the server: unmasked, unfragmented text (RFC 6455 section 5.2)."""


def text_frame(payload: bytes) -> bytes:
    """Return ``payload`` as one text frame."""
    size = len(payload)
    if size < 126:
        return b"\x81" + bytes((size,)) + payload
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload
