"""One client's state on WebSocket v2: role, subscriptions, and the answers it gets.  No sockets here."""

import logging
from collections.abc import Callable

import msgspec

from emulator.engine.commands import Command
from emulator.engine.events import Event
from emulator.engine.instruments import Instrument
from emulator.engine.limits import Counter
from emulator.gateways import ordering
from emulator.gateways.access import OPEN, Entrance
from emulator.gateways.errors import VenueError, explained
from emulator.gateways.keys import ApiKey
from emulator.gateways.order_reasons import unknown_pair
from emulator.gateways.outlet import Outlet
from emulator.gateways.permissions import Deed
from emulator.gateways.roles import PRIVATE_ELSEWHERE, PUBLIC_ELSEWHERE, Role
from emulator.gateways.spot_ws_v2 import codec
from emulator.gateways.spot_ws_v2.channels import CHANNELS, Channel
from emulator.gateways.spot_ws_v2.codec import Request
from emulator.gateways.spot_ws_v2.params import check, missing
from emulator.gateways.spot_ws_v2.private import PrivateChannels, Subscription
from emulator.gateways.spot_ws_v2.publisher import FeedKey, Publisher
from emulator.gateways.spot_ws_v2.trading import METHODS
from emulator.gateways.token_use import InvalidSessionError, find_token, trading_key
from emulator.gateways.tokens import Token
from emulator.gateways.venue import Venue
from emulator.words import unknown

_log = logging.getLogger(__name__)

_ONE_OF_A_KIND = {
    "ohlc": "Already subscribed to one ohlc interval on this symbol",
    "level3": "Already subscribed",
}
"""Channels of which a connection has one subscription per pair, and what refuses another one."""


class Gateway:
    """What all sessions share."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.publisher = Publisher(venue)
        self.private = PrivateChannels(venue)


class Session:
    """One WebSocket v2 connection, fed with messages, answering through its outlet."""

    def __init__(
        self,
        gateway: Gateway,
        outlet: Outlet,
        role: Role,
        connection_id: int,
        entrance: Entrance = OPEN,
    ) -> None:
        self.gateway = gateway
        self.venue = gateway.venue
        self.joined: dict[FeedKey, object] = {}
        self.private: dict[str, Subscription] = {}
        self._id = connection_id
        self._outlet = outlet
        self._role = role
        self._trades = role not in (Role.PUBLIC, Role.LEVEL3)
        self._cost: Counter | None = None
        self._entrance = entrance
        self.send = outlet.send
        self.post = outlet.post
        self.end = outlet.close
        told = self.venue.told(codec.ADVISORY_DECIMALS)
        self.send(codec.status(self.venue.engine.system.value, connection_id, told))
        gateway.publisher.sessions[self] = None

    def receive(self, data: bytes | str) -> None:
        """Take one message from the client and answer it."""
        in_ns = self.venue.clock.now_ns()
        try:
            request = codec.decode(data)
        except codec.MalformedError as error:
            out_ns = self.venue.clock.now_ns()
            self.send(codec.failure(codec.NO_METHOD, None, "Malformed request", in_ns, out_ns))
            self.log_refusal("a message", VenueError("Malformed request", "{} bytes: {}", len(data), error))
            return
        handler = _REQUESTS.get(request.method)
        try:
            if handler is None or request.fault:
                self._refuse_faulty(request, in_ns)
                return
            if not self._trades and request.method in METHODS:
                raise VenueError(PRIVATE_ELSEWHERE)
            handler(self, request, in_ns)
        except VenueError as error:
            self.fail(request, error, in_ns)

    def _refuse_faulty(self, request: Request, in_ns: int) -> None:
        """Refuse a request that names no method there is, or that has what none may have at its top level."""
        if request.method in _REQUESTS or (request.method == codec.NO_METHOD and request.fault):
            self.fail(request, request.fault, in_ns, request.symbol)
        else:
            refusal = VenueError("Unsupported event", unknown, "method", request.method, _REQUESTS)
            self.fail(msgspec.structs.replace(request, method="subscribe"), refusal, in_ns)

    @property
    def busy(self) -> bool:
        """Whether the client has subscribed to anything."""
        return bool(self.joined or self.private)

    def close(self) -> None:
        """Leave everything; the connection is gone."""
        self.gateway.publisher.sessions.pop(self, None)
        for key in list(self.joined):
            self.leave(key)
        for subscription in self.private.values():
            self.gateway.private.leave(subscription)
        self.private.clear()

    # -- answers ----------------------------------------------------------------------------------

    def succeed(self, request: Request, result: str, in_ns: int) -> None:
        """Send a success reply; ``result`` is JSON text."""
        out_ns = self.venue.clock.now_ns()
        self.send(codec.success(request.method, request.req_id, result, in_ns, out_ns))

    def fail(self, request: Request, error: VenueError | str, in_ns: int, symbol: str | None = None) -> None:
        """Send a failure reply."""
        out_ns = self.venue.clock.now_ns()
        self.send(codec.failure(request.method, request.req_id, str(error), in_ns, out_ns, symbol))
        self.log_refusal(request.method, error)

    def refuse_token(self, request: Request, channel: str, error: InvalidSessionError, in_ns: int) -> None:
        """Send the refusal of a private subscription whose token is not valid."""
        self.send(codec.invalid_session(channel, request.req_id, in_ns, self.venue.clock.now_ns()))
        self.log_refusal(f"subscribe {channel}", error)

    def log_refusal(self, what: str, error: VenueError | str) -> None:
        """Tell whoever reads the log what is refused, and why."""
        if _log.isEnabledFor(logging.DEBUG):
            who = (self._id, self._outlet.peer)
            _log.debug("WebSocket v2 connection %d of %s: %.64r refused: %s", *who, what, explained(error))

    def execute(self, command: Command, request: Request, in_ns: int, reply: Callable[[Event], None]) -> None:
        """Carry out ``command``; the answer goes out before anybody hears of it."""

        def respond(events: list[Event]) -> None:
            try:
                answer = ordering.answer(events, self.venue.engine, command)
            except VenueError as error:
                self.fail(request, error, in_ns)
            else:
                reply(answer)

        self.venue.execute(command, respond)

    # -- who and what -----------------------------------------------------------------------------

    def venue_pair(self, symbol: object) -> Instrument:
        """Return the pair with this v2 symbol; raises VenueError in the channel's words."""
        name = symbol if isinstance(symbol, str) else ""
        pair = self.venue.names.symbol(name)
        if pair is None:
            known_form = name.count("/") == 1 and name.replace("/", "").isalnum()
            problem = (
                "Currency pair not supported" if known_form else "Currency pair not in ISO 4217-A3 format"
            )
            raise VenueError(f"{problem} {name[:64]}", unknown_pair, self.venue.engine, name)
        return pair

    def token(self, params: dict[str, object]) -> Token:
        """Return the token of a private request.

        InvalidSessionError when it is not valid, VenueError when there is none, or when its account may not
        come in here.
        """
        return find_token(self.venue, self._entrance, params.get("token"))

    def key(self, params: dict[str, object], deed: Deed) -> ApiKey:
        """Return the key behind the token of a trading request; VenueError when it may not do this."""
        return trading_key(self.venue, self.token(params), deed)

    def charge(self, cost: int, most: int, now_ns: int) -> None:
        """Count what subscriptions cost, ``most`` a second; VenueError when it is too much."""
        if not self.venue.limits.on:
            return
        if self._cost is None:
            self._cost = Counter(most * 100)
        if self._cost.at(now_ns) + cost * Counter.UNIT > most * Counter.UNIT:
            raise VenueError("Exceeded msg rate")
        self._cost.add(2 * cost, now_ns)

    # -- subscriptions ----------------------------------------------------------------------------

    def reserve(self, key: FeedKey) -> None:
        """Enter a subscription; raises VenueError when it may not be."""
        if key in self.joined:
            raise VenueError("Already subscribed")
        channel, pair, _ = key
        refusal = _ONE_OF_A_KIND.get(channel)
        if refusal and any(other[:2] == (channel, pair) for other in self.joined):
            raise VenueError(refusal)
        self.joined[key] = object()

    def join(self, keys: list[FeedKey], *, snapshot: bool) -> None:
        """Join the feeds of entered subscriptions, one a turn of the loop: snapshots can be large."""
        tickets = [(key, self.joined[key]) for key in reversed(keys)]

        def next_one() -> None:
            while tickets:
                key, ticket = tickets.pop()
                if self.joined.get(key) is ticket:  # else it was left again meanwhile
                    payload = self.gateway.publisher.join(key, self, snapshot=snapshot)
                    if payload is not None:
                        self.send(payload)
                    break
            if tickets:
                self._outlet.later(next_one)

        next_one()

    def leave(self, key: FeedKey) -> None:
        """Leave a public feed."""
        del self.joined[key]
        self.gateway.publisher.leave(key, self)

    def channel(self, request: Request) -> Channel:
        """Return the channel of a subscribe or unsubscribe request, its parameters checked."""
        params = request.params
        name = params.get("channel")
        if name is None:
            raise missing("channel")
        if type(name) is not str:
            raise VenueError("Channel field must be a string")
        if name == "status":
            raise VenueError("Symbol(s) not found", "every connection is told status by itself")
        channel = CHANNELS.get(name)
        if channel is None:
            raise VenueError("Subscription name invalid", unknown, "channel", name, CHANNELS)
        level3 = channel.name == "level3"
        if channel.private and self._role in (Role.PUBLIC, Role.LEVEL3):
            raise VenueError(PRIVATE_ELSEWHERE)
        if level3 and self._role is Role.PUBLIC:
            raise VenueError(PRIVATE_ELSEWHERE)
        if not (channel.private or level3) and self._role in (Role.PRIVATE, Role.LEVEL3):
            raise VenueError(PUBLIC_ELSEWHERE)
        others = {k: v for k, v in params.items() if k != "symbol"} if not channel.private else params
        check(others, channel.spec, f"for subscription type: '{channel.name}'")
        return channel


def _subscribe(session: Session, request: Request, in_ns: int) -> None:
    session._outlet.subscribed()
    session.channel(request).subscribe(session, request, in_ns)


def _unsubscribe(session: Session, request: Request, in_ns: int) -> None:
    session.channel(request).unsubscribe(session, request, in_ns)


def _ping(session: Session, request: Request, in_ns: int) -> None:
    session.send(codec.pong(request.req_id, in_ns, session.venue.clock.now_ns()))


_REQUESTS: dict[str, Callable[[Session, Request, int], None]] = {
    "subscribe": _subscribe,
    "unsubscribe": _unsubscribe,
    "ping": _ping,
    **METHODS,
}
