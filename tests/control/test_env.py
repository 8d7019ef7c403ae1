"""`kraken-emulator env`: a shell that evaluates it calls Kraken at the emulator."""

import json
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import trustme

from emulator.control import exports
from emulator.control.client import ControlError
from tests.running import COMMAND, ROOT, environment, running, wait_until

ENDPOINTS = {
    "tiers": {
        "us": {"proxy": "http://127.0.0.1:7470", "tls": {"ca": "/home/it's me/ca.pem"}},
        "tokyo": {"proxy": "http://127.0.0.1:7570", "tls": {"ca": "/ca.pem"}},
        "bare": {"tls": {"ca": "/ca.pem"}},
    },
    "control": "http://127.0.0.1:7490",
}


@pytest.fixture(scope="module")
def venue():
    with running("--tier", "local,us", "--market", "off", "--proxy", "--raw-delay") as venue:
        yield venue


def shell(script, *, program="sh", **variables):
    """Run a script in which `emulator` is the command."""
    command = " ".join(COMMAND)
    return subprocess.run(
        [program, "-c", f'emulator() {{ {command} "$@"; }}\n{script}'],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_endpoints_file_names_each_tiers_proxy(venue):
    proxies = [tier["proxy"] for tier in venue.endpoints["tiers"].values()]
    assert len(set(proxies)) == 2
    assert all(proxy.startswith("http://127.0.0.1:") for proxy in proxies)
    printed = wait_until(lambda: "\nready;" in venue.stdout() and venue.stdout(), 60, "the ready line")
    assert all(f"  proxy      {proxy}\n" in printed for proxy in proxies)


def test_the_control_api_tells_what_the_endpoints_file_has(venue):
    done = shell(f"curl -sS --noproxy '*' {venue.endpoints['control']}/control/endpoints")
    if done.returncode == 127:
        pytest.skip("curl is not installed")
    assert json.loads(done.stdout) == venue.endpoints


@pytest.mark.parametrize("program", ["sh", "bash", "zsh"])
def test_a_shell_that_evaluates_it_calls_kraken_at_the_emulator(venue, program):
    if not shutil.which(program) or not shutil.which("curl"):
        pytest.skip(f"{program} or curl is not installed")
    script = f"""
unset SSL_CERT_FILE
eval "$(emulator env --tier us --control {venue.endpoints["control"]})" || exit 1
echo "$HTTPS_PROXY $https_proxy $SSL_CERT_FILE ${{NO_PROXY-none}} ${{no_proxy-none}}"
curl -sS https://api.kraken.com/0/public/SystemStatus"""
    done = shell(script, program=program, NO_PROXY="*", no_proxy="*")
    assert done.stderr == ""
    first, second = done.stdout.splitlines()
    us = venue.tier("us")
    assert first == f"{us['proxy']} {us['proxy']} {us['tls']['ca']} none none"
    assert json.loads(second)["result"]["status"] == "online"


CONNECT = """
import os, socket, ssl
with socket.create_connection(("127.0.0.1", int(os.environ["PORT"]))) as end:
    try:
        ssl.create_default_context().wrap_socket(end, server_hostname="real.example").close()
        print("trusted")
    except ssl.SSLCertVerificationError:
        print("refused")
"""


def test_what_the_system_trusts_is_not_trusted_besides(venue, tmp_path):
    """A client that goes past the proxy must not trust what it finds there."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    authority, system = trustme.CA(), tmp_path / "system"
    system.mkdir()
    authority.cert_pem.write_to_path(system / "ca.pem")
    named = ["openssl", "x509", "-noout", "-hash", "-in", system / "ca.pem"]
    name = subprocess.run(named, capture_output=True, text=True, check=True).stdout.strip()
    (system / "ca.pem").rename(system / f"{name}.0")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("real.example").configure_cert(context)
    connect = f"{shlex.quote(sys.executable)} -c {shlex.quote(CONNECT)}"
    env = f"emulator env --control {venue.endpoints['control']}"

    def serve():
        for _ in range(2):
            end, _ = listener.accept()
            with end, suppress(OSError):
                context.wrap_socket(end, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as threads:
        listener.settimeout(60)
        threads.submit(serve)
        done = shell(
            f'{connect}\neval "$({env})"\n{connect}',
            SSL_CERT_FILE="/dev/null",
            SSL_CERT_DIR=str(system),
            PORT=str(listener.getsockname()[1]),
        )
    assert done.stdout.split() == ["trusted", "refused"], done.stderr


def test_it_finds_an_emulator_by_its_endpoints_file_or_by_the_environment(venue, tmp_path):
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps(venue.endpoints))
    by_file = shell(f"emulator env --endpoints-file {file}")
    by_environment = shell("emulator env", KRAKEN_EMULATOR_CONTROL=venue.endpoints["control"])
    assert by_file.stdout == by_environment.stdout
    assert f"export HTTPS_PROXY={venue.tier()['proxy']}\n" in by_file.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--control http://127.0.0.1:9", "no emulator answers at http://127.0.0.1:9"),
        ("--endpoints-file {file} --tier mars", "--tier mars: it is not open; there are: us, tokyo, bare"),
        ("--endpoints-file {file} --tier bare", "this emulator has no proxy: start it with --proxy"),
        ("--endpoints-file {file}.none", "no endpoints file"),
        (
            "--endpoints-file {file} --shell csh",
            "--shell csh: unknown shell; there are: sh, fish, powershell",
        ),
    ],
)
def test_where_there_is_no_proxy_what_follows_does_not_run(arguments, reason, tmp_path):
    file = tmp_path / "endpoints.json"
    file.write_text(json.dumps(ENDPOINTS))
    line = f"emulator env {arguments.format(file=file)}"
    done = shell(f'{line} >&2; echo "exit code $?"; eval "$({line} 2>/dev/null)" && echo went on')
    assert done.stdout == "exit code 2\n"
    assert reason in done.stderr
    assert done.stderr.count("\n") == 2  # one is what the shell is to evaluate


def test_each_shell_has_its_own_words():
    settings = exports.variables(ENDPOINTS, None)
    scripts = {name: exports.script(settings, row).splitlines() for name, row in exports.SHELLS.items()}
    assert "export https_proxy=http://127.0.0.1:7470" in scripts["sh"]
    assert """export SSL_CERT_FILE='/home/it'"'"'s me/ca.pem'""" in scripts["sh"]
    assert r"set -gx SSL_CERT_FILE '/home/it\'s me/ca.pem'" in scripts["fish"]
    assert "$env:SSL_CERT_FILE = '/home/it''s me/ca.pem'" in scripts["powershell"]
    assert [lines[-2:] for lines in scripts.values()] == [
        ["unset no_proxy", "unset NO_PROXY"],
        ["set -e no_proxy; or true", "set -e NO_PROXY; or true"],
        ["Remove-Item Env:no_proxy -ErrorAction Ignore", "Remove-Item Env:NO_PROXY -ErrorAction Ignore"],
    ]


def test_a_tier_is_chosen_by_name():
    assert exports.variables(ENDPOINTS, "tokyo")["HTTPS_PROXY"] == "http://127.0.0.1:7570"
    with pytest.raises(ControlError):
        exports.variables(ENDPOINTS, "bare")
