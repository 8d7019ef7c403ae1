"""The delay line on a clock turned by hand: every figure is exact."""

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.link import stream, transport
from tests.link.support import MS, Recorder, connected, echo, made_tier

TIER = made_tier(20_000)  # 20 ms, no jitter
JITTERY = made_tier(20_000, 500, 4_000, 9_000)
RTT = 20 * MS


@given(
    chunks=st.lists(st.tuples(st.integers(0, 3 * MS), st.binary(min_size=1, max_size=40)), max_size=30),
    seed=st.integers(0, 2**32),
)
def test_any_chunking_arrives_whole_and_in_order_in_both_directions(chunks, seed):
    arrivals = []
    inner = Recorder(lambda inner, data: (arrivals.append(clock.time_ns), echo(inner, data)))
    clock, line, real = connected(JITTERY, inner, seed=seed)
    sent = []
    for gap_ns, data in chunks:
        clock.run(for_ns=gap_ns)
        sent.append(clock.time_ns)
        line.data_received(data)
    clock.run()
    everything = b"".join(data for _, data in chunks)
    assert inner.received == real.sent == everything
    assert len(arrivals) == len(chunks)
    assert all(arrival > at for at, arrival in zip(sent, arrivals, strict=True))


@given(gaps_ns=st.lists(st.integers(0, 30 * MS), max_size=20))
def test_each_answer_is_due_one_rtt_after_its_request_however_many_are_in_flight(gaps_ns):
    clock, line, real = connected(TIER, Recorder(echo))
    sent = []
    for number, gap_ns in enumerate(gaps_ns):
        clock.run(for_ns=gap_ns)
        sent.append((clock.time_ns + RTT, number))
        line.data_received(bytes([number]))
    clock.run()
    assert [(at_ns, number) for at_ns, data in real.writes for number in data] == sent


@given(services_ns=st.lists(st.integers(0, RTT // 2), max_size=20))
def test_the_time_that_the_service_takes_is_inside_the_rtt(services_ns):
    def serve(inner, data):
        clock.time_ns += services_ns[data[0]]
        inner.transport.write(data)

    clock, line, real = connected(TIER, Recorder(serve))
    for number in range(len(services_ns)):
        start_ns = clock.time_ns
        line.data_received(bytes([number]))
        clock.run(for_ns=2 * RTT)
        assert real.writes[-1] == (start_ns + RTT, bytes([number]))


def test_the_second_path_is_its_extra_longer_each_way():
    clock, line, real = connected(TIER, Recorder(echo), path="B")
    start_ns = clock.time_ns
    line.data_received(b"order")
    clock.run()
    assert real.writes == [(start_ns + RTT + 2 * 500_000, b"order")]


def test_answers_from_a_task_are_timed_from_the_request_when_the_protocol_says_so():
    def later(inner, data):
        clock.at(clock.time_ns + 3 * MS, inner.transport.write, data)

    for answers_later, expected_ns in ((True, RTT), (False, RTT + 3 * MS)):
        inner = Recorder(later)
        clock, line, real = connected(TIER, inner)
        inner.transport.get_extra_info("delay_line").answers_later = answers_later
        start_ns = clock.time_ns
        line.data_received(b"order")
        clock.run()
        assert real.writes == [(start_ns + expected_ns, b"order")]


def test_unsolicited_writes_are_one_way_away_from_now():
    inner = Recorder()
    clock, _, real = connected(TIER, inner)
    start_ns = clock.time_ns
    inner.transport.writelines([b"book ", bytearray(b"update")])
    clock.run()
    assert real.writes == [(start_ns + RTT // 2, b"book update")]


def test_a_new_connection_waits_one_rtt_for_the_handshake_that_the_kernel_skipped():
    clock, line, real = connected(TIER, Recorder(echo), settled=False)
    start_ns = clock.time_ns
    clock.run(for_ns=5 * MS)
    line.data_received(b"hello")
    clock.run()
    assert real.writes == [(start_ns + 2 * RTT, b"hello")]


def test_writes_due_together_go_out_as_one():
    def two_parts(inner, data):
        inner.transport.write(b"head")
        inner.transport.write(b"body")

    clock, line, real = connected(TIER, Recorder(two_parts))
    line.data_received(b"order")
    clock.run()
    assert [data for _, data in real.writes] == [b"headbody"]


def test_a_lost_connection_is_news_that_comes_after_the_bytes():
    inner = Recorder()
    clock, line, _ = connected(TIER, inner)
    start_ns = clock.time_ns
    line.data_received(b"last words")
    line.connection_lost(reset := ConnectionResetError())
    assert inner.events == ["made"]
    inner.transport.write(b"into the void")
    clock.run_until(start_ns + RTT // 2 + 1)
    assert inner.events == ["made", "data", ("lost", reset)]
    assert inner.transport.is_closing()


def test_closing_a_connection_that_is_already_gone_ends_it_once():
    inner = Recorder()
    clock, line, _ = connected(TIER, inner)
    line.connection_lost(None)
    inner.transport.close()
    clock.run()
    assert inner.events == ["made", ("lost", None)]


def test_after_close_nothing_comes_in_and_what_was_written_goes_out_first():
    inner = Recorder()
    clock, line, real = connected(TIER, inner)
    start_ns = clock.time_ns
    line.data_received(b"held")
    inner.transport.write(b"goodbye")
    inner.transport.close()
    inner.transport.write(b"too late")
    line.data_received(b"ignored")
    assert line.eof_received()  # keeps the socket open for what is still to be written
    clock.run()
    assert real.writes == [(start_ns + RTT // 2, b"goodbye")]
    assert real.calls == ["close"]
    assert inner.events == ["made", ("lost", None)]


def test_a_protocol_that_fails_loses_its_connection_and_the_error_is_reported():
    def fail(inner, data):
        raise LookupError("no such order")

    inner = Recorder(fail)
    clock, line, real = connected(TIER, inner)
    line.data_received(b"order")
    clock.run()
    assert [repr(failure) for failure in clock.failures] == ["LookupError('no such order')"]
    assert inner.events == ["made", "data", ("lost", clock.failures[0])]
    assert real.calls == ["close"]


def test_received_bytes_are_bounded_by_not_reading_the_socket(monkeypatch):
    monkeypatch.setattr(stream, "HELD_LIMIT_BYTES", 1_000)
    inner = Recorder()
    clock, line, real = connected(TIER, inner)
    inner.transport.pause_reading()
    line.data_received(b"x" * 600)
    assert real.calls == []
    line.data_received(b"y" * 600)
    clock.run()
    assert real.calls == ["pause_reading"]
    assert (inner.received, inner.transport.is_reading()) == (b"", False)
    inner.transport.resume_reading()
    clock.run()
    assert real.calls == ["pause_reading", "resume_reading"]
    assert inner.received == b"x" * 600 + b"y" * 600


def test_a_client_that_reads_nothing_is_cut_off_with_one_logged_line(monkeypatch, caplog):
    monkeypatch.setattr(transport, "UNSENT_LIMIT_BYTES", 1_000)
    inner = Recorder()
    clock, _, real = connected(TIER, inner)
    real.unsent = 600
    with caplog.at_level(logging.WARNING, "emulator.link"):
        inner.transport.write(b"x" * 300)
        inner.transport.write(b"x" * 300)
        inner.transport.write(b"x" * 300)
        clock.run()
    assert len(caplog.messages) == 1
    assert "behind tier made" in caplog.messages[0]
    assert (real.writes, inner.events) == ([], ["made", ("lost", None)])


def test_the_protocol_is_told_to_pause_and_resume_writing_at_its_limits():
    inner = Recorder()
    clock, line, real = connected(TIER, inner)
    inner.transport.set_write_buffer_limits(high=100, low=10)
    assert inner.transport.get_write_buffer_limits() == (10, 100)
    inner.transport.write(b"x" * 100)
    assert "pause" not in inner.events
    inner.transport.write(b"x")
    assert inner.events == ["made", "pause"]
    assert inner.transport.get_write_buffer_size() == 101
    real.unsent = 50  # the kernel does not take it all
    clock.run()
    assert inner.events == ["made", "pause"]
    real.unsent = 10
    line.resume_writing()
    assert inner.events == ["made", "pause", "resume"]


def test_a_buffered_protocol_gets_every_byte_through_its_own_small_buffer():
    class Small(asyncio.BufferedProtocol):
        received = b""
        buffer = bytearray(7)

        def get_buffer(self, sizehint):
            return self.buffer

        def buffer_updated(self, nbytes):
            self.received += self.buffer[:nbytes]

    inner = Small()
    clock, line, _ = connected(TIER, inner)
    line.data_received(bytes(range(100)))
    clock.run()
    assert inner.received == bytes(range(100))


def test_another_protocol_can_take_over_in_the_middle_of_a_connection():
    successor = Recorder(echo)

    def upgrade(inner, data):
        inner.transport.write(b"101 ")
        inner.transport.set_protocol(successor)
        successor.connection_made(inner.transport)

    inner = Recorder(upgrade)
    clock, line, real = connected(TIER, inner)
    line.data_received(b"GET ")
    line.data_received(b"frame")
    line.connection_lost(None)
    clock.run_until(clock.time_ns + RTT // 2)
    assert inner.transport.get_protocol() is successor
    clock.run()
    assert inner.events == ["made", "data"]
    assert successor.events == ["made", "data", ("lost", None)]
    assert successor.received == b"frame"
    assert real.writes == []


def test_the_same_seed_gives_a_connection_the_same_delays():
    def delays(seed):
        clock, line, real = connected(JITTERY, Recorder(echo), seed=seed)
        start_ns = clock.time_ns
        for _ in range(20):
            line.data_received(b"x")
            clock.run(for_ns=100 * MS)
        return [at_ns - start_ns for at_ns, _ in real.writes]

    assert delays(1) == delays(1) != delays(2)


def test_writing_text_or_after_the_end_is_an_error():
    inner = Recorder()
    connected(TIER, inner)
    with pytest.raises(TypeError, match="bytes-like"):
        inner.transport.write("text")
    inner.transport._eof = True
    with pytest.raises(RuntimeError, match="after write_eof"):
        inner.transport.write(b"more")


# Lines that are not perfect


def changed(line, **fields):
    """Change the path of a line."""
    line._path.change(line._path.now.changed(**fields))


def test_what_the_link_takes_itself_comes_off_the_way():
    clock, line, real = connected(TIER, Recorder(echo))
    changed(line, floor_us=250)
    start_ns = clock.time_ns
    line.data_received(b"order")
    clock.run()
    assert real.writes == [(start_ns + RTT - 2 * 250_000, b"order")]


def test_a_renewed_floor_stays_through_changes():
    clock, line, real = connected(TIER, Recorder(echo))
    asked = line._path.now
    line._path.renew(500)
    assert line._path.now == asked
    changed(line, extra_us=1_000)
    start_ns = clock.time_ns
    line.data_received(b"order")
    clock.run()
    assert real.writes == [(start_ns + RTT + 2 * 1_000_000 - 500_000, b"order")]


def test_a_floor_higher_than_the_way_holds_nothing_back():
    clock, line, real = connected(TIER, Recorder(echo))
    changed(line, floor_us=50_000)
    start_ns = clock.time_ns
    line.data_received(b"order")
    clock.run()
    assert real.writes == [(start_ns, b"order")]


def test_a_lost_chunk_comes_one_retransmission_time_out_later_and_all_behind_it_wait():
    clock, line, real = connected(TIER, Recorder(echo))
    path = line._path
    path.change(path.now._replace(to_venue=path.now.to_venue.changed(loss=0.999)))
    start_ns = clock.time_ns
    line.data_received(b"lost ")
    path.change(path.now._replace(to_venue=path.now.to_venue.changed(loss=0.0)))
    line.data_received(b"behind")
    clock.run(for_ns=100_000 * MS)
    assert real.sent == b"lost behind"
    # Retransmissions are lost as well, each waiting twice as long; six of them at most.
    assert {at_ns for at_ns, _ in real.writes} == {start_ns + RTT + 63 * (RTT + 200 * MS)}


@pytest.mark.parametrize(
    "fault", [{"loss": 0.1}, {"corrupt": 0.1}, {"burst_start": 0.025, "burst_end": 0.25}]
)
def test_the_share_of_stalled_chunks_is_the_share_that_is_lost(fault):
    clock, line, real = connected(TIER, Recorder(echo))
    path = line._path
    path.change(path.now._replace(to_venue=path.now.to_venue.changed(**fault)))
    stalled = 0
    for _ in range(2_000):
        start_ns = clock.time_ns
        line.data_received(b"x")
        clock.run(for_ns=20_000 * MS)
        stalled += real.writes[-1][0] > start_ns + RTT
    share = 0.025 / (0.025 + 0.25) if "burst_start" in fault else 0.1
    assert stalled / 2_000 == pytest.approx(share, abs=0.035)


def test_losses_come_in_bursts_when_the_profile_says_so():
    clock, line, real = connected(TIER, Recorder(echo))
    path = line._path
    path.change(path.now._replace(to_venue=path.now.to_venue.changed(burst_start=0.01, burst_end=0.25)))
    runs, length = [], 0
    for _ in range(6_000):
        start_ns = clock.time_ns
        line.data_received(b"x")
        clock.run(for_ns=20_000 * MS)
        if real.writes[-1][0] > start_ns + RTT:
            length += 1
        elif length:
            runs, length = [*runs, length], 0
    assert sum(runs) / len(runs) == pytest.approx(4, abs=1.5)


def test_a_rate_spaces_bytes_out():
    clock, line, real = connected(TIER, Recorder(echo))
    path = line._path
    path.change(path.now._replace(to_client=path.now.to_client.changed(rate_bits_per_s=8_000_000)))
    start_ns = clock.time_ns
    for _ in range(3):
        line.data_received(bytes(1_000))
    clock.run()
    assert [at_ns - start_ns - RTT for at_ns, _ in real.writes] == [1 * MS, 2 * MS, 3 * MS]


def test_jitter_is_the_same_with_and_without_loss():
    def times(**fault):
        clock, line, real = connected(JITTERY, Recorder(echo), seed=3)
        changed(line, **fault)
        start_ns = clock.time_ns
        for _ in range(40):
            line.data_received(b"x")
            clock.run(for_ns=60_000 * MS)
        return [at_ns - start_ns for at_ns, _ in real.writes]

    without, lossy = times(), times(loss=0.2)
    delayed = sum(a != b for a, b in zip(without, lossy, strict=True))
    assert 4 < delayed < 30
    assert all(a <= b for a, b in zip(without, lossy, strict=True))


def test_a_path_that_is_cut_resets_its_connections_and_refuses_new_ones():
    inner = Recorder()
    clock, line, real = connected(TIER, inner)
    changed(line, loss=1)
    clock.run()
    assert real.calls == ["close"]
    assert ("lost", None) in inner.events
    refused = Recorder()
    line.set_inner(refused)
    line.connection_made(real)
    clock.run()
    assert real.calls == ["close", "close"]
    assert refused.events == []
    assert not line._path.connections


def test_chunks_of_no_size_are_bounded_too_in_both_directions():
    """What holding a chunk takes is more than its bytes."""
    clock, line, real = connected(TIER, inner := Recorder())
    for _ in range(stream.HELD_LIMIT_BYTES // transport.CHUNK_BYTES):
        line.data_received(b"x")
    assert real.calls[-1:] == ["pause_reading"]
    clock.run()
    assert real.calls[-1:] == ["resume_reading"]
    for _ in range(20_000):
        inner.transport.write(b"x")
    assert inner.events[-1] == "pause"
    clock.run()
    assert inner.events[-1] == "resume"
    assert len(real.sent) == 20_000


def test_a_protocol_that_goes_on_writing_crumbs_is_cut_off(caplog):
    clock, _, real = connected(TIER, inner := Recorder())
    for _ in range(transport.UNSENT_LIMIT_BYTES // transport.CHUNK_BYTES):
        inner.transport.write(b"x")
    clock.run()
    assert len(real.sent) < 20
    assert "unread behind tier" in caplog.text
