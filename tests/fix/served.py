"""The FIX server on real ports in a thread of this process, so that its bounds can be set by a test."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from emulator.gateways.access import OPEN
from emulator.gateways.fix.server import Server
from emulator.gateways.fix.services import SERVICES
from emulator.gateways.keys import fix_credentials
from tests.fix.inside import FixVenue
from tests.fix.sockets import SocketClient
from tests.gateways.venue import SEED
from tests.running import wait_until


class Client(SocketClient):
    """A client whose nonces follow the venue's clock."""

    def __init__(self, served: "Served", name: str = "ALICE", service: str = "spot_trading") -> None:
        key, secret = fix_credentials(SEED, name.lower())
        account = {"fix": {"key": key, "secret": secret, "sender_comp_id": name}}
        target = "KRAKEN-TRD" if service == "spot_trading" else "KRAKEN-MD"
        super().__init__(served.places[service], account, target)
        self._served = served
        served.clients.append(self)

    def nonce(self) -> int:
        return self._served.inside.next_nonce()


class Served:
    """A server that listens, and its clients."""

    def __init__(
        self, inside: FixVenue, server: Server, places: dict[str, str], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.inside = inside
        self.server = server
        self.places = places
        self.clients: list[Client] = []
        self._loop = loop

    def client(self, name: str = "ALICE", service: str = "spot_trading") -> Client:
        return Client(self, name, service)

    def call(self, function: Callable[[], None]) -> None:
        """Call a function where the server works; return when it has returned."""

        async def calling() -> None:
            function()

        asyncio.run_coroutine_threadsafe(calling(), self._loop).result()


@contextmanager
def serving(inside: FixVenue) -> Iterator[Served]:
    """Serve ``inside``; everything is closed at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    inside.in_a_loop()
    server = Server(inside.gateway)
    listeners: list[asyncio.Server] = []

    async def begin() -> dict[str, str]:
        places = {}
        for service in SERVICES:
            factory = server.protocols(service, OPEN, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
            listener = await loop.create_server(factory, "127.0.0.1", 0)
            listeners.append(listener)
            places[service.name] = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        server.start()
        return places

    async def end() -> None:
        for listener in listeners:
            listener.close()
        server.close()

    served = Served(inside, server, asyncio.run_coroutine_threadsafe(begin(), loop).result(), loop)
    try:
        yield served
    finally:
        for client in served.clients:
            client.close()
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        wait_until(lambda: not server.connections, 10, "the end of all connections")
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
