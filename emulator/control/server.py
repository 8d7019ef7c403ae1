"""The control API: HTTP and JSON on a port of its own, for tests, scripts and `kraken-emulator link`."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web

from emulator.control.managed import ManagedControl
from emulator.control.tls import TlsControl, TlsError
from emulator.control.venue import VenueControl, VenueError
from emulator.link.listener import LinkError
from emulator.link.live import ChangeError, Live, Path
from emulator.link.schedule import LARGEST_BYTES, Schedule, ScheduleError, Trace, read_schedule, read_trace
from emulator.words import unknown

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
PRIVATE_DOMAINS = (".test", ".internal", ".local", ".localhost")
"""Ends of names that nobody can register for a page of theirs."""
SHUTDOWN_S = 0.2
JSON, TOML, CSV = "application/json", "application/toml", "text/csv"
_log = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest, str | None, str | None], Awaitable[Any]]


class Refused(Exception):  # noqa: N818 - what became of a request
    """A request that is answered with an error: a status and one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Names(msgspec.Struct, frozen=True):
    """Names and addresses that requests may call this machine by, in their Host header."""

    known: frozenset[str]
    abroad: bool
    """Whether others than this machine reach us: by any address, and by names that no public page has."""

    @classmethod
    def of(cls, control_host: str, more: Iterable[str]) -> Names:
        """Give those of a control API that listens on an address, with further ones that are known."""
        return cls(LOOPBACK | {control_host, *more}, abroad=control_host not in ("127.0.0.1", "::1"))

    def include(self, name: str) -> bool:
        """Tell whether a Host header may have this name."""
        return name in self.known or (self.abroad and _unknown_to_the_world(name))


def _unknown_to_the_world(name: str) -> bool:
    """Tell whether a name is an address, or one that exists in a network of containers or a test only."""
    if not name:
        return False
    if "." not in name or name.endswith(PRIVATE_DOMAINS):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _asked_as(request: web.BaseRequest) -> str:
    """Return the Host header's name, without the port."""
    return _asked(request)[0]


def _asked(request: web.BaseRequest) -> tuple[str, int]:
    """Return the Host header's name and port; without one it is HTTP's."""
    host = request.headers.get("Host", "").lower()
    name, colon, port = host.rpartition(":")
    return (name, int(port)) if colon and port.isdecimal() and len(port) <= 5 else (host, 80)


class Server:
    """Answers `/control/…`."""

    def __init__(
        self,
        live: Live,
        venue: VenueControl,
        managed: ManagedControl,
        tls: TlsControl,
        schedules: FilePath,
        names: Names,
        endpoints: Callable[[FilePath | None, str, int], dict[str, Any]],
    ) -> None:
        self._live = live
        self._venue = venue
        self._managed = managed
        self._tls = tls
        self._schedules = schedules
        self._endpoints = endpoints
        self._names = names
        self._http = web.Server(self._answer, access_log=None)
        self._table: dict[str, dict[str, Handler]] = {
            "": {"GET": self._show, "PATCH": self._set},
            "fail": {"POST": self._fail},
            "restore": {"POST": self._restore},
            "reset": {"POST": self._reset},
            "play": {"POST": self._play, "DELETE": self._stop},
        }
        self._areas = {
            "endpoints": self._endpoints_call,
            "links": self._links_call,
            "venue": self._venue_call,
            "accounts": self._accounts_call,
            "orders": self._orders_call,
            "clock": self._clock_call,
            "reset": self._reset_call,
            "tls": self._tls_call,
        }

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Open the port; OSError when it cannot be had."""
        return await asyncio.get_running_loop().create_server(self._http, host, port)

    async def close(self) -> None:
        """End what is under way."""
        await self._live.close()
        await self._http.shutdown(timeout=SHUTDOWN_S)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            status, value = 200, await self._call(request)
        except Refused as error:
            status, value = error.status, {"error": str(error)}
        except (ChangeError, LinkError, ScheduleError, TlsError, VenueError) as error:
            status, value = 400, {"error": str(error)}
        except Exception:
            _log.exception("%s %s failed", request.method, request.path)
            status, value = 500, {"error": "internal error"}
        if status != 200 and _log.isEnabledFor(logging.DEBUG):
            call = (request.method, request.path, request.remote, status)
            _log.debug("%.16s %.100r of %s refused: %d %s", *call, value["error"])
        return web.Response(status=status, body=msgspec.json.encode(value), content_type=JSON)

    async def _call(self, request: web.BaseRequest) -> Any:
        # A page in a browser must not reach this under a name of its own.
        if not self._names.include(_asked_as(request)):
            raise Refused(403, "the Host header must name this machine")
        if request.path == "/control/health":
            return {"status": "ok"}
        parts = [unquote(part) for part in request.rel_url.raw_path.split("/")[1:]]
        area = self._areas.get(parts[1]) if parts[0] == "control" and len(parts) > 1 else None
        if area is None or len(parts) > 5 or "" in parts[2:]:
            known = ", ".join(f"/control/{name}" for name in ("health", *self._areas))
            raise Refused(404, f"not found; there are {known}")
        return await area(request, parts[2:])

    async def _endpoints_call(self, request: web.BaseRequest, target: list[str]) -> Any:
        """Answer `/control/endpoints` with what an endpoints file has."""
        if target:
            raise Refused(404, "not found: there is /control/endpoints")
        if request.method != "GET":
            raise Refused(405, "the method must be GET")
        name, port = _asked(request)
        return self._endpoints(None, name.strip("[]"), port)

    async def _venue_call(self, request: web.BaseRequest, target: list[str]) -> Any:
        """Answer `/control/venue`, `/control/venue/PAIR`, and its `book` and `trades`."""
        if len(target) > 1:
            return await self._market_call(request, *target[:2], further=target[2:])
        pair = target[0] if target else None
        if request.method == "GET":
            return self._venue.show(pair)
        if request.method != "PATCH":
            raise Refused(405, "the method must be GET or PATCH")
        return self._venue.set(pair, await _json(request))

    async def _market_call(
        self, request: web.BaseRequest, pair: str, what: str, *, further: list[str]
    ) -> Any:
        """Answer `/control/venue/PAIR/book` and `/control/venue/PAIR/trades`."""
        methods = {"book": ("GET", "PUT", "POST"), "trades": ("POST",)}.get(what)
        if methods is None or further:
            raise Refused(404, "not found: a pair has a book and trades")
        if request.method not in methods:
            raise Refused(405, f"the method must be {' or '.join(methods)}")
        if request.method == "GET":
            return self._managed.show_book(pair)
        body = await _json(request)
        if what == "trades":
            return self._managed.print_trade(pair, body)
        return self._managed.seed_book(pair, body, adds=request.method == "POST")

    async def _orders_call(self, request: web.BaseRequest, target: list[str]) -> Any:
        """Answer `/control/orders/ID/fill`, `…/expire` and `…/cancel`."""
        managed = self._managed
        acts = {"fill": managed.fill, "expire": managed.expire, "cancel": managed.cancel}
        act = acts.get(target[1]) if len(target) == 2 else None
        if act is None:
            raise Refused(404, f"not found: an order's id and {', '.join(acts)} are meant")
        if request.method != "POST":
            raise Refused(405, "the method must be POST")
        return act(target[0], await _json(request, optional=True))

    async def _clock_call(self, request: web.BaseRequest, target: list[str]) -> Any:
        """Answer `/control/clock`."""
        if target:
            raise Refused(404, "not found: there is one clock")
        if request.method == "GET":
            return self._managed.show_clock()
        if request.method != "POST":
            raise Refused(405, "the method must be GET or POST")
        return self._managed.turn_clock(await _json(request))

    async def _reset_call(self, request: web.BaseRequest, target: list[str]) -> Any:
        """Answer `/control/reset`."""
        if target:
            raise Refused(404, "not found: all of the venue is reset")
        if request.method != "POST":
            raise Refused(405, "the method must be POST")
        await _json(request, optional=True)
        await self._live.reset_all()
        self._tls.reset()
        return self._managed.reset()

    async def _accounts_call(self, request: web.BaseRequest, target: list[str]) -> Any:
        """Answer `/control/accounts/NAME`, its `balances` and its `deposits`."""
        if len(target) == 1 and request.method == "GET":
            return self._venue.show_account(target[0])
        if len(target) == 2 and target[1] == "deposits" and request.method == "POST":
            return self._venue.deposit(target[0], await _json(request))
        if len(target) == 2 and target[1] == "balances" and request.method == "PUT":
            return self._managed.set_balances(target[0], await _json(request))
        raise Refused(404, "not found: GET an account, PUT its balances, or POST to its deposits")

    async def _tls_call(self, request: web.BaseRequest, target: list[str]) -> Any:
        """Answer `/control/tls`."""
        if target:
            raise Refused(404, "not found: there is /control/tls alone")
        if request.method == "GET":
            return self._tls.show()
        if request.method != "PATCH":
            raise Refused(405, "the method must be GET or PATCH")
        return self._tls.set(await _json(request))

    async def _links_call(self, request: web.BaseRequest, target: list[str]) -> Any:
        """Answer `/control/links…`."""
        action = target.pop() if target and target[-1] in self._table else ""
        handlers = self._table[action]
        handler = handlers.get(request.method)
        if handler is None:
            raise Refused(405, f"the method must be {' or '.join(handlers)}")
        tier, path = (*target, None, None)[:2]
        if len(target) > 2:
            raise Refused(404, "not found: a tier and a path are meant at most")
        return await handler(request, tier, path)

    def _paths(self, tier: str | None, path: str | None) -> list[Path]:
        try:
            return self._live.paths(tier, path)
        except ChangeError as error:
            raise Refused(404, str(error)) from None

    async def _show(self, _: web.BaseRequest, tier: str | None, path: str | None) -> Any:
        return {"links": [self._live.show(found) for found in self._paths(tier, path)]}

    async def _set(self, request: web.BaseRequest, tier: str | None, path: str | None) -> Any:
        paths = self._paths(tier, path)
        await self._live.set(paths, await _json(request))
        return await self._show(request, tier, path)

    async def _fail(self, request: web.BaseRequest, tier: str | None, path: str | None) -> Any:
        _own_type(request)
        await self._live.fail(self._paths(tier, path))
        return await self._show(request, tier, path)

    async def _restore(self, request: web.BaseRequest, tier: str | None, path: str | None) -> Any:
        _own_type(request)
        await self._live.restore(self._paths(tier, path))
        return await self._show(request, tier, path)

    async def _reset(self, request: web.BaseRequest, tier: str | None, path: str | None) -> Any:
        _own_type(request)
        await self._live.reset(self._paths(tier, path))
        return await self._show(request, tier, path)

    async def _play(self, request: web.BaseRequest, tier: str | None, path: str | None) -> Any:
        paths = self._paths(tier, path)
        await self._live.play(paths, *await self._what(request))
        return await self._show(request, tier, path)

    async def _stop(self, request: web.BaseRequest, tier: str | None, path: str | None) -> Any:
        await self._live.stop(self._paths(tier, path))
        return await self._show(request, tier, path)

    async def _what(self, request: web.BaseRequest) -> tuple[Schedule | Trace, str]:
        """Read what to play: a name of a schedule that comes along, a schedule, or a trace."""
        kind = _own_type(request)
        if kind == TOML:
            return read_schedule(await _text(request)), "schedule"
        if kind == CSV:
            text = await _text(request)
            loop = request.query.get("loop") == "1"
            return await asyncio.to_thread(lambda: read_trace(text, loop=loop)), "trace"
        name = (await _json(request)).get("schedule")
        known = {file.stem: file for file in self._schedules.glob("*.toml")}
        if not isinstance(name, str) or name not in known:
            raise Refused(400, unknown("schedule", str(name), sorted(known)))
        return read_schedule(known[name].read_text(encoding="utf-8")), name


def _own_type(request: web.BaseRequest) -> str:
    """Give the body's type; a form's, which a page may send anywhere without asking, is refused."""
    kind = request.content_type
    if kind not in (JSON, TOML, CSV):
        raise Refused(415, f"the Content-Type must be {JSON}, {TOML} or {CSV}")
    return kind


async def _text(request: web.BaseRequest) -> str:
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LARGEST_BYTES:
            raise Refused(413, f"the body is larger than {LARGEST_BYTES >> 20} MiB")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise Refused(400, "the body is not UTF-8") from None


async def _json(request: web.BaseRequest, *, optional: bool = False) -> dict[str, Any]:
    if _own_type(request) != JSON:
        raise Refused(415, f"the Content-Type must be {JSON}")
    body = await _text(request)
    if optional and not body:
        return {}
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refused(400, str(error)) from None
