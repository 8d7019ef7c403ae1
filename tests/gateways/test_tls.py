"""TLS of the venue: names, versions, certificates with a flaw, and new ones while it runs."""

import asyncio
import logging
import shutil
import ssl
import time
import warnings
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from cryptography import x509

from emulator.gateways import authority as authority_
from emulator.gateways.authority import Authority, Certificate
from emulator.gateways.hosts import HOSTNAMES
from emulator.gateways.tls import Tls
from emulator.link.tiers import load_tiers
from emulator.listeners import LEAST_FIX_TLS, LEAST_TLS
from emulator.settings import PROFILES
from tests.gateways.sockets import GET_TIME, serving
from tests.gateways.venue import START_S, in_loop

TIME = {"unixtime": START_S, "rfc1123": "Mon,  2 Nov 26 10:00:00 +0000"}
FLAWED = [certificate for certificate in Certificate if certificate is not Certificate.VALID]
REFUSALS = {
    Certificate.WRONG_NAME: "Hostname mismatch",
    Certificate.EXPIRED: "certificate has expired",
    Certificate.UNTRUSTED: "unable to get local issuer certificate",
}
"""What OpenSSL says of each."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.prepare()
    return made


def trusting(authority):
    return ssl.create_default_context(cafile=str(authority.ca_path))


def careless():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@asynccontextmanager
async def over_tls(kraken, tls, least=LEAST_TLS):
    async with serving(kraken, tls.contexts(least=least)) as served:
        yield served


async def shown(served, name=None):
    """Return the certificate that a client gets who takes any."""
    peer = await served.connect(ssl=careless(), server_hostname=name or "127.0.0.1")
    der = peer.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    await peer.close()
    return x509.load_der_x509_certificate(der)


# -- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", Certificate.VALID.host, *HOSTNAMES])
def test_certificate_is_valid_for_every_name_of_the_venue(kraken, authority, name):
    async def run():
        async with over_tls(kraken, Tls(authority)) as served:
            peer = await served.connect(ssl=trusting(authority), server_hostname=name)
            assert await peer.get("/0/public/Time") == {"error": [], "result": TIME}
            await peer.upgrade(host=name)
            assert (await peer.ask("dance"))["error"] == "Unsupported event"

    asyncio.run(run())


def test_other_names_and_strangers_are_not_trusted_and_harm_nobody(kraken, authority, caplog):
    async def run():
        async with over_tls(kraken, Tls(authority)) as served:
            for context, name in (
                (trusting(authority), "example.com"),
                (ssl.create_default_context(), "localhost"),
            ):
                with pytest.raises(ssl.SSLCertVerificationError):
                    await served.connect(ssl=context, server_hostname=name)
            plain = await served.connect()
            plain.send(GET_TIME)
            await plain.rest()
            peer = await served.connect(ssl=trusting(authority), server_hostname="localhost")
            assert (await peer.get("/0/public/Time"))["result"] == TIME

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert not caplog.records


@pytest.mark.parametrize("name", [None, "example.com", "api.kraken.com", f"nothing.{Certificate.VALID.host}"])
def test_whatever_name_is_asked_for_gets_the_venues_certificate(kraken, authority, name):
    async def run():
        async with over_tls(kraken, Tls(authority)) as served:
            assert await shown(served, name) == x509.load_pem_x509_certificate(
                authority.venue_path.read_bytes()
            )

    asyncio.run(run())


# -- flaws -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("certificate", FLAWED)
def test_a_client_that_checks_refuses_a_flawed_certificate_asked_for_by_name(kraken, authority, certificate):
    async def run():
        async with over_tls(kraken, Tls(authority)) as served:
            for name in (certificate.host, certificate.host.upper()):
                with pytest.raises(ssl.SSLCertVerificationError, match=REFUSALS[certificate]):
                    await served.connect(ssl=trusting(authority), server_hostname=name)
            careless_peer = await served.connect(ssl=careless(), server_hostname=certificate.host)
            assert (await careless_peer.get("/0/public/Time"))["result"] == TIME
            for name in ("api.kraken.com", Certificate.VALID.host):
                peer = await served.connect(ssl=trusting(authority), server_hostname=name)
                assert (await peer.get("/0/public/Time"))["result"] == TIME

    asyncio.run(run())


@pytest.mark.parametrize("least", [LEAST_TLS, LEAST_FIX_TLS])
@pytest.mark.parametrize("certificate", FLAWED)
def test_all_names_get_the_flawed_certificate_that_was_chosen(kraken, authority, certificate, least):
    async def run():
        async with over_tls(kraken, Tls(authority, certificate), least) as served:
            refusal = REFUSALS[certificate]
            for name in ("api.kraken.com", "localhost", "127.0.0.1"):
                match = "IP address mismatch" if name == "127.0.0.1" and "Host" in refusal else refusal
                with pytest.raises(ssl.SSLCertVerificationError, match=match):
                    await served.connect(ssl=trusting(authority), server_hostname=name)
            await served.connect(ssl=trusting(authority), server_hostname=Certificate.VALID.host)

    asyncio.run(run())


@in_loop
async def test_a_flawed_certificate_has_one_flaw_only(kraken, authority):
    async with over_tls(kraken, Tls(authority)) as served:
        found = {certificate: await shown(served, certificate.host) for certificate in Certificate}
    root = x509.load_pem_x509_certificate(authority.ca_path.read_bytes())
    for certificate, one in found.items():
        names = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        named = certificate.host in names.get_values_for_type(x509.DNSName)
        assert named == (certificate is not Certificate.WRONG_NAME)
        assert (one.issuer == root.subject) == (certificate is not Certificate.UNTRUSTED)
        lasts = one.not_valid_after_utc.timestamp() > time.time()
        assert lasts == (certificate is not Certificate.EXPIRED)


@in_loop
async def test_a_flawed_certificate_that_cannot_be_made_refuses_its_name_only(kraken, tmp_path, caplog):
    authority = Authority(tmp_path)
    async with over_tls(kraken, Tls(authority)) as served:
        authority.ca_key_path.unlink()
        with pytest.raises(ssl.SSLError, match=r"(?i)internal.error"):
            await served.connect(ssl=careless(), server_hostname=Certificate.EXPIRED.host)
        assert f"no certificate for {Certificate.EXPIRED.host}: cannot keep the certificate" in caplog.text
        await served.connect(ssl=trusting(authority), server_hostname="localhost")


@in_loop
async def test_the_certificate_can_be_changed_while_clients_are_connected(kraken, authority):
    tls = Tls(authority)
    async with over_tls(kraken, tls) as served:
        before = await served.connect(ssl=trusting(authority), server_hostname="localhost")
        tls.present(Certificate.EXPIRED)
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            await served.connect(ssl=trusting(authority), server_hostname="localhost")
        assert (await before.get("/0/public/Time"))["result"] == TIME
        tls.present(Certificate.VALID)
        await served.connect(ssl=trusting(authority), server_hostname="localhost")


# -- versions --------------------------------------------------------------------------------------------


def only(authority, version):
    """Return a client's context that speaks one version; old ones only where OpenSSL's level lets them."""
    context = trusting(authority)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize(
    ("least", "version", "spoken"),
    [
        (LEAST_TLS, ssl.TLSVersion.TLSv1_1, None),
        (LEAST_TLS, ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (LEAST_TLS, ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
        (LEAST_FIX_TLS, ssl.TLSVersion.TLSv1_1, None),
        (LEAST_FIX_TLS, ssl.TLSVersion.TLSv1_2, None),
        (LEAST_FIX_TLS, ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
    ],
)
def test_http_speaks_tls_1_2_and_1_3_and_fix_1_3_only(kraken, authority, least, version, spoken):
    async def run():
        async with over_tls(kraken, Tls(authority), least) as served:
            for name in ("localhost", Certificate.VALID.host):
                options = {"ssl": only(authority, version), "server_hostname": name}
                if spoken is None:
                    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
                        await served.connect(**options)
                else:
                    peer = await served.connect(**options)
                    assert peer.writer.get_extra_info("ssl_object").version() == spoken

    asyncio.run(run())


@in_loop
async def test_a_refused_client_hears_why_over_a_distance_too(kraken, authority):
    contexts = Tls(authority).contexts(least=LEAST_FIX_TLS)
    tier = load_tiers(PROFILES / "tiers")["us"]
    async with serving(kraken, contexts, tier=tier) as served:
        began = time.monotonic()
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            await served.connect(ssl=only(authority, ssl.TLSVersion.TLSv1_2), server_hostname="localhost")
        assert time.monotonic() - began >= tier.rtt_us / 1e6


# -- new certificates while it runs ----------------------------------------------------------------------


@in_loop
async def test_a_rotated_authority_is_taken_from_the_next_connection_on(kraken, tmp_path):
    authority = Authority(tmp_path)
    async with over_tls(kraken, Tls(authority)) as served:
        old = trusting(authority)
        before = await served.connect(ssl=old, server_hostname="localhost")
        Authority(tmp_path).rotate()
        await served.connect(ssl=trusting(authority), server_hostname="localhost")
        with pytest.raises(ssl.SSLCertVerificationError):
            await served.connect(ssl=old, server_hostname="localhost")
        assert (await before.get("/0/public/Time"))["result"] == TIME


@pytest.mark.parametrize("content", [None, b"half a fi"])
def test_a_certificate_that_is_gone_or_damaged_leaves_the_one_that_was(kraken, tmp_path, caplog, content):
    authority = Authority(tmp_path)

    async def run():
        async with over_tls(kraken, Tls(authority)) as served:
            authority.venue_path.unlink()
            if content is not None:
                authority.venue_path.write_bytes(content)
            for _ in range(2):
                await served.connect(ssl=trusting(authority), server_hostname="localhost")

    asyncio.run(run())
    assert caplog.text.count("cannot be renewed, the last one stays") == (content is not None)


def test_a_certificate_that_is_about_to_end_is_renewed_while_the_venue_runs(kraken, tmp_path, monkeypatch):
    authority = Authority(tmp_path)

    async def run():
        with monkeypatch.context() as patch:
            patch.setattr(authority_, "LIFE", authority_.RENEW_BEFORE + timedelta(seconds=1))
            tls = Tls(authority)
            contexts = tls.contexts()
        before = x509.load_pem_x509_certificate(authority.venue_path.read_bytes())
        async with serving(kraken, contexts) as served:
            async with asyncio.timeout(20):
                while (after := await shown(served)).serial_number == before.serial_number:
                    await asyncio.sleep(0.01)
            assert after.not_valid_after_utc > before.not_valid_after_utc + timedelta(days=700)
            assert after.issuer == before.issuer
            await served.connect(ssl=trusting(authority), server_hostname="localhost")

    asyncio.run(run())


@in_loop
async def test_a_folder_that_is_removed_leaves_everything_as_it_was(kraken, tmp_path):
    authority = Authority(tmp_path / "state")
    async with over_tls(kraken, Tls(authority)) as served:
        trusted = trusting(authority)
        shutil.rmtree(tmp_path / "state")
        await served.connect(ssl=trusted, server_hostname="localhost")
        assert not (tmp_path / "state").exists()
