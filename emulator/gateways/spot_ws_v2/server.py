"""Connections of WebSocket v2."""

from collections.abc import Iterator

from emulator.gateways import websocket
from emulator.gateways.access import OPEN, Entrance
from emulator.gateways.doors import Doors
from emulator.gateways.roles import Role
from emulator.gateways.spot_ws_v2 import codec
from emulator.gateways.spot_ws_v2.session import Gateway, Session


class Server(websocket.Server):
    """Makes connections that speak version 2."""

    def __init__(self, gateway: Gateway, ids: Iterator[int], doors: Doors | None = None) -> None:
        super().__init__(codec.HEARTBEAT, ids, doors)
        self.gateway = gateway

    def connection(self, role: Role, entrance: Entrance = OPEN) -> websocket.Connection:
        """Return the protocol for one new connection that comes in by ``entrance``."""
        return self.connect(lambda outlet, id_: Session(self.gateway, outlet, role, id_, entrance))
