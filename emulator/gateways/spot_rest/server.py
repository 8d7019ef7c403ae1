"""Sockets of spot REST: one aiohttp handler that looks the method up and prints the envelope."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from types import CoroutineType

from aiohttp import web

from emulator.gateways.access import Entrance
from emulator.gateways.errors import BAD_ARGUMENTS, INTERNAL, VenueError, check_state, explained
from emulator.gateways.http_connection import BodyError, read_body
from emulator.gateways.parameters import Params
from emulator.gateways.permissions import allow
from emulator.gateways.spot_rest import codec
from emulator.gateways.spot_rest.endpoints import PRIVATE, PUBLIC
from emulator.gateways.spot_rest.exports import Download
from emulator.gateways.spot_rest.session import admit, authenticate
from emulator.gateways.venue import Venue
from emulator.words import unknown

PUBLIC_PATH = "/0/public/"
PRIVATE_PATH = "/0/private/"
BODY_TIMEOUT_S = 20.0
LARGEST_BODY = 64 << 10
"""Bytes; a batch of fifteen orders takes less than a tenth of it."""
UNKNOWN_METHOD = "EGeneral:Unknown method"
_HEADERS = {"Content-Type": "application/json; charset=utf-8"}
_log = logging.getLogger(__name__)


class Server:
    """Answers ``/0/…``: status 200 whatever the venue says, as Kraken does."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue

    async def handle(
        self, request: web.BaseRequest, entrance: Entrance, until: Callable[[int], Awaitable[None]]
    ) -> web.Response:
        """Answer one request that came in by ``entrance``, not before its service time has passed.

        What is asked for happens on arrival; only the answer waits, ``until`` a moment of the monotonic clock
        in nanoseconds. Where a delay line is below, that holds it instead.
        """
        body = b""
        if request.method == "POST" and request.can_read_body:
            try:
                if request.content.is_eof():  # all of it has come with the head: a timer would be for nothing
                    body = request.content.read_nowait()
                else:
                    async with asyncio.timeout(BODY_TIMEOUT_S):
                        body = await read_body(request, LARGEST_BODY)
            except TimeoutError:
                _log.debug(
                    "%.100r of %s refused: 408 (%g s for the body)",
                    request.path,
                    request.remote,
                    BODY_TIMEOUT_S,
                )
                return web.Response(status=408)
            except (BodyError, web.RequestPayloadError):
                return web.Response(body=codec.errors(BAD_ARGUMENTS), headers=_HEADERS)
            if len(body) > LARGEST_BODY:
                _log.debug(
                    "%.100r of %s refused: 413 (%d bytes at most)", request.path, request.remote, LARGEST_BODY
                )
                return web.Response(status=413)
        came_ns, headers = time.monotonic_ns(), _HEADERS
        try:
            result = self._call(request, body, entrance)
            if type(result) is CoroutineType:  # more work than is done in one go
                result = await result
            if isinstance(result, Download):
                answer, headers = result.body, {"Content-Type": result.content_type}
            else:
                answer = codec.result(result)
        except VenueError as error:
            answer = codec.errors(str(error))
            if _log.isEnabledFor(logging.DEBUG):
                # The query is left out: it may hold what is nobody's business.
                call = (request.method, request.path, request.remote)
                _log.debug("%.16s %.100r of %s refused: %s", *call, explained(error))
        except Exception:
            _log.exception("%s failed", request.path)
            answer = codec.errors(INTERNAL)
        if entrance.rest_us and request.transport and not request.transport.get_extra_info("delay_line"):
            await until(came_ns + round(entrance.rest_us * 1000))
        return web.Response(body=answer, headers=headers)

    def _call(self, request: web.BaseRequest, body: bytes, entrance: Entrance) -> object:
        path, venue, limits = request.path, self.venue, self.venue.limits
        if path.startswith(PUBLIC_PATH):
            public = PUBLIC.get(path[len(PUBLIC_PATH) :])
            if public is None or request.method not in ("GET", "POST"):
                raise VenueError(UNKNOWN_METHOD, _unknown, request)
            params = _params(request, body)
            if limits.on:
                method = path[len(PUBLIC_PATH) :]
                limits.public(request.remote or "", method, params.get("pair") or "", venue.clock.now_ns())
            return public(venue, params)
        private = PRIVATE.get(path[len(PRIVATE_PATH) :])
        if private is None or request.method != "POST":
            raise VenueError(UNKNOWN_METHOD, _unknown, request)
        headers = request.headers
        params = _params(request, body)
        public_key, signature = headers.get("API-Key", ""), headers.get("API-Sign", "")
        address, now_ns = request.remote or "", venue.clock.now_ns()
        limits.check_lockout(address, now_ns)
        try:
            key = authenticate(venue.keys, request.rel_url.raw_path, public_key, signature, body, params)
        except VenueError:
            limits.authenticated(address, now_ns, well=False)
            raise
        limits.authenticated(address, now_ns, well=True)
        admit(key, params, address, now_ns)
        account = venue.engine.accounts[key.account]
        entrance.check(vip=account.vip)
        allow(key, private.needs)
        limits.private(key.key, account.tier, private.cost, now_ns)
        check_state(account.state, trades=private.trades)
        return private.call(venue, key, params)


def _unknown(request: web.BaseRequest) -> str:
    """Tell why a request means no method there is."""
    kinds = ((PUBLIC_PATH, PUBLIC, "GET or POST"), (PRIVATE_PATH, PRIVATE, "POST"))
    prefix, known, methods = next(kind for kind in kinds if request.path.startswith(kind[0]))
    name = request.path.removeprefix(prefix)
    if name in known:
        return f"{name} is called by {methods}, not by {request.method[:16]}"
    if name in (*PUBLIC, *PRIVATE):
        return f"{name} is not under {prefix}"
    return unknown("method", name, known)


def _params(request: web.BaseRequest, body: bytes) -> Params:
    if request.method == "POST" and body:
        return Params.from_body(body, request.headers.get("Content-Type", ""))
    return Params.from_query(request.rel_url.raw_query_string)
