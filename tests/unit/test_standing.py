"""What a change could break of a homeserver that stands already."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import standing
from matrix_baremetal.converge import plan
from tests.fakes import MINIMAL, Machine, a_homeserver, a_session

OTHER = f"{MINIMAL}hostname: talk.example.org\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    a_homeserver(made)
    return made


def found(machine: Machine, text: str) -> list[str]:
    now = a_session(machine, text, addresses=("198.18.0.1",))
    return [obstacle.message for obstacle in standing.obstacles(now.site, now.host)]


def test_nobody_is_sent_to_a_name_that_does_not_lead_here(machine: Machine) -> None:
    assert found(machine, MINIMAL) == found(machine, OTHER) == []
    machine.unresolved.add("talk.example.org")
    assert found(machine, MINIMAL) == []
    assert found(machine, OTHER) == [
        "everybody would be sent from matrix.example.org to talk.example.org, "
        "and the name talk.example.org does not resolve yet"
    ]
    machine.unresolved.clear()
    machine.resolved["talk.example.org"] = ("192.0.2.9",)
    assert found(machine, OTHER) == []  # no address of the internet's, so nothing is known
    machine.resolved["talk.example.org"] = ("93.184.215.14",)
    assert "leads to 93.184.215.14, and this machine is 198.18.0.1" in found(machine, OTHER)[0]
    assert found(machine, f"{OTHER}tls: {{mode: self-signed}}\n") == []


def test_who_knows_the_old_name_is_thought_of(machine: Machine) -> None:
    def remarks(text: str) -> list[str]:
        now = a_session(machine, text)
        return list(standing.remarks(now.site, now.host))

    assert remarks(MINIMAL) == []
    [remark] = remarks(OTHER)
    assert "matrix.example.org will answer nobody any more" in remark
    assert "former_hostnames: [matrix.example.org]" in remark
    assert remarks(f"{OTHER}former_hostnames: [matrix.example.org]\n") == []


def test_a_former_hostname_keeps_its_certificate_and_its_vhost(machine: Machine) -> None:
    now = a_session(machine, f"{OTHER}former_hostnames: [matrix.example.org]\n")
    changes = list(plan(now.resources, now.host, now.manifest))
    assert not [change.title for change in changes if "matrix.example.org" in change.title]
    assert not [change.title for change in changes if change.action == "remove"]
    assert [change.action for change in changes if change.title == "certificate for talk.example.org"] == ["create"]


def test_another_hostname_changes_all_that_others_go_by(machine: Machine) -> None:
    now = a_session(machine, OTHER)
    changes = {change.title: change for change in plan(now.resources, now.host, now.manifest)}
    assert changes["certificate for talk.example.org"].action == "create"
    assert changes["certificate for matrix.example.org"].action == "remove"
    texts = "".join(line for change in changes.values() for d in change.differences for line in d.lines)
    assert "+public_baseurl: https://talk.example.org/" in texts
    assert '"m.server": "talk.example.org:443"' in texts
    assert '"base_url": "https://talk.example.org/"' in texts or '"base_url": "https://talk.example.org"' in texts
