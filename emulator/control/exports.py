"""`kraken-emulator env`: what a shell sets so that all it starts calls Kraken at the emulator."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from emulator.control.client import ControlError

PROXIES = ("https_proxy", "http_proxy", "wss_proxy", "ws_proxy", "all_proxy")
"""Set in small letters and in capitals: some programs read only the ones, some the others."""
EXCEPTIONS = ("no_proxy", "NO_PROXY")
"""Taken away: what they name would go past the proxy, to the real venue too."""
BUNDLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "WEBSOCKET_CLIENT_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
)
"""Name our authority alone: behind the proxy there is nobody else."""
FOLDER = "SSL_CERT_DIR"
"""OpenSSL and Go trust what the system's folder has besides a bundle; the authority's has nobody else."""
SWITCHES = {"NODE_USE_ENV_PROXY": "1"}
"""Node 24 reads the variables of proxies with it."""

GUARD = {"KRAKEN_EMULATOR_GUARD": "proxy"}
"""Lets the guards below refuse what goes past the proxy (emulator/testing/guard.py)."""
CHILDREN = Path(__file__).parents[1] / "testing" / "children"
"""What Python and Node load first. They stop programs that ignore the proxy, with a line that says so."""
HOSTS = "/etc/hosts"
"""All the names that Java knows: it asks nobody else then."""
_OF_JAVA = re.compile(r"\s*-D(?:https?\.proxy(?:Host|Port)|http\.nonProxyHosts|jdk\.net\.hosts\.file)=\S*")


class Shell(NamedTuple):
    """How a shell sets and unsets variables, and fails."""

    set: Callable[[str, str], str]
    unset: Callable[[str], str]
    fail: str
    """What is printed when there is nothing to set: evaluated, it must not let the next command run."""


def _in_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _in_powershell(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


SHELLS = {
    "sh": Shell(
        lambda name, value: f"export {name}={shlex.quote(value)}", lambda name: f"unset {name}", "false"
    ),
    "fish": Shell(
        lambda name, value: f"set -gx {name} {_in_fish(value)}",
        lambda name: f"set -e {name}; or true",
        "false",
    ),
    "powershell": Shell(
        lambda name, value: f"$env:{name} = {_in_powershell(value)}",
        lambda name: f"Remove-Item Env:{name} -ErrorAction Ignore",
        "throw 'kraken-emulator env failed'",
    ),
}


def variables(
    endpoints: Mapping[str, Any], tier: str | None, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """Return what to set for a tier, by default the first; ControlError where there is no such proxy.

    What the environment has already of what others set too, paths and options, is kept.
    """
    tiers: Mapping[str, Any] = endpoints["tiers"]
    name = tier or next(iter(tiers))
    if name not in tiers:
        raise ControlError(f"--tier {name}: it is not open; there are: {', '.join(tiers)}")
    proxy, authority = tiers[name].get("proxy"), tiers[name]["tls"]["ca"]
    if proxy is None:
        raise ControlError("this emulator has no proxy: start it with --proxy")
    proxies = {spelt: proxy for name in PROXIES for spelt in (name, name.upper())}
    bundles = dict.fromkeys(BUNDLES, authority)
    trust = {**bundles, FOLDER: os.path.dirname(authority)}
    return {**proxies, **trust, **SWITCHES, **GUARD, **guards(proxy, environment)}


def guards(proxy: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what lets programs fail that would go past the proxy, by the runtimes that can be told."""
    first = str(CHILDREN)
    paths = environment.get("PYTHONPATH", "").split(os.pathsep)
    options = f'--require "{CHILDREN / "guard.cjs"}"'
    own = environment.get("NODE_OPTIONS", "").replace(options, "").strip()
    at = urlsplit(proxy)
    java = [f"-D{name}.proxyHost={at.hostname} -D{name}.proxyPort={at.port}" for name in ("http", "https")]
    java += ["-Dhttp.nonProxyHosts=", f"-Djdk.net.hosts.file={HOSTS}"]
    of_java = _OF_JAVA.sub("", environment.get("JAVA_TOOL_OPTIONS", "")).strip()
    return {
        "PYTHONPATH": os.pathsep.join([first, *(path for path in paths if path not in ("", first))]),
        "NODE_OPTIONS": f"{options} {own}".strip(),
        "JAVA_TOOL_OPTIONS": " ".join(filter(None, [of_java, *java])),
    }


def script(settings: Mapping[str, str], shell: Shell) -> str:
    """Return the lines that a shell evaluates."""
    lines = [shell.set(name, value) for name, value in settings.items()]
    return "\n".join([*lines, *map(shell.unset, EXCEPTIONS)])
