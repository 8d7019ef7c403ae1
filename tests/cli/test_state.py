"""A user without a folder of their own to write to: the venue starts, and what was measured is not lost."""

import json
import os
import re
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from emulator import settings
from emulator.state import State
from tests.running import COMMAND, ROOT, START_S, environment, kraken_emulator, wait_until

LATE = """
import shutil, sys
from emulator.run import spaces
from emulator.measure import command

def enter(network): raise OSError
async def measure(plan, progress):
    shutil.rmtree(sys.argv[-1])
    open(sys.argv[-1], "w").close()
    tiers = [command.Measured(tier="us", path="", rtt_us=6e4, floor_us=0.0, reachable_us=6e4)]
    return command.Measurement(made="", machine={"system": "", "python": "", "cpus": 1}, plan=plan,
                               rungs=[command.Rung(rung="stream", tiers=tiers)])
spaces.enter, command.measure = enter, measure

from emulator import cli
cli.main(["measure", "--tier", "us", "--link", "stream", *sys.argv[1:]])
"""
"""Measures nothing, and has a file where its folder was meanwhile."""


def test_up_without_a_home_that_can_be_written_has_an_authority_for_itself(tmp_path):
    file = tmp_path / "endpoints.json"
    words = ("up", "--ports", "auto", "--market", "off", "--fix", "off", "--endpoints-file", str(file))
    with (tmp_path / "said").open("w+") as said:
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=ROOT,
            env=environment(XDG_DATA_HOME="/dev/null/data"),
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        try:
            wait_until(lambda: file.exists() or process.poll() is not None, START_S, "the endpoints file")
            tls = json.loads(file.read_bytes())["tiers"]["local"]["tls"]
            context = ssl.create_default_context(cafile=tls["ca"])
            with urllib.request.urlopen(f"{tls['rest']}/0/public/Time", context=context) as answer:
                assert json.load(answer)["error"] == []
            folder = Path(tls["ca"]).parent
            assert folder.stat().st_mode & 0o777 == 0o700
        finally:
            process.terminate()
            assert process.wait(20) == 0
        warning = (tmp_path / "said").read_text()
    assert warning.count("\n") == 1
    assert "/dev/null/data/kraken-emulator cannot be written (Not a directory), so this run has" in warning
    assert not folder.exists()


def test_a_refused_start_leaves_no_folder_behind(tmp_path):
    words = ("up", "--endpoints-file", "/nowhere/endpoints.json", "--market", "off")
    done = kraken_emulator(*words, XDG_DATA_HOME="/dev/null/data", TMPDIR=str(tmp_path))
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])


def test_who_keeps_fix_sessions_or_names_the_folder_is_told_instead(tmp_path):
    for words in (["--state"], ["--state-folder", "/dev/null/data"]):
        done = kraken_emulator("up", "--ports", "auto", *words, XDG_DATA_HOME="/dev/null/data")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert re.search("cannot keep .* Not a directory", done.stderr), done.stderr


def test_a_user_without_a_home_is_told_or_has_a_folder_of_the_run(monkeypatch):
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as for a user who is in no list
    with pytest.raises(settings.SettingsError, match="no home folder is known"):
        settings.state_folder(settings.Settings())
    state = State(settings.Settings())
    assert state.folder.is_dir()
    assert "no home folder is known" in state.warning
    state.close()
    assert not state.folder.exists()


def test_an_authority_that_can_be_read_is_used_although_nothing_can_be_written(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    kraken_emulator("ca", XDG_DATA_HOME=str(tmp_path))

    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    state = State(settings.Settings())
    assert (state.folder, state.warning) == (tmp_path / "kraken-emulator", "")


@pytest.mark.parametrize("as_json", [False, True])
def test_measure_tells_what_it_measured_although_it_cannot_be_written(tmp_path, as_json):
    folder = tmp_path / "results"
    folder.mkdir()
    more = ["--json"] if as_json else []
    done = subprocess.run(
        [sys.executable, "-c", LATE, *more, "--output", str(folder)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert f"--output {folder}: cannot be made: it is no folder" in done.stderr
    if as_json:
        assert json.loads(done.stdout)["rungs"][0]["rung"] == "stream"
    else:
        assert "link stream" in done.stdout
