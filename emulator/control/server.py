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
from emulator.control.rules import RuleError, Rules
from emulator.control.tls import TlsControl, TlsError
from emulator.control.venue import VenueControl, VenueError
from emulator.gateways.doors import Doors
from emulator.gateways.http_connection import BodyError, HttpConnection, read_body
from emulator.link.listener import LinkError
from emulator.link.live import ChangeError, Live, Path
from emulator.link.schedule import LARGEST_BYTES, Schedule, ScheduleError, Trace, read_schedule, read_trace
from emulator.reading import WrongValue, read, read_object
from emulator.words import unknown

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
PRIVATE_DOMAINS = (".test", ".internal", ".local", ".localhost")
"""Ends of names that nobody can register for a page of theirs."""
SHUTDOWN_S = 0.2
DESCRIPTION = FilePath(__file__).with_name("openapi.json")
"""OpenAPI 3.1, held true by tests/control/test_openapi.py."""
MOST_CONNECTIONS = 128
"""Of the control API; they are beside those of the venue."""
JSON, TOML, CSV = "application/json", "application/toml", "text/csv"
_log = logging.getLogger(__name__)

_WRONG = (ChangeError, LinkError, RuleError, ScheduleError, TlsError, VenueError, WrongValue)
"""What is wrong with what was asked, as those say who were asked: one line each."""

Handler = Callable[["Server", web.BaseRequest, dict[str, str]], Awaitable[Any]]
"""Answers a request, given what stands in its path."""


class Refused(Exception):  # noqa: N818 - what became of a request
    """A request that is answered with an error: a status and one line."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Play(msgspec.Struct, forbid_unknown_fields=True):
    schedule: str


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
        rules: Rules,
        schedules: FilePath,
        names: Names,
        endpoints: Callable[[FilePath | None, str, int], dict[str, Any]],
    ) -> None:
        self._live = live
        self._venue = venue
        self._managed = managed
        self._tls = tls
        self._rules = rules
        self._schedules = schedules
        self._endpoints = endpoints
        self._names = names
        self._http = web.Server(self._answer)
        self._doors = Doors(MOST_CONNECTIONS)

    async def listen(self, host: str, port: int) -> asyncio.Server:
        """Open the port; OSError when it cannot be had."""
        return await asyncio.get_running_loop().create_server(self._connection, host, port)

    def _connection(self) -> HttpConnection:
        return HttpConnection(self._doors, self._http)

    async def close(self) -> None:
        """End what is under way."""
        await self._live.close()
        await self._http.shutdown(timeout=SHUTDOWN_S)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            status, value = 200, await self._call(request)
        except Refused as error:
            status, value = error.status, {"error": str(error)}
        except _WRONG as error:
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
        raw = request.rel_url.raw_path
        template, named = _find([unquote(part) for part in raw.split("/")[1:]])
        methods = ROUTES[template]
        if request.method not in methods:
            raise Refused(405, f"the method must be {' or '.join(methods)}")
        return await methods[request.method](self, request, named)

    async def _health(self, _: web.BaseRequest, __: dict[str, str]) -> Any:
        return {"status": "ok"}

    async def _describe(self, _: web.BaseRequest, __: dict[str, str]) -> Any:
        """Give the description of this API."""
        return msgspec.Raw(DESCRIPTION.read_bytes())

    async def _show_endpoints(self, request: web.BaseRequest, _: dict[str, str]) -> Any:
        """Tell what an endpoints file has."""
        name, port = _asked(request)
        return self._endpoints(None, name.strip("[]"), port)

    async def _show_venue(self, _: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._venue.show(at.get("pair"))

    async def _change_venue(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._venue.set(at.get("pair"), await _json(request))

    async def _show_book(self, _: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._managed.show_book(at["pair"])

    async def _set_book(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._managed.seed_book(at["pair"], await _json(request), adds=False)

    async def _add_to_book(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._managed.seed_book(at["pair"], await _json(request), adds=True)

    async def _print_trade(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._managed.print_trade(at["pair"], await _json(request))

    async def _fill_order(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._managed.fill(at["id"], await _json(request, optional=True))

    async def _expire_order(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._managed.expire(at["id"], await _json(request, optional=True))

    async def _cancel_order(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._managed.cancel(at["id"], await _json(request, optional=True))

    async def _show_clock(self, _: web.BaseRequest, __: dict[str, str]) -> Any:
        return self._managed.show_clock()

    async def _turn_clock(self, request: web.BaseRequest, _: dict[str, str]) -> Any:
        return await self._managed.turn_clock(await _json(request))

    async def _reset_all(self, request: web.BaseRequest, _: dict[str, str]) -> Any:
        await _json(request, optional=True)
        await self._live.reset_all()
        self._tls.reset()
        self._rules.reset()
        return self._managed.reset()

    async def _show_account(self, _: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._venue.show_account(at["name"])

    async def _set_balances(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._managed.set_balances(at["name"], await _json(request))

    async def _deposit(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        return self._venue.deposit(at["name"], await _json(request))

    async def _show_tls(self, _: web.BaseRequest, __: dict[str, str]) -> Any:
        return self._tls.show()

    async def _change_tls(self, request: web.BaseRequest, _: dict[str, str]) -> Any:
        return self._tls.set(await _json(request))

    async def _show_settings(self, _: web.BaseRequest, __: dict[str, str]) -> Any:
        return self._rules.show()

    async def _change_settings(self, request: web.BaseRequest, _: dict[str, str]) -> Any:
        return self._rules.set(await _json(request))

    def _paths(self, at: dict[str, str]) -> list[Path]:
        try:
            return self._live.paths(at.get("tier"), at.get("path"))
        except ChangeError as error:
            raise Refused(404, str(error)) from None

    async def _show_links(self, _: web.BaseRequest, at: dict[str, str]) -> Any:
        return {"links": [self._live.show(found) for found in self._paths(at)]}

    async def _change_links(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        paths = self._paths(at)
        await self._live.set(paths, await _json(request))
        return await self._show_links(request, at)

    async def _fail_links(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        _own_type(request)
        await self._live.fail(self._paths(at))
        return await self._show_links(request, at)

    async def _restore_links(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        _own_type(request)
        await self._live.restore(self._paths(at))
        return await self._show_links(request, at)

    async def _reset_links(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        _own_type(request)
        await self._live.reset(self._paths(at))
        return await self._show_links(request, at)

    async def _play(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        paths = self._paths(at)
        await self._live.play(paths, *await self._what(request))
        return await self._show_links(request, at)

    async def _stop(self, request: web.BaseRequest, at: dict[str, str]) -> Any:
        await self._live.stop(self._paths(at))
        return await self._show_links(request, at)

    async def _what(self, request: web.BaseRequest) -> tuple[Schedule | Trace, str]:
        """Read what to play: a name of a schedule that comes along, a schedule, or a trace."""
        kind = _own_type(request)
        if kind == TOML:
            return read_schedule(await _text(request)), "schedule"
        if kind == CSV:
            text = await _text(request)
            loop = request.query.get("loop") == "1"
            return await asyncio.to_thread(lambda: read_trace(text, loop=loop)), "trace"
        name = read(await _json(request), _Play).schedule
        known = {file.stem: file for file in self._schedules.glob("*.toml")}
        if name not in known:
            raise Refused(400, unknown("schedule", name, sorted(known)))
        return read_schedule(known[name].read_text(encoding="utf-8")), name


_OF_LINKS: dict[str, dict[str, Handler]] = {
    "": {"GET": Server._show_links, "PATCH": Server._change_links},
    "/fail": {"POST": Server._fail_links},
    "/restore": {"POST": Server._restore_links},
    "/reset": {"POST": Server._reset_links},
    "/play": {"POST": Server._play, "DELETE": Server._stop},
}
ROUTES: dict[str, dict[str, Handler]] = {
    "/control/health": {"GET": Server._health},
    "/control/openapi.json": {"GET": Server._describe},
    "/control/endpoints": {"GET": Server._show_endpoints},
    **{
        f"/control/links{target}{action}": methods
        for action, methods in _OF_LINKS.items()
        for target in ("", "/{tier}", "/{tier}/{path}")
    },
    "/control/venue": {"GET": Server._show_venue, "PATCH": Server._change_venue},
    "/control/venue/{pair}": {"GET": Server._show_venue, "PATCH": Server._change_venue},
    "/control/venue/{pair}/book": {
        "GET": Server._show_book,
        "PUT": Server._set_book,
        "POST": Server._add_to_book,
    },
    "/control/venue/{pair}/trades": {"POST": Server._print_trade},
    "/control/accounts/{name}": {"GET": Server._show_account},
    "/control/accounts/{name}/balances": {"PUT": Server._set_balances},
    "/control/accounts/{name}/deposits": {"POST": Server._deposit},
    "/control/orders/{id}/fill": {"POST": Server._fill_order},
    "/control/orders/{id}/expire": {"POST": Server._expire_order},
    "/control/orders/{id}/cancel": {"POST": Server._cancel_order},
    "/control/clock": {"GET": Server._show_clock, "POST": Server._turn_clock},
    "/control/reset": {"POST": Server._reset_all},
    "/control/settings": {"GET": Server._show_settings, "PATCH": Server._change_settings},
    "/control/tls": {"GET": Server._show_tls, "PATCH": Server._change_tls},
}
"""All that is served: a path, methods, and what answers.  `openapi.json` beside this file describes it."""


def _literal_first(template: str) -> list[bool]:
    return [part.startswith("{") for part in template.split("/")]


_IN_ORDER = {template: template.split("/")[1:] for template in sorted(ROUTES, key=_literal_first)}


def _find(parts: list[str]) -> tuple[str, dict[str, str]]:
    """Return the route of a path, and what stands in it; a word of ours is never somebody's name."""
    for template, wanted in _IN_ORDER.items():
        if len(parts) == len(wanted) and all(
            part if want.startswith("{") else part == want for part, want in zip(parts, wanted, strict=True)
        ):
            pairs = zip(parts, wanted, strict=True)
            return template, {want[1:-1]: part for part, want in pairs if want.startswith("{")}
    known = [template for template in ROUTES if template.split("/")[2] == parts[min(1, len(parts) - 1)]]
    areas = known or sorted({"/".join(template.split("/")[:3]) for template in ROUTES})
    raise Refused(404, f"not found; there {'are' if areas[1:] else 'is'} {', '.join(areas)}")


def _own_type(request: web.BaseRequest) -> str:
    """Give the body's type; a form's, which a page may send anywhere without asking, is refused."""
    kind = request.content_type
    if kind not in (JSON, TOML, CSV):
        raise Refused(415, f"the Content-Type must be {JSON}, {TOML} or {CSV}")
    return kind


async def _text(request: web.BaseRequest) -> str:
    try:
        body = await read_body(request, LARGEST_BYTES)
    except BodyError:
        raise Refused(400, "the body is not whole, or not what its head says") from None
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
    return read_object(body)
