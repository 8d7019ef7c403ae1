"""Bare servers to measure against: they parse an order, make a small dict, and answer.  Nothing else.

python -m tests.benchmarks.bare echo|websockets|aiohttp|quickfix   (prints its port)
"""

import asyncio
import contextlib
import hmac
import itertools
import sys
import time

import msgspec

_ids = itertools.count(1)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
SECRET = b"s" * 64


def answer(data: bytes | str) -> bytes:
    order = _decode(data)
    params = order.get("params", order)
    result = {"order_id": next(_ids), "symbol": params.get("symbol"), "time": time.time_ns()}
    return _encode({"method": "add_order", "req_id": order.get("req_id"), "result": result, "success": True})


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.data_received = transport.write  # type: ignore[method-assign]


async def echo() -> int:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


async def websockets() -> int:
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosed

    async def handler(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # the probe hangs up without a goodbye
            async for message in connection:
                await connection.send(answer(message), text=True)

    server = await serve(handler, "127.0.0.1", 0, compression=None, ping_interval=None)
    return int(next(iter(server.sockets)).getsockname()[1])


async def aiohttp() -> int:
    from aiohttp import web

    async def handler(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        hmac.compare_digest(hmac.digest(SECRET, body, "sha512").hex(), request.headers["API-Sign"])
        return web.Response(body=answer(b"{}"), content_type="application/json")

    server = await asyncio.get_running_loop().create_server(
        web.Server(handler, access_log=None), "127.0.0.1", 0
    )
    return int(server.sockets[0].getsockname()[1])


def quickfix() -> None:
    """Serve FIX as QuickFIX's examples do: its own thread, a field object per tag, one report per order."""
    import socket
    import threading

    import quickfix as fix

    ids = itertools.count(1)

    class Acceptor(fix.Application):
        def onCreate(self, session: object) -> None: ...
        def onLogon(self, session: object) -> None: ...
        def onLogout(self, session: object) -> None: ...
        def toAdmin(self, message: object, session: object) -> None: ...
        def fromAdmin(self, message: object, session: object) -> None: ...
        def toApp(self, message: object, session: object) -> None: ...

        def fromApp(self, message: fix.Message, session: object) -> None:
            number, get = str(next(ids)), message.getField
            report = fix.Message()
            report.getHeader().setField(fix.StringField(8, "FIX.4.4"))
            report.getHeader().setField(fix.StringField(35, "8"))
            stamp = time.strftime("%Y%m%d-%H:%M:%S", time.gmtime())
            fields = ((37, number), (17, number), (11, get(11)), (150, "0"), (39, "0"), (55, get(55)))
            fields += ((54, get(54)), (38, get(38)), (44, get(44)), (151, get(38)), (14, "0"), (6, "0"))
            for tag, value in (*fields, (60, stamp)):
                report.setField(fix.StringField(tag, value))
            fix.Session.sendToTarget(report, session)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    session = fix.Dictionary()
    settings = {
        "ConnectionType": "acceptor",
        "SocketAcceptPort": str(port),
        "SocketReuseAddress": "Y",
        "SocketNodelay": "Y",
        "StartTime": "00:00:00",
        "EndTime": "00:00:00",
        "NonStopSession": "Y",
        "UseDataDictionary": "N",
        "CheckLatency": "N",
        "PersistMessages": "N",
    }
    for name, value in settings.items():
        session.setString(name, value)
    all_settings = fix.SessionSettings()
    all_settings.set(fix.SessionID("FIX.4.4", "KRAKEN-TRD", "BENCH"), session)
    application, stores = Acceptor(), fix.MemoryStoreFactory()
    acceptor = fix.SocketAcceptor(application, stores, all_settings)
    acceptor.start()
    print(port, flush=True)
    threading.Event().wait()


async def main(kind: str) -> None:
    print(await {"echo": echo, "websockets": websockets, "aiohttp": aiohttp}[kind](), flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    if sys.argv[1] == "quickfix":
        quickfix()
    else:
        asyncio.run(main(sys.argv[1]))
