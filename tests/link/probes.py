"""What tests measure a link with: round trips over TCP, and one way at a time over UDP.

A link here is anything with `listening_socket`, `address`, `client_address` and `venue`, as NetemLink.
"""

import socket
import statistics
import struct
import threading
import time
from contextlib import contextmanager, suppress

NS_PER_MS = 1_000_000
WITHIN_S = 30
PORT = 443

# What a machine that is itself emulated adds to every round trip, and what a measurement may be off besides.
SLACK_MS = 1.5
SLACK_SHARE = 0.02


def echo(connection):
    while data := connection.recv(65536):
        connection.sendall(data)


@contextmanager
def serving(link, tier_name, path_name=None, handle=echo):
    """Serve one connection after the other at a path's end."""
    with link.listening_socket(tier_name, path_name, PORT) as listener:
        listener.setblocking(True)

        def accept():
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    with connection:
                        handle(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield (link.address(tier_name, path_name), PORT)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(WITHIN_S)


def connect(address):
    client = socket.create_connection(address, timeout=WITHIN_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def ping(client):
    """One round trip of 64 bytes, in ms."""
    start = time.perf_counter()
    client.sendall(bytes(64))
    got = 0
    while got < 64:
        got += len(client.recv(64))
    return (time.perf_counter() - start) * 1000


def rtt_ms(client, count):
    return statistics.median(ping(client) for _ in range(count))


def measured_rtt_ms(link, tier_name, path_name=None, count=25):
    with serving(link, tier_name, path_name) as address, connect(address) as client:
        ping(client)
        return rtt_ms(client, count)


def assert_takes(expected_ms, measure, attempts=10):
    """Hold that a measure, in ms, is what it has to be; give it.

    Whatever else the machine does only ever adds: one that is too long is taken again, none may be too short.
    """
    for _ in range(attempts):
        measured_ms = measure()
        assert measured_ms >= expected_ms * (1 - SLACK_SHARE)
        if measured_ms <= expected_ms * (1 + SLACK_SHARE) + SLACK_MS:
            return measured_ms
    raise AssertionError(f"{measured_ms} ms instead of {expected_ms}, in the last of {attempts} attempts")


def until(condition):
    """Wait for what happens by itself."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Datagrams:
    """One way of a path, seen by UDP: which were sent, in which order and how much later they came."""

    def __init__(self, link, tier_name, *, to_venue=True):
        inside = link.venue.socket(socket.AF_INET, socket.SOCK_DGRAM)
        outside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        inside.bind((link.address(tier_name), 0))
        outside.bind((link.client_address(tier_name), 0))
        self._sender, self._receiver = (outside, inside) if to_venue else (inside, outside)
        with suppress(PermissionError):
            self._receiver.setsockopt(socket.SOL_SOCKET, 33, 16 * 2**20)  # SO_RCVBUFFORCE
        self._receiver.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        self._receiver.settimeout(0.5)
        self._all_sent = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self.numbers, self.delays_ms = [], []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._all_sent.set()
        self._thread.join(WITHIN_S)
        self._sender.close()
        self._receiver.close()

    def send(self, *numbers, gap_s=0.0):
        target = self._receiver.getsockname()
        for number in numbers:
            self._sender.sendto(struct.pack("=qq", number, time.time_ns()), target)
            if gap_s:
                time.sleep(gap_s)

    def _read(self):
        """Read until all are sent and none has come for half a second."""
        while True:
            try:
                data, ancillary, _, _ = self._receiver.recvmsg(64, 128)
            except TimeoutError:
                if self._all_sent.is_set():
                    return
                continue
            seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2][:16])
            number, sent_ns = struct.unpack("=qq", data)
            self.numbers.append(number)
            self.delays_ms.append((seconds * 1_000_000_000 + nanoseconds - sent_ns) / NS_PER_MS)


def sent_one_way(link, tier_name, count, *, to_venue=True, gap_s=0.0):
    with Datagrams(link, tier_name, to_venue=to_venue) as datagrams:
        datagrams.send(*range(count), gap_s=gap_s)
    return datagrams
