"""One client's state on WebSocket v1: role, subscriptions, and the answers it gets.  No sockets here."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from emulator.gateways.access import OPEN, Entrance
from emulator.gateways.errors import PERMISSION_DENIED, VenueError, explained
from emulator.gateways.keys import ApiKey
from emulator.gateways.order_reasons import unknown_pair
from emulator.gateways.outlet import Outlet
from emulator.gateways.permissions import Deed, all_of, allow
from emulator.gateways.roles import PRIVATE_ELSEWHERE, PUBLIC_ELSEWHERE, Role
from emulator.gateways.spot_ws_v1 import channels, codec
from emulator.gateways.spot_ws_v1.channels import CHANNELS, Channel
from emulator.gateways.spot_ws_v1.private import ORDERS, PrivateChannels, Subscription
from emulator.gateways.spot_ws_v1.publisher import FeedKey, Publisher
from emulator.gateways.spot_ws_v1.trading import METHODS, Trader
from emulator.gateways.token_use import INVALID_SESSION, find_token, trading_key
from emulator.gateways.tokens import Token
from emulator.gateways.venue import Venue
from emulator.words import unknown

EXCEEDED = "Exceeded msg rate"
"""The one refusal of a subscription that is a plain error frame."""
MOST_PAIRS = 500
"""Most pairs in one request."""
_NEEDED = {ORDERS: "query-open-trades"}
_log = logging.getLogger(__name__)
_FALSE = (False, "false", "False", 0)


class Gateway:
    """What all sessions share."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.publisher = Publisher(venue)
        self.private = PrivateChannels(venue)


class Session:
    """One WebSocket v1 connection, fed with messages, answering through its outlet."""

    def __init__(
        self, gateway: Gateway, outlet: Outlet, role: Role, connection_id: int, entrance: Entrance = OPEN
    ) -> None:
        self.gateway = gateway
        self.venue = gateway.venue
        self.joined: dict[FeedKey, object] = {}
        self.private: dict[str, Subscription] = {}
        self._id = connection_id
        self._outlet = outlet
        self._role = role
        self._entrance = entrance
        self.send = outlet.send
        self.post = outlet.post
        self.end = outlet.close
        self._trader = Trader(self.venue, self.send, self.key, self.log_refusal)
        told = self.venue.told(codec.ADVISORY_DECIMALS)
        self.send(codec.system_status(self.venue.engine.system.value, connection_id, told))
        gateway.publisher.sessions[self] = None

    @property
    def busy(self) -> bool:
        """Whether the client has subscribed to anything."""
        return bool(self.joined or self.private)

    def receive(self, data: bytes | str) -> None:
        """Take one message from the client and answer it."""
        try:
            message = codec.decode(data)
        except codec.MalformedError as error:
            self._fail({}, VenueError("Malformed request", "{} bytes: {}", len(data), error))
            return
        event = message.get("event")
        if event is None:
            self._fail(message, "Event(s) not found")
        elif type(event) is not str:  # a number with a fraction is text too, but of another type
            self._fail(message, "Event field must be a string")
        elif event in _REQUESTS:
            _REQUESTS[event](self, message)
        elif event not in METHODS:
            known = (*_REQUESTS, *METHODS)
            self._fail(message, VenueError("Unsupported event", unknown, "event", event, known))
        elif self._role in (Role.PUBLIC, Role.LEVEL3):
            self._fail(message, PRIVATE_ELSEWHERE)
        else:
            self._trader.receive(event, message)

    def close(self) -> None:
        """Leave everything; the connection is gone."""
        self.gateway.publisher.sessions.pop(self, None)
        for key in list(self.joined):
            self._leave(key)
        for subscription in self.private.values():
            self.gateway.private.leave(subscription)
        self.private.clear()

    def key(self, message: dict[str, Any], deed: Deed) -> ApiKey:
        """Return the key behind the token of a trading request; VenueError when it may not do this."""
        return trading_key(self.venue, self._token(message.get("token")), deed)

    def _token(self, text: object) -> Token:
        try:
            return find_token(self.venue, self._entrance, text)
        except VenueError as error:
            if str(error) == PERMISSION_DENIED:
                raise
            raise VenueError(INVALID_SESSION, error.why, *error.about) from None

    # -- answers ----------------------------------------------------------------------------------

    def _fail(self, message: dict[str, Any], error: VenueError | str) -> None:
        self.send(codec.control("error", message, errorMessage=str(error)))
        self.log_refusal(message, error)

    def log_refusal(self, message: dict[str, Any], error: VenueError | str) -> None:
        """Tell whoever reads the log of a refusal, and why; nothing of the message but its event."""
        if _log.isEnabledFor(logging.DEBUG):
            event = str(message.get("event", "a message"))
            who = (self._id, self._outlet.peer)
            _log.debug("WebSocket v1 connection %d of %s: %.64r refused: %s", *who, event, explained(error))

    def _status(self, message: dict[str, Any], status: str, **fields: Any) -> None:
        self.send(codec.control("subscriptionStatus", message, status=status, **fields))

    def _refuse(self, message: dict[str, Any], error: VenueError | str, pair: str | None = None) -> None:
        """Send the refusal of a subscription, with what was asked for."""
        if str(error) == EXCEEDED:
            self._fail(message, error)
            return
        asked = message.get("subscription")
        fields: dict[str, Any] = {} if pair is None else {"pair": pair}
        if isinstance(asked, dict):
            shown = {name: value for name, value in asked.items() if name != "token"}
            fields["subscription"] = shown
        self._status(message, "error", errorMessage=str(error), **fields)
        self.log_refusal(message, error)

    # -- subscriptions ----------------------------------------------------------------------------

    def _asked(self, message: dict[str, Any]) -> tuple[Channel, dict[str, Any]]:
        subscription = message.get("subscription")
        if not isinstance(subscription, dict):
            raise VenueError("Subscription field must be an object")
        channel = channels.find(subscription)
        if channel.private and self._role in (Role.PUBLIC, Role.LEVEL3):
            raise VenueError(PRIVATE_ELSEWHERE)
        if not channel.private and self._role in (Role.PRIVATE, Role.LEVEL3):
            raise VenueError(PUBLIC_ELSEWHERE)
        return channel, subscription

    @staticmethod
    def _pairs(message: dict[str, Any], channel: Channel) -> list[str]:
        pairs = message.get("pair")
        if channel.private:
            if pairs:
                raise VenueError("Pair field unsupported for this subscription type")
            return []
        if pairs is None or pairs == []:
            raise VenueError("Pair(s) not found")
        if not isinstance(pairs, list) or not all(type(pair) is str for pair in pairs):
            raise VenueError("Pair field must be an array")
        if len(pairs) > MOST_PAIRS:
            raise VenueError(EXCEEDED)
        return list(dict.fromkeys(pairs))

    def _pair_id(self, name: str) -> str:
        pair = self.venue.names.wsname(name)
        if pair is None:
            known_form = name.count("/") == 1 and name.replace("/", "").isalnum()
            problem = (
                "Currency pair not supported" if known_form else "Currency pair not in ISO 4217-A3 format"
            )
            raise VenueError(f"{problem} {name[:64]}", unknown_pair, self.venue.engine, name, "wsname")
        return pair.id

    def subscribe(self, message: dict[str, Any]) -> None:
        """Answer ``subscribe``: one status per pair."""
        self._outlet.subscribed()
        try:
            channel, subscription = self._asked(message)
            pairs, value = self._pairs(message, channel), channel.value(subscription)
            if channel.private:
                self._subscribe_private(message, channel, subscription)
        except VenueError as error:
            self._refuse(message, error)
            return
        waiting: list[tuple[FeedKey, object]] = []
        for name in pairs:
            try:
                key = (channel.name, self._pair_id(name), value)
                if key in self.joined:
                    raise VenueError("Already subscribed")
            except VenueError as error:
                self._refuse(message, error, name)
                continue
            ticket = self.joined[key] = object()
            waiting.append((key, ticket))
            self._status(message, "subscribed", **self._described(key))
        waiting.reverse()
        self._join_next(waiting)

    def _join_next(self, waiting: list[tuple[FeedKey, object]]) -> None:
        """Join one feed a turn of the loop: snapshots can be large."""
        while waiting:
            key, ticket = waiting.pop()
            if self.joined.get(key) is ticket:  # else it was left again meanwhile
                payload = self.gateway.publisher.join(key, self)
                if payload is not None:
                    self.send(payload)
                break
        if waiting:
            self._outlet.later(lambda: self._join_next(waiting))

    def _described(self, key: FeedKey) -> dict[str, Any]:
        channel = CHANNELS[key[0]]
        return {
            "channelID": self.gateway.publisher.channel_id(key),
            "channelName": channel.title(key[2]),
            "pair": self.venue.engine.catalogue.pairs[key[1]].wsname,
            "subscription": channel.described(key[2]),
        }

    def _subscribe_private(self, message: dict[str, Any], channel: Channel, asked: dict[str, Any]) -> None:
        token = self._token(asked.get("token"))
        allow(token.key, all_of(_NEEDED.get(channel.name, "query-closed-trades")))
        if channel.name in self.private:
            raise VenueError("Already subscribed")
        subscription = Subscription(
            channel.name,
            self,
            token,
            consolidate=asked.get("consolidate_taker", True) not in _FALSE,
            ratecounter=asked.get("ratecounter", False) not in _FALSE,
        )
        self.private[channel.name] = subscription
        self.gateway.private.join(subscription)
        account = self.venue.engine.accounts[token.key.account]
        described = channel.described(0)
        if channel.name == ORDERS:
            described["maxratecount"] = self.venue.most_rate(account)
        self._status(message, "subscribed", channelName=channel.name, subscription=described)
        if channel.name == ORDERS:
            subscription.snapshot(self.gateway.private.order_rows(account))
        elif asked.get("snapshot", True) not in _FALSE:
            subscription.snapshot(self.gateway.private.trade_rows(account))

    def unsubscribe(self, message: dict[str, Any]) -> None:
        """Answer ``unsubscribe``: by channel number, by pair and subscription, or all by name ``*``."""
        try:
            fits, private, names = self._meant(message)
        except VenueError as error:
            self._refuse(message, error)
            return
        for name in names:
            try:
                pair = None if name is None else self._pair_id(name)
            except VenueError as error:
                self._refuse(message, error, name)
                continue
            keys = [key for key in self.joined if fits(key) and pair in (None, key[1])]
            for key in keys:
                self._leave(key)
                self._status(message, "unsubscribed", **self._described(key))
            if not keys and not private:
                self._refuse(message, "Subscription Not Found", name)
        for channel in private:
            self.gateway.private.leave(self.private.pop(channel))
            described = CHANNELS[channel].described(0)
            self._status(message, "unsubscribed", channelName=channel, subscription=described)

    def _meant(
        self, message: dict[str, Any]
    ) -> tuple[Callable[[FeedKey], bool], list[str], Sequence[str | None]]:
        """Return which public feeds fit, which private channels, and the pairs (None: whichever)."""
        number, everywhere = message.get("channelID"), (None,)
        if number is not None:
            return (lambda key: self.gateway.publisher.channel_id(key) == number), [], everywhere
        asked = message.get("subscription")
        if isinstance(asked, dict) and asked.get("name") == "*":
            if not asked.keys() <= {"name", "token"}:
                raise VenueError("Subscription object unsupported field")
            if message.get("pair") is None:
                return (lambda _: True), list(self.private), everywhere
            return (lambda _: True), [], self._pairs(message, CHANNELS["ticker"])
        channel, asked = self._asked(message)
        if channel.private:
            self._pairs(message, channel)
            return (lambda _: False), [name for name in self.private if name == channel.name], everywhere
        names = everywhere if message.get("pair") is None else self._pairs(message, channel)
        value = channel.value(asked) if channel.detail in asked else None
        return (lambda key: key[0] == channel.name and value in (None, key[2])), [], names

    def _leave(self, key: FeedKey) -> None:
        del self.joined[key]
        self.gateway.publisher.leave(key, self)

    def ping(self, message: dict[str, Any]) -> None:
        """Answer ``ping``."""
        self.send(codec.control("pong", message))


_REQUESTS: dict[str, Callable[[Session, dict[str, Any]], None]] = {
    "subscribe": Session.subscribe,
    "unsubscribe": Session.unsubscribe,
    "ping": Session.ping,
}
