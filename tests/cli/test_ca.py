"""``kraken-emulator ca``: the authority for people and scripts, its bundle, its rotation."""

import json
import os
import shlex
import shutil
import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from emulator import bundle as bundles
from tests.cli.test_commands import kraken_emulator


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


def ca(folder, *options, code=0, **variables):
    done = kraken_emulator("ca", "--state-folder", str(folder), *options, **variables)
    assert done.returncode == code, done.stderr
    return done


def told(folder, *options):
    done = ca(folder, "--json", *options)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")
    return json.loads(done.stdout)


def authorities(bundle):
    return x509.load_pem_x509_certificates(bundle.read_bytes())


def trusted(bundle):
    """Return the authorities that OpenSSL takes from a bundle, in DER."""
    return set(ssl.create_default_context(cafile=str(bundle)).get_ca_certs(binary_form=True))


def test_the_authority_is_made_when_it_is_not_there_yet_and_kept(folder):
    first, again = told(folder), told(folder)
    assert first == again
    [made] = authorities(folder / "ca.pem")
    assert first["ca"] == str(folder / "ca.pem")
    assert first["fingerprint_sha256"] == made.fingerprint(x509.base.hashes.SHA256()).hex(":").upper()
    assert datetime.fromisoformat(first["ends"]) == made.not_valid_after_utc
    assert datetime.fromisoformat(first["certificate_ends"]) > datetime.now(UTC) + timedelta(days=700)
    assert {"api.kraken.com", "localhost"} <= set(first["names"])
    assert (first["bundle"], first["bundle_of"], first["rotated"]) == (None, None, False)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_environment_names_the_folder_as_for_up(folder):
    done = kraken_emulator("ca", "--json", KRAKEN_EMULATOR_STATE_FOLDER=str(folder))
    assert json.loads(done.stdout)["ca"] == str(folder / "ca.pem")


def test_people_read_where_it_is_what_it_is_until_when_and_who_takes_it_how(folder):
    shown = told(folder)
    done = ca(folder)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["CA", str(folder / "ca.pem")]
    assert lines[1].split() == ["SHA-256", shown["fingerprint_sha256"]]
    assert lines[2].startswith(f"valid until  {shown['ends'][:10]}; the venue's certificate until ")
    for words in (
        *(
            "SSL_CERT_FILE=",
            "REQUESTS_CA_BUNDLE=",
            "python -m certifi",
            "NODE_EXTRA_CA_CERTS=",
            "CURL_CA_BUNDLE=",
        ),
        *("Go", "Rust", "keytool -importcert", "-Djavax.net.ssl.trustStore=", "GIT_SSL_CAINFO="),
        *("aiohttp", "httpx", "requests", "ccxt", "QuickFIX", "--bundle FILE"),
    ):
        assert words in done.stdout, words


def test_the_bundle_has_all_of_the_systems_authorities_and_ours(folder, tmp_path):
    system = bundles.system_bundle()
    assert system is not None
    bundle = tmp_path / "bundle.pem"
    for _ in range(2):
        shown = told(folder, "--bundle", str(bundle))
    assert (shown["bundle"], shown["bundle_of"]) == (str(bundle), str(system))
    assert trusted(bundle) == trusted(system) | trusted(folder / "ca.pem")
    assert len(trusted(bundle)) == len(trusted(system)) + 1 > 50
    for client, how in shown["clients"].items():
        others = {"Node", "Python certifi (until its next update)", "Java, once", "Java, then", "QuickFIX"}
        assert (str(bundle) in how) != (client in others or client.startswith("ccxt")), client
    assert f"{bundle}: {system} and the CA" in ca(folder, "--bundle", str(bundle)).stdout


def test_without_a_bundle_of_the_system_certifis_is_joined_and_without_that_it_is_said(
    monkeypatch, folder, tmp_path
):
    certifi = pytest.importorskip("certifi")
    from emulator import ca as ca_
    from emulator.settings import SettingsError

    monkeypatch.setattr(bundles, "SYSTEM_BUNDLES", (str(tmp_path / "none.pem"),))
    assert ca_.show(folder, str(tmp_path / "bundle.pem")).bundle_of == certifi.where()
    monkeypatch.setitem(__import__("sys").modules, "certifi", None)
    with pytest.raises(SettingsError, match=r"neither certifi nor one of .*none\.pem is there"):
        ca_.show(folder, str(tmp_path / "bundle.pem"))


@pytest.mark.parametrize(
    ("bundle", "reason"),
    [
        ("{folder}/ca.pem", "is what would be joined: name another file"),
        ("{system}", "is what would be joined: name another file"),
        ("{folder}/nowhere/bundle.pem", "No such file or directory"),
    ],
)
def test_a_bundle_that_cannot_be_written_is_one_line_and_changes_nothing(folder, bundle, reason):
    told(folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    where = bundle.format(folder=folder, system=bundles.system_bundle())
    done = ca(folder, "--bundle", where, code=2)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert reason in done.stderr
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_rotation_gives_another_authority_and_says_what_becomes_of_the_old_one(folder):
    before = told(folder)
    done = ca(folder, "--rotate")
    assert (
        "rotated      clients must be given it again; the old certificate, without its key: ca-old.pem"
        in done.stdout
    )
    assert before["fingerprint_sha256"] not in done.stdout
    [old] = authorities(folder / "ca-old.pem")
    assert old.fingerprint(x509.base.hashes.SHA256()).hex(":").upper() == before["fingerprint_sha256"]
    assert not [
        path for path in folder.iterdir() if b"PRIVATE KEY" in path.read_bytes() and "old" in path.name
    ]


def test_a_key_that_others_can_read_is_one_warning_on_stderr(folder):
    told(folder)
    (folder / "ca-key.pem").chmod(0o644)
    done = ca(folder)
    assert done.stderr.startswith(
        f"kraken-emulator: warning: {folder / 'ca-key.pem'} is a key that others can"
    )
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("content", [b"not a certificate", None], ids=["damaged", "no folder can be made"])
def test_what_cannot_be_used_is_one_line(folder, content):
    if content is None:
        folder.write_text("")
    else:
        told(folder)
        (folder / "ca.pem").write_bytes(content)
    done = ca(folder, code=2)
    assert (done.stdout, done.stderr.count("\n")) == ("", 1)
    assert done.stderr.startswith("kraken-emulator: error: cannot keep the certificate authority in ")


def test_the_printed_lines_work_in_a_shell_wherever_the_folder_is(tmp_path):
    folder, other = tmp_path / "it's a folder", tmp_path / "certifi.pem"
    shown = told(folder)
    assert (
        f"SSL_CERT_FILE={shlex.quote(shown['ca'])}"
        in shown["clients"]["Python ssl, aiohttp, httpx, websockets"]
    )
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\necho {other}\n")
    python.chmod(0o755)
    line = shown["clients"]["Python certifi (until its next update)"]
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", line], check=True, env={"PATH": path}, timeout=60)
    assert authorities(other) == authorities(folder / "ca.pem")


@pytest.mark.skipif(not shutil.which("keytool"), reason="no keytool on PATH")
def test_javas_line_makes_a_trust_store_with_the_authority(folder, tmp_path):
    shown = told(folder)
    subprocess.run(["sh", "-c", shown["clients"]["Java, once"]], check=True, cwd=tmp_path, timeout=60)
    listing = subprocess.run(
        ["keytool", "-list", "-v", "-keystore", "kraken-emulator.p12", "-storepass", "changeit"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown["fingerprint_sha256"] in listing.stdout
    assert "trustedCertEntry" in listing.stdout


@pytest.mark.skipif(not shutil.which("keytool") or not shutil.which("java"), reason="no Java on PATH")
def test_javas_lines_may_be_run_again_after_a_rotation_and_java_finds_the_store_from_any_folder(
    folder, tmp_path
):
    here = tmp_path / "it has spaces"
    here.mkdir()
    before = told(folder)
    subprocess.run(["sh", "-c", before["clients"]["Java, once"]], check=True, cwd=here, timeout=60)
    lines = told(folder, "--rotate")["clients"]
    asked = "cd / && exec java -XshowSettings:properties -version"
    done = subprocess.run(
        ["sh", "-c", f"{lines['Java, once']} && {lines['Java, then']} && {asked}"],
        check=True,
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert f"javax.net.ssl.trustStore = {here}/kraken-emulator.p12\n" in done.stderr
