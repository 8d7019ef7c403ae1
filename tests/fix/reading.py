"""What tests look at in market data messages, and the book that most of them begin with."""

from tests.fix.messages import Message

SECOND = 10**9
BOOK = (
    ("sell", "0.5", "64001.0"),
    ("sell", "1.25", "64002.5"),
    ("buy", "0.25", "64000.1"),
    ("buy", "2", "63999.9"),
)
HEAD = [55, 262, 268]
"""Tags of a W or an X before its entries."""


def tags(message: Message) -> list[int]:
    """Return the tags of the body."""
    return [int(tag) for tag, _ in message.pairs[7:-1]]


def body(message: Message) -> list[tuple[int, str]]:
    """Return the fields of the body."""
    return [(int(tag), value) for tag, value in message.pairs[7:-1]]


def rows(message: Message) -> list[tuple[str, ...]]:
    """Return the entries as (279, 269, 270, 271), of a snapshot without 279."""
    columns = (279, 269, 270, 271) if message.type == "X" else (269, 270, 271)
    return [tuple(entry[tag] for tag in columns) for entry in message.groups(columns[0])]


def only(messages: list[Message]) -> Message:
    """Return the message when there is one only."""
    (message,) = messages
    return message
