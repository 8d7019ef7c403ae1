"""`kraken-emulator run`: unmodified commands in a network of their own, for real."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from emulator.link import netns
from emulator.run import trust
from tests.run.support import FOLDER, NEAR, PATIENCE_S, PYTHON, as_nobody, options, python, run
from tests.running import COMMAND, ROOT, environment

# The command itself


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 128 + 15), ("kill -KILL $$", 128 + 9)],
)
def test_the_exit_code_is_the_commands(script, code):
    assert run("sh", "-c", script).returncode == code


def test_a_command_that_is_not_there_or_no_program_has_envs_exit_codes():
    done = run("there-is-no-such-command")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr.endswith("error: there-is-no-such-command: No such file or directory\n")
    assert run("/etc/hosts").returncode == 126


def test_standard_streams_are_the_commands_and_one_line_of_ours_is_on_stderr():
    done = run("sh", "-c", "cat; echo problem >&2", input="what is typed")
    assert done.stdout == "what is typed"
    ours, theirs = done.stderr.splitlines()
    assert ours.startswith("kraken-emulator: api.kraken.com is 10.83.1.2, tier local")
    assert theirs == "problem"


def test_the_command_keeps_its_user_folder_arguments_and_environment(tmp_path):
    done = run(
        "sh", "-c", 'id -u; pwd; echo "$1" "$MINE"', "-", "a b  c", env=environment(MINE="x y"), cwd=ROOT
    )
    assert done.stdout.splitlines() == [str(os.getuid()), str(ROOT), "a b  c x y"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_reach_the_command(number):
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got it; exit 3' {name}; echo ready; while :; do sleep 0.05; done"
    arguments = [*COMMAND, "run", *NEAR, "--", "sh", "-c", script]
    options_ = {key: value for key, value in options().items() if key in ("cwd", "env", "text")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(arguments, **options_, **pipes) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE_S)[0] == "got it\n"
    assert process.returncode == 3


def test_an_interrupt_from_the_terminal_reaches_the_command_once():
    if not shutil.which("setsid"):
        pytest.skip("needs setsid")
    code = """
import signal, time
heard = []
signal.signal(signal.SIGINT, lambda *_: heard.append(1))
print("ready", flush=True)
while not heard: time.sleep(0.01)
time.sleep(0.5)
print(len(heard), flush=True)"""
    ours, theirs = os.openpty()
    arguments = ["setsid", "--ctty", *COMMAND, "run", "--quiet", *NEAR, "--", PYTHON, "-c", code]
    options_ = {key: value for key, value in options().items() if key in ("cwd", "env", "text")}
    with subprocess.Popen(arguments, stdin=theirs, stdout=subprocess.PIPE, **options_) as process:
        assert process.stdout.readline() == "ready\n"
        os.write(ours, b"\x03")
        assert process.communicate(timeout=PATIENCE_S)[0] == "1\n"
    assert process.returncode == 0
    os.close(ours)
    os.close(theirs)


KILLED = """
import socket, subprocess, sys
from pathlib import Path
from emulator.run import spaces
from tests.running import wait_until

spaces.enter(network=True)  # where nobody else makes and removes devices meanwhile
before = set(socket.if_nameindex())
with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as process:
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), 60, "the command's end")
print(set(socket.if_nameindex()) == before)
"""


def test_nothing_is_left_when_it_is_killed(tmp_path):
    arguments = [*COMMAND, "run", "--tier", "aws", "--market", "off", "--raw-delay", "--"]
    env = environment(TMPDIR=str(tmp_path), XDG_DATA_HOME=FOLDER.name)
    command = [PYTHON, "-c", KILLED, *arguments, "sh", "-c", "echo $$; exec sleep 600"]
    done = subprocess.run(command, **options(env=env))
    assert done.stdout == "True\n", done.stderr


# The command's world


def test_krakens_names_lead_to_the_venue_and_nothing_else_is_reachable():
    with socket.create_server(("127.0.0.1", 0)) as ours:
        code = f"""
import json, socket
def refused(host, port):
    try: socket.create_connection((host, port), 5).close()
    except OSError as error: return True
    return False
names = ["api.kraken.com", "ws.kraken.com", "ws-auth.kraken.com", "futures.kraken.com"]
print(json.dumps([
    [socket.gethostbyname(name) for name in names],
    refused("192.0.2.1", 80), refused("127.0.0.1", {ours.getsockname()[1]}), refused("example.com", 443),
]))"""
        assert python(code, told="192.0.2.1:80, name example.com") == [["10.83.1.2"] * 4, True, True, True]


def test_services_of_the_machine_are_not_asked_for_names():
    if not os.path.exists(trust.LOOKUPS):
        pytest.skip("no nsswitch.conf here")
    before = ("unshare", "-Urm", "sh", "-c", f'{OUTSIDE_SERVICES} && exec "$@"', "-")
    if not shutil.which("unshare") or subprocess.run([*before, "true"], **options()).returncode:
        pytest.skip("no mounts to put the services into")
    done = run("sh", "-c", "grep hosts: /etc/nsswitch.conf; cat /run/nscd/socket", before=before)
    assert done.stdout == "hosts: files dns\n"


OUTSIDE_SERVICES = "mount -t tmpfs none /run && mkdir /run/nscd && echo answers > /run/nscd/socket"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"])
def test_a_bundle_that_the_environment_names_is_kept_and_trusts_the_venue(variable, tmp_path):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("# of the company\n")
    variables = environment(XDG_DATA_HOME=FOLDER.name, **{variable: str(bundle)})
    done = run("sh", "-c", f'echo "${variable}"; cat "${variable}"', env=variables)
    assert done.stdout.splitlines()[:2] == [str(bundle), "# of the company"]
    assert "BEGIN CERTIFICATE" in done.stdout
    assert bundle.read_text() == "# of the company\n"


def test_who_names_a_hashed_folder_of_authorities_trusts_the_venue_too(tmp_path):
    variables = environment(XDG_DATA_HOME=FOLDER.name, SSL_CERT_DIR=str(tmp_path))
    variables.pop("SSL_CERT_FILE", None)
    code = """
import json, ssl, urllib.request
answer = json.load(urllib.request.urlopen("https://api.kraken.com/0/public/Time", timeout=30))
print(json.dumps([ssl.get_default_verify_paths().capath, answer["error"]]))"""
    assert python(code, env=variables) == [str(tmp_path), []]


def test_the_names_and_the_trust_end_with_the_command():
    hosts = Path(trust.HOSTS).read_bytes()
    bundles = {path: path.read_bytes() for path in trust.bundles(["python3"], os.environ)}
    assert run("true").returncode == 0
    assert Path(trust.HOSTS).read_bytes() == hosts
    assert {path: path.read_bytes() for path in bundles} == bundles


@pytest.mark.parametrize("link", ["stream", "packet"])
def test_a_command_with_krakens_address_in_it_just_runs(link):
    if link == "packet" and (reason := netns.possible()):
        pytest.skip(reason)
    code = """
import json, time, urllib.request
began = time.monotonic()
answer = json.load(urllib.request.urlopen("https://api.kraken.com/0/public/SystemStatus", timeout=30))
print(json.dumps([answer, time.monotonic() - began]))"""
    answer, took_s = python(code, settings=("--tier", "us", "--market", "off", "--raw-delay", "--link", link))
    assert answer["result"]["status"] == "online"
    assert took_s > 3 * 0.0595  # TCP, TLS, and the request: one round trip each


@pytest.mark.parametrize("link", ["stream", "packet"])
def test_addresses_that_an_emulator_for_others_would_have_are_none_of_its(link):
    if link == "packet" and (reason := netns.possible()):
        pytest.skip(reason)
    code = """
import json, urllib.request
answer = json.load(urllib.request.urlopen("https://api.kraken.com/0/public/Time", timeout=30))
print(json.dumps(answer["error"]))"""
    apart = (
        "--tier",
        "beeks",
        "--market",
        "off",
        "--raw-delay",
        "--link",
        link,
        "--host",
        "{tier}.venue.test",
    )
    assert python(code, settings=apart) == []


@pytest.mark.parametrize("link", ["stream", "packet"])
def test_krakens_plain_port_is_there_too_for_http_and_websockets(link):
    if link == "packet" and (reason := netns.possible()):
        pytest.skip(reason)
    code = """
import json, urllib.request
from websockets.sync.client import connect
answer = json.load(urllib.request.urlopen("http://api.kraken.com/0/public/Time", timeout=30))
with connect("ws://ws.kraken.com/v2") as feed:
    print(json.dumps([answer["error"], json.loads(feed.recv(30))["channel"]]))"""
    settings = ("--tier", "beeks", "--market", "off", "--raw-delay", "--link", link)
    assert python(code, settings=settings) == [[], "status"]


@pytest.mark.parametrize("options", [("--http-port", "80"), ("--tls-port", "443")])
def test_krakens_ports_may_be_the_emulators_own(options):
    code = """
import json, urllib.request
urls = "http://api.kraken.com/0/public/Time", "https://api.kraken.com/0/public/Time"
print(json.dumps([json.load(urllib.request.urlopen(url, timeout=30))["error"] for url in urls]))"""
    assert python(code, settings=(*NEAR, *options)) == [[], []]


CCXT = """
import json, os, ccxt
endpoints = json.load(open(os.environ["KRAKEN_EMULATOR_ENDPOINTS"]))
key = endpoints["accounts"][0]["spot"]
kraken = ccxt.kraken({"apiKey": key["key"], "secret": key["secret"]})
order = kraken.create_order("BTC/USD", "limit", "buy", 0.01, 50_000)
canceled = kraken.cancel_order(order["id"])
print(json.dumps(canceled["info"]["result"]["count"]))
"""
SDK = """
import asyncio, json, os
from kraken.spot import SpotWSClient, Trade
endpoints = json.load(open(os.environ["KRAKEN_EMULATOR_ENDPOINTS"]))
key = endpoints["accounts"][1]["spot"]
heard = []
class Client(SpotWSClient):
    async def on_message(self, message):
        heard.append(message)
async def main():
    client = Client(key=key["key"], secret=key["secret"])
    await client.start()
    await client.subscribe({"channel": "executions"})
    order = {"order_type": "limit", "side": "buy", "symbol": "BTC/USD", "order_qty": 0.01}
    await client.send_message({"method": "add_order", "params": order | {"limit_price": 50_000}})
    async with asyncio.timeout(30):
        while not any(m.get("channel") == "executions" and m["type"] == "update" for m in heard):
            await asyncio.sleep(0.01)
    await client.close()
asyncio.run(main())
trade = Trade(key=key["key"], secret=key["secret"])
print(json.dumps(trade.cancel_all_orders()["count"]))
"""


@pytest.mark.client
@pytest.mark.parametrize("code", [CCXT, SDK], ids=["ccxt", "python-kraken-sdk"])
def test_client_libraries_run_unmodified_with_their_own_addresses(code):
    assert python(code, settings=("--tier", "aws", "--market", "off", "--link", "stream", "--raw-delay")) == 1


def test_a_fix_client_with_krakens_host_and_ports_in_it_just_runs(tmp_path):
    file = tmp_path / "endpoints.json"
    code = f"""
import json, ssl
from tests.fix.sockets import SocketClient
account = json.load(open({str(file)!r}))["accounts"][0]
context = ssl.create_default_context()  # the system's trust
said = []
for port, target in ((4000, "KRAKEN-MD"), (4001, "KRAKEN-TRD"), (4005, "KRAKEN-MD")):
    with SocketClient(f"colo-london.vip-fix.kraken.com:{{port}}", account, target, context=context) as client:
        said += [client.logon().type, client.logout().type]
print(json.dumps(said))
"""
    assert python(code, settings=(*NEAR, "--endpoints-file", str(file))) == ["A", "5"] * 3


@pytest.mark.client
@pytest.mark.parametrize(
    "command",
    [
        ("curl", "-sS", "https://api.kraken.com/0/public/SystemStatus"),
        (
            "node",
            "-e",
            "const url = 'https://api.kraken.com/0/public/SystemStatus';"
            "require('https').get(url, answer => answer.pipe(process.stdout))",
        ),
    ],
    ids=["curl", "node"],
)
def test_other_programs_trust_the_venue_as_well(command):
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    done = run(*command)
    assert json.loads(done.stdout)["result"]["status"] == "online"


def test_hosts_with_flawed_certificates_are_there_for_commands_too():
    code = """
import json, urllib.request
said = {}
for name in ("valid", "wrong-name", "expired", "untrusted"):
    try:
        with urllib.request.urlopen(f"https://{name}.kraken-emulator.test/0/public/Time") as answer:
            said[name] = json.loads(answer.read())["error"]
    except OSError as error:
        said[name] = error.reason.verify_message
print(json.dumps(said))"""
    said = python(code)
    assert said.pop("valid") == []
    assert said.pop("wrong-name").startswith("Hostname mismatch")
    assert said == {
        "expired": "certificate has expired",
        "untrusted": "unable to get local issuer certificate",
    }


def test_the_authority_can_be_read_by_whatever_user_the_command_becomes():
    code = """
import json, os
told = json.load(open(os.environ["KRAKEN_EMULATOR_ENDPOINTS"]))["tiers"]["local"]["tls"]["ca"]
modes = [
    (os.stat(path).st_mode & 0o004, os.stat(os.path.dirname(path)).st_mode & 0o005)
    for path in (told, os.environ["NODE_EXTRA_CA_CERTS"])
]
print(json.dumps(modes))"""
    assert python(code) == [[4, 5], [4, 5]]


def test_colo_has_two_addresses_behind_each_name_the_first_path_first():
    if reason := netns.possible():
        pytest.skip(reason)
    code = """
import json, socket
print(json.dumps([row[4][0] for row in socket.getaddrinfo("ws.kraken.com", 443, type=socket.SOCK_STREAM)]))"""
    settings = ("--tier", "colo", "--market", "off", "--raw-delay", "--link", "packet")
    first, second = python(code, settings=settings)
    assert first != second
    assert (first, second) == ("10.83.1.2", "10.83.2.2")


def test_it_can_be_nested():
    inner = [*COMMAND, "run", "--quiet", *NEAR, "--", "getent", "hosts", "ws.kraken.com"]
    done = run(*inner)
    assert done.stdout.split()[0] == "10.83.1.2"


# Who may, and what is said otherwise


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root to become nobody")
def test_it_needs_no_privilege_and_gives_the_command_none():
    interpreter = Path("/usr/bin/python3")
    if not interpreter.exists():
        pytest.skip("no Python that everybody may execute")
    packages = next(Path(sys.prefix).glob("lib/python3*/site-packages"))
    variables = environment(XDG_DATA_HOME="/tmp", PYTHONPATH=f"{ROOT}:{packages}", HOME="/tmp")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        variables["XDG_DATA_HOME"] = folder
        command = as_nobody(str(interpreter), "-m", "emulator", "run", "--quiet", *NEAR, "--")
        script = "id -u; grep CapEff /proc/self/status; getent hosts api.kraken.com"
        done = subprocess.run([*command, "sh", "-c", script], **options(env=variables, cwd="/"))
    if "No module named" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"the checkout is not readable by everybody: {done.stderr.splitlines()[-1]}")
    user, capabilities, address = done.stdout.splitlines()
    assert user == "65534"
    assert int(capabilities.split()[1], 16) == 0
    assert address.startswith("10.83.1.2")


def test_where_namespaces_are_off_one_line_says_so_and_what_to_do():
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        pytest.skip("needs unshare and setpriv")
    script = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin "$@"'
    before = ("unshare", "-Ur", "sh", "-c", script, "-")
    if subprocess.run([*before, "true"], **options()).returncode:
        pytest.skip("no user namespace to take the right away in")
    done = run("true", before=before)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("kraken-emulator: error: no namespace can be made here")
    assert "sysctl -w user.max_user_namespaces=" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "--tier", "us"], "run: no COMMAND"),
        (["run", "--tier", "us", "--"], "run: no COMMAND"),
        (["run", "--tier", "nowhere", "--", "true"], "unknown tier 'nowhere'"),
        (["run", "--link", "magic", "--", "true"], "unknown link 'magic'"),
        (["tiers", "--", "true"], "tiers runs no command"),
    ],
)
def test_a_bad_command_line_is_one_line_and_nothing_runs(arguments, complaint):
    done = subprocess.run([*COMMAND, *arguments], **options())
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


# With the machine's own network


def test_allow_internet_leaves_the_command_in_the_machines_network():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with socket.create_server(("127.0.0.1", 0)) as ours:
        code = f"""
import json, socket, urllib.request
socket.create_connection(("127.0.0.1", {ours.getsockname()[1]}), 5).close()
print(urllib.request.urlopen("https://api.kraken.com/0/public/Time", timeout=30).read().decode())"""
        settings = ("--tier", "local", "--market", "off", "--ports", "auto", "--allow-internet")
        assert python(code, settings=settings)["error"] == []


WITH_A_SERVER = """
import os, socket, sys
from emulator.link import netns
with netns.Namespace.current() as here:
    netns.loopback_up(here)
server = socket.create_server(("0.0.0.0", 80))
server.set_inheritable(True)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def test_where_another_server_has_the_machines_port_80_that_is_said_and_the_rest_is_there():
    before = ("unshare", "-Urn", PYTHON, "-c", WITH_A_SERVER)
    if not shutil.which("unshare") or subprocess.run([*before, "true"], **options()).returncode:
        pytest.skip("no network to have a server of all addresses in")
    code = (
        "import urllib.request as r; print(r.urlopen('https://api.kraken.com/0/public/Time').read().decode())"
    )
    settings = (*NEAR, "--ports", "auto", "--allow-internet")
    done = run(PYTHON, "-c", code, settings=settings, before=before)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["error"] == []
    first, second = done.stderr.splitlines()
    assert first.startswith("kraken-emulator: api.kraken.com is 127.83.1.2, tier local")
    assert second == (
        "kraken-emulator: http:// and ws:// at Kraken's names are not served: "
        "port 80 on 127.83.1.2 is taken by another program"
    )


# What is told


def test_a_hosts_file_keeps_what_it_had_but_for_krakens_names():
    old = "127.0.0.1 localhost\n104.16.0.1 api.kraken.com # pinned\n10.0.0.7 db\n"
    new = trust.hosts_file(old, ["api.kraken.com", "ws.kraken.com"], ["10.83.1.2", "10.83.2.2"])
    assert new.splitlines() == [
        "127.0.0.1 localhost",
        "10.0.0.7 db",
        "10.83.1.2 api.kraken.com ws.kraken.com",
        "10.83.2.2 api.kraken.com ws.kraken.com",
    ]


def test_an_nsswitch_file_keeps_all_but_who_is_asked_for_hosts():
    old = "passwd: files systemd\nhosts: mymachines resolve [!UNAVAIL=return] files dns\n"
    assert trust.lookups_file(old) == "passwd: files systemd\nhosts: files dns\n"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"https_proxy": "http://proxy:3128"}, "api.kraken.com,ws.kraken.com"),
        ({"ALL_PROXY": "socks5://proxy", "NO_PROXY": "db"}, "db,api.kraken.com,ws.kraken.com"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, "*"),
    ],
)
def test_proxies_are_not_asked_for_krakens_names(variables, expected):
    names = ["api.kraken.com", "ws.kraken.com"]
    told = trust.variables(variables, Path("/b"), Path("/ca"), names, Path("/e"))
    assert told.get("NO_PROXY") == expected


def test_the_bundles_of_the_commands_own_python_are_found(tmp_path):
    place = tmp_path / "venv/lib/python3.11/site-packages/certifi"
    place.mkdir(parents=True)
    (place / "cacert.pem").write_text("certificates")
    (tmp_path / "venv/bin").mkdir()
    script = tmp_path / "bot"
    script.write_text(f"#!{tmp_path}/venv/bin/python -u\n")
    script.chmod(0o755)
    for command, variables in (
        ([str(script)], {}),
        (["true"], {"VIRTUAL_ENV": str(tmp_path / "venv")}),
    ):
        assert place / "cacert.pem" in trust.bundles(command, {"PATH": "/usr/bin:/bin", **variables})


def test_lines_of_the_log_have_their_time_and_say_why_a_call_was_refused():
    code = (
        "import urllib.request;"
        "print(urllib.request.urlopen('https://api.kraken.com/0/public/OHLC').read().decode())"
    )
    done = run(PYTHON, "-c", code, settings=(*NEAR, "--log-level", "debug"))
    assert json.loads(done.stdout)["error"] == ["EGeneral:Invalid arguments:pair"]
    [line] = [line for line in done.stderr.splitlines() if "'/0/public/OHLC'" in line]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} DEBUG emulator\.gateways\.spot_rest", line), line
    assert line.endswith("refused: EGeneral:Invalid arguments:pair (it is missing; there are: none)")
