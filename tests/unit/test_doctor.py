"""The doctor's loop, its command and its page, with checks made for the purpose."""

from __future__ import annotations

import json
import threading
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import pytest

from matrix_baremetal import session
from matrix_baremetal.checks import explanations
from matrix_baremetal.checks.check import Check, documented
from matrix_baremetal.commands import doctor as command
from matrix_baremetal.commands import install
from matrix_baremetal.doctor import Unknown, chosen, examine
from matrix_baremetal.errors import ConfigError, Error, Problem
from matrix_baremetal.findings import Finding, State, counted
from matrix_baremetal.findings_page import page
from matrix_baremetal.host import Host
from tests.check_breaks import a_machine
from tests.check_list import FILE, text
from tests.fakes import MINIMAL, FakeHost, Machine, a_session

Captured = pytest.CaptureFixture[str]


@dataclass(frozen=True)
class Says(Check):
    """A check that finds what it is told to, maybe after others, maybe late."""

    form = "{0.name}"

    name: str
    state: State = "pass"
    first: tuple[str, ...] = ()
    takes: float = 0

    @property
    def after(self) -> tuple[str, ...]:
        return self.first

    def look(self, host: Host) -> Finding:
        time.sleep(self.takes)
        return self.found(self.state, f"{self.name} says {self.state}", (threading.current_thread().name,), "do this")


class Far(Says):
    """The same, waiting for the network."""

    remote = True


class Fails(Says):
    """A check whose question can't be asked."""

    def look(self, host: Host) -> Finding:
        raise Error("psql is not installed", hint="apt install postgresql-client")


class Bug(Says):
    """A check with a mistake in it, that says more than it should."""

    def look(self, host: Host) -> Finding:
        raise ZeroDivisionError(" ".join(("the", "password")))


class FarBug(Bug):
    """The same, where the network is waited for."""

    remote = True


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(Machine(tmp_path))


def states(findings: list[Finding]) -> dict[str, State]:
    return {finding.id: finding.state for finding in findings}


def test_the_worst_comes_first_and_else_the_order_stays(host: FakeHost) -> None:
    checks = [Says("a"), Says("b", "warn"), Far("c", "fail"), Says("d", "info"), Says("e", "fail"), Says("f", "warn")]
    assert [finding.id for finding in examine(checks, host)] == ["c", "e", "b", "f", "d", "a"]


def test_those_that_wait_do_it_side_by_side_and_the_others_in_the_main_thread(host: FakeHost) -> None:
    began = time.monotonic()
    seen = examine([*(Far(f"far{i}", takes=0.2) for i in range(20)), Says("near")], host)
    assert time.monotonic() - began < 2
    threads = {finding.evidence[0] for finding in seen if finding.id != "near"}
    assert len(threads) == 20
    assert [f.evidence for f in seen if f.id == "near"] == [(threading.main_thread().name,)]


def test_who_does_not_answer_in_time_is_a_finding_and_is_not_waited_for(host: FakeHost) -> None:
    began = time.monotonic()
    [late, quick] = examine([Far("quick"), Far("late", takes=60)], host, limit=0.3)
    assert time.monotonic() - began < 3
    assert (quick.state, late.state, late.next) == ("pass", "warn", "matrix-baremetal doctor late")


def test_what_comes_of_a_fault_is_skipped_and_names_its_cause_over_several_steps(host: FakeHost) -> None:
    checks = [Says("unit", "fail"), Says("port", first=("unit",)), Far("page", first=("port",)), Far("other")]
    seen = {finding.id: finding for finding in examine(checks, host)}
    assert states([*seen.values()]) == {"unit": "fail", "port": "skip", "page": "skip", "other": "pass"}
    assert seen["page"].message == "see unit"


def test_a_warning_holds_nothing_up_and_a_check_that_is_not_asked_neither(host: FakeHost) -> None:
    checks = [Says("unit", "warn"), Says("port", first=("unit",)), Far("page", first=("port", "elsewhere"))]
    assert states(examine(checks, host)) == {"unit": "warn", "port": "pass", "page": "pass"}
    assert states(examine([Far("page", first=("port",))], host)) == {"page": "pass"}


def test_a_question_that_can_not_be_asked_is_a_fault_in_its_own_words(host: FakeHost) -> None:
    [finding] = examine([Fails("a")], host)
    assert (finding.state, finding.message, finding.next) == (
        "fail",
        "psql is not installed",
        "apt install postgresql-client",
    )


@pytest.mark.parametrize("kind", [Bug, FarBug])
def test_a_bug_in_one_check_is_a_finding_with_its_stack_beside_those_of_the_others(
    kind: type[Bug], host: FakeHost
) -> None:
    bug, other = examine([Says("b"), kind("a")], host)
    assert (bug.id, bug.state, other.state) == ("a", "fail", "pass")
    assert bug.message == "this check itself failed (ZeroDivisionError), which is a bug of ours"
    assert any("test_doctor.py" in line for line in bug.evidence)
    assert "the password" not in str(bug)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["dns.a.x", "dns.aaaa.x", "drift"]),
        (["dns"], ["dns.a.x", "dns.aaaa.x"]),
        (["dns.a"], ["dns.a.x"]),
        (["drift", "dns.aaaa.x"], ["dns.aaaa.x", "drift"]),
    ],
)
def test_some_are_chosen_by_their_ids_or_how_these_begin(words: list[str], expected: list[str]) -> None:
    checks = [Says("dns.a.x"), Says("dns.aaaa.x"), Says("drift")]
    assert [check.id for check in chosen(checks, words)] == expected


@pytest.mark.parametrize(("word", "near"), [("drfit", "drift"), ("dsn", "dns")])
def test_a_check_that_there_is_not_is_wrong_usage_with_the_nearest(word: str, near: str) -> None:
    with pytest.raises(Unknown, match=f"did you mean {near}") as caught:
        chosen([Says("dns.a.x"), Says("drift")], [word])
    assert caught.value.status == 2
    assert caught.value.hint == "matrix-baremetal doctor --list"


FINDINGS = (
    Finding("drift", "fail", "1 thing is not as the config says", tuple("abcdefghijklmnop"), "matrix-baremetal plan"),
    Finding("web.http2.x", "warn", "https://x speaks no HTTP/2", ("http/1.1",), "nginx -t"),
    Finding("drop-ins", "info", "1 file of an administrator's own", ("/etc/x",)),
    *(Finding(f"dns.{n}", "skip", "see dns.resolver") for n in "abcd"),
    Finding("config", "pass", "the config has no mistakes"),
)


def test_the_page_shows_what_is_wrong_with_evidence_and_the_next_command_and_counts_the_rest() -> None:
    lines = list(page("example.org", FINDINGS, 1.24))
    assert lines[0] == "✗ drift: 1 thing is not as the config says"
    assert lines[1:13] == [f"    {letter}" for letter in "abcdefghijkl"]
    assert lines[13:16] == [
        "    … 4 more lines: matrix-baremetal doctor -v drift",
        "    next: matrix-baremetal plan",
        "",
    ]
    assert "! web.http2.x: https://x speaks no HTTP/2" in lines
    assert "i drop-ins: 1 file of an administrator's own" in lines
    assert "- skipped 4 checks (dns.a, dns.b, dns.c, …): see dns.resolver" in lines
    assert not any("config:" in line for line in lines)
    assert lines[-2] == "example.org: 1 fault, 1 warning, 1 note, 4 skipped, 1 fine, in 1.2 s."
    assert lines[-1] == "next: matrix-baremetal plan"


def test_the_page_says_all_when_asked_to_and_nothing_where_all_is_fine_and_quiet() -> None:
    lines = list(page("example.org", FINDINGS, 1.2, verbose=True))
    assert "✓ config: the config has no mistakes" in lines
    assert "    p" in lines
    assert list(page("example.org", FINDINGS[-1:], 1.2, quiet=True)) == []
    assert list(page("example.org", FINDINGS[-1:], 1.2)) == ["example.org: no faults, 1 fine, in 1.2 s."]
    quiet = list(page("example.org", FINDINGS, 1.2, quiet=True))
    assert not any(line.startswith("!") for line in quiet)


def test_every_state_is_counted() -> None:
    assert counted(FINDINGS) == {"fail": 1, "warn": 1, "info": 1, "skip": 4, "pass": 1}


def words(machine: Machine, **more: object) -> Namespace:
    given: dict[str, object] = {"root": str(machine.root), "config": None, "json": False, "verbose": False}
    return Namespace(
        **(
            given
            | {"quiet": False, "list": False, "bundle": False, "explain": False, "ids": [], "probe_from": ""}
            | more
        )
    )


def test_a_config_that_can_not_be_read_is_a_fault_beside_what_runs(tmp_path: Path, capsys: Captured) -> None:
    machine = a_machine(tmp_path)
    machine.put(session.CONFIG, "server_name: [\n")
    machine.unit("nginx.service").active = False
    name, checks, _ = command.gathered(FakeHost(machine), words(machine))
    seen = examine(checks, FakeHost(machine))
    assert name == "example.org"
    assert [f.id for f in seen if f.state == "fail"] == ["config", "units.nginx"]
    command.told(name, seen, 0.1, words(machine))
    assert "✗ config: the config has mistakes" in capsys.readouterr().out


def test_without_a_config_and_an_install_both_are_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    name, checks, _ = command.gathered(FakeHost(machine), words(machine))
    seen = examine(checks, FakeHost(machine))
    assert (name, [(f.id, f.state) for f in seen]) == ("this machine", [("config", "fail"), ("installed", "fail")])


def test_all_mistakes_of_a_config_are_evidence() -> None:
    error = ConfigError("/etc/c.yaml", [Problem(1, 2, "one"), Problem(3, 4, "two")])
    finding = command.Readable(error).look(Host())
    assert finding.evidence == ("/etc/c.yaml:1:2: one", "/etc/c.yaml:3:4: two")
    assert finding.next == "edit /etc/c.yaml, then run: matrix-baremetal plan"


def test_the_document_has_every_finding(tmp_path: Path, capsys: Captured) -> None:
    command.told("example.org", FINDINGS, 1.2345, words(Machine(tmp_path), json=True))
    document = json.loads(capsys.readouterr().out)
    assert (document["server_name"], document["seconds"], document["counts"]["fail"]) == ("example.org", 1.234, 1)
    assert [row["id"] for row in document["findings"]] == [finding.id for finding in FINDINGS]
    assert set(document["findings"][0]) == {"id", "state", "message", "evidence", "next", "fix", "seconds"}


def test_the_list_says_what_each_is_for_and_asks_nothing(tmp_path: Path, capsys: Captured) -> None:
    machine = a_machine(tmp_path)
    checks = command.of(a_session(machine))
    assert command.listed(checks, json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(checks) > 80
    assert all("  whether " in line for line in lines)
    command.listed(checks, json=True)
    rows = json.loads(capsys.readouterr().out)["checks"]
    assert [row["id"] for row in rows] == [check.id for check in checks]
    assert machine.started == []


def test_a_folder_has_no_doctor(tmp_path: Path) -> None:
    with pytest.raises(Error, match="looks at a machine that runs"):
        command.run(words(Machine(tmp_path)))


def test_an_install_ends_with_what_is_not_fine(tmp_path: Path, capsys: Captured) -> None:
    now = a_session(a_machine(tmp_path), MINIMAL)
    outcome = {"seconds": 3.0, "pending": [], "homeserver": "https://matrix.example.org", "administrators": {}}
    install.summary(now, outcome, FINDINGS[-1:])
    assert capsys.readouterr().out.splitlines()[-1] == "  doctor      no faults, 1 fine"
    install.summary(now, outcome, FINDINGS)
    out = capsys.readouterr().out
    assert "✗ drift: 1 thing" in out
    assert "drop-ins" not in out


def test_the_list_of_checks_in_the_documentation_is_that_of_the_code() -> None:
    if not FILE.exists():
        pytest.skip("this is no clone")
    assert FILE.read_text() == text(), "run: .venv/bin/python -m tests.check_list"


def test_every_check_is_explained_and_nothing_else() -> None:
    kinds = [kind for kind in Check.kinds if kind.__module__.startswith("matrix_baremetal.")]
    assert {documented(kind) for kind in kinds} == set(explanations.read())
    assert all(text.endswith(".") for texts in explanations.read().values() for text in texts)


def test_what_a_check_means_is_said_once_for_its_kind(tmp_path: Path, capsys: Captured) -> None:
    checks = chosen(command.of(a_session(a_machine(tmp_path))), ["dns.a"])
    assert len(checks) == 2
    assert command.explained(checks, json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["dns.FAMILY.NAME", "  Asks whether a name's addresses (A, AAAA) are those of this machine."]
    assert lines[3].startswith("  To do: Correct the record")
    assert len(lines) == 4
    command.explained(checks, json=True)
    assert set(json.loads(capsys.readouterr().out)["checks"][0]) == {"id", "asks", "means", "do"}
