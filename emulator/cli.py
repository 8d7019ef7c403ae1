"""The command line: arguments to calls.  Nothing heavy is imported before it is needed."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from emulator import __version__
from emulator.arguments import parse

if TYPE_CHECKING:
    from emulator.settings import Settings

PIPE_CLOSED = 141
"""Exit code where nobody reads: that of a command which SIGPIPE ends."""
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command; exit code 2 with one line for what cannot be done.

    Where nobody reads what it prints any more, it ends without a word, as other commands do.
    """
    try:
        try:
            _own_signals()
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


def _own_signals() -> None:
    """Take back what whoever started us may have put aside: how others end, and the signals that stop us.

    What is ignored (a script's background job, nohup) each command decides on itself.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it takes the exit codes away
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD, *ENDING))


def _main(argv: Sequence[str] | None) -> None:
    argv = list(sys.argv[1:] if argv is None else argv)
    own = argv[: argv.index("--")] if "--" in argv else argv
    arguments = vars(parse(own))
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
    from emulator.settings import tier_folders

    try:
        tiers = load_tiers(*tier_folders(_settings(arguments)))
    except ProfileError as error:
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
    from emulator import up
    from emulator.app import StartError
    from emulator.logs import FORM, to_stderr

    as_json = arguments.pop("json")
    settings = _settings(arguments)
    to_stderr(settings.log_level or "info", FORM)
    try:
        for host, may in ((settings.host, "use the demo keys"), (settings.control_host, "do everything")):
            if host not in ("127.0.0.1", "::1"):
                print(f"warning: listening on {host}: whoever reaches it can {may}", file=sys.stderr)
        up.run(settings, as_json=as_json)
    except StartError as error:
        _fail(error)


def _settings(arguments: dict[str, Any]) -> "Settings":
    """Return what arguments, environment and settings file say; ends with one line where they cannot be."""
    from emulator.settings import SettingsError, load, strangers

    config = arguments.pop("config", None)
    try:
        settings = load(arguments, os.environ, config)
    except SettingsError as error:
        _fail(error)
    if ignored := strangers(os.environ):
        print(f"warning: {', '.join(ignored)}: no such setting, ignored", file=sys.stderr)
    return settings


def _run(arguments: dict[str, Any]) -> None:
    command = arguments.pop("command_line")
    if not command:
        _fail(ValueError("run: no COMMAND: kraken-emulator run --tier tokyo -- python bot.py"))
    from emulator.run.command import RunError, run

    shared, quiet = arguments.pop("allow_internet"), arguments.pop("quiet")
    settings = _settings(arguments)
    try:
        sys.exit(run(command, settings, shared=shared, quiet=quiet))
    except RunError as error:
        _fail(error)
    except Exception as error:
        from emulator.app import StartError

        if not isinstance(error, StartError):
            raise
        _fail(error)


_LINK_WORDS = {
    "set": ("NAME=VALUE is missing, for example rtt=200ms", 99),
    "play": ("a schedule is missing, by name or as a file, for example reroute", 1),
}
"""What stands behind the path, and how much of it at most."""


def _link(arguments: dict[str, Any]) -> None:
    import json

    from emulator.control.client import ControlError, act, find, rows

    action, target, words = arguments["action"], arguments["target"], arguments["words"]
    if target is None and action not in ("show", "reset"):
        _fail(ValueError(f"link {action}: TIER[/PATH] is missing, for example tokyo"))
    wanted, most = _LINK_WORDS.get(action, ("", 0))
    if wanted and not words:
        _fail(ValueError(f"link {action} {target}: {wanted}"))
    if len(words) > most:
        _fail(ValueError(f"link {action} {target}: nothing is meant by {' '.join(words[most:])}"))
    if arguments["loop"] and not (action == "play" and words[0].endswith(".csv")):
        _fail(ValueError("link --loop: a trace is played over and over: play TIER[/PATH] FILE.csv"))
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


def _accounts(arguments: dict[str, Any]) -> None:
    import json

    from emulator.control import shown
    from emulator.control.client import ControlError, endpoints

    try:
        there = endpoints(arguments["control"], arguments["endpoints_file"])
        accounts = shown.accounts(there, arguments["account"])
    except ControlError as error:
        _fail(error)
    if arguments["json"]:
        print(json.dumps(accounts))
    else:
        _print_table(shown.account_rows(accounts))


def _endpoints(arguments: dict[str, Any]) -> None:
    import json

    from emulator.control import shown
    from emulator.control.client import ControlError, endpoints

    try:
        there = endpoints(arguments["control"], arguments["endpoints_file"])
        tiers = shown.tiers(there, arguments["tier"])
    except ControlError as error:
        _fail(error)
    if arguments["json"]:
        print(json.dumps({"tiers": tiers, "control": there["control"]}))
    else:
        _print_table([*shown.endpoint_rows(tiers), ("control", "", "API", there["control"])])


def _paths(arguments: dict[str, Any]) -> None:
    import json

    from emulator.paths import paths

    name, as_json = arguments.pop("name"), arguments.pop("json")
    config = arguments["config"] or os.environ.get("KRAKEN_EMULATOR_CONFIG")
    known = paths(_settings(arguments), config)
    if as_json:
        print(json.dumps(known if name is None else {name: known[name]}))
    elif name is None:
        _print_table([(each, path or "none") for each, path in known.items()])
    elif known[name]:
        print(known[name])
    else:
        _fail(ValueError(f"paths {name}: there is none"))


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
    if value is None and action != "show":
        missing = "a duration is missing, for example 1h30m" if action == "step" else "a number is missing"
        _fail(ValueError(f"clock {action}: {missing}"))
    if value is not None and action == "show":
        _fail(ValueError(f"clock show: nothing is meant by {value}"))
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
                f"--shell {arguments['shell']}: unknown shell; there are: {', '.join(exports.SHELLS)}"
            )
        running = endpoints(arguments["control"], arguments["endpoints_file"])
        settings = exports.variables(running, arguments["tier"])
    except ControlError as error:
        print(shell.fail)  # `eval "$(…)" && python bot.py` must not go on to the real venue
        _fail(error)
    print(exports.script(settings, shell))


def _measure(arguments: dict[str, Any]) -> None:
    from emulator import measuring
    from emulator.run import spaces

    try:
        spaces.enter(network=True)  # where links of real packets can be had without root, and touch nothing
        alone = True
    except OSError:
        alone = False
    try:
        failed = measuring.run(arguments, _progress, alone=alone)
    except measuring.MeasureError as error:
        _fail(error)
    if failed is not None:
        sys.exit(failed)


def _ca(arguments: dict[str, Any]) -> None:
    import msgspec

    from emulator import ca
    from emulator.logs import to_stderr
    from emulator.settings import SettingsError, state_folder

    to_stderr("warning", "kraken-emulator: warning: %(message)s")
    settings = _settings({"state_folder": arguments["state_folder"]})
    try:
        shown = ca.show(state_folder(settings), arguments["bundle"], rotate=arguments["rotate"])
    except SettingsError as error:
        _fail(error)
    print(msgspec.json.encode(shown).decode() if arguments["json"] else "\n".join(ca.as_text(shown)))


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
    "accounts": _accounts,
    "endpoints": _endpoints,
    "deposit": _deposit,
    "clock": _clock,
    "reset": _reset,
    "health": _health,
    "env": _env,
    "measure": _measure,
    "ca": _ca,
    "paths": _paths,
    "tiers": _tiers,
    "doctor": _doctor,
    "version": _version,
}
