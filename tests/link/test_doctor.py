"""Claims about the doctor: what it advises where, and that it asks every rung."""

import pytest

from emulator.link import doctor, netns
from emulator.link.doctor import Surroundings, module_remedies, rights_remedies
from emulator.link.ladder import RUNGS

PLAIN = Surroundings("linux", "6.8.0-48-generic", root=False, container=False, distribution="ubuntu")


def test_every_rung_is_examined_and_only_what_does_not_work_is_mended():
    findings = doctor.examine()
    assert [finding.rung for finding in findings] == [rung.name for rung in RUNGS]
    assert all(not finding.remedies for finding in findings if finding.reason is None)


def test_a_missing_module_is_loaded_or_installed_by_the_distributions_own_command():
    load, install = module_remedies(PLAIN)
    assert load == "sudo modprobe sch_netem"
    assert "linux-modules-extra-$(uname -r)" in install
    assert "kernel-modules-extra" in module_remedies(PLAIN._replace(distribution="fedora"))[1]
    assert len(module_remedies(PLAIN._replace(distribution=""))) == 1
    assert "on the host" in module_remedies(PLAIN._replace(container=True))[0]


@pytest.mark.parametrize(
    ("kernel", "advice"),
    [
        ("5.15.167.4-microsoft-standard-WSL2", "wsl --update"),
        ("6.10.14-linuxkit", "link packet does the same"),
    ],
)
def test_kernels_that_are_known_to_lack_it_get_their_own_advice(kernel, advice):
    (remedy,) = module_remedies(PLAIN._replace(kernel=kernel))
    assert advice in remedy


def test_a_container_whose_mark_is_hidden_is_known_by_its_environment(monkeypatch):
    monkeypatch.setattr(doctor, "_CONTAINER_MARKS", ())
    monkeypatch.delenv("container", raising=False)
    assert not Surroundings.here().container
    monkeypatch.setenv("container", "podman")
    assert Surroundings.here().container


def test_a_container_is_told_the_capabilities_and_a_user_what_needs_no_root(monkeypatch):
    monkeypatch.setattr(netns, "restrictions", list)
    run, compose = rights_remedies(PLAIN._replace(container=True))
    assert "--cap-add SYS_ADMIN --cap-add NET_ADMIN" in run
    assert "cap_add" in compose
    assert any("needs no root" in remedy for remedy in rights_remedies(PLAIN))
    assert "runc" in rights_remedies(PLAIN._replace(kernel="4.4.0 gVisor"))[0]
    assert "container or virtual machine" in rights_remedies(PLAIN._replace(system="darwin"))[0]


def test_a_sysctl_that_restricts_user_namespaces_is_named_with_the_value_that_lifts_it(monkeypatch):
    name = "kernel.apparmor_restrict_unprivileged_userns"
    monkeypatch.setattr(netns, "restrictions", lambda: [(name, "0")])
    assert f"sudo sysctl -w {name}=0" in rights_remedies(PLAIN)
