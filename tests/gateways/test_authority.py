"""The local authority: made once, kept private, made anew in time, rotated; and what it issues."""

import logging
import os
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from emulator.gateways import authority as authority_
from emulator.gateways.authority import VENUE_NAMES, Authority, AuthorityError
from tests.running import ROOT

DAY = timedelta(days=1)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def certificate(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def authority(folder):
    made = Authority(folder)
    made.prepare()
    return made


# -- files -----------------------------------------------------------------------------------------------


def test_authority_is_kept_and_is_nobody_elses(authority, folder):
    before = contents(folder)
    assert set(before) == {"ca.pem", "ca-key.pem", "venue.pem", "venue.json"}
    modes = {path.name: mode(path) for path in folder.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca-key.pem": 0o600, "venue.pem": 0o600, "venue.json": 0o644}
    assert mode(folder) == 0o700
    Authority(folder).prepare()
    assert contents(folder) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root writes for others")
def test_what_root_makes_belongs_to_whom_the_folder_belongs_to(tmp_path):
    os.chown(tmp_path, 12_345, 12_346)
    Authority(tmp_path).prepare()
    assert {(path.stat().st_uid, path.stat().st_gid) for path in tmp_path.iterdir()} == {(12_345, 12_346)}


def test_a_folder_that_was_there_keeps_its_permissions(tmp_path):
    tmp_path.chmod(0o755)
    Authority(tmp_path).prepare()
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "ca-key.pem") == 0o600


@pytest.mark.parametrize("name", ["ca-key.pem", "venue.pem"])
def test_a_key_that_others_can_read_is_said_in_one_line(authority, folder, caplog, name):
    (folder / name).chmod(0o640)
    reader = Authority(folder)
    reader.prepare()
    reader.prepare()
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert (
        record.getMessage() == f"{folder / name} is a key that others can get at: chmod 600 {folder / name}"
    )
    (folder / name).chmod(0o600)
    Authority(folder).prepare()
    assert len(caplog.records) == 1


def test_emulators_that_start_at_once_agree_on_one_authority(folder):
    code = (
        "import sys; from pathlib import Path; from emulator.gateways.authority import Authority;"
        "made = Authority(Path(sys.argv[1])); made.prepare([sys.argv[2]]); print(made.root().fingerprint)"
    )
    starting = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder), f"host{number}"], cwd=ROOT, stdout=subprocess.PIPE
        )
        for number in range(4)
    ]
    assert len({process.communicate(timeout=60)[0] for process in starting}) == 1
    assert {f"host{number}" for number in range(4)} <= set(Authority(folder).made().names)


# -- what lasts, and what is made anew -------------------------------------------------------------------


def test_the_authority_lasts_ten_years_and_its_certificate_less_than_825_days(authority, folder):
    root, venue = certificate(folder / "ca.pem"), certificate(folder / "venue.pem")
    assert root.not_valid_after_utc - root.not_valid_before_utc == timedelta(days=3653)
    assert venue.not_valid_after_utc - venue.not_valid_before_utc == timedelta(days=801)
    assert root.not_valid_before_utc < datetime.now(UTC) - DAY / 2
    assert authority.root().ends == root.not_valid_after_utc


def test_a_certificate_that_ends_soon_is_made_anew_by_the_same_authority(folder, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr(authority_, "LIFE", 29 * DAY)
        Authority(folder).prepare()
    before = contents(folder)
    renewed = Authority(folder)
    renewed.prepare()
    assert renewed.made().ends > datetime.now(UTC) + 799 * DAY
    assert contents(folder)["ca.pem"] == before["ca.pem"]
    assert not caplog.records


@pytest.mark.parametrize("life", [-DAY / 2, 29 * DAY], ids=["ended", "ends soon"])
def test_an_authority_that_does_not_last_is_made_anew_with_a_warning(folder, monkeypatch, caplog, life):
    with monkeypatch.context() as patch:
        patch.setattr(authority_, "AUTHORITY_LIFE", life)
        Authority(folder).prepare()
    old, caplog_before = contents(folder), len(caplog.records)
    assert caplog_before == 0
    Authority(folder).prepare()
    new = contents(folder)
    assert new["ca-old.pem"] == old["ca.pem"]
    assert all(new[name] != old[name] for name in old)
    [record] = caplog.records
    assert "it is made anew, and clients must be given it again" in record.getMessage()
    Authority(folder).prepare()
    assert contents(folder) == new


def test_a_certificate_never_outlives_its_authority(folder, monkeypatch):
    monkeypatch.setattr(authority_, "AUTHORITY_LIFE", 100 * DAY)
    authority = Authority(folder)
    authority.prepare()
    assert authority.made().ends == authority.root().ends


def test_a_certificate_that_lacks_a_name_or_is_another_authoritys_is_made_anew(authority, folder, tmp_path):
    before = contents(folder)
    authority.prepare(["10.1.2.3", "0.0.0.0"])
    named = contents(folder)
    assert named["ca.pem"] == before["ca.pem"]
    assert set(authority.made().names) == {*VENUE_NAMES, "10.1.2.3"}
    authority.prepare()
    assert contents(folder) == named
    other = Authority(tmp_path / "other")
    other.prepare()
    for name in ("ca.pem", "ca-key.pem"):
        (folder / name).write_bytes(contents(other.ca_path.parent)[name])
    authority.prepare()
    assert certificate(folder / "venue.pem").issuer == certificate(folder / "ca.pem").subject
    assert authority.made().issuer == other.root().fingerprint


def test_files_of_an_earlier_version_keep_their_authority(authority, folder):
    before = contents(folder)
    (folder / "venue.json").write_text('{"names":["old"],"ends":"2999-01-01T00:00:00Z"}')
    authority.prepare()
    assert contents(folder)["ca.pem"] == before["ca.pem"]
    assert contents(folder)["venue.pem"] != before["venue.pem"]
    assert set(authority.made().names) == {*VENUE_NAMES, "old"}


def test_rotation_makes_everything_new_and_keeps_the_old_certificate_without_its_key(authority, folder):
    authority.prepare(["10.1.2.3"])
    before, fingerprint = contents(folder), authority.root().fingerprint
    authority.rotate()
    after = contents(folder)
    assert after.keys() == before.keys() | {"ca-old.pem"}
    assert after["ca-old.pem"] == before["ca.pem"]
    assert before["ca-key.pem"] not in after.values()
    assert authority.root().fingerprint != fingerprint
    assert "10.1.2.3" in authority.made().names
    assert mode(folder / "ca-key.pem") == 0o600


def test_an_authority_without_its_key_is_replaced_and_said(authority, folder, caplog):
    fingerprint = authority.root().fingerprint
    (folder / "ca-key.pem").unlink()
    Authority(folder).prepare()
    assert authority.root().fingerprint == fingerprint  # nothing has to be issued
    (folder / "venue.pem").unlink()
    Authority(folder).prepare()
    assert authority.root().fingerprint != fingerprint
    assert "has no key beside it" in caplog.text


@pytest.mark.parametrize("name", ["ca.pem", "ca-key.pem"])
def test_damaged_files_are_one_line(authority, folder, tmp_path, name):
    other = Authority(tmp_path / "other")
    other.prepare()
    for damaged in (b"not a certificate", (other.ca_path.parent / name).read_bytes()):
        (folder / name).write_bytes(damaged)
        (folder / "venue.json").unlink(missing_ok=True)
        with pytest.raises(AuthorityError, match="its files are damaged, remove them"):
            authority.prepare()


def test_the_fingerprint_is_that_of_the_certificate(authority):
    der = ssl.PEM_cert_to_DER_cert(authority.ca_path.read_text())
    printed = x509.load_der_x509_certificate(der).fingerprint(x509.base.hashes.SHA256())
    assert authority.root().fingerprint == printed.hex(":").upper()
