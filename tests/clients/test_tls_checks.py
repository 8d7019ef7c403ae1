"""Clients' own checks: the valid certificate is accepted, and each flawed one refused for its flaw."""

import asyncio
import json
import os
import shutil
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
import requests

from emulator.gateways.authority import Certificate
from tests.fix.sockets import SocketClient
from tests.running import running

FLAWED = [certificate for certificate in Certificate if certificate is not Certificate.VALID]
BY = ["by name", "by choice"]
"""How a client comes to a flawed certificate: asking for its host, or everybody gets it."""
OPENSSL = {
    Certificate.WRONG_NAME: "Hostname mismatch|IP address mismatch",
    Certificate.EXPIRED: "certificate has expired",
    Certificate.UNTRUSTED: "unable to get local issuer certificate",
}
CURL = {
    Certificate.WRONG_NAME: "no alternative certificate subject name matches|SSL: certificate subject name",
    Certificate.EXPIRED: "certificate has expired",
    Certificate.UNTRUSTED: "unable to get local issuer certificate|self-signed certificate",
}
NODE = {
    Certificate.WRONG_NAME: "ERR_TLS_CERT_ALTNAME_INVALID",
    Certificate.EXPIRED: "CERT_HAS_EXPIRED",
    Certificate.UNTRUSTED: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
}
JAVA = {
    Certificate.WRONG_NAME: "No subject alternative DNS name matching|No name matching",
    Certificate.EXPIRED: "NotAfter",
    Certificate.UNTRUSTED: "PKIX path building failed|unable to find valid certification path",
}
PATIENCE_S = 60
pytestmark = pytest.mark.client


@pytest.fixture(scope="module")
def venue(accounts_profile):
    with running("--market", "off", "--accounts", accounts_profile) as one:
        yield one


def change(venue, certificate):
    call = urllib.request.Request(
        venue.endpoints["control"] + "/control/tls",
        json.dumps({"certificate": certificate}).encode(),
        {"Content-Type": "application/json"},
        method="PATCH",
    )
    with urllib.request.urlopen(call, timeout=PATIENCE_S) as answer:
        ca = Path(venue.tier()["tls"]["ca"]).read_text()
        assert json.loads(answer.read()) == {"certificate": certificate, "ca": ca}


class Way:
    """A host and port to call, and the CA to trust."""

    def __init__(self, venue, host):
        tls = venue.tier()["tls"]
        self.host, self.ca, self.port = host, tls["ca"], urlsplit(tls["rest"]).port
        self.url = f"https://{host}:{self.port}/0/public/Time"


@pytest.fixture
def good(venue):
    return Way(venue, "api.kraken.com")


@pytest.fixture(
    params=[(certificate, by) for certificate in FLAWED for by in BY], ids=lambda p: f"{p[0]}, {p[1]}"
)
def flawed(venue, request):
    certificate, by = request.param
    if by == "by name":
        yield certificate, Way(venue, certificate.host)
        return
    change(venue, certificate)
    yield certificate, Way(venue, "api.kraken.com")
    change(venue, Certificate.VALID)


def works(answer):
    return json.loads(answer)["error"] == []


# -- Python ----------------------------------------------------------------------------------------------


def python_ssl(way):
    context = ssl.create_default_context(cafile=way.ca)
    with (
        socket.create_connection(("127.0.0.1", way.port), PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname=way.host) as secure,
    ):
        secure.sendall(
            f"GET /0/public/Time HTTP/1.1\r\nHost: {way.host}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b""
        while data := secure.recv(65536):
            answer += data
    return answer.partition(b"\r\n\r\n")[2]


def test_python_ssl_accepts_the_valid_one(good):
    assert works(python_ssl(good))


def test_python_ssl_refuses_a_flawed_one(flawed):
    certificate, way = flawed
    with pytest.raises(ssl.SSLCertVerificationError, match=OPENSSL[certificate]):
        python_ssl(way)


class Nearby(aiohttp.abc.AbstractResolver):
    """Finds every host on this machine."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}
        ]

    async def close(self):
        pass


def with_aiohttp(way, monkeypatch):
    async def get():
        connector = aiohttp.TCPConnector(
            resolver=Nearby(), ssl=ssl.create_default_context(), family=socket.AF_INET
        )
        async with aiohttp.ClientSession(connector=connector) as session, session.get(way.url) as answer:
            return await answer.read()

    monkeypatch.setenv("SSL_CERT_FILE", way.ca)
    return asyncio.run(get())


def test_aiohttp_accepts_the_valid_one(good, monkeypatch):
    assert works(with_aiohttp(good, monkeypatch))


def test_aiohttp_refuses_a_flawed_one(flawed, monkeypatch):
    certificate, way = flawed
    with pytest.raises(aiohttp.ClientConnectorCertificateError, match=OPENSSL[certificate]):
        with_aiohttp(way, monkeypatch)


def with_requests(way, monkeypatch):
    found = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *rest, **named: found("127.0.0.1", *rest, **named)
    )
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", way.ca)
    with requests.Session() as session:
        return session.get(way.url, timeout=PATIENCE_S).content


def test_requests_accepts_the_valid_one(good, monkeypatch):
    assert works(with_requests(good, monkeypatch))


def test_requests_refuses_a_flawed_one(flawed, monkeypatch):
    certificate, way = flawed
    reasons = OPENSSL[certificate] + "|doesn't match"
    with pytest.raises(requests.exceptions.SSLError, match=reasons):
        with_requests(way, monkeypatch)


# -- FIX -------------------------------------------------------------------------------------------------


def over_fix(venue, name):
    host, _, port = venue.tier()["fix"]["spot_trading"].rpartition(":")
    context = ssl.create_default_context(cafile=venue.tier()["tls"]["ca"])
    with socket.create_connection((host, int(port)), PATIENCE_S) as plain:
        return context.wrap_socket(plain, server_hostname=name).version()


def test_fix_ports_present_the_same_certificates(venue, flawed):
    certificate, way = flawed
    name = way.host if way.host == certificate.host else "colo-london.vip-fix.kraken.com"
    with pytest.raises(ssl.SSLCertVerificationError, match=OPENSSL[certificate]):
        over_fix(venue, name)


def test_fix_logs_on_over_the_valid_one_while_the_others_are_there(venue):
    context = ssl.create_default_context(cafile=venue.tier()["tls"]["ca"])
    place, member = venue.tier()["fix"]["spot_trading"], venue.next_member()
    with SocketClient(place, member, "KRAKEN-TRD", context=context) as client:
        assert client.logon().type == "A"


# -- curl, Node, Java ------------------------------------------------------------------------------------


def on_path(command, **environment):
    """Run a program of this machine, with nothing else of its environment."""
    if not shutil.which(command[0]):
        pytest.skip(f"no {command[0]} on PATH")
    environment["PATH"] = os.environ["PATH"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)


def curl(way):
    command = ["curl", "-sS", "--noproxy", "*", "--connect-to", f"::127.0.0.1:{way.port}", way.url]
    return on_path(command, CURL_CA_BUNDLE=way.ca)


def test_curl_accepts_the_valid_one(good):
    assert works(curl(good).stdout)


def test_curl_refuses_a_flawed_one(flawed):
    certificate, way = flawed
    done = curl(way)
    assert (done.returncode, done.stdout) == (60, "")
    assert any(words in done.stderr for words in CURL[certificate].split("|")), done.stderr


GET_WITH_NODE = """
const [host, port] = process.argv.slice(1);
require("https").get({host: "127.0.0.1", port, servername: host, path: "/0/public/Time"}, (answer) => {
  answer.pipe(process.stdout);
}).on("error", (error) => { console.error(error.code); process.exitCode = 1; });
"""


def node(way):
    command = ["node", "-e", GET_WITH_NODE, way.host, str(way.port)]
    return on_path(command, NODE_EXTRA_CA_CERTS=way.ca)


def test_node_accepts_the_valid_one(good):
    assert works(node(good).stdout)


def test_node_refuses_a_flawed_one(flawed):
    certificate, way = flawed
    done = node(way)
    assert (done.returncode, done.stdout) == (1, "")
    assert NODE[certificate] in done.stderr


GET_WITH_JAVA = """
import java.net.Socket;
import java.util.List;
import javax.net.ssl.*;

public class Get {
    public static void main(String[] words) throws Exception {
        Socket plain = new Socket("127.0.0.1", Integer.parseInt(words[1]));
        SSLSocketFactory factory = (SSLSocketFactory) SSLSocketFactory.getDefault();
        SSLSocket secure = (SSLSocket) factory.createSocket(plain, words[0], plain.getPort(), true);
        SSLParameters terms = secure.getSSLParameters();
        terms.setEndpointIdentificationAlgorithm("HTTPS");
        terms.setServerNames(List.of(new SNIHostName(words[0])));
        secure.setSSLParameters(terms);
        secure.startHandshake();
        System.out.println(secure.getSession().getProtocol());
        secure.close();
    }
}
"""


@pytest.fixture(scope="module")
def java(venue, tmp_path_factory):
    """Give a function that shakes hands from Java, with the trust store that the line of ``ca`` makes."""
    if not shutil.which("java") or not shutil.which("keytool"):
        pytest.skip("no java and keytool on PATH")
    folder = tmp_path_factory.mktemp("java")
    (folder / "Get.java").write_text(GET_WITH_JAVA)
    store = ["-keystore", "kraken-emulator.p12", "-storetype", "PKCS12", "-storepass", "changeit"]
    command = ["keytool", "-importcert", "-noprompt", "-alias", "kraken-emulator", *store]
    ca = ["-file", venue.tier()["tls"]["ca"]]
    subprocess.run([*command, *ca], cwd=folder, check=True, capture_output=True, timeout=PATIENCE_S)
    if not shutil.which("javac"):
        pytest.skip("no javac on PATH")
    subprocess.run(["javac", "Get.java"], cwd=folder, check=True, timeout=PATIENCE_S)
    trust = [
        "-Djavax.net.ssl.trustStore=kraken-emulator.p12",
        "-Djavax.net.ssl.trustStorePassword=changeit",
    ]

    def get(way):
        command = ["java", *trust, "Get", way.host, str(way.port)]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S)

    return get


def test_java_accepts_the_valid_one(java, good):
    assert java(good).stdout == "TLSv1.3\n"


def test_java_refuses_a_flawed_one(java, flawed):
    certificate, way = flawed
    done = java(way)
    assert (done.returncode, done.stdout) == (1, "")
    assert any(words in done.stderr for words in JAVA[certificate].split("|")), done.stderr
