"""A market that never rests, over sockets: every checksum is right and no message is missing."""

from collections.abc import Callable

import pytest

from tests.fix.books import Book
from tests.fix.client import FixClient
from tests.fix.messages import Message
from tests.running import Running

SYMBOLS = ("BTC/USD", "ETH/USD", "SOL/USD", "DOGE/USD", "BTC/EUR")
DEPTHS = (1, 10, 25, 100, 1000)
UPDATES = 250
"""What a client waits for."""
Connect = Callable[..., FixClient]


def decimals(client: FixClient) -> dict[str, tuple[int, int]]:
    """Ask for 2349 and 5010 of all symbols."""
    client.send("x", (320, "all"), (559, 4))
    found: dict[str, tuple[int, int]] = {}
    while True:
        listed = client.read()
        found |= {row[55]: (int(row[2349]), int(row[5010])) for row in listed.groups(55)}
        if listed.get(893) in (None, "Y"):
            return found


def follow(client: FixClient, books: dict[tuple[str, str], Book]) -> None:
    """Read until there were enough updates, and some of every subscription; the books check themselves."""
    numbers: list[int] = []
    while not enough(books):
        message = client.read()
        numbers.append(int(message[34]))
        if message.type in ("W", "X"):
            books[message[262], message[55]].take(message)
        else:
            answer_test_request(client, message)
    first = numbers[0]
    assert numbers == list(range(first, first + len(numbers)))


def enough(books: dict[tuple[str, str], Book]) -> bool:
    heard: dict[str, int] = {}
    for (request, _), book in books.items():
        heard[request] = heard.get(request, 0) + book.updates
    return sum(heard.values()) >= UPDATES and min(heard.values()) > 0


def answer_test_request(client: FixClient, message: Message) -> None:
    assert message.type in ("0", "1"), message
    if message.type == "1":
        client.send("0", (112, message[112]))


def test_books_of_several_depths_stay_right(connect: Connect, busy_venue: Running) -> None:
    client = connect(busy_venue.next_member(), "spot_md", venue=busy_venue)
    assert client.logon().type == "A"
    known = decimals(client)
    books = {}
    for depth in DEPTHS:
        client.subscribe(*SYMBOLS, depth=depth, types="012", request=f"d{depth}")
        books |= {(f"d{depth}", symbol): Book(known[symbol], depth) for symbol in SYMBOLS}
    follow(client, books)
    client.logout()


@pytest.mark.parametrize("depth", [10, 1000])
def test_books_order_by_order_stay_right(connect: Connect, busy_venue: Running, depth: int) -> None:
    client = connect(busy_venue.next_member(), "spot_md_l3", venue=busy_venue)
    assert client.logon().type == "A"
    known = decimals(client)
    client.subscribe(*SYMBOLS, depth=depth, level3=True, request="l3")
    follow(client, {("l3", symbol): Book(known[symbol], depth, level3=True) for symbol in SYMBOLS})
    client.logout()
