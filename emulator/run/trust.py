"""What the command is told of the world: names, and whom to trust."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from emulator.bundle import SYSTEM_BUNDLES

HOSTS = "/etc/hosts"
LOOKUPS = "/etc/nsswitch.conf"
NAME_CACHES = ("/run/nscd/socket", "/var/run/nscd/socket")
"""Doors of nscd: who asks it gets names as they are outside."""
RESOLVER = "/etc/resolv.conf"
NO_RESOLVER = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"
"""The guard's name server, or nobody: either way a name that is not Kraken's fails at once."""

_FOR_EVERYTHING = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_FOR_MORE = "NODE_EXTRA_CA_CERTS"
"""Variables that name a bundle: of everything that is trusted, and of what is trusted besides."""
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy")
_IN_PREFIX = (
    "lib/python3*/site-packages/certifi/cacert.pem",
    "lib/python3*/site-packages/pip/_vendor/certifi/cacert.pem",
    "lib/python3/dist-packages/certifi/cacert.pem",
    "local/lib/python3*/dist-packages/certifi/cacert.pem",
)


def bundles(command: Sequence[str], environment: Mapping[str, str]) -> list[Path]:
    """Give the certificate bundles that the command may read, the one that stands for all of them first.

    They are those that its environment names, the system's, and certifi's of its Python.
    """
    named = [environment.get(name, "") for name in (*_FOR_EVERYTHING, _FOR_MORE)]
    found = [Path(path) for path in (*named[:-1], *SYSTEM_BUNDLES, named[-1]) if path]
    for prefix in _prefixes(command, environment):
        for pattern in _IN_PREFIX:
            found += map(Path, glob.glob(f"{glob.escape(str(prefix))}/{pattern}"))
    return readable(found)


def readable(paths: Iterable[Path]) -> list[Path]:
    """Give the files among `paths` that can be read, without links, each once."""
    real = dict.fromkeys(os.path.realpath(path) for path in paths)
    return [Path(path) for path in real if os.path.isfile(path) and os.access(path, os.R_OK)]


def _prefixes(command: Sequence[str], environment: Mapping[str, str]) -> Iterable[Path]:
    """Give the installations of Python that the command may use; ones that do not exist hold nothing."""
    programs = [
        shutil.which(name, path=environment.get("PATH")) for name in (command[0], "python3", "python")
    ]
    paths = [Path(program) for program in programs if program]
    paths += [interpreter for path in paths[:1] if (interpreter := _interpreter(path))]
    for path in paths:
        yield path.absolute().parent.parent
        yield path.resolve().parent.parent
    if "VIRTUAL_ENV" in environment:
        yield Path(environment["VIRTUAL_ENV"])
    yield from (Path(".venv").absolute(), Path("venv").absolute(), Path("~/.local").expanduser())


def _interpreter(script: Path) -> Path | None:
    """Give the program that a script's first line names."""
    try:
        with script.open("rb") as file:
            first = file.readline(256)
    except OSError:
        return None
    words = first[2:].split() if first.startswith(b"#!") else []
    return Path(os.fsdecode(words[0])) if words else None


def hosts_file(old: str, names: Sequence[str], addresses: Sequence[str]) -> str:
    """Give a hosts file in which `names` lead to `addresses`, the first one first; the rest is as it was."""
    kept = [line for line in old.splitlines() if not set(line.partition("#")[0].split()[1:]) & set(names)]
    return "\n".join([*kept, *(f"{address} {' '.join(names)}" for address in addresses), ""])


def lookups_file(old: str) -> str:
    """Give an nsswitch.conf by which the hosts file decides, and no service of the machine is asked."""
    kept = [line for line in old.splitlines() if line.partition(":")[0].strip() != "hosts"]
    return "\n".join([*kept, "hosts: files dns", ""])


def variables(
    environment: Mapping[str, str], bundle: Path, ca: Path, names: Sequence[str], endpoints: Path
) -> dict[str, str]:
    """Give what the command's environment gets: where libraries look for certificates, and the endpoints.

    A bundle that the environment names already stays, as the authority is in it. Proxies are not asked for
    `names`: they would lead elsewhere.
    """
    told = {**dict.fromkeys(_FOR_EVERYTHING, str(bundle)), _FOR_MORE: str(ca)}
    told = {name: path for name, path in told.items() if not os.path.isfile(environment.get(name, ""))}
    if any(name.lower() in _PROXIES for name in environment):
        for name in ("no_proxy", "NO_PROXY"):
            direct = environment.get(name, "")
            told[name] = direct if direct == "*" else ",".join([*filter(None, [direct]), *names])
    return {**told, "KRAKEN_EMULATOR_ENDPOINTS": str(endpoints)}
