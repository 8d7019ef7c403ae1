"""`kraken-emulator up`: the venue until it is stopped, and what is said when it is ready."""

import asyncio
import shlex
import shutil
import signal
import sys
from pathlib import Path

import msgspec

from emulator.app import App
from emulator.control.client import DEFAULT_URL
from emulator.endpoints import EndpointsFile, as_text
from emulator.gateways.authority import Certificate
from emulator.link import tiers
from emulator.settings import Settings

LAUNCHER = Path(__file__).parent.parent / "kraken-emulator"
"""In a clone: runs the command wherever its environment is."""
SHOWN_ACCOUNTS = 3


def run(settings: Settings, *, as_json: bool) -> None:
    """Run the venue until SIGINT or SIGTERM, or SIGHUP unless it is ignored (nohup)."""
    app = App(settings)
    asyncio.run(_run(app, as_json=as_json))


async def _run(app: App, *, as_json: bool) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stopped.set)
    with app.settings.blamed("endpoints_file"):
        file = EndpointsFile(app.settings.endpoints_file, app.settings.trust_folder)
    try:
        await app.start()
        endpoints = app.endpoints_json()
        file.write(endpoints)
        print(msgspec.json.encode(endpoints).decode() if as_json else ready_text(app), flush=True)
        await stopped.wait()
    finally:
        file.withdraw()
        await app.stop()


def _shut(app: App, tier: tiers.Tier) -> str:
    """Say why nobody at all comes through to a tier, or nothing."""
    entrance = app.entrances[tier.name]
    if not entrance.connected:
        return f"every connection is reset: no --provider of {', '.join(tier.requires.providers)}"
    return (
        "every connection is reset: no address is listed (--allow-source)" if entrance.sources == () else ""
    )


def _flaw(certificate: str) -> list[str]:
    """Say that clients must refuse what TLS ports present."""
    if certificate == Certificate.VALID:
        return []
    return [f"TLS      {certificate} certificate: to be refused; {Certificate.VALID.host} has a valid one"]


def _earlier(app: App) -> list[str]:
    """Say what is left of earlier runs, and what is not."""
    words = "FIX      sessions go on; orders and fills of earlier runs are gone, and clients are told so"
    return [words] if app.goes_on else []


def called() -> str:
    """Return how the command is called from where its user stands: by its name, its launcher, or as it was.

    Started by `make` it is in no PATH; the clone's launcher leads to it then.
    """
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m {__package__}"
    found = shutil.which(started.name)
    if found is not None and Path(found).resolve() == started.resolve():
        return started.name
    if LAUNCHER.is_file():
        return "./kraken-emulator" if Path.cwd() == LAUNCHER.parent else shlex.quote(str(LAUNCHER))
    return shlex.quote(str(started.absolute()))


def next_commands(app: App) -> list[tuple[str, str]]:
    """Return commands that work now, in another terminal, and what each does."""
    command, settings = called(), app.settings
    there = "" if app.control_url == DEFAULT_URL else f" --control {app.control_url}"
    far = next((tier for tier in app.tiers if tier.rtt_us), None)
    rows = [
        (f"{command} accounts{there}", "all keys"),
        (f"{command} endpoints{there}", "all addresses; --json for programs"),
        (f"{command} deposit {app.accounts[0].name} BTC 1.5{there}", "funds that arrive"),
    ]
    if far is not None and app.listeners[0].rung != "none":
        rtt = f"rtt={2 * far.rtt_us / 1000:g}ms"
        rows.append((f"{command} link set {far.name} {rtt}{there}", "twice as far"))
    if settings.proxy:
        rows.append((f'eval "$({command} env{there})"', "clients that honour proxies call Kraken here"))
    rows.append((f"{command} measure --quick", "what round trips this machine gets"))
    return rows


def ready_text(app: App) -> str:
    """Return what a person reads when the venue is ready."""
    settings, endpoints = app.settings, app.endpoints_json()
    market = (
        "no market" if settings.market == "off" else f"{len(app.catalogue.pairs)} pairs, synthetic market"
    )
    if app.quiet:
        market += f", but not in {', '.join(app.quiet)}: no price is known (docs/instruments.md)"
    outside = app.advertised.seen(app.endpoints)
    lines = [f"Kraken spot, seed {settings.seed}, {market}", "", *as_text(outside)]
    lines += [f"not link {name}: {reason}" for name, reason in app.choice.passed_over]
    lines += [f"{tier.name}: {_shut(app, tier)}" for tier in app.tiers if _shut(app, tier)]
    lines += [
        "",
        f"CA       {app.shared_ca or app.authority.ca_path}",
        *_flaw(settings.certificate),
        *_earlier(app),
        f"control  {app.control_url_outside}",
        "accounts (API key, private key):",
    ]
    shown = endpoints["accounts"][:SHOWN_ACCOUNTS]
    lines += [f"  {row['name']:<8}{row['spot']['key']}\n          {row['spot']['secret']}" for row in shown]
    rest = ", ".join(row["name"] for row in endpoints["accounts"][SHOWN_ACCOUNTS:])
    lines += [f"  and {rest}"] if rest else []
    rows = next_commands(app)
    width = max(len(command) for command, _ in rows)
    lines += ["", "in another terminal:", *(f"  {command:<{width}}  {what}" for command, what in rows)]
    return "\n".join([*lines, "", "ready; Ctrl-C stops"])
