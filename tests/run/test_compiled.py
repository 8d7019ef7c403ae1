"""Programs in compiled languages, with Kraken's hosts in them and nothing set: they just run."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.run.support import FOLDER, NEAR, PATIENCE_S, run
from tests.running import environment

PROGRAMS = Path(__file__).parent / "programs"
COMPILERS = {
    "c": ("gcc", "-Wall", "-Werror", "-o", "{folder}/bot", "bot.c", "-lssl", "-lcrypto"),
    "go": ("go", "build", "-o", "{folder}/bot", "bot.go"),
    "java": ("javac", "-d", "{folder}", "Bot.java"),
}
COMPILE_S = 100
pytestmark = pytest.mark.client


@pytest.fixture(scope="module")
def bot(request, tmp_path_factory):
    """Give the command that runs the program in a language."""
    compiler, *options = COMPILERS[request.param]
    programs = (compiler, "java") if request.param == "java" else (compiler,)
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"no {program} on PATH")
    if request.param == "c" and not has_openssl():
        pytest.skip("no headers of OpenSSL")
    folder = tmp_path_factory.mktemp(request.param)
    arguments = [option.format(folder=folder) for option in options]
    caches = environment(GOCACHE=str(folder / "cache"), GOPATH=str(folder / "go"), GOTOOLCHAIN="local")
    subprocess.run([compiler, *arguments], cwd=PROGRAMS, env=caches, check=True, timeout=COMPILE_S)
    return ("java", "-cp", str(folder), "Bot") if request.param == "java" else (str(folder / "bot"),)


def has_openssl():
    command = ["gcc", "-E", "-x", "c", "-include", "openssl/ssl.h", "/dev/null"]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE_S).returncode == 0


def traded(done):
    """Tell what the program has heard, in REST and in a WebSocket."""
    assert (done.returncode, done.stderr) == (0, "")
    rest, feed = map(json.loads, done.stdout.splitlines())
    return rest["error"], feed["channel"]


@pytest.mark.parametrize("bot", COMPILERS, indirect=True)
def test_a_compiled_program_with_krakens_hosts_in_it_just_runs(bot):
    assert traded(run(*bot, settings=("--quiet", *NEAR), env=untold())) == ([], "status")


@pytest.mark.parametrize("bot", ["java"], indirect=True)
@pytest.mark.parametrize("kind", ["JKS", "PKCS12"])
def test_a_trust_store_that_javas_options_name_trusts_the_venue(bot, kind, store):
    named = (f"-Djavax.net.ssl.trustStore={store(kind)}", "-Djavax.net.ssl.trustStorePassword=a secret")
    java, *rest = bot
    assert traded(run(java, *named, *rest, settings=("--quiet", *NEAR), env=untold())) == ([], "status")


@pytest.mark.parametrize("bot", ["java"], indirect=True)
def test_a_trust_store_with_another_password_stays_as_it_is_and_that_is_one_line(bot, store):
    path = store("PKCS12")
    java, *rest = bot
    done = run(java, f"-Djavax.net.ssl.trustStore={path}", *rest, env=untold())
    assert done.returncode == 1
    assert "Exception" in done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("kraken-emulator: ")]
    assert said[0].startswith(f"kraken-emulator: {path} stays as it is: it has another password")


def untold():
    """Give an environment in which nothing says whom to trust."""
    ours = environment(XDG_DATA_HOME=FOLDER.name)
    return {
        name: value for name, value in ours.items() if not name.startswith(("SSL_CERT_", "JAVA_", "JDK_"))
    }


@pytest.fixture
def store(tmp_path):
    """Give a function that makes a trust store with one certificate, and the password `a secret`."""
    if not shutil.which("keytool"):
        pytest.skip("no keytool on PATH")

    def make(kind):
        path = tmp_path / "store"
        common = ["-keystore", str(path), "-storetype", kind, "-storepass", "a secret"]
        for arguments in (
            ["-genkeypair", "-alias", "one", "-keyalg", "EC", "-dname", "CN=one", "-keypass", "a secret"],
            ["-exportcert", "-alias", "one", "-file", str(tmp_path / "one.der")],
            ["-delete", "-alias", "one"],
            ["-importcert", "-noprompt", "-alias", "one", "-file", str(tmp_path / "one.der")],
        ):
            command = ["keytool", *arguments, *common]
            subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
        return path

    return make
