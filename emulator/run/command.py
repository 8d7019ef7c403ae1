"""`kraken-emulator run`: from arguments to the command's exit code."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from emulator.bundle import with_authority
from emulator.logs import FORM, to_stderr
from emulator.run import spaces, trust
from emulator.run.child import Child
from emulator.run.guard import Guard

if TYPE_CHECKING:
    from emulator.app import App
    from emulator.settings import Settings

ADDRESS = "10.83.1.2"
"""Where the venue is in the command's network when the link has no addresses of its own."""
SHARED_ADDRESS = "127.83.1.2"
"""And where it is when the command shares the machine's network, without root."""
_ANYWHERE = "`kraken-emulator up` and its endpoints work everywhere"


CA, ENDPOINTS = "ca.pem", "endpoints.json"
"""Files in the command's folder."""


class RunError(Exception):
    """The command cannot be run like that: one line."""


def run(command: Sequence[str], settings: Settings, *, shared: bool, quiet: bool) -> int:
    """Run `command` behind a tier; give its exit code. RunError, or one of app.StartError, when it cannot be.

    It never returns in the forked process that becomes the command.
    """
    if shared and os.geteuid() != 0 and not _may_bind_443():
        raise RunError(
            "--allow-internet needs root here: without it, nobody can listen on Kraken's port 443 in the "
            "machine's own network (sysctl net.ipv4.ip_unprivileged_port_start)"
        )
    try:
        spaces.enter(network=not shared)
    except OSError as error:
        raise RunError(_refused(error)) from None
    child = Child(command)
    try:
        return _run(child, command, settings, shared=shared, quiet=quiet)
    finally:
        child.forget()


def _run(child: Child, command: Sequence[str], settings: Settings, *, shared: bool, quiet: bool) -> int:
    import asyncio

    from emulator.app import App
    from emulator.endpoints import EndpointsFile

    to_stderr("critical" if quiet else settings.log_level or "warning", FORM)
    settings, passed_over = _chosen(settings, shared=shared)
    app = App(settings, kraken_ports=True)
    with settings.blamed("endpoints_file"):
        kept = EndpointsFile(settings.endpoints_file, settings.trust_folder)

    def say(text: str) -> None:
        if not quiet:
            _say(text)

    guard = Guard(lambda place: say(f"refused: {place}"))

    async def serve() -> int:
        child.pass_signals_on()
        with tempfile.TemporaryDirectory(prefix="kraken-emulator-run-") as name:
            folder = Path(name)
            file = kept if settings.endpoints_file else EndpointsFile(str(folder / ENDPOINTS))
            try:
                await app.start()
                told = _tell(app, command, folder, say, shared=shared)
                file.write(app.endpoints_json(folder / CA))
                say(_summary(app, passed_over))
                for reason in app.listeners[0].not_served:
                    say(f"http:// and ws:// at Kraken's names are not served: {reason}")
                if not shared:
                    await _start(guard, app, say)
                child.go({**os.environ, **told})
                return await child.wait()
            finally:
                guard.stop()
                file.withdraw()
                if refused := str(guard.refused):  # said to who wants quiet too: it is an error
                    _say(f"refused: {refused}")
                await app.stop()

    return asyncio.run(serve())


def _chosen(settings: Settings, *, shared: bool) -> tuple[Settings, tuple[tuple[str, str], ...]]:
    """Choose the link inside the namespaces, and give an address to one that has none of its own."""
    from emulator.addresses import apart
    from emulator.asked import choose_link, load_tiers
    from emulator.link import netns
    from emulator.settings import Settings

    choice = choose_link(settings, load_tiers(settings))
    # Addresses that are found by names are the machine's, none of the namespaces'.
    host = Settings().host if apart(settings.host) else settings.host
    with netns.Namespace.current() as here:
        if not shared:
            netns.loopback_up(here)
        if not choice.rung.own_addresses:
            host = SHARED_ADDRESS if shared else ADDRESS
            if not shared:
                netns.set_up(here, "lo", f"{host}/32")
    return settings.but(link=choice.rung.name, host=host), choice.passed_over


def _say(text: str) -> None:
    with suppress(OSError):  # that nobody reads it is nothing to the command
        print(f"kraken-emulator: {text}", file=sys.stderr, flush=True)


async def _start(guard: Guard, app: App, say: Callable[[str], None]) -> None:
    """Let refusals be told; without that they are refusals all the same."""
    try:
        await guard.start(dict.fromkeys(_names(), _ways_in(app)))
    except OSError as error:
        say(f"what is refused cannot be told here: {error}")


def _ways_in(app: App) -> list[str]:
    """Give the addresses that Kraken's names lead to: those of the first tier's paths."""
    first = app.endpoints[0]
    return list(dict.fromkeys(endpoint.host for endpoint in app.endpoints if endpoint.tier == first.tier))


def _names() -> tuple[str, ...]:
    """Give the names that lead to the venue: Kraken's, and those with flawed certificates."""
    from emulator.gateways.authority import TEST_HOSTS
    from emulator.gateways.hosts import HOSTNAMES

    return (*HOSTNAMES, *TEST_HOSTS)


def _tell(
    app: App, command: Sequence[str], folder: Path, say: Callable[[str], None], *, shared: bool
) -> dict[str, str]:
    """Mount what the command is told of the world; give what its environment gets besides."""
    folder.chmod(0o755)
    ca = folder / CA  # a copy, for every user: the authority's folder is its owner's
    ca.write_bytes(app.authority.ca_path.read_bytes())
    ca.chmod(0o644)
    _direct_names(folder, _names(), _ways_in(app), shared=shared)
    whole = folder / "bundle.pem"
    whole.write_bytes(ca.read_bytes())
    for number, bundle in enumerate(trust.bundles(command, os.environ)):
        content = with_authority(bundle, ca)
        if number == 0:
            whole.write_bytes(content)
            whole.chmod(0o644)
        _mount(folder / f"{number}.pem", content, str(bundle))
    _tell_java(ca, command, folder, say)
    endpoints = Path(app.settings.endpoints_file or folder / ENDPOINTS)
    return trust.variables(os.environ, whole, ca, _names(), endpoints.absolute())


def _tell_java(ca: Path, command: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
    """Let Java trust the authority; a trust store that cannot be read stays as it is, and that is said."""
    from cryptography import x509

    from emulator.run import keystores

    authority = x509.load_pem_x509_certificate(ca.read_bytes())
    passwords = keystores.passwords(command, os.environ)
    for number, store in enumerate(keystores.stores(command, os.environ)):
        try:
            content = keystores.with_authority(store.read_bytes(), authority, passwords)
        except keystores.KeystoreError as error:
            say(f"{store} stays as it is: {error}")
            continue
        _mount(folder / f"{number}.keystore", content, str(store))


def _direct_names(folder: Path, names: Sequence[str], addresses: Sequence[str], *, shared: bool) -> None:
    """Let `names` lead to `addresses`, whatever the system asks for names otherwise."""
    if not os.path.exists(trust.HOSTS):
        raise RunError("there is no /etc/hosts to put Kraken's names into: make one (`touch /etc/hosts`)")
    hosts = trust.hosts_file(_text(trust.HOSTS), names, addresses)
    _mount(folder / "hosts", hosts.encode(), trust.HOSTS)
    if os.path.exists(trust.LOOKUPS):
        _mount(folder / "nsswitch.conf", trust.lookups_file(_text(trust.LOOKUPS)).encode(), trust.LOOKUPS)
    for socket in {os.path.realpath(path) for path in trust.NAME_CACHES if os.path.exists(path)}:
        _mount(folder / "no-name-cache", b"", socket)
    if not shared and os.path.exists(trust.RESOLVER):
        _mount(folder / "resolv.conf", trust.NO_RESOLVER.encode(), trust.RESOLVER)


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8", errors="replace")


def _mount(source: Path, content: bytes, target: str) -> None:
    """Let `target` show `content`, to every user: the command may become another one."""
    source.write_bytes(content)
    source.chmod(0o644)
    try:
        spaces.put_over(str(source), target)
    except OSError as error:
        raise RunError(str(error.strerror)) from None


def _summary(app: App, passed_over: Sequence[tuple[str, str]]) -> str:
    from emulator.clock import duration

    first = app.endpoints[0]
    why = "".join(f"; not {name}: {reason}" for name, reason in passed_over)
    return (
        f"api.kraken.com is {first.host}, tier {first.tier}, "
        f"{duration(max(first.rtt_us, first.reachable_us))} RTT, link {first.rung}{why}"
    )


def _refused(error: OSError) -> str:
    """Say why no namespaces can be had, and what to do."""
    if not sys.platform.startswith("linux"):
        return f"{error}; {_ANYWHERE}"
    from emulator.link.doctor import Surroundings, rights_remedies

    remedies = [text for text in rights_remedies(Surroundings.here()) if "kraken-emulator run" not in text]
    mend = f"; {remedies[0]} would mend it" if remedies else ""
    return f"no namespace can be made here ({error.strerror}){mend}; {_ANYWHERE}"


def _may_bind_443() -> bool:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 443
    except (OSError, ValueError):
        return False
