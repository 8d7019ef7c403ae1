"""When packets of a connection leave the relay: an answer counts from its request; on a clock by hand."""

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.link.relay_flows import ANSWERED_WITHIN_NS, LEAD_NS, ONE_ANSWER_NS, Answers, Flows, Requests
from emulator.link.relay_lane import Lane
from emulator.link.shape import Shape
from tests.link.support import MS

US = 1_000
FIN, SYN, RST, ACK = 1, 2, 4, 16
CLIENT, VENUE, PORT = 0x0A530001, 0x0A530002, 7480
START = 5_000 * MS
ONE_WAY = 30 * MS


def tcp(source, sport, target, dport, number, ack, size, flags=ACK, tos=0, fragment=0x4000):
    ip = struct.pack(">BBHHHBBHII", 0x45, tos, 40 + size, 1, fragment, 64, 6, 0, source, target)
    head = struct.pack(">HHIIBBHHH", sport, dport, number % 2**32, ack % 2**32, 0x50, flags, 500, 0, 0)
    return b"\x00" * 12 + b"\x08\x00" + ip + head + b"x" * size


class Path:
    """Both ways of a path without jitter, and a connection over it that counts its own sequence numbers."""

    def __init__(self, one_way_us=ONE_WAY / US, number=1_000, service_ns=None, **fields):
        shape = Shape(one_way_us=one_way_us, **fields)
        self.flows = Flows(service_ns)
        self.lanes = Lane(shape, "1", Requests(self.flows)), Lane(shape, "2", Answers(self.flows))
        self.next = [number, 2**32 - 50]  # of the client, and of the venue, whose numbers soon wrap

    def there(self, at_ns, size=100, port=50_000, flags=ACK, number=None):
        """Let the client send; give when that leaves to the venue."""
        begin = self.next[0] if number is None else number
        frame = tcp(CLIENT, port, VENUE, PORT, begin, self.next[1], size, flags)
        self.next[0] = max(self.next[0], begin + size + bool(flags & (SYN | FIN)))
        return self._through(0, at_ns, frame)

    def back(self, at_ns, size=100, port=50_000, flags=ACK, ack=None, number=None, tos=0, now_ns=0):
        """Let the venue send; give when that leaves to the client."""
        begin = self.next[1] if number is None else number
        ack = self.next[0] if ack is None else ack
        frame = tcp(VENUE, PORT, CLIENT, port, begin, ack, size, flags, tos)
        self.next[1] = max(self.next[1], begin + size + bool(flags & (SYN | FIN)))
        return self._through(1, at_ns, frame, now_ns)

    def _through(self, way, at_ns, frame, now_ns=0):
        lane = self.lanes[way]
        lane.take(at_ns, frame, now_ns)
        (left_ns,) = [held[0] for held in lane._held if held[2] is frame]
        return left_ns


@pytest.fixture
def path():
    return Path()


@pytest.mark.parametrize("service_ns", [0, 80 * US, 3 * MS, ANSWERED_WITHIN_NS])
@pytest.mark.parametrize("number", [1_000, 2**32 - 100, 2**32 - 1])
def test_an_answer_is_due_one_round_trip_after_its_request_whatever_the_service_took(service_ns, number):
    path = Path(number=number)
    due_ns = path.there(START)
    assert due_ns == START + ONE_WAY
    assert path.back(due_ns + service_ns) == START + 2 * ONE_WAY


def test_an_answer_that_is_ready_too_late_leaves_at_once():
    path = Path(one_way_us=100)
    assert path.back(path.there(START) + 3 * MS) == START + 100 * US + 3 * MS


def test_what_nobody_asked_for_leaves_at_its_own_time(path):
    came_ns = path.there(START)
    path.back(came_ns + 50 * US)
    for push_ns in (came_ns + 50 * US + ONE_ANSWER_NS + 1, came_ns + 9 * MS, came_ns + 900 * MS):
        assert path.back(push_ns) == push_ns + ONE_WAY


def test_a_push_on_a_connection_that_never_asked_leaves_at_its_own_time(path):
    assert path.back(START) == START + ONE_WAY


def test_a_push_that_left_before_the_venue_had_the_request_is_no_answer(path):
    """Its acknowledgement tells; the answer that comes behind it is one all the same."""
    before = path.next[0]
    due_ns = path.there(START)
    push_ns = due_ns + 40 * US
    assert path.back(push_ns, ack=before) == push_ns + ONE_WAY
    assert path.back(due_ns + 90 * US) == push_ns + ONE_WAY  # due before that, but nothing overtakes


def test_a_request_that_gets_no_answer_is_forgotten(path):
    due_ns = path.there(START)  # a heartbeat
    push_ns = due_ns + ANSWERED_WITHIN_NS + 1
    assert path.back(push_ns) == push_ns + ONE_WAY


def test_an_answer_in_several_packets_is_one(path):
    due_ns = path.there(START)
    leave = [path.back(due_ns + 300 * US + place, size=1_448) for place in range(10)]
    assert leave == [START + 2 * ONE_WAY] * 10


def test_a_stream_of_pushes_behind_an_answer_is_no_answer_for_long(path):
    due_ns = path.there(START)
    leave = [(at := due_ns + 80 * US + place * 50 * US, path.back(at)) for place in range(100)]
    for at_ns, left_ns in leave[4:]:
        assert left_ns == at_ns + ONE_WAY


def test_requests_under_way_have_answers_of_their_own(path):
    """Orders every millisecond, each answered before the next arrives."""
    dues = [path.there(START + place * MS) for place in range(40)]
    first = path.next[0] - 40 * 100
    for place, due_ns in enumerate(dues):
        left_ns = path.back(due_ns + 200 * US, ack=first + (place + 1) * 100)
        assert left_ns == START + place * MS + 2 * ONE_WAY


def test_what_answers_several_requests_at_once_is_early_for_none(path):
    dues = [path.there(START + place * MS) for place in range(5)]
    assert path.back(dues[-1] + MS) == dues[-1] + ONE_WAY


def test_each_connection_counts_for_itself_and_none_waits_for_another():
    path = Path()
    due_ns = path.there(START, port=50_000)
    assert path.back(due_ns + MS, port=50_001) == due_ns + MS + ONE_WAY
    assert path.back(due_ns + 2 * MS, port=50_000) == due_ns + ONE_WAY


def test_an_acknowledgement_alone_answers_nothing(path):
    due_ns = path.there(START)
    assert path.back(due_ns + 10 * US, size=0) == due_ns + 10 * US + ONE_WAY
    assert path.back(due_ns + 90 * US) == due_ns + 10 * US + ONE_WAY


def test_an_acknowledgement_from_the_client_asks_nothing(path):
    due_ns = path.there(START, size=0)
    assert path.back(due_ns + 90 * US) == due_ns + 90 * US + ONE_WAY


def test_a_handshake_takes_one_round_trip(path):
    due_ns = path.there(START, size=0, flags=SYN)
    assert path.back(due_ns + 200 * US, size=0, flags=SYN | ACK) == START + 2 * ONE_WAY


def test_a_refusal_takes_one_round_trip(path):
    due_ns = path.there(START, size=0, flags=SYN)
    assert path.back(due_ns + 200 * US, size=0, flags=RST | ACK) == START + 2 * ONE_WAY


def test_a_connection_from_the_same_port_begins_anew(path):
    path.back(path.there(START, flags=SYN, size=0), flags=SYN | ACK, size=0)
    later = START + 1_000 * MS
    path.next = [77, 2**31]
    due_ns = path.there(later, flags=SYN, size=0)
    assert path.back(due_ns + 50 * US, flags=SYN | ACK, size=0) == later + 2 * ONE_WAY
    due_ns = path.there(later + 100 * MS)
    assert path.back(due_ns + 50 * US) == later + 100 * MS + 2 * ONE_WAY


def test_a_request_sent_again_counts_from_then(path):
    """The first copy may have been lost behind us, or what came before it: there was nothing to answer."""
    first = path.next[0]
    path.there(START)
    again_ns = path.there(START + 5 * MS, number=first)
    assert path.back(again_ns + 80 * US) == START + 5 * MS + 2 * ONE_WAY


def test_a_request_sent_again_after_its_answer_asks_nothing(path):
    first = path.next[0]
    path.back(path.there(START))
    again_ns = path.there(START + 5 * MS, number=first)
    assert path.back(again_ns + 80 * US) == again_ns + 80 * US + ONE_WAY


def test_an_answer_sent_again_does_not_use_up_the_next_request(path):
    said = path.next[1]
    path.back(path.there(START))
    later = START + 300 * MS
    due_ns = path.there(later)
    path.back(due_ns + 10 * US, number=said)
    assert path.back(due_ns + 80 * US) == due_ns + 10 * US + ONE_WAY  # behind it, as it came


def test_marked_answers_take_their_service_time_beyond_the_round_trip():
    path = Path(service_ns={3: 500 * US})
    due_ns = path.there(START)
    assert path.back(due_ns + 640 * US, tos=3 << 2) == START + 2 * ONE_WAY + 500 * US
    due_ns = path.there(START + 100 * MS)
    assert path.back(due_ns + 40 * US, tos=3 << 2) == START + 100 * MS + 2 * ONE_WAY + 500 * US


def test_an_upload_is_answered_from_its_end(path):
    for place in range(500):
        due_ns = path.there(START + place * 10 * US, size=1_448)
    assert path.back(due_ns + 70 * US) == due_ns + ONE_WAY


def test_requests_leave_early_where_answers_would_be_late_and_those_are_due_as_before():
    path = Path(one_way_us=100)
    for place in range(40):
        came_ns = START + place * MS
        left_ns = path.there(came_ns)
        answer_ns = path.back(left_ns + 150 * US)
    assert left_ns == came_ns + 50 * US
    assert answer_ns == came_ns + 200 * US
    assert path.back(came_ns + 60 * US, size=0) >= answer_ns


def test_an_acknowledgement_of_a_request_that_left_early_is_not_early():
    path = Path(one_way_us=100)
    path.flows.lead_ns = 90 * US
    left_ns = path.there(START)
    assert left_ns == START + 10 * US
    assert path.back(left_ns, size=0) == START + 200 * US


def test_what_is_late_here_counts_as_what_the_venue_takes():
    path = Path(one_way_us=100)
    for place in range(40):
        left_ns = path.there(START + place * MS)
        path.back(left_ns + 70 * US, now_ns=left_ns + 130 * US)
    assert path.flows.lead_ns == 30 * US


def test_requests_never_leave_much_earlier_than_due():
    path = Path(one_way_us=1_000)
    for place in range(40):
        left_ns = path.there(START + place * 20 * MS)
        path.back(left_ns + 7 * MS)
    assert path.flows.lead_ns == LEAD_NS
    assert path.there(START + 900 * MS) == START + 900 * MS + MS - LEAD_NS


@pytest.mark.parametrize("cut_at", [0, 14, 30, 47])
def test_what_is_no_tcp_keeps_its_order(path, cut_at):
    whole = tcp(CLIENT, 1, VENUE, 2, 5, 5, 10)
    frames = [whole[:cut_at] + bytes([place]) for place in range(3)]
    for place, frame in enumerate(frames):
        path.lanes[0].take(START + place, frame)
    assert path.lanes[0].due(START + ONE_WAY + 2, 9) == frames


def test_a_fragment_is_no_request(path):
    frame = tcp(CLIENT, 50_000, VENUE, PORT, path.next[0], 1, 100, fragment=0x2000)
    path.next[0] += 100
    path.lanes[0].take(START, frame)
    assert path.back(START + ONE_WAY + MS) == START + MS + 2 * ONE_WAY


def test_a_damaged_request_still_counts_as_asked():
    path = Path(corrupt=1.0)
    frame = tcp(CLIENT, 50_000, VENUE, PORT, path.next[0], 1, 100)
    path.next[0] += 100
    path.lanes[0].take(START, frame)
    (flow,) = path.flows._flows.values()
    assert [asked.due_ns for asked in flow.asked] == [START + ONE_WAY]


def test_connections_are_not_remembered_without_end(monkeypatch):
    monkeypatch.setattr("emulator.link.relay_flows._MOST_FLOWS", 10)
    path = Path()
    for place in range(100):
        path.there(START + place * 100 * MS, port=50_000 + place)
    assert len(path.flows._flows) == 10


events = st.lists(
    st.tuples(
        st.integers(0, 400 * US),  # since the event before
        st.sampled_from(["ask", "answer", "push", "ack", "again"]),
        st.integers(0, 1),  # which connection
    ),
    max_size=60,
)


@given(events, st.sampled_from([100, 1_000, 30_000]), st.integers(0, LEAD_NS))
def test_no_packet_is_early_and_none_overtakes_whatever_happens(what, one_way_us, lead_ns):
    """The venue sees what has left for it, and answers later; nothing comes before its cause."""
    path, one_way_ns = Path(one_way_us=one_way_us), one_way_us * US
    path.flows.lead_ns = lead_ns
    path.flows.learn = lambda *_: None
    ends = [[1_000, 2**32 - 9], [9_000, 77]]
    last = dict.fromkeys(itertools.product((0, 1), (0, 1)), 0)
    there, now_ns = [[], []], START
    for gap_ns, kind, which in what:
        now_ns += gap_ns
        path.next = ends[which]
        if kind in ("ask", "again"):
            before = path.next[0]
            number = before - 100 if kind == "again" and there[which] else None
            left_ns = path.there(now_ns, port=which, number=number)
            assert left_ns >= max(now_ns, last[which, 0])
            last[which, 0] = left_ns
            there[which].append((left_ns, path.next[0], now_ns))
            continue
        had = [asked for asked in there[which] if asked[0] <= now_ns]
        ack = had[-1][1] if had else 1_000 if which == 0 else 9_000
        size = 0 if kind == "ack" else 100
        left_ns = path.back(now_ns, size=size, port=which, ack=ack)
        assert left_ns >= max(now_ns, last[which, 1])
        last[which, 1] = left_ns
        if had:  # never before what asked last could be answered
            assert left_ns >= min(had[-1][2] + 2 * one_way_ns, now_ns + one_way_ns)
        assert left_ns <= max(last[which, 1], now_ns + one_way_ns + lead_ns)
