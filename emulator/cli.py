"""The command line: arguments to calls.  Nothing heavy is imported before it is needed."""

import errno
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from emulator import __version__
from emulator.arguments import parser

PIPE_CLOSED = 141
"""Exit code where nobody reads: that of a command which SIGPIPE ends."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; exit code 2 with one line for what cannot be done.

    Where nobody reads what it prints any more, it ends without a word, as other commands do.
    """
    try:
        try:
            _main(argv)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not tried again
        if error.errno == errno.ENOSPC:
            _fail(error)
        sys.exit(PIPE_CLOSED)


def _main(argv: Sequence[str] | None) -> None:
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
        for host, may in ((settings.host, "use the demo keys"), (settings.control_host, "do everything")):
            if host not in ("127.0.0.1", "::1"):
                print(f"warning: listening on {host}: whoever reaches it can {may}", file=sys.stderr)
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
    from emulator.control.client import ControlError, advisories, find, venue

    try:
        announced = advisories(
            arguments["maintenance_in"], arguments["emergency"], none=arguments["no_advisories"]
        )
        url = find(arguments["control"], arguments["endpoints_file"])
        now = venue(url, arguments["status"], arguments["pair"], announced)
    except ControlError as error:
        _fail(error)
    rows = [("what", "status"), (now.get("pair", "venue"), now["status"])]
    rows += [
        ("upcoming maintenance", f"{event['expected_start_utc']} {event['title']}")
        for event in now.get("upcoming_maintenance", ())
    ]
    rows += [("emergency", incident["title"]) for incident in now.get("emergency", ())]
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


def _health(arguments: dict[str, Any]) -> None:
    from emulator.control.client import ControlError, wait_for

    try:
        wait_for(arguments["control"], arguments["endpoints_file"], arguments["wait"])
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
    from emulator.measure.command import Plan, Stopped, measure, rungs_that_work, shortest_us
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
        shortest_us=shortest_us([known[name] for name in names]),
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
    "health": _health,
    "env": _env,
    "measure": _measure,
    "ca": _ca,
    "tiers": _tiers,
    "doctor": _doctor,
    "version": _version,
}
