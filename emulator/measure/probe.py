"""A lean client in a process of its own: sends what it was given, and times the answers.

    python -I -S probe.py

One JSON job a line on standard input, one JSON result a line on standard output. It knows nothing of Kraken
and imports the standard library only, so that it starts in some 20 ms, and its own work is small beside what
it measures. All times are microseconds.
"""

import json
import re
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

Job = dict[str, Any]
Result = dict[str, Any]

_REQ_ID = re.compile(rb'"req_id":\s*(\d+)')
_REFUSED = re.compile(rb'"success":\s*false|"error":\s*\[\s*"')
_FIX_HEAD = re.compile(rb"8=FIX\.4\.4\x019=([0-9]{1,7})\x01")
_FIX_TRAILER = len("10=000\x01")
_LOGON, _LOGOUT, _REPORT, _REJECT, _BUSINESS_REJECT = b"A", b"5", b"8", b"3", b"j"
_RST = struct.pack("ii", 1, 0)
_READ_BYTES = 1 << 18
_MOST_BYTES = 64 << 20
_PATIENCE_S = 10.0


class Failed(Exception):  # noqa: N818 - what became of a job
    """The job cannot be done: one line."""


class Connection:
    """A TCP connection, over TLS or not, that reads whole HTTP answers, WebSocket frames and FIX messages."""

    def __init__(self, job: Job, *, secure: bool = False) -> None:
        self.patience_s = float(job.get("timeout_s", _PATIENCE_S))
        began_ns = time.monotonic_ns()
        self.end = socket.create_connection((job["host"], job["port"]), self.patience_s)
        self.connect_us = _since_us(began_ns)
        self.end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Closing sends one packet, and leaves no port waiting.
        self.end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
        self.tls_us = 0.0
        self.host = str(job["host"])
        if secure:
            self._handshake(job)
        self._buffer = b""
        self.await_answer()

    def await_answer(self) -> None:
        """Have patience from now on."""
        self.until_ns = time.monotonic_ns() + round(self.patience_s * 1e9)

    def silent(self) -> Failed:
        """Say that nobody answered."""
        return Failed(f"no answer within {self.patience_s:g} s")

    def _handshake(self, job: Job) -> None:
        import ssl  # 30 ms that most jobs do not need

        context = ssl.create_default_context(cafile=job["ca"])
        self.host = str(job["server_name"])
        began_ns = time.monotonic_ns()
        self.end = context.wrap_socket(self.end, server_hostname=self.host)
        self.tls_us = _since_us(began_ns)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.end.close()

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.end.sendall(data)

    def send_text(self, text: str) -> None:
        """Send a WebSocket text frame, masked with zeros."""
        payload = text.encode()
        size = len(payload)
        head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
        self.send(head + bytes(4) + payload)

    def more(self) -> None:
        """Wait for more bytes, no longer for an answer than there is patience, whatever else comes."""
        try:
            data = self.end.recv(_READ_BYTES)
        except TimeoutError:
            raise self.silent() from None
        if time.monotonic_ns() > self.until_ns:
            raise self.silent()
        if not data:
            raise Failed("the venue closed the connection")
        self._buffer += data
        if len(self._buffer) > _MOST_BYTES:
            raise Failed("the venue sends without end")

    def upgrade(self, path: str) -> None:
        """Become a WebSocket connection."""
        self.await_answer()
        self.send(
            f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            self.more()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        if b" 101" not in head.split(b"\r\n", 1)[0]:
            raise Failed(f"no WebSocket there: {head[:80]!r}")

    def http_body(self) -> bytes:
        """Return the body of the next HTTP answer."""
        while b"\r\n\r\n" not in self._buffer:
            self.more()
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
        while len(rest) < length:
            self.more()
            rest = self._buffer.partition(b"\r\n\r\n")[2]
        self._buffer = rest[length:]
        return rest[:length]

    def frames(self) -> list[bytes]:
        """Return the payloads of the frames that are complete."""
        buffer, start, whole = self._buffer, 0, []
        while len(buffer) - start >= 2:
            size, head = buffer[start + 1] & 0x7F, 2
            if size > 125:
                head = 4 if size == 126 else 10
                size = int.from_bytes(buffer[start + 2 : start + head], "big")
            end = start + head + size
            if len(buffer) < end:
                break
            whole.append(buffer[start + head : end])
            start = end
        self._buffer = buffer[start:]
        return whole

    def fix_messages(self) -> list[bytes]:
        """Return the FIX messages that are complete; what is between them is none."""
        buffer, start, whole = self._buffer, 0, []
        while (head := _FIX_HEAD.search(buffer, start)) is not None:
            end = head.end() + int(head[1]) + _FIX_TRAILER
            if len(buffer) < end:
                break
            whole.append(buffer[head.start() : end])
            start = end
        self._buffer = buffer[start:]
        return whole

    def log_on(self, logon: str) -> None:
        """Begin a FIX session."""
        self.await_answer()
        self.send(logon.encode())
        while True:
            for message in self.fix_messages():
                msg_type = _field(message, 35)
                if msg_type == _LOGON:
                    return
                if msg_type == _LOGOUT:
                    raise Failed(f"the logon was refused: {_text(message)}")
            self.more()

    def log_out(self, logout: str) -> None:
        """End a FIX session in order, so that the next logon is not its duplicate."""
        self.await_answer()
        self.send(logout.encode())
        while not any(_field(message, 35) == _LOGOUT for message in self.fix_messages()):
            self.more()


def _field(message: bytes, tag: int) -> bytes:
    """Return a FIX message's first field of this tag, nothing when there is none."""
    return message.partition(b"\x01%d=" % tag)[2].partition(b"\x01")[0]


def _text(message: bytes) -> str:
    """Return what a FIX message says to people, or else the whole of it."""
    return (_field(message, 58) or message.replace(b"\x01", b"|")).decode("utf-8", "replace")


def _since_us(began_ns: int) -> float:
    return round((time.monotonic_ns() - began_ns) / 1000, 1)


def connect(job: Job) -> Result:
    """Time how long connecting takes: ``host``, ``port``, ``count``, ``pause_us``."""
    took_us = []
    for _ in range(job["count"]):
        with Connection(job) as connection:
            took_us.append(connection.connect_us)
        time.sleep(job.get("pause_us", 0) / 1e6)
    return {"took_us": took_us}


class _Answers:
    """When each message was sent and answered; they are numbered from 1."""

    def __init__(self, count: int) -> None:
        self.sent_ns = [0] * (count + 1)
        self.took_us = [0.0] * count
        self.answered = 0
        self.refused = 0
        self.first_refusal = ""

    def take(self, number: int, at_ns: int) -> bool:
        """Take an answer to a message; tell whether it is the first one."""
        if not 0 < number < len(self.sent_ns) or not self.sent_ns[number] or self.took_us[number - 1]:
            return False
        self.took_us[number - 1] = round((at_ns - self.sent_ns[number]) / 1000, 1)
        self.answered += 1
        return True

    def refuse(self, text: str, count: int = 1) -> None:
        """Count refusals, and keep the first one's text."""
        self.refused += count
        self.first_refusal = self.first_refusal or text

    def end(self, text: str) -> None:
        """Refuse all that has no answer: none will come."""
        self.refuse(text, len(self.took_us) - self.answered)
        self.answered = len(self.took_us)


class _OverWebSocket:
    """Messages as text frames: the n-th and its answer say ``"req_id": n``."""

    def __init__(self, connection: Connection) -> None:
        self.send = connection.send_text
        self._frames = connection.frames

    def take(self, answers: _Answers, at_ns: int) -> None:
        """Take the answers that have come."""
        for frame in self._frames():
            found = _REQ_ID.search(frame)
            if answers.take(int(found[1]) if found else 0, at_ns) and _REFUSED.search(frame):
                answers.refuse(frame.decode("utf-8", "replace"))


class _OverFix:
    """Orders over FIX: an answer has its message's ClOrdID, a Reject its number; a Logout ends it all."""

    def __init__(self, connection: Connection, messages: list[str]) -> None:
        self._send = connection.send
        self._messages = connection.fix_messages
        sent = [(place, message.encode()) for place, message in enumerate(messages, 1)]
        ids = {_field(message, 11): place for place, message in sent}
        numbers = {_field(message, 34): place for place, message in sent}
        self._references = {_REPORT: (11, ids), _BUSINESS_REJECT: (379, ids), _REJECT: (45, numbers)}
        self.ended = False

    def send(self, message: str) -> None:
        """Send a message."""
        self._send(message.encode())

    def take(self, answers: _Answers, at_ns: int) -> None:
        """Take the answers that have come: of several reports of an order the first one."""
        for message in self._messages():
            msg_type = _field(message, 35)
            if msg_type == _LOGOUT:
                answers.end(_text(message))
                self.ended = True
            elif msg_type in self._references:
                tag, places = self._references[msg_type]
                first = answers.take(places.get(_field(message, tag), 0), at_ns)
                if first and msg_type != _REPORT:
                    answers.refuse(_text(message))


def _timed(job: Job, connection: Connection, over: _OverWebSocket | _OverFix) -> Result:
    """Send ``messages`` and time their answers.

    Message i is sent i times ``spacing_us`` after the first, however many answers are under way; with spacing
    0 each waits for the answer to the one before it. ``spin`` polls the socket instead of sleeping.
    """
    messages, spacing_ns = job["messages"], round(job["spacing_us"] * 1000)
    answers, spin = _Answers(len(messages)), bool(job.get("spin"))
    now_ns = time.monotonic_ns
    waiting = select.poll()
    waiting.register(connection.end, select.POLLIN)
    begun_ns = now_ns()
    sent = 0
    while answers.answered < len(messages):
        due_ns = begun_ns + sent * spacing_ns if spacing_ns or answers.answered == sent else None
        if sent < len(messages) and due_ns is not None and now_ns() >= due_ns:
            sent += 1
            if answers.answered == sent - 1:
                connection.await_answer()
            answers.sent_ns[sent] = now_ns()
            over.send(messages[sent - 1])
            continue
        if answers.answered == sent:
            connection.await_answer()  # nobody is waited for, so nobody is late
        until_ns = connection.until_ns
        if sent < len(messages) and due_ns is not None:
            until_ns = min(due_ns, until_ns)
        # poll(2) knows milliseconds only: what is nearer is polled for.
        if waiting.poll(0 if spin else max(0, (until_ns - now_ns()) // 1_000_000)):
            connection.more()
            heard_ns = now_ns()
            before = answers.answered
            over.take(answers, heard_ns)
            if answers.answered > before:
                connection.await_answer()
        elif answers.answered < sent and now_ns() > connection.until_ns:
            raise connection.silent()
    return {"took_us": answers.took_us, "refused": answers.refused, "first_refusal": answers.first_refusal}


def websocket(job: Job) -> Result:
    """Time the answers to ``messages`` on one connection to ``path``, paced as ``_timed`` says."""
    with Connection(job) as connection:
        connection.upgrade(job["path"])
        return _timed(job, connection, _OverWebSocket(connection))


def fix(job: Job) -> Result:
    """Time the first answers to ``messages`` between ``logon`` and ``logout``, paced as ``_timed`` says.

    All are whole FIX messages, numbered; nothing is sent besides, so the Logon must ask for rare heartbeats.
    """
    with Connection(job) as connection:
        connection.log_on(job["logon"])
        over = _OverFix(connection, job["messages"])
        result = _timed(job, connection, over)
        if not over.ended:
            connection.log_out(job["logout"])
    return result


def http(job: Job) -> Result:
    """Time whole HTTP ``requests``, one after the other on one connection, ``pause_us`` apart."""
    took_us, refused, first_refusal = [], 0, ""
    with Connection(job) as connection:
        for request in job["requests"]:
            connection.await_answer()
            began_ns = time.monotonic_ns()
            connection.send(request.encode())
            body = connection.http_body()
            took_us.append(_since_us(began_ns))
            if _REFUSED.search(body):
                refused += 1
                first_refusal = first_refusal or body.decode("utf-8", "replace")
            time.sleep(job.get("pause_us", 0) / 1e6)
    return {"took_us": took_us, "refused": refused, "first_refusal": first_refusal}


def cold(job: Job) -> Result:
    """Time the parts of a first answer on fresh TLS connections, without resumption, ``count`` times.

    With ``path``, ``request`` is sent as a WebSocket message and its answer is the first frame of type
    "snapshot"; else it is a whole HTTP request. With ``logon`` that is sent over FIX, and, when it has been
    answered, ``logout``.
    """
    parts: dict[str, list[float]] = {"connect": [], "tls": [], "upgrade": [], "answer": []}
    for _ in range(job["count"]):
        with Connection(job, secure=True) as connection:
            parts["connect"].append(connection.connect_us)
            parts["tls"].append(connection.tls_us)
            began_ns = time.monotonic_ns()
            if "path" in job:
                connection.upgrade(job["path"])
                parts["upgrade"].append(_since_us(began_ns))
                began_ns = time.monotonic_ns()
                connection.await_answer()
                connection.send_text(job["request"])
                while not any(b'"type":"snapshot"' in frame for frame in connection.frames()):
                    connection.more()
            elif "logon" in job:
                connection.log_on(job["logon"])
            else:
                connection.send(job["request"].encode())
                connection.http_body()
            parts["answer"].append(_since_us(began_ns))
            if "logout" in job:
                connection.log_out(job["logout"])
    return {"parts_us": {name: took for name, took in parts.items() if took}}


KINDS: dict[str, Callable[[Job], Result]] = {
    "connect": connect,
    "websocket": websocket,
    "fix": fix,
    "http": http,
    "cold": cold,
}


def done(line: str) -> Result:
    """Do one job; what cannot be done is an ``error``."""
    try:
        job = json.loads(line)
        return KINDS[job["kind"]](job)
    except (OSError, Failed) as error:
        return {"error": str(error) or type(error).__name__}
    except (KeyError, TypeError, ValueError) as error:
        return {"error": f"a bad job: {error!r}"}


def main() -> None:
    """Do jobs until standard input ends; Ctrl-C ends it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    for line in sys.stdin:
        print(json.dumps(done(line)), flush=True)


if __name__ == "__main__":
    main()
