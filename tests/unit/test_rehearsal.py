"""Rehearsals of renewals: how they went is noted, and doctor warns of what would fail while there is time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from matrix_baremetal import rehearsal
from matrix_baremetal.checks.certificates import STALE, Rehearsed
from matrix_baremetal.converge import converge
from matrix_baremetal.findings import Finding
from matrix_baremetal.rehearsal import PATH, Rehearsal
from matrix_baremetal.resources.certificates import LIVE, Certificate, lineage
from tests.check_breaks import HOME, HOST, SITE, a_machine
from tests.fakes import FakeHost, Machine, a_session


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return a_machine(tmp_path, SITE)


def certificates(machine: Machine) -> list[Certificate]:
    return [each for each in a_session(machine, SITE).resources if isinstance(each, Certificate)]


def looked(machine: Machine) -> Finding:
    return Rehearsed(HOST).look(FakeHost(machine))


def test_each_certificate_is_rehearsed_as_it_will_be_renewed_and_nothing_is_kept(machine: Machine) -> None:
    before = machine.tree()
    machine.started.clear()
    found = rehearsal.rehearse(FakeHost(machine), certificates(machine))
    assert set(found) > {HOME, HOST}
    assert {seen.why for seen in found.values()} == {""}
    renewed = [started.argv for started in machine.started if started.argv[0] == "certbot"]
    assert {argv[argv.index("--cert-name") + 1] for argv in renewed} == {lineage(domain) for domain in found}
    assert all(argv[1] == "renew" and "--dry-run" in argv and "--non-interactive" in argv for argv in renewed)
    assert {path for path in machine.tree() if path not in before} == {PATH}
    assert "went well in a rehearsal" in looked(machine).message


def test_what_would_fail_is_a_warning_with_its_reason(machine: Machine) -> None:
    machine.says["certbot"] = "Type:   connection\nDetail: 192.0.2.1: Timeout during connect"
    rehearsal.rehearse(FakeHost(machine), certificates(machine))
    finding = looked(machine)
    assert (finding.state, finding.next) == ("warn", "matrix-baremetal certificates rehearse")
    assert "cannot reach port 80" in finding.evidence[0]
    del machine.says["certbot"]
    rehearsal.rehearse(FakeHost(machine), certificates(machine))
    assert looked(machine).state == "pass"


def test_an_order_is_as_good_as_a_rehearsal_and_none_for_weeks_is_a_warning(machine: Machine) -> None:
    machine.certificate(f"{LIVE}/{lineage(HOST)}", [HOST], age=1)
    assert "is rehearsed each week; it was ordered on" in looked(machine).message
    machine.certificate(f"{LIVE}/{lineage(HOST)}", [HOST], age=STALE / 86400 + 1)
    assert looked(machine).state == "warn"
    note(machine, Rehearsal(time.time() - 86400))
    assert looked(machine).state == "pass"


def test_one_that_failed_before_the_last_order_is_past(machine: Machine) -> None:
    machine.certificate(f"{LIVE}/{lineage(HOST)}", [HOST], age=1)
    note(machine, Rehearsal(time.time() - 5 * 86400, "port 80 was closed"))
    assert looked(machine).state == "pass"


def test_who_has_no_certificate_rehearses_none(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.at("/var/lib/matrix-baremetal").mkdir(parents=True, exist_ok=True)
    assert rehearsal.rehearse(FakeHost(machine), certificates(machine)) == {}
    assert looked(machine).state == "skip"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"when": "x", "why": ""}}'])
def test_a_note_that_is_damaged_is_none(text: str, machine: Machine) -> None:
    machine.put(PATH, text)
    assert rehearsal.read(FakeHost(machine)) == {}


def test_where_it_is_no_more_the_timer_goes(machine: Machine) -> None:
    now = a_session(machine, f"{SITE}tls: {{mode: self-signed}}\n")
    list(converge(now.resources, now.host, now.manifest))
    assert not machine.unit("matrix-baremetal-rehearsal.timer").active


def note(machine: Machine, seen: Rehearsal) -> None:
    machine.put(PATH, f'{{"{HOST}": {{"when": {seen.when}, "why": "{seen.why}"}}}}')
