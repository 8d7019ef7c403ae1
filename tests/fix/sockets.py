"""The FIX client over blocking sockets, plain or within TLS."""

import socket
import ssl
from typing import Any

from tests.fix.client import FixClient

PATIENCE_S = 20.0


class SocketClient(FixClient):
    """One connection to a ``place`` (``host:port``).  ``account`` is that part of the endpoints file."""

    def __init__(
        self,
        place: str,
        account: dict[str, Any],
        target: str,
        *,
        comp_id: str | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        fix = account["fix"]
        super().__init__(comp_id or fix["sender_comp_id"], target, fix["key"], fix["secret"])
        host, _, port = place.rpartition(":")
        self._end: socket.socket = socket.create_connection((host, int(port)), timeout=PATIENCE_S)
        self._end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context is not None:
            self._end = context.wrap_socket(self._end, server_hostname="colo-london.vip-fix.kraken.com")

    def raw(self, data: bytes) -> None:
        self._end.sendall(data)

    def close(self) -> None:
        self._end.close()

    def _more(self) -> bool:
        data = self._end.recv(1 << 16)
        self._hear(data)
        return bool(data)
