"""What a command under `run` tries to reach besides the venue: refused at once, and told by name."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from emulator.run import names, packets
from emulator.run.guard import MOST_PLACES, MOST_SHOWN, Tally
from tests.run.support import NEAR, PYTHON, as_nobody, options, run
from tests.running import COMMAND, ROOT, environment

TRY = """
import socket, sys, time
def attempt(family, kind, address):
    began = time.monotonic()
    with socket.socket(family, kind) as end:
        end.settimeout(20)
        try:
            end.connect(address)
            end.send(b"x")
            end.recv(1)
            said = "answered"
        except OSError as error:
            said = type(error).__name__
    print(said, flush=True)
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
"""


def attempts(*lines, settings=NEAR):
    """Run attempts; give what they saw, and what `run` says besides the first line."""
    done = run(PYTHON, "-c", TRY + "\n".join(lines), settings=settings)
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr.splitlines()[1:]


def told(*places, last):
    return [*(f"kraken-emulator: refused: {place}" for place in places), f"kraken-emulator: refused: {last}"]


@pytest.mark.parametrize("link", ["stream", "packet"])
def test_a_pinned_address_is_refused_at_once_and_told_with_how_often(link):
    lines = ["attempt(socket.AF_INET, STREAM, ('104.16.212.191', 443))"] * 3
    lines += ["attempt(socket.AF_INET, STREAM, ('192.168.7.7', 22))"]
    done = run(
        PYTHON, "-c", TRY + "\n".join(lines), settings=("--tier", "aws", "--market", "off", "--link", link)
    )
    if "does not work here" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout.split() == ["ConnectionRefusedError"] * 4
    assert done.stderr.splitlines()[1:] == told(
        "104.16.212.191:443", "192.168.7.7:22", last="104.16.212.191:443 (3 times), 192.168.7.7:22"
    )


def test_ipv6_and_datagrams_are_refused_too():
    if not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("no IPv6 here")
    saw, said = attempts(
        "attempt(socket.AF_INET6, STREAM, ('2606:4700::6810:d4bf', 443))",
        "attempt(socket.AF_INET, DATAGRAM, ('104.16.212.191', 443))",
        "attempt(socket.AF_INET6, DATAGRAM, ('2606:4700::6810:d4bf', 443))",
    )
    assert saw == ["ConnectionRefusedError"] * 3
    six = "[2606:4700::6810:d4bf]:443"
    assert said == told(
        six, "104.16.212.191:443/udp", f"{six}/udp", last=f"{six}, 104.16.212.191:443/udp, {six}/udp"
    )


def test_a_name_that_is_not_served_does_not_exist_and_is_told():
    saw, said = attempts(
        """
demo = "demo-futures.kraken.com"
for name in (demo, "example.com", demo, "api.kraken.com", "localhost"):
    try: print(socket.gethostbyname(name))
    except socket.gaierror as error: print(error.errno == socket.EAI_NONAME)"""
    )
    assert saw == ["True", "True", "True", "10.83.1.2", "127.0.0.1"]
    first, second = "name demo-futures.kraken.com", "name example.com"
    assert said == told(first, second, last=f"{first} (2 times), {second}")


def test_a_name_server_elsewhere_is_refused_and_told_with_the_name():
    query = names.answer(names.Question(1, 0, "", 1, b"\x03api\x06kraken\x03com\0\0\1\0\1"), None)
    query = query[:2] + b"\x01\x00" + query[4:]  # as a question
    saw, said = attempts(
        f"""
end = socket.socket(socket.AF_INET, DATAGRAM)
end.connect(("8.8.8.8", 53))
end.send({query!r})
try: end.recv(1)
except ConnectionRefusedError: print("refused")""",
        "attempt(socket.AF_INET, STREAM, ('8.8.8.8', 53))",
        "attempt(socket.AF_INET, STREAM, ('1.1.1.1', 443))",
    )
    assert saw == ["refused", "ConnectionRefusedError", "ConnectionRefusedError"]
    here, *_ = places = ["name api.kraken.com at 8.8.8.8", "8.8.8.8:53", "1.1.1.1:443"]
    assert here in said[0]
    assert said == told(*places, last=", ".join(places))


def test_who_asks_our_name_server_itself_finds_krakens_names():
    code = """
import socket
query = bytes.fromhex("000701000001000000000000") + b"\\x02ws\\x06kraken\\x03com\\0\\0\\1\\0\\1"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
    end.settimeout(20)
    end.sendto(query, ("127.0.0.1", 53))
    print(socket.inet_ntoa(end.recv(512)[-4:]))"""
    done = run(PYTHON, "-c", code)
    assert done.stdout == "10.83.1.2\n"
    assert len(done.stderr.splitlines()) == 1


def test_quiet_keeps_the_last_line_only():
    code = TRY + "attempt(socket.AF_INET, STREAM, ('104.16.212.191', 443))"
    done = run(PYTHON, "-c", code, settings=("--quiet", *NEAR))
    assert done.stderr.splitlines() == told(last="104.16.212.191:443")


def test_a_command_that_behaves_is_told_nothing():
    code = "import urllib.request as r; r.urlopen('https://api.kraken.com/0/public/Time')"
    done = run(PYTHON, "-c", code, settings=("--quiet", *NEAR))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_exit_code_stays_the_commands_and_an_unknown_program_is_told_as_well():
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    done = run("curl", "-sS", "https://futures.kraken.io/", settings=("--quiet", *NEAR))
    assert done.returncode == 6  # could not resolve host
    assert done.stderr.splitlines()[-1:] == told(last="name futures.kraken.io")


def test_that_nobody_reads_what_is_told_is_nothing_to_the_command():
    reading, writing = os.pipe()
    os.close(reading)
    try:
        code = TRY + "attempt(socket.AF_INET, STREAM, ('104.16.212.191', 443)); sys.exit(7)"
        told_nobody = options(capture_output=False, stdout=subprocess.PIPE, stderr=writing)
        done = subprocess.run([*COMMAND, "run", *NEAR, "--", PYTHON, "-c", code], **told_nobody)
    finally:
        os.close(writing)
    assert (done.returncode, done.stdout) == (7, "ConnectionRefusedError\n")


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root to become nobody")
def test_it_needs_no_privilege():
    interpreter = Path("/usr/bin/python3")
    if not interpreter.exists():
        pytest.skip("no Python that everybody may execute")
    packages = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        variables = environment(XDG_DATA_HOME=folder, PYTHONPATH=f"{ROOT}:{packages}", HOME="/tmp")
        code = TRY + "attempt(socket.AF_INET, STREAM, ('104.16.212.191', 443))"
        command = as_nobody(str(interpreter), "-m", *COMMAND[2:], "run", "--quiet", *NEAR, "--")
        done = subprocess.run([*command, str(interpreter), "-c", code], **options(env=variables, cwd="/"))
    if "No module named" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"the checkout is not readable by everybody: {done.stderr.splitlines()[-1]}")
    assert done.stdout == "ConnectionRefusedError\n"
    assert done.stderr.splitlines() == told(last="104.16.212.191:443")


# Its parts


def query(name, kind=1, flags=0x0100, questions=1):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    head = b"\x12\x34" + flags.to_bytes(2, "big") + questions.to_bytes(2, "big") + bytes(6)
    return head + labels + b"\0" + kind.to_bytes(2, "big") + b"\0\1"


def test_a_question_is_read_and_answered():
    asked = names.question(query("API.kraken.com"))
    assert (asked.name, asked.kind, asked.number) == ("api.kraken.com", 1, 0x1234)
    answer = names.answer(asked, ["10.83.1.2", "10.83.2.2"])
    assert answer[:8] == bytes.fromhex("1234 8180 0001 0002")
    assert (answer[-20:-16], answer[-4:]) == (bytes([10, 83, 1, 2]), bytes([10, 83, 2, 2]))
    assert names.answer(asked, None)[:8] == bytes.fromhex("1234 8183 0001 0000")


def test_a_record_of_another_kind_is_not_there_but_the_name_is():
    asked = names.question(query("api.kraken.com", kind=28))
    assert names.answer(asked, ["10.83.1.2"])[:8] == bytes.fromhex("1234 8180 0001 0000")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        bytes(12),
        query("api.kraken.com")[:-1],
        query("api.kraken.com")[:20],
        query("api.kraken.com", flags=0x8180),
        query("api.kraken.com", questions=2),
        bytes.fromhex("123401000001000000000000") + b"\xc0\x0c\0\1\0\1",
        bytes.fromhex("123401000001000000000000") + b"\x01x" * 2_000 + b"\0\0\1\0\1",
        bytes(range(256)),
    ],
)
def test_what_is_no_question_is_none(data):
    assert names.question(data) is None


def test_a_name_never_carries_control_characters_to_a_terminal():
    assert names.question(query("\x1b[2j.kraken.com")).name == "?[2j.kraken.com"


@pytest.mark.parametrize("packet", [b"", b"E", bytes([0x4F]) + bytes(30), bytes([0x60]) + bytes(20)])
def test_a_packet_that_is_cut_short_is_none(packet):
    assert packets._read(packet) is None


def test_the_last_line_is_bounded_and_says_how_many_more():
    first = []
    tally = Tally(first.append)
    for number in range(2 * MOST_PLACES):
        tally.add(f"10.0.0.1:{number}")
    assert len(first) == MOST_PLACES
    line = str(tally)
    assert line.count("10.0.0.1:") == MOST_SHOWN
    assert line.endswith(f"and {MOST_PLACES - MOST_SHOWN} more")


def test_one_look_up_is_one_time_however_many_kinds_of_record_it_asks_for():
    tally = Tally(lambda _: None)
    for kind in (1, 28, 1, 28, 65):
        tally.add("name example.com", kind)
    assert str(tally) == "name example.com (2 times)"
    assert str(Tally(print)) == ""


# What it is not: a wall against a command that wants out

NETWORK = "readlink /proc/self/ns/net"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("nsenter"), reason="needs root and nsenter")
def test_root_can_leave_on_purpose_and_the_page_says_so():
    ours = f"/proc/{os.getpid()}/ns/net"
    done = run("sh", "-c", f"{NETWORK}; nsenter --net={ours} {NETWORK}")
    if "Operation not permitted" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip("this is root of a user namespace only, or may not look at other processes")
    inside, entered = done.stdout.split()
    assert inside != entered == os.readlink(ours)
    assert "nsenter" in (ROOT / "docs/run.md").read_text()


def test_sockets_that_are_files_lead_out_and_the_page_says_so(tmp_path):
    place = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({place!r}); s.send(b'x')"
        assert run(sys.executable, "-c", code).returncode == 0
        listener.settimeout(30)
        end, _ = listener.accept()
        with end:
            assert end.recv(1) == b"x"
    assert "docker.sock" in (ROOT / "docs/run.md").read_text()
