"""`kraken-emulator link`, `venue`, `clock`, `env` and so on: the control API from the command line."""

from __future__ import annotations

import http.client
import json
import math
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from emulator.words import spelled, unknown

DEFAULT_URL = "http://127.0.0.1:7490"
VARIABLE, FILE_VARIABLE = "KRAKEN_EMULATOR_CONTROL", "KRAKEN_EMULATOR_ENDPOINTS_FILE"
TIMEOUT_S = 30.0
HEALTH_TIMEOUT_S = 3.0
STEP_TIMEOUT_S = 600.0
"""A step of the clock is answered when all has happened that it sets off."""
LOOK_AGAIN_S = 0.1
MOST_AHEAD_S = 366 * 86_400
"""How far ahead maintenance may be announced."""
LONGEST_TITLE = 200

_UNITS_US = {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}
_UNITS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_UNITS_BITS = {"bit": 1.0, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}
_SHARES = ("loss", "burst_start", "burst_end", "burst_loss", "duplicate", "reorder", "corrupt")
_NAMES = {"rtt": "rtt_us", "one_way": "one_way_us", "rate": "rate_bits_per_s", "limit": "limit_packets"}
_WHOLE = ("rate", "limit", "rate_bits_per_s", "limit_packets", "reorder_gap")
_TIMES = ("rtt", "one_way", "rtt_us", "one_way_us", "p50_us", "p99_us", "p999_us")
_ONLY_BOTH = ("rtt", "rtt_us", "down")
"""A round trip goes both ways; a path is cut both ways."""
_DIRECTIONS = ("to_venue", "to_client")
NAMES = (
    *("rtt", "one_way", "jitter", "loss", "burst_start", "burst_end", "burst_loss", "duplicate"),
    *("reorder", "reorder_gap", "corrupt", "rate", "limit", "down"),
)
"""Names of `link set`; the control API's own (``rtt_us``) will do too."""
_NUMBER = re.compile(r"([0-9.]+)\s*([a-zµ%]*)")
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


class ControlError(Exception):
    """What cannot be done: one line."""


class AddressError(ControlError):
    """What is no address: nothing will ever answer there."""


def changes(settings: Sequence[str]) -> dict[str, Any]:
    """Read `rtt=200ms jitter=50us/400us/2ms loss=1% rate=10mbit to_venue.loss=2% down=true`; ControlError."""
    found: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ControlError(f"{setting!r}: NAME=VALUE is meant, for example rtt=200ms")
        direction, dot, field = name.partition(".")
        if dot and direction not in _DIRECTIONS:
            raise ControlError(f"{setting}: {unknown('direction', direction, _DIRECTIONS)}")
        if dot and field in _ONLY_BOTH:
            raise ControlError(f"{setting}: {field} is of both directions, without {direction}.")
        target = found.setdefault(direction, {}) if dot else found
        target.update(_field(setting, field if dot else name, text))
    return found


def _field(setting: str, name: str, text: str) -> dict[str, Any]:
    if name == "down":
        if text not in ("true", "false"):
            raise ControlError(f"{setting}: true or false is meant")
        return {"down": text == "true"}
    if name == "jitter":
        parts = text.split("/")
        if len(parts) != 3:
            raise ControlError(f"{setting}: p50/p99/p999 are meant, for example 50us/400us/2ms")
        return {
            f"p{p}_us": _number(setting, part, _UNITS_US)
            for p, part in zip((50, 99, 999), parts, strict=True)
        }
    field = _NAMES.get(name, name)
    if name in _SHARES:
        share = _number(setting, text, {"": 1.0, "%": 0.01})
        if share > 1:
            raise ControlError(f"{setting}: a share from 0 to 1, or 0% to 100%, is meant")
        return {field: share}
    if name in _TIMES:
        return {field: _number(setting, text, {"": 1.0, **_UNITS_US} if name == field else _UNITS_US)}
    if name in _WHOLE:
        units = {"": 1.0, **_UNITS_BITS} if field == "rate_bits_per_s" else {"": 1.0}
        return {field: round(_number(setting, text, units))}
    raise ControlError(f"{setting}: {unknown('name', name, NAMES)}")


def _number(setting: str, text: str, units: dict[str, float]) -> float:
    if text == "0":
        return 0.0
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        known = ", ".join(unit for unit in units if unit)
        raise ControlError(f"{setting}: a number is meant" + (f", with a unit of: {known}" if known else ""))
    try:
        return float(f"{float(match[1]) * units[match[2]]:.9g}")
    except ValueError:
        raise ControlError(f"{setting}: not a number") from None


class Found(str):
    """The control API's address, which knows how it was given: errors say so."""

    said = ""

    @classmethod
    def by(cls, said: str, url: str) -> Found:
        """Return an address that was given like this."""
        found = cls(url)
        found.said = said
        return found


def find(url: str | None, endpoints_file: str | None) -> Found:
    """Give the control API's address: as said, of an endpoints file, of the environment, or the default.

    The environment has it, or names the endpoints file that `up` writes there.  What was given leads there or
    is refused: another emulator than the one that is meant must not be changed.
    """
    if url is not None:
        return _address(url, spelled("--control", url))
    if endpoints_file is not None:
        return _written(endpoints_file, spelled("--endpoints-file", endpoints_file))
    if known := os.environ.get(VARIABLE):
        return _address(known, f"{VARIABLE}={known}")
    if file := os.environ.get(FILE_VARIABLE):
        return _written(file, f"{FILE_VARIABLE}={file}")
    return Found(DEFAULT_URL)


def _written(file: str, said: str) -> Found:
    """Give the address that an endpoints file has."""
    return Found.by(said, str(_read(file, said)["control"]))


def _address(url: str, said: str) -> Found:
    """Check an address that was given as `--control` or a variable; ControlError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:  # what is no port
        good = False
    if not good or parts.path.strip("/") or any(letter.isspace() for letter in url):
        raise AddressError(f"{said}: an address is meant, for example {DEFAULT_URL}")
    return Found.by(said, url.rstrip("/"))


def wait_for(url: str | None, endpoints_file: str | None, wait_s: float) -> None:
    """Return when an emulator answers; ControlError when none does within so many seconds.

    Its control API opens when all its listeners have answered.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            call(find(url, endpoints_file), "GET", "/control/health", timeout_s=HEALTH_TIMEOUT_S)
            return
        except AddressError:
            raise
        except ControlError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(LOOK_AGAIN_S)


def endpoints(url: str | None, endpoints_file: str | None) -> dict[str, Any]:
    """Give what an endpoints file says, or else a running emulator; ControlError."""
    if url is not None or endpoints_file is None:
        return dict(call(find(url, None), "GET", "/control/endpoints"))
    return _read(endpoints_file, spelled("--endpoints-file", endpoints_file))


def _read(endpoints_file: str, said: str) -> dict[str, Any]:
    try:
        found = dict(json.loads(Path(endpoints_file).read_bytes()))
        return {**found, "control": found["control"], "tiers": dict(found["tiers"])}
    except (OSError, ValueError, KeyError, TypeError):
        raise ControlError(f"{said}: no endpoints file with a control address") from None


def call(
    url: str,
    method: str,
    path: str,
    body: bytes = b"{}",
    kind: str = "application/json",
    timeout_s: float = TIMEOUT_S,
) -> Any:
    """Make one request; ControlError with the answer's own words."""
    if not url.startswith("http://"):
        raise ControlError(f"{url}: an http:// address is meant")
    data = None if method == "GET" else body
    request = urllib.request.Request(url + path, data, {"Content-Type": kind}, method=method)  # noqa: S310
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        try:
            reason = json.loads(error.read())["error"]
        except (ValueError, KeyError, TypeError, http.client.HTTPException):
            reason = f"{url} is no control API: status {error.code}, see `kraken-emulator endpoints`"
        raise ControlError(reason) from None
    except (OSError, ValueError, http.client.HTTPException):
        hint = "start one with `kraken-emulator up`, or say --control"
        said = f" ({url.said})" if isinstance(url, Found) and url not in url.said.split() else ""
        raise ControlError(f"no emulator answers at {url}{said}: {hint}") from None


@contextmanager
def _blamed(option: str, value: str | None, begins: str) -> Iterator[None]:
    """Let a refusal of the venue's that begins so name the option that it is about."""
    try:
        yield
    except ControlError as error:
        if value is None or not str(error).startswith(begins):
            raise
        raise ControlError(f"{spelled(option, value)}: {error}") from None


def act(
    url: str, action: str, target: str | None, words: Sequence[str], *, loop: bool
) -> list[dict[str, Any]]:
    """Carry out one action on a tier, a path of it, or all; give the rows of what is meant then."""
    parts = [part for part in (target or "").split("/") if part]
    if len(parts) > 2:
        raise ControlError(f"link {action} {target}: a tier and a path are meant at most")
    path = "/control/links" + "".join(f"/{quote(part, safe='')}" for part in parts)
    if action == "show":
        answer = call(url, "GET", path)
    elif action == "set":
        answer = call(url, "PATCH", path, json.dumps(changes(words)).encode())
    elif action == "stop":
        answer = call(url, "DELETE", path + "/play")
    elif action == "play":
        answer = call(url, "POST", f"{path}/play{'?loop=1' if loop else ''}", *_what(words[0]))
    else:
        answer = call(url, "POST", f"{path}/{action}")
    return list(answer["links"])


def venue(
    url: str, status: str | None, pair: str | None, announced: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Change what may be done on the venue or in a pair, and what is ``announced``; give what it is then.

    ``status`` None leaves that as it is.
    """
    path = "/control/venue" + (f"/{quote(pair, safe='')}" if pair else "")
    body = ({} if status is None else {"status": status}) | (announced or {})
    how = ("PATCH", path, json.dumps(body).encode()) if body else ("GET", path)
    with _blamed("--pair", pair, "unknown pair"):
        return dict(call(url, *how))


def advisories(maintenance_in: str | None, emergency: str | None, *, none: bool) -> dict[str, Any]:
    """Give what to announce: maintenance in ``2h``, an incident by its title, or that there is none."""
    if none and (maintenance_in is not None or emergency is not None):
        raise ControlError(
            "--no-advisories: what is announced is taken back; nothing can be announced beside it"
        )
    body: dict[str, Any] = {"upcoming_maintenance": [], "emergency": []} if none else {}
    if maintenance_in is not None:
        try:
            starts_in_s = seconds(maintenance_in)
        except ControlError as error:
            raise ControlError(f"--maintenance-in {error}") from None
        if not 0 < starts_in_s <= MOST_AHEAD_S:
            raise ControlError(
                f"--maintenance-in {maintenance_in!r}: a time within a year is meant, more than 0"
            )
        body["upcoming_maintenance"] = [{"starts_in_s": starts_in_s}]
    if emergency is not None:
        if not 0 < len(emergency) <= LONGEST_TITLE:
            raise ControlError(
                f"--emergency {emergency[:40]!r}: a title of 1 to {LONGEST_TITLE} characters is meant"
            )
        body["emergency"] = [{"title": emergency}]
    return body


def deposit(url: str, account: str, asset: str, amount: str, method: str | None) -> dict[str, Any]:
    """Let a deposit arrive; give the account's balances then."""
    body = {"asset": asset, "amount": amount} | ({"method": method} if method else {})
    path = f"/control/accounts/{quote(account, safe='')}/deposits"
    with _blamed("--method", method, "unknown method"):
        return dict(call(url, "POST", path, json.dumps(body).encode()))


def clock(url: str, action: str, value: str | None) -> dict[str, Any]:
    """Show the clock, let it ``step`` on (``1h30m``) or run at a ``scale`` (``60``); give what it tells."""
    if action == "show":
        return dict(call(url, "GET", "/control/clock"))
    try:
        body = {"step_s": seconds(value or "")} if action == "step" else {"scale": _scale(value or "")}
    except ControlError as error:
        raise ControlError(f"clock {action} {error}") from None
    return dict(call(url, "POST", "/control/clock", json.dumps(body).encode(), timeout_s=STEP_TIMEOUT_S))


def seconds(text: str) -> float:
    """Read a duration: ``1h30m``, ``250ms``, ``1.5d``; ControlError."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ControlError(f"{text!r}: a duration is meant, for example 90s, 1h30m or 2d")
    return sum(float(number) * _UNITS_S[unit] for number, unit in parts)


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale):
        raise ControlError(f"{text!r}: a number is meant, for example 60") from None
    return scale


def reset(url: str) -> None:
    """Bring everything back to how it was at the start."""
    call(url, "POST", "/control/reset")


def _what(name: str) -> tuple[bytes, str]:
    """Give the body and its type: a file by its ending, or the name of a schedule that comes along."""
    kinds = {".toml": "application/toml", ".csv": "text/csv"}
    kind = kinds.get(Path(name).suffix)
    if kind is None and (os.sep in name or Path(name).suffix):
        raise ControlError(f"link play {name}: a file's name ends in {' or '.join(kinds)}")
    if kind is None:
        return json.dumps({"schedule": name}).encode(), "application/json"
    try:
        return Path(name).read_bytes(), kind
    except OSError as error:
        raise ControlError(f"{name}: {error.strerror}") from None


def rows(links: Sequence[dict[str, Any]]) -> list[tuple[str, ...]]:
    """Give what people read about paths: one row each, headings first."""
    found: list[tuple[str, ...]] = [("path", "state", "RTT", "at start", "jitter p50/p99/p99.9", "besides")]
    for link in links:
        there, back = link["to_venue"], link["to_client"]
        jitter = "/".join(f"{there[name]:g}" for name in ("p50_us", "p99_us", "p999_us"))
        state = "up" if link["up"] else "down"
        found.append(
            (
                f"{link['tier']}/{link['path']}",
                state if not link["playing"] else f"{state}, playing {link['playing']}",
                _duration(link["rtt_us"]),
                _duration(link["standing_rtt_us"]),
                f"{jitter} µs",
                _besides(there, back) if link["up"] else "",
            )
        )
    return found


def _besides(there: dict[str, Any], back: dict[str, Any]) -> str:
    """Name what a line does besides delay, per direction where they differ."""
    names = {*_SHARES, "rate_bits_per_s"} - {"burst_end", "burst_loss"}
    parts = []
    for name in sorted(names):
        if there[name] or back[name]:
            both = there[name] == back[name]
            parts.append(
                f"{name} {there[name]:g}" if both else f"{name} {there[name]:g} → / {back[name]:g} ←"
            )
    return ", ".join(parts)


def _duration(microseconds: float) -> str:
    return f"{microseconds / 1000:.4g} ms" if microseconds >= 1000 else f"{microseconds:.0f} µs"
