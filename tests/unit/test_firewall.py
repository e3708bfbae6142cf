"""What doctor, preflight and `show ports` say of this machine's own firewall."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matrix_baremetal import beforehand, cli, components
from matrix_baremetal.checks.firewall import NFT, Opened
from matrix_baremetal.commands import show
from matrix_baremetal.config import decode
from matrix_baremetal.errors import ConfigError
from matrix_baremetal.findings import Finding
from matrix_baremetal.resources.firewall import NAME
from matrix_baremetal.shell import Result
from tests import fake_firewall, fake_firewalld
from tests.fakes import MINIMAL, FakeHost, Machine, a_session, a_site

CHAINS = """table inet theirs {
\tset banned {
\t}
\tchain in {
\t\ttype filter hook input priority filter; policy drop;
\t}
\tchain out {
\t\ttype filter hook output priority filter; policy accept;
\t}
}
table ip filter {
\tchain INPUT {
\t\ttype filter hook input priority filter; policy accept;
\t}
}
"""


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def looked(machine: Machine, kind: str = "none") -> Finding:
    """What doctor finds."""
    checks = components.checks(a_site(f"{MINIMAL}firewall: {kind}\n"))
    [check] = [each for each in checks if isinstance(each, Opened)]
    return check.look(FakeHost(machine))


def made(machine: Machine, kind: str) -> None:
    """Have the firewall opened."""
    now = a_session(machine, f"{MINIMAL}firewall: {kind}\n")
    for each in now.resources:
        if "ufw" in each.title or "firewalld" in each.title:
            each.make(now.host, each.find(now.host))


class TestDoctor:
    def test_without_a_firewall_there_is_nothing_to_say_and_nothing_is_asked(self, machine: Machine) -> None:
        assert looked(machine).state == "pass"
        assert machine.started == []

    def test_one_that_keeps_ports_closed_is_told_with_the_line_to_write(self, machine: Machine) -> None:
        fake_firewalld.firewalld(machine)
        seen = looked(machine)
        assert (seen.state, seen.message) == (
            "warn",
            "firewalld keeps closed what others have to reach: 80/tcp, 443/tcp",
        )
        assert seen.next == "write firewall: firewalld into the config, then: matrix-baremetal apply"

    @pytest.mark.parametrize("kind", ["none", "ufw", "firewalld"])
    def test_two_of_them_are_one_too_many(self, machine: Machine, kind: str) -> None:
        fake_firewall.ufw(machine)
        fake_firewalld.firewalld(machine)
        seen = looked(machine, kind)
        assert (seen.state, seen.message.partition(",")[0]) == ("warn", "ufw and firewalld are both on")
        assert seen.next and seen.next.startswith("keep one (ufw disable")

    def test_one_that_somebody_else_has_opened_is_fine(self, machine: Machine) -> None:
        fake_firewall.ufw(machine).add("allow tcp 80,443 0.0.0.0/0 any 0.0.0.0/0 in")
        assert looked(machine).state == "pass"

    def test_rules_of_somebodys_own_are_not_judged(self, machine: Machine) -> None:
        machine.put(NFT, "")
        machine.more["nft"] = lambda words: Result(0, CHAINS, "")
        seen = looked(machine)
        assert seen.state == "info"
        assert "rules of somebody's own (inet theirs in) drop" in seen.message
        # Where nothing is dropped, and where we may not look, there is nothing to say.
        machine.more["nft"] = lambda words: Result(0, CHAINS.replace("policy drop", "policy accept"), "")
        assert looked(machine).state == "pass"
        machine.more["nft"] = lambda words: Result(1, "", "Operation not permitted")
        assert looked(machine).state == "pass"

    @pytest.mark.parametrize("kind", ["ufw", "firewalld"])
    def test_the_rule_that_was_asked_for_is_there_and_the_firewall_on(self, machine: Machine, kind: str) -> None:
        assert "is not installed" in looked(machine, kind).message
        wall = fake_firewall.ufw(machine) if kind == "ufw" else fake_firewalld.firewalld(machine)
        seen = looked(machine, kind)
        assert (seen.state, seen.fix) == ("fail", "matrix-baremetal apply")
        made(machine, kind)
        assert looked(machine, kind).state == "pass"
        wall.switch(on=False)
        assert (looked(machine, kind).state, f"{kind} is off" in looked(machine, kind).message) == ("warn", True)

    def test_a_zone_that_nobody_comes_in_by_opens_nothing(self, machine: Machine) -> None:
        fake_firewalld.firewalld(machine)
        for zone, state in (("public", "pass"), ("work", "warn")):
            kind = f"{{kind: firewalld, zone: {zone}}}"
            made(machine, kind)
            assert looked(machine, kind).state == state
        assert "nobody comes in by the zone work" in looked(machine, kind).message

    def test_a_rule_before_ours_counts(self, machine: Machine) -> None:
        fake_firewall.ufw(machine).add("deny tcp 443 0.0.0.0/0 any 0.0.0.0/0 in")
        made(machine, "ufw")
        seen = looked(machine, "ufw")
        assert (seen.state, "443/tcp" in seen.message, "ufw status numbered" in seen.next) == ("warn", True, True)

    def test_where_this_machine_has_to_get_to_counts_too(self, machine: Machine) -> None:
        fake_firewall.ufw(machine)
        made(machine, "ufw")
        machine.put("/etc/default/ufw", "IPV6=yes\nDEFAULT_OUTPUT_POLICY=DROP\n")
        assert "has to get to: 53/tcp, 53/udp, 80/tcp, 443/tcp, 8448/tcp" in looked(machine, "ufw").message


class TestBefore:
    @pytest.mark.parametrize("kind", ["ufw", "firewalld"])
    def test_one_that_is_not_installed_is_not_ours_to_install(self, machine: Machine, kind: str) -> None:
        [seen] = beforehand.obstacles(a_site(f"{MINIMAL}firewall: {kind}\n"), FakeHost(machine))
        assert (seen.message, f"apt install {kind}" in seen.hint) == (
            f"{kind} is to be opened (firewall), and it is not installed",
            True,
        )

    def test_one_that_is_off_is_told_and_stops_nothing(self, machine: Machine) -> None:
        site, wall = a_site(f"{MINIMAL}firewall: ufw\n"), fake_firewall.ufw(machine)
        assert [*beforehand.obstacles(site, FakeHost(machine)), *beforehand.remarks(site, FakeHost(machine))] == []
        wall.switch(on=False)
        [told] = beforehand.remarks(site, FakeHost(machine))
        assert told.startswith("ufw is off")

    def test_one_that_would_keep_the_authority_out_is_told(self, machine: Machine) -> None:
        assert list(beforehand.remarks(a_site(), FakeHost(machine))) == []
        fake_firewalld.firewalld(machine)
        [told] = beforehand.remarks(a_site(), FakeHost(machine))
        assert told == (
            "firewalld keeps closed what others have to reach: 80/tcp, 443/tcp; to have it opened, write firewall: "
            "firewalld into the config, then: matrix-baremetal apply"
        )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("firewall: nftables", "expected none or ufw or firewalld, found"),
        ("firewall: {kind: ufw, zone: public}", "zones are firewalld's"),
        ("firewall: {kind: firewalld, zone: 'a b'}", "is no name of a zone"),
    ],
)
def test_a_wrong_option_is_refused_with_its_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        decode(f"{MINIMAL}{text}\n", "config.yaml")
    assert told in str(caught.value)
    assert str(caught.value).startswith("config.yaml:3:")


class TestShown:
    @pytest.mark.parametrize(
        ("kind", "told"),
        [
            ("ufw", "This machine's firewall is looked after: apply lets the incoming ones in by ufw."),
            ("none", "ufw is on here, and not looked after; to have these let in: firewall: ufw in the config."),
        ],
    )
    def test_whether_it_is_looked_after(self, machine: Machine, kind: str, told: str) -> None:
        fake_firewall.ufw(machine)
        assert show.guarded(a_session(machine, f"{MINIMAL}firewall: {kind}\n")) == told

    def test_rules_and_a_document(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "config.yaml"
        file.write_text(f"{MINIMAL}firewall: ufw\n")
        words = ("--root", str(tmp_path), "--config", str(file))
        assert cli.main([*words, "show", "ports", "--nftables"]) == 0
        text = capsys.readouterr().out
        assert 'tcp dport 80 accept comment "the certificate authority"\n' in text
        assert cli.main([*words, "--json", "show", "ports", "--nftables"]) == 0
        page = json.loads(capsys.readouterr().out)
        assert (page["firewall"], page["text"]) == ("ufw", text)


def test_our_name_is_one_that_both_take() -> None:
    assert NAME.isascii() and len(NAME) <= 17
