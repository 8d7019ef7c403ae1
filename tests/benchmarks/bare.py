"""Bare servers to measure against: they parse an order, make a small dict, and answer.  Nothing else.

python -m tests.benchmarks.bare echo|websockets|aiohttp   (prints its port)
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


async def main(kind: str) -> None:
    print(await {"echo": echo, "websockets": websockets, "aiohttp": aiohttp}[kind](), flush=True)
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
