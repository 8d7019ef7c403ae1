"""Java's trust stores: found where the command may read them, and copied with one more authority."""

import hashlib
import struct

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12

from emulator.run import keystores, trust

OURS, THEIRS = (x509.load_pem_x509_certificate(trustme.CA().cert_pem.bytes()) for _ in range(2))
JAVAS = [keystores.PASSWORD]


def der(certificate):
    return certificate.public_bytes(Encoding.DER)


def jks(*certificates, password="changeit", version=2):
    content = struct.pack(">III", 0xFEEDFEED, version, len(certificates))
    for number, certificate in enumerate(certificates):
        alias, body = f"one-{number}".encode(), der(certificate)
        content += struct.pack(">IH", 2, len(alias)) + alias + struct.pack(">QH", 0, 5) + b"X.509"
        content += struct.pack(">I", len(body)) + body
    return content + hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + content).digest()


def jks_entries(store, password="changeit"):
    """Read a JKS as its format is documented; give its certificates by their names."""
    content, digest = store[:-20], store[-20:]
    assert digest == hashlib.sha1(password.encode("utf-16-be") + b"Mighty Aphrodite" + content).digest()
    magic, version, count = struct.unpack_from(">III", content)
    assert (magic, version) == (0xFEEDFEED, 2)
    at, found = 12, {}
    for _ in range(count):
        kind, size = struct.unpack_from(">IH", content, at)
        alias = content[at + 6 : at + 6 + size].decode()
        at += 6 + size
        _, size = struct.unpack_from(">QH", content, at)
        assert (kind, content[at + 10 : at + 10 + size]) == (2, b"X.509")
        at += 10 + size
        [size] = struct.unpack_from(">I", content, at)
        found[alias] = content[at + 4 : at + 4 + size]
        at += 4 + size
    assert at == len(content)
    return found


def p12(*certificates, password="changeit"):
    named = [
        pkcs12.PKCS12Certificate(one, f"one-{number}".encode()) for number, one in enumerate(certificates)
    ]
    return pkcs12.serialize_java_truststore(named, BestAvailableEncryption(password.encode()))


def p12_entries(store, password):
    whole = pkcs12.load_pkcs12(store, password)
    return {one.friendly_name.decode(): der(one.certificate) for one in whole.additional_certs}


AMENDED = {"one-0": der(THEIRS), keystores.ALIAS: der(OURS)}


def test_a_jks_keeps_what_it_has_and_its_password():
    assert jks_entries(keystores.with_authority(jks(THEIRS), OURS, JAVAS)) == AMENDED


@pytest.mark.parametrize("password", ["secret", "пароль"])
def test_a_jks_with_another_password_that_is_told_keeps_that(password):
    old = jks(THEIRS, password=password)
    assert jks_entries(keystores.with_authority(old, OURS, [*JAVAS, password]), password) == AMENDED


@pytest.mark.parametrize("password", ["changeit", "secret"])
def test_a_pkcs12_keeps_its_certificates_and_opens_with_any_password_or_none(password):
    amended = keystores.with_authority(p12(THEIRS, password=password), OURS, [*JAVAS, password])
    for one in (None, b"changeit", b"secret", b"another"):
        assert p12_entries(amended, one) == AMENDED


@pytest.mark.parametrize("make", [jks, p12])
def test_a_copy_can_be_copied_again_as_nested_commands_do(make):
    twice = make(THEIRS)
    for _ in range(2):
        twice = keystores.with_authority(twice, OURS, JAVAS)
    entries = jks_entries(twice) if make is jks else p12_entries(twice, b"changeit")
    assert entries == AMENDED


def test_a_store_without_a_certificate_is_one_too():
    assert jks_entries(keystores.with_authority(jks(), OURS, JAVAS)) == {keystores.ALIAS: der(OURS)}


def keys():
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    key = leaf.private_key_pem.bytes()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    encryption = BestAvailableEncryption(b"changeit")
    return pkcs12.serialize_key_and_certificates(
        b"me", load_pem_private_key(key, None), certificate, [], encryption
    )


@pytest.mark.parametrize(
    ("store", "reason"),
    [
        (jks(THEIRS, password="secret"), "another password, or is damaged"),
        (jks(THEIRS)[:-1], "another password, or is damaged"),
        (jks(THEIRS, version=1), "a JKS of version 1"),
        (jks()[:22], "cut short"),
        (p12(THEIRS, password="secret"), "another password, or is no keystore"),
        (p12(THEIRS)[:-1], "another password, or is no keystore"),
        (b"", "no keystore that can be read here"),
        (b"-----BEGIN CERTIFICATE-----\n", "no keystore that can be read here"),
        (keys(), "it has a private key"),
    ],
)
def test_a_store_that_cannot_be_copied_says_why(store, reason):
    with pytest.raises(keystores.KeystoreError, match=reason):
        keystores.with_authority(store, OURS, JAVAS)


@pytest.mark.parametrize("size", [1, 100, 127, 128, 255, 256, 70_000])
def test_der_lengths_of_every_size(size):
    length = bytes([size]) if size < 128 else b"\x83" + size.to_bytes(3, "big")
    assert keystores._inside(b"\x30" + length + bytes(size), 0) == (1 + len(length), 1 + len(length) + size)


# Where they are


def installed(home, name="cacerts", under="lib/security"):
    store = home / under / name
    store.parent.mkdir(parents=True, exist_ok=True)
    store.write_bytes(b"")
    return store


def program(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_stores_of_the_installations_that_the_command_may_use_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    named = installed(tmp_path / "named")
    by_home = [installed(tmp_path / "java-home", name) for name in ("jssecacerts", "cacerts")]
    old = installed(tmp_path / "old", under="jre/lib/security")
    program(tmp_path / "real/bin/java")
    by_path = installed(tmp_path / "real")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/java").symlink_to(tmp_path / "real/bin/java")
    image = installed(tmp_path / "image")
    bot = program(tmp_path / "image/bin/bot")
    sdkman = installed(tmp_path / "home/.sdkman/candidates/java/21.0.1-tem")
    (tmp_path / "home/.jdks").mkdir()
    (tmp_path / "home/.jdks/mine").symlink_to(tmp_path / "old")
    variables = {
        "PATH": str(tmp_path / "bin"),
        "JAVA_HOME": str(tmp_path / "java-home"),
        "JAVA_TOOL_OPTIONS": f"-Xmx1g '-Djavax.net.ssl.trustStore={named}'",
    }
    found = keystores.stores([str(bot)], variables)
    ours = [path for path in found if tmp_path in path.parents]
    assert ours == [named, *by_home, image, by_path, sdkman, old]


def test_links_lead_to_one_store_once_and_what_is_not_there_or_a_folder_is_none(tmp_path):
    store = installed(tmp_path / "etc")
    home = tmp_path / "home"
    (home / "lib/security/jssecacerts").mkdir(parents=True)
    (home / "lib/security/cacerts").symlink_to(store)
    options = [f"-Djavax.net.ssl.trustStore={path}" for path in (store, tmp_path / "nowhere", "NONE")]
    found = keystores.stores(["java", *options], {"PATH": "", "JAVA_HOME": str(home)})
    assert [path for path in found if tmp_path in path.parents] == [store]


def test_a_folder_that_cannot_be_looked_into_holds_nothing(tmp_path, monkeypatch):
    unheard_of = tmp_path / ("x" * 300)  # an error for root as well, to whom every folder is open
    monkeypatch.setenv("HOME", str(unheard_of))
    variables = {"PATH": "", "JAVA_HOME": str(unheard_of)}
    variables |= {"VIRTUAL_ENV": str(unheard_of), "SSL_CERT_FILE": f"{unheard_of}/bundle.pem"}
    for found in (keystores.stores(["java"], variables), trust.bundles(["java"], variables)):
        assert [path for path in found if tmp_path in path.parents] == []


def test_passwords_are_those_of_the_options_and_javas_own():
    variables = {"JAVA_TOOL_OPTIONS": "-Djavax.net.ssl.trustStorePassword='of two words' -Dq='"}
    assert keystores.passwords(["java", "-Djavax.net.ssl.trustStorePassword=x"], {}) == ["x", "changeit"]
    assert keystores.passwords(["java"], variables)[-1] == "changeit"
    variables = {"MAVEN_OPTS": "-Djavax.net.ssl.trustStorePassword='two words'"}
    assert keystores.passwords(["mvn"], variables) == ["two words", "changeit"]
