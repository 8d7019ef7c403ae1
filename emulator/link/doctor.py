"""What works here, why not, and what exactly would mend it: every rung is tried for real."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from typing import NamedTuple

from emulator.link import netns
from emulator.link.ladder import RUNGS

_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
_CONTAINER_VARIABLE = "container"
"""What podman, LXC and systemd set; a tmpfs at /run hides podman's mark."""
_MODULE_PACKAGES = {
    "ubuntu": "sudo apt-get install linux-modules-extra-$(uname -r) && sudo modprobe sch_netem",
    "fedora": "sudo dnf install kernel-modules-extra-$(uname -r) && sudo modprobe sch_netem",
    "rhel": "sudo dnf install kernel-modules-extra-$(uname -r) && sudo modprobe sch_netem",
}


class Finding(NamedTuple):
    """One rung: why it does not work (None: it does), and commands or settings that would mend it."""

    rung: str
    reason: str | None
    remedies: tuple[str, ...]


class Surroundings(NamedTuple):
    """What decides about remedies."""

    system: str
    kernel: str
    root: bool
    container: bool
    distribution: str

    @classmethod
    def here(cls) -> Surroundings:
        """Look around."""
        return cls(
            system=sys.platform,
            kernel=platform.release() + " " + platform.version(),
            root=hasattr(os, "geteuid") and os.geteuid() == 0,
            container=_CONTAINER_VARIABLE in os.environ or any(map(os.path.exists, _CONTAINER_MARKS)),
            distribution=_distribution(),
        )

    def describe(self) -> str:
        """Say it in one line."""
        who = "root" if self.root else "not root"
        return f"{platform.system()} {platform.release()}, {self.kind()}, {who}, {os.cpu_count()} CPUs"

    def kind(self) -> str:
        """Name the kind of machine that is known for its limits."""
        kernel = self.kernel.lower()
        for mark, name in (("microsoft", "WSL2"), ("linuxkit", "Docker Desktop"), ("gvisor", "gVisor")):
            if mark in kernel:
                return name
        return "a container" if self.container else "no container"


def examine() -> list[Finding]:
    """Make and remove a link of every rung; takes up to a second."""
    surroundings = Surroundings.here()
    findings = []
    for rung in RUNGS:
        reason = rung.works()
        mend = _REMEDIES.get(rung.name, lambda _: ()) if reason else lambda _: ()
        findings.append(Finding(rung.name, reason, mend(surroundings)))
    return findings


def rights_remedies(here: Surroundings) -> tuple[str, ...]:
    """Say what gives the right to make network namespaces and devices."""
    if not here.system.startswith("linux"):
        return ("run it in a Linux container or virtual machine (docker run …), or stay with link stream",)
    remedies = [f"sudo sysctl -w {name}={value}" for name, value in netns.restrictions()]
    if here.kind() == "gVisor":
        return ("gVisor has no veth devices: run the container with runc, or stay with link stream",)
    if here.container:
        remedies += [
            "docker run --cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt apparmor=unconfined …",
            "compose: cap_add: [SYS_ADMIN, NET_ADMIN], security_opt: [apparmor:unconfined]",
        ]
    elif not here.root:
        remedies += ["sudo kraken-emulator up …", "kraken-emulator run --tier … -- COMMAND (needs no root)"]
    return tuple(remedies)


def module_remedies(here: Surroundings) -> tuple[str, ...]:
    """Say what gives a kernel with sch_netem to a machine where namespaces can be made."""
    kind = here.kind()
    if kind == "WSL2":
        return (
            "wsl --update  # in Windows: kernels since 6.6 can have sch_netem; then sudo modprobe sch_netem",
        )
    if kind == "Docker Desktop":
        return ("its virtual machine's kernel has no sch_netem: link packet does the same without",)
    on_host = " (on the host: containers share its kernel)" if here.container else ""
    package = _MODULE_PACKAGES.get(here.distribution)
    return (f"sudo modprobe sch_netem{on_host}", *([package] if package else []))


def _netem_remedies(here: Surroundings) -> tuple[str, ...]:
    return rights_remedies(here) if netns.possible() else module_remedies(here)


_REMEDIES: dict[str, Callable[[Surroundings], tuple[str, ...]]] = {
    "netem": _netem_remedies,
    "packet": rights_remedies,
}


def _distribution() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return ""
    ids = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    return next((name for name in ids if name in _MODULE_PACKAGES), "")
