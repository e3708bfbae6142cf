"""ufw: the profile, the one rule of ours in all states that it can be in, and what its rules keep closed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Error
from matrix_baremetal.resources import ufw
from matrix_baremetal.resources.firewall import NAME, ordered, span, within
from matrix_baremetal.resources.ufw import PROFILE, UfwRule
from matrix_baremetal.shell import Result
from tests import fake_firewall
from tests.fakes import MINIMAL, FakeHost, Machine, a_session

ON = f"{MINIMAL}firewall: ufw\n"
PORTS = ("80/tcp", "443/tcp")
RULE = UfwRule(NAME, PORTS)


@dataclass
class Guarded:
    """A machine with ufw."""

    machine: Machine
    ufw: fake_firewall.Ufw

    @property
    def host(self) -> FakeHost:
        """Another run's view."""
        return FakeHost(self.machine)

    def run(self, text: str = ON) -> list[str]:
        """Apply; what was changed of the firewall."""
        now = a_session(self.machine, text)
        some = [each for each in now.resources if "ufw" in each.title]
        return [c.title for c in converge(some, now.host, now.manifest) if c.ended]

    def planned(self, text: str = ON) -> list[tuple[str, ...]]:
        """What apply would change of it, and how."""
        now = a_session(self.machine, text)
        some = [each for each in now.resources if "ufw" in each.title]
        return [d.lines for c in plan(some, now.host, now.manifest) for d in c.differences]


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    machine = Machine(tmp_path)
    return Guarded(machine, fake_firewall.ufw(machine))


def test_a_port_is_known_by_its_numbers() -> None:
    assert ordered(["443/tcp", "80/tcp", "3478/udp", "3478/tcp", "80/tcp"]) == (
        "80/tcp",
        "443/tcp",
        "3478/tcp",
        "3478/udp",
    )
    assert span("49152-49407/udp") == (49152, 49407)
    assert within("50/udp", "1-60/udp") and not within("50/udp", "1-60/tcp") and not within("50-61/udp", "1-60/udp")


def test_the_rule_is_made_once_for_both_families_and_others_stay(guarded: Guarded) -> None:
    before = guarded.ufw.rules()
    assert guarded.run() == [f"file {PROFILE}", f"ufw's rule for {NAME}"]
    assert guarded.run() == []
    assert guarded.ufw.rules().startswith(before)
    assert "allow tcp 80,443 ::/0 any ::/0 matrix-baremetal - in" in guarded.ufw.rules("ip6tables")
    assert guarded.run(MINIMAL) == [f"ufw's rule for {NAME}", f"file {PROFILE}"]
    assert guarded.ufw.rules() == before
    assert not guarded.machine.at(PROFILE).exists()


def test_a_part_more_opens_its_ports_and_a_part_less_closes_them(guarded: Guarded) -> None:
    guarded.run()
    text = f"{ON}turn: {{enabled: true}}\n"
    assert guarded.planned(text)[-1] == (
        "ports: 80/tcp, 443/tcp → 80/tcp, 443/tcp, 3478/tcp, 3478/udp, 5349/tcp, 49152-49407/udp",
    )
    guarded.run(text)
    assert "--dports 3478,49152:49407" in guarded.ufw.loaded["ip6tables"]
    assert guarded.run(text) == []
    guarded.run()
    assert "49152" not in guarded.ufw.rules() + guarded.ufw.loaded["iptables"]


@pytest.mark.parametrize("how", ["deleted", "flushed", "flushed for IPv6", "half"])
def test_what_somebody_took_away_is_seen_and_put_back(guarded: Guarded, how: str) -> None:
    guarded.run()
    if how == "deleted":
        guarded.ufw.ufw(("delete", "allow", NAME))
    elif how == "half":
        guarded.machine.put(fake_firewall.FILES["ip6tables"], "")
    else:
        guarded.ufw.loaded["ip6tables" if "6" in how else "iptables"] = ""
    assert guarded.planned() != []
    assert guarded.run() == [f"ufw's rule for {NAME}"]
    assert guarded.run() == []
    assert RULE.find(guarded.host) == RULE


def test_one_that_is_off_keeps_the_rule_and_stays_off(guarded: Guarded) -> None:
    guarded.ufw.switch(on=False)
    assert not ufw.active(guarded.host)
    guarded.run()
    assert guarded.run() == []
    assert guarded.ufw.loaded == {}
    guarded.ufw.switch(on=True)
    assert RULE.find(guarded.host) == RULE
    # Said to be on, and not in the kernel: it is not ours to start.
    guarded.ufw.loaded.clear()
    assert not ufw.active(guarded.host)
    assert guarded.run() == []


def test_a_ufw_that_leaves_ipv6_alone_has_one_table(guarded: Guarded) -> None:
    guarded.machine.put("/etc/default/ufw", "IPV6=no\n")
    guarded.run()
    guarded.machine.put(fake_firewall.FILES["ip6tables"], "")
    assert guarded.run() == []


def test_where_the_kernel_may_not_be_asked_its_own_word_counts(guarded: Guarded) -> None:
    guarded.run()
    guarded.machine.more["iptables"] = lambda words: Result(4, "", "you must be root")
    assert ufw.active(guarded.host)
    assert RULE.find(guarded.host) == RULE


def test_without_ufw_nothing_is_there_to_open_nor_to_undo(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path))
    assert RULE.find(host) is None
    RULE.undo(host)
    with pytest.raises(Error, match="not installed"):
        RULE.make(host, None)


@pytest.mark.parametrize(
    ("rule", "closed"),
    [
        ("allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in", ["3478/udp"]),
        ("allow any 443 0.0.0.0/0 any 0.0.0.0/0 in", ["80/tcp", "3478/udp"]),
        ("allow any 443 0.0.0.0/0 any 0.0.0.0/0 WWW%20Secure - in comment=782079", ["80/tcp", "3478/udp"]),
        ("limit_log udp 3000:4000 0.0.0.0/0 any 0.0.0.0/0 in", ["80/tcp", "443/tcp"]),
        ("allow any any 0.0.0.0/0 any 0.0.0.0/0 in", []),
        ("allow tcp any 0.0.0.0/0 any 0.0.0.0/0 in", ["3478/udp"]),
        # Some are let in, or those of one interface: that was thought of.
        ("allow tcp 443 0.0.0.0/0 any 10.0.0.0/8 in", ["80/tcp", "3478/udp"]),
        ("allow tcp 443 0.0.0.0/0 any 0.0.0.0/0 in_eth0", ["80/tcp", "3478/udp"]),
        # A neighbour who may do everything is no word on these.
        ("allow any any 0.0.0.0/0 any 10.0.0.0/8 in", ["80/tcp", "443/tcp", "3478/udp"]),
        ("allow tcp 443 0.0.0.0/0 any 0.0.0.0/0 out", ["80/tcp", "443/tcp", "3478/udp"]),
        ("route:allow any any 0.0.0.0/0 any 0.0.0.0/0 in_a!out_b", ["80/tcp", "443/tcp", "3478/udp"]),
    ],
)
def test_what_is_closed_follows_from_its_rules(guarded: Guarded, rule: str, closed: list[str]) -> None:
    guarded.ufw.add(rule)
    assert ufw.closed(guarded.host, ["80/tcp", "443/tcp", "3478/udp"]) == tuple(closed)


def test_the_first_rule_that_fits_decides_and_the_policy_last(guarded: Guarded) -> None:
    guarded.ufw.add("deny tcp 443 0.0.0.0/0 any 0.0.0.0/0 in")
    guarded.ufw.add("deny tcp 80 0.0.0.0/0 any 1.2.3.4 in")
    guarded.ufw.add("allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in")
    assert ufw.closed(guarded.host, PORTS) == ("443/tcp",)
    assert ufw.closed(guarded.host, PORTS, "out") == ()
    guarded.machine.put("/etc/default/ufw", 'DEFAULT_INPUT_POLICY="ACCEPT"\nDEFAULT_OUTPUT_POLICY="REJECT"\n')
    assert ufw.closed(guarded.host, ["99/udp"]) == ()
    assert ufw.closed(guarded.host, PORTS, "out") == PORTS
