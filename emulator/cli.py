"""The command line: arguments to calls.  Nothing heavy is imported before it is needed."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from emulator import __version__

_EPILOG = """
examples:
  kraken-emulator up --tier tokyo              the venue, 140 ms away
  kraken-emulator up --tier us,tokyo           the same venue from two distances
  kraken-emulator up --market off --ports auto --endpoints-file endpoints.json
  kraken-emulator run --tier us -- python bot.py   an unmodified client, with Kraken's own hostnames
  kraken-emulator link set us rtt=90ms         a running emulator's link, changed
  kraken-emulator venue cancel_only --pair XBTUSD   what may be done in a pair, in every protocol at once
  kraken-emulator deposit alice BTC 1.5        funds that arrive
  kraken-emulator clock step 1h                an hour passes at once
  eval "$(kraken-emulator env)"                what this shell starts calls Kraken here (up --proxy)
  kraken-emulator measure --quick              what round trips this machine gets, with plots
  kraken-emulator ca --bundle bundle.pem       the local CA joined with the system's, and who takes it how
  kraken-emulator tiers                        what the tiers are
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, like every other error here."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    root = _Parser(
        prog="kraken-emulator",
        description="A whole Kraken on one machine, at a distance you choose.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_up(commands.add_parser("up", help="start the venue and keep it running"))
    _add_run(commands.add_parser("run", help="run a command whose network is a tier, as if it called Kraken"))
    _add_link(commands.add_parser("link", help="look at and change the links of a running emulator"))
    _add_venue(commands.add_parser("venue", help="look at and change a running emulator's trading status"))
    _add_deposit(commands.add_parser("deposit", help="let a deposit arrive in a running emulator"))
    _add_clock(commands.add_parser("clock", help="look at and turn a running emulator's clock"))
    _add_reset(commands.add_parser("reset", help="bring a running emulator back to how it started"))
    _add_env(
        commands.add_parser("env", help="print what a shell sets to call Kraken by the emulator's proxy")
    )
    _add_measure(
        commands.add_parser("measure", help="measure every tier on every link, beside what Kraken publishes")
    )
    _add_ca(commands.add_parser("ca", help="show the local certificate authority, and how clients take it"))
    table = commands.add_parser("tiers", help="list the connectivity tiers")
    table.add_argument("--tiers-folder", metavar="DIR", help="also read the tier profiles in DIR")
    commands.add_parser("doctor", help="try every way to make a link, and say what works here")
    commands.add_parser("version", help="print the version")
    return root


def _add_up(up: argparse.ArgumentParser) -> None:
    up.description = "Start the venue and keep it running until Ctrl-C."
    _add_settings(up)
    up.add_argument("--json", action="store_true", help="print the endpoints as one line of JSON")


def _add_run(run: argparse.ArgumentParser) -> None:
    run.usage = "kraken-emulator run [OPTIONS] -- COMMAND [ARGUMENT ...]"
    run.description = (
        "Start the venue, and COMMAND in a network of its own whose only way out is the tier. Kraken's "
        "hostnames lead to the venue there, on their real ports, and its certificates are trusted. No root."
    )
    _add_settings(run)
    add = run.add_argument
    add("--allow-internet", action="store_true", help="leave COMMAND in the machine's own network")
    add("--quiet", action="store_true", help="print nothing of our own")


def _add_link(link: argparse.ArgumentParser) -> None:
    link.formatter_class = argparse.RawDescriptionHelpFormatter
    link.epilog = """
actions:
  show [TIER[/PATH]]                  what paths do now
  set TIER[/PATH] NAME=VALUE ...      rtt=200ms one_way=35ms jitter=50us/400us/2ms loss=1% rate=10mbit
                                      duplicate=1% reorder=1% corrupt=1% to_venue.loss=2% down=true
  fail TIER[/PATH]                    cut it; connections on it end, new ones find another path
  restore TIER[/PATH]                 end the failure
  play TIER[/PATH] NAME|FILE          a schedule by name (reroute, flap, microbursts, congestion) or as a
                                      .toml file, or a recorded trace as a .csv file
  stop TIER[/PATH]                    end what is playing
  reset [TIER[/PATH]]                 back to the profile
"""
    add = link.add_argument
    add("action", choices=["show", "set", "fail", "restore", "play", "stop", "reset"])
    add("target", nargs="?", metavar="TIER[/PATH]")
    add("words", nargs="*", metavar="NAME=VALUE")
    add("--loop", action="store_true", help="play a trace over and over")
    add("--control", metavar="URL", help="the emulator's control API (default: http://127.0.0.1:7490)")
    add("--endpoints-file", metavar="FILE", help="take the control API's address from there")
    add("--json", action="store_true", help="print JSON")


def _add_venue(venue: argparse.ArgumentParser) -> None:
    venue.description = (
        "Show or change what may be done on the venue (online, cancel_only, post_only, maintenance) or in "
        "one pair (also limit_only, reduce_only). It takes effect in every protocol at once."
    )
    add = venue.add_argument
    add("status", nargs="?", metavar="STATUS", help="the new status; none shows the present one")
    add("--pair", metavar="PAIR", help="the pair that is meant, by any of its names (default: the venue)")
    _add_control(venue)


def _add_deposit(deposit: argparse.ArgumentParser) -> None:
    deposit.description = "Let a deposit arrive: balances, ledgers, DepositStatus and clients show it."
    add = deposit.add_argument
    add("account", metavar="ACCOUNT", help="account of the accounts profile: alice")
    add("asset", metavar="ASSET", help="by any of its names: BTC, XBT, XXBT")
    add("amount", metavar="AMOUNT")
    add("--method", metavar="NAME", help="deposit method (default: the asset's first)")
    _add_control(deposit)


def _add_clock(clock: argparse.ArgumentParser) -> None:
    clock.description = (
        "Show the venue's time, let it step on (90s, 1h30m, 2d) or run at another scale (60 times as fast; "
        "0 stands still). What is due happens at its own time, in order."
    )
    add = clock.add_argument
    add("action", nargs="?", choices=["show", "step", "scale"], default="show")
    add("value", nargs="?", metavar="DURATION|SCALE")
    _add_control(clock)


def _add_reset(reset: argparse.ArgumentParser) -> None:
    reset.description = (
        "Accounts own what their profile gives them and have done nothing yet, everything is online, and the "
        "clock tells the real time. Clients stay connected, but for FIX, whose sessions begin anew."
    )
    _add_control(reset)


def _add_control(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--control", metavar="URL", help="the emulator's control API (default: http://127.0.0.1:7490)")
    add("--endpoints-file", metavar="FILE", help="take the control API's address from there")


def _add_env(env: argparse.ArgumentParser) -> None:
    env.formatter_class = argparse.RawDescriptionHelpFormatter
    env.description = (
        "Print what a shell sets so that clients who honour proxies take Kraken's own hostnames to a\n"
        "running emulator (up --proxy), reach nothing else, and trust its certificates. Others are not held\n"
        "back (docs/proxy.md): `run` is for them."
    )
    env.epilog = """
examples:
  eval "$(kraken-emulator env)"                              sh, bash, zsh
  kraken-emulator env --shell fish | source
  kraken-emulator env --shell powershell | Out-String | Invoke-Expression
"""
    add = env.add_argument
    add("--tier", metavar="NAME", help="tier whose proxy is meant (default: the emulator's first)")
    add("--shell", metavar="NAME", default="sh", help="sh, fish or powershell (default: sh)")
    add("--control", metavar="URL", help="the emulator's control API (default: http://127.0.0.1:7490)")
    add("--endpoints-file", metavar="FILE", help="read the endpoints there instead of asking an emulator")


def _add_measure(measure: argparse.ArgumentParser) -> None:
    measure.description = (
        "Start the venue on every link that works here and send real probes through every tier: TCP connect, "
        "WebSocket ping, orders over WebSocket, FIX and REST, first answers on cold connections. Prints a "
        "table and writes measurement.json and measurement.html."
    )
    add = measure.add_argument
    add("--tier", metavar="NAME[,NAME]", help="tiers to measure (default: all)")
    add("--link", metavar="RUNG[,RUNG]", help="links to measure (default: all that work here, but none)")
    add("--samples", type=int, default=1_000, metavar="N", help="orders per tier (default: 1000)")
    add("--quick", action="store_true", help="100 orders per tier: no p99.9")
    add("--market", default="off", metavar="WHO", help="who else trades meanwhile (default: off)")
    add("--output", default=".", metavar="DIR", help="where the two files go (default: here)")
    add("--tiers-folder", metavar="DIR", help="also read the tier profiles in DIR")
    add("--json", action="store_true", help="print the JSON instead of the table")


def _add_ca(ca: argparse.ArgumentParser) -> None:
    ca.description = (
        "Show the local certificate authority, which is made when it is not there yet: where it is, its "
        "fingerprint, until when it is valid, and how Python, Node, curl, Go, Rust, Java and others take it."
    )
    add = ca.add_argument
    add("--bundle", metavar="FILE", help="write the system's authorities and ours to FILE")
    add(
        "--rotate",
        action="store_true",
        help="make a new authority and certificate; a running emulator takes them, clients need the new CA",
    )
    add("--state-folder", metavar="DIR", help="where the authority lives (default: user's data)")
    add("--json", action="store_true", help="print one line of JSON")


def _add_settings(up: argparse.ArgumentParser) -> None:
    up.epilog = "Each option can also be set as KRAKEN_EMULATOR_<NAME> or in a TOML file given by --config."
    add = up.add_argument
    add("--tier", metavar="NAME[,NAME]", help="connectivity tiers to open (default: local, no delay)")
    add(
        "--link",
        metavar="RUNG",
        help="how tiers are made real: auto, netem, packet, stream or none (default: auto)",
    )
    add(
        "--enforce-access",
        action="store_true",
        default=None,
        help="refuse clients that do not meet what their tier requires (docs/tiers.md)",
    )
    add(
        "--provider",
        metavar="NAME",
        help="our network provider, for tiers that require one: bso, avelacom, beeks",
    )
    add("--allow-source", metavar="CIDR[,CIDR]", help="addresses given to Kraken, for tiers that list them")
    add(
        "--raw-delay",
        action="store_true",
        default=None,
        help="leave the venue's own time on top of each tier's RTT instead of measuring and subtracting it",
    )
    add("--seed", type=int, metavar="N", help="decides ids, keys, market and jitter (default: 0)")
    add("--market", metavar="WHO", help="who else trades: synthetic or off (default: synthetic)")
    add("--market-profile", metavar="NAME|FILE", help="prices and rates of the synthetic market")
    add("--accounts", metavar="NAME|FILE", help="accounts profile (default: default, 16 funded accounts)")
    add("--funding", metavar="NAME|FILE", help="funding profile: ways in and out (default: default)")
    add("--earn", metavar="NAME|FILE", help="earn profile: strategies (default: default)")
    add("--host", metavar="ADDR", help="address to bind (default: 127.0.0.1; anything else is a risk)")
    add("--ports", metavar="HOW", help="fixed, or auto for free ones (default: fixed)")
    add("--http-port", type=int, metavar="N", help="first tier's plain port (default: 7480, next tier +100)")
    add("--tls-port", type=int, metavar="N", help="first tier's TLS port (default: 7443, next tier +100)")
    add("--control-port", type=int, metavar="N", help="port of the control API (default: 7490)")
    add(
        "--proxy",
        action="store_true",
        default=None,
        help="open an HTTP proxy that takes Kraken's hostnames to the venue and refuses all else",
    )
    add("--proxy-port", type=int, metavar="N", help="first tier's proxy port (default: 7470, next tier +100)")
    add("--fix", metavar="on|off", help="FIX acceptors (default: on)")
    add(
        "--fix-port",
        type=int,
        metavar="N",
        help="first tier's FIX market data port; +1 trading, +5 level 3 (default: 4000, next tier +100)",
    )
    add("--fix-tls", metavar="HOW", help="FIX over TLS: optional, or only as at Kraken (default: optional)")
    add(
        "--fix-logon",
        metavar="HOW",
        help="a second FIX logon: reject it, or displace the first one (default: reject)",
    )
    add(
        "--state",
        action="store_true",
        default=None,
        help="keep FIX sequence numbers and sent reports in the state folder",
    )
    add("--endpoints-file", metavar="FILE", help="write the endpoints as JSON when everything answers")
    add("--tiers-folder", metavar="DIR", help="also read the tier profiles in DIR")
    add("--state-folder", metavar="DIR", help="where the local CA and --state live (default: user's data)")
    add("--rate-limits", metavar="on|off", help="Kraken's rate limits (default: on; off for load tests)")
    add(
        "--certificate",
        metavar="HOW",
        help="what TLS ports present: valid, wrong-name, expired or untrusted (default: valid)",
    )
    add("--post-only", metavar="HOW", help="a crossing post-only order: cancel or reject (default: cancel)")
    add("--config", metavar="FILE", help="settings file (TOML, the same names)")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; exit code 2 with one line for what cannot be done."""
    argv = list(sys.argv[1:] if argv is None else argv)
    own = argv[: argv.index("--")] if "--" in argv else argv
    arguments = vars(parser().parse_args(own))
    if arguments["command"] == "run":
        arguments["command_line"] = argv[len(own) + 1 :]
    elif own != argv:
        _fail(ValueError(f"{arguments['command']} runs no command: what stands behind -- is for `run`"))
    try:
        _COMMANDS[arguments.pop("command")](arguments)
    except KeyboardInterrupt:  # while starting; once it runs, signals stop it in order
        sys.exit(130)


def _version(_: dict[str, Any]) -> None:
    print(f"kraken-emulator {__version__}")


def _tiers(arguments: dict[str, Any]) -> None:
    from emulator.clock import duration
    from emulator.link.tiers import ProfileError, load_tiers
    from emulator.settings import SettingsError, load, tier_folders

    try:
        tiers = load_tiers(*tier_folders(load(arguments, os.environ)))
    except (SettingsError, ProfileError) as error:
        _fail(error)
    rows = [("tier", "RTT", "jitter p50/p99/p99.9, one way", "what it is")]
    for tier in sorted(tiers.values(), key=lambda tier: tier.rtt_us):
        jitter = tier.jitter
        spread = f"{jitter.p50_us:g}/{jitter.p99_us:g}/{jitter.p999_us:g} µs"
        estimated = " (estimated)" if jitter.estimated else ""
        rows.append((tier.name, duration(tier.rtt_us), spread + estimated, f"{tier.title}: {tier.access}"))
    _print_table(rows)


def _doctor(_: dict[str, Any]) -> None:
    from emulator.link.doctor import Surroundings, examine

    findings = examine()
    print(Surroundings.here().describe() + "\n")
    auto = next(finding.rung for finding in findings if finding.reason is None)
    rows = [("link", "works here", "")]
    for finding in findings:
        note = finding.reason or ("what auto takes" if finding.rung == auto else "")
        rows.append((finding.rung, "no" if finding.reason else "yes", note))
        rows += [("", "", f"  mend: {remedy}") for remedy in finding.remedies]
    _print_table(rows)


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows with their columns below each other; the last column is not padded."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*padded, row[-1]]).rstrip())


def _up(arguments: dict[str, Any]) -> None:
    from emulator import app
    from emulator.settings import load

    config, as_json = arguments.pop("config"), arguments.pop("json")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        settings = load(arguments, os.environ, config)
        if settings.host not in ("127.0.0.1", "::1", "localhost"):
            print(
                f"warning: listening on {settings.host}: whoever reaches it can use the demo keys",
                file=sys.stderr,
            )
        app.run(settings, as_json=as_json)
    except app.StartError as error:
        _fail(error)


def _run(arguments: dict[str, Any]) -> None:
    command = arguments.pop("command_line")
    if not command:
        _fail(ValueError("no command to run: kraken-emulator run --tier tokyo -- python bot.py"))
    from emulator.run.command import RunError, run

    try:
        sys.exit(run(command, arguments))
    except RunError as error:
        _fail(error)
    except Exception as error:
        from emulator.app import StartError

        if not isinstance(error, StartError):
            raise
        _fail(error)


def _link(arguments: dict[str, Any]) -> None:
    import json

    from emulator.control.client import ControlError, act, find, rows

    action, target, words = arguments["action"], arguments["target"], arguments["words"]
    least = {"set": 1, "play": 1}.get(action, 0)
    if (
        len(words) < least
        or (words and action not in ("set", "play"))
        or (action == "play" and len(words) > 1)
    ):
        _fail(ValueError(f"link {action}: see kraken-emulator link --help"))
    if target is None and action not in ("show", "reset"):
        _fail(ValueError(f"link {action}: which TIER[/PATH]?"))
    try:
        url = find(arguments["control"], arguments["endpoints_file"])
        links = act(url, action, target, words, loop=arguments["loop"])
    except ControlError as error:
        _fail(error)
    if arguments["json"]:
        print(json.dumps(links))
    else:
        _print_table(rows(links))


def _venue(arguments: dict[str, Any]) -> None:
    from emulator.control.client import ControlError, find, venue

    try:
        url = find(arguments["control"], arguments["endpoints_file"])
        now = venue(url, arguments["status"], arguments["pair"])
    except ControlError as error:
        _fail(error)
    rows = [("what", "status"), (now.get("pair", "venue"), now["status"])]
    _print_table([*rows, *now.get("pairs", {}).items()])


def _deposit(arguments: dict[str, Any]) -> None:
    from emulator.control.client import ControlError, deposit, find

    try:
        url = find(arguments["control"], arguments["endpoints_file"])
        now = deposit(url, *(arguments[name] for name in ("account", "asset", "amount", "method")))
    except ControlError as error:
        _fail(error)
    _print_table([("asset", "balance"), *now["balances"].items()])


def _clock(arguments: dict[str, Any]) -> None:
    from emulator.control.client import ControlError, clock, find

    action, value = arguments["action"], arguments["value"]
    if (value is None) is not (action == "show"):
        _fail(ValueError(f"clock {action}: see kraken-emulator clock --help"))
    try:
        now = clock(find(arguments["control"], arguments["endpoints_file"]), action, value)
    except ControlError as error:
        _fail(error)
    _print_table([("time", "ahead", "scale"), (now["time"], f"{now['ahead_s']:g} s", f"{now['scale']:g}")])


def _reset(arguments: dict[str, Any]) -> None:
    from emulator.control.client import ControlError, find, reset

    try:
        reset(find(arguments["control"], arguments["endpoints_file"]))
    except ControlError as error:
        _fail(error)


def _env(arguments: dict[str, Any]) -> None:
    from emulator.control import exports
    from emulator.control.client import ControlError, endpoints

    shell = exports.SHELLS.get(arguments["shell"], exports.SHELLS["sh"])
    try:
        if arguments["shell"] not in exports.SHELLS:
            raise ControlError(
                f"unknown shell {arguments['shell']!r}; there are: {', '.join(exports.SHELLS)}"
            )
        running = endpoints(arguments["control"], arguments["endpoints_file"])
        settings = exports.variables(running, arguments["tier"])
    except ControlError as error:
        print(shell.fail)  # `eval "$(…)" && python bot.py` must not go on to the real venue
        _fail(error)
    print(exports.script(settings, shell))


def _measure(arguments: dict[str, Any]) -> None:
    from emulator.run import spaces

    try:
        spaces.enter(network=True)  # where links of real packets can be had without root, and touch nothing
        alone = True
    except OSError:
        alone = False
    import asyncio
    from pathlib import Path

    import msgspec

    from emulator.link import netns
    from emulator.link.tiers import ProfileError, load_tiers
    from emulator.measure.command import Plan, Stopped, measure, rungs_that_work
    from emulator.measure.report import as_html, as_text
    from emulator.settings import SettingsError, load, tier_folders

    if alone:
        with netns.Namespace.current() as here:
            netns.loopback_up(here)
    folder, samples = Path(arguments["output"]), 100 if arguments["quick"] else arguments["samples"]
    if samples < 2 or samples > 100_000:
        _fail(ValueError("--samples must be from 2 to 100000"))
    if not folder.is_dir():
        _fail(ValueError(f"{folder}: no such folder"))
    asked = {name: arguments[name] for name in ("tiers_folder", "tier", "market")}
    try:
        known = load_tiers(*tier_folders(load(asked, {})))
        names = _names(arguments["tier"]) or sorted(known, key=lambda name: known[name].rtt_us)
        if unknown := set(names) - known.keys():
            raise SettingsError(f"unknown tier {min(unknown)!r}; there are: {', '.join(known)}")
        rungs, passed_over = rungs_that_work(_names(arguments["link"]))
    except (ValueError, ProfileError) as error:
        _fail(error)
    for name, reason in passed_over:
        print(f"not link {name}: {reason}", file=sys.stderr)
    plan = Plan(
        tiers=tuple(names),
        rungs=rungs,
        samples=samples,
        market=arguments["market"],
        tiers_folder=arguments["tiers_folder"] or "",
        without_fix=tuple(name for name in names if "fix" not in known[name].apis),
    )
    try:
        measurement = asyncio.run(measure(plan, _progress))
    except Stopped as stopped:
        sys.exit(stopped.exit_code)
    finally:
        _progress("", 1.0)
    encoded = msgspec.json.encode(measurement)
    try:
        (folder / "measurement.json").write_bytes(encoded)
        (folder / "measurement.html").write_text(as_html(measurement), encoding="utf-8")
    except OSError as error:
        _fail(error)
    print(encoded.decode() if arguments["json"] else as_text(measurement))
    print(f"written: {folder / 'measurement.json'}, {folder / 'measurement.html'}", file=sys.stderr)


def _ca(arguments: dict[str, Any]) -> None:
    import msgspec

    from emulator import ca
    from emulator.settings import SettingsError, load, state_folder

    logging.basicConfig(level=logging.WARNING, format="kraken-emulator: warning: %(message)s")
    try:
        settings = load({"state_folder": arguments["state_folder"]}, os.environ)
        shown = ca.show(state_folder(settings), arguments["bundle"], rotate=arguments["rotate"])
    except SettingsError as error:
        _fail(error)
    print(msgspec.json.encode(shown).decode() if arguments["json"] else "\n".join(ca.as_text(shown)))


def _names(text: str | None) -> list[str]:
    return (text or "").replace(",", " ").split()


def _progress(what: str, share: float) -> None:
    """Show how far it is, where somebody looks; with nothing to tell, take the bar away."""
    if sys.stderr.isatty():
        width = 30
        bar = "#" * round(width * share)
        text = f"[{bar:<{width}}] {share:4.0%}  {what}" if what else ""
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _fail(error: Exception) -> NoReturn:
    print(f"kraken-emulator: error: {error}", file=sys.stderr)
    sys.exit(2)


_COMMANDS: dict[str, Callable[[dict[str, Any]], None]] = {
    "up": _up,
    "run": _run,
    "link": _link,
    "venue": _venue,
    "deposit": _deposit,
    "clock": _clock,
    "reset": _reset,
    "env": _env,
    "measure": _measure,
    "ca": _ca,
    "tiers": _tiers,
    "doctor": _doctor,
    "version": _version,
}
