"""status: the machine on one screen, and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from matrix_baremetal import status
from matrix_baremetal.commands.status import days, memory, page, since
from matrix_baremetal.converge import converge
from matrix_baremetal.resources import firstboot, tally
from matrix_baremetal.resources.postgres_store import quoted
from matrix_baremetal.session import Session
from tests.fakes import MINIMAL, Machine, a_session

CURRENT = "/etc/letsencrypt/live/matrix-baremetal-example.org"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine after an install."""
    machine = Machine(tmp_path)
    now = a_session(machine)
    list(converge(now.resources, now.host, now.manifest))
    now.host.net.ask("GET", 8008, "/_matrix/client/v3/directory/room/x")
    machine.started.clear()
    return machine


def seen(machine: Machine) -> status.Status:
    return status.read(a_session(machine))


def faults(machine: Machine) -> list[str]:
    found = seen(machine).faults
    assert all(row["next"] for row in found)
    return [row["fault"] for row in found]


def test_a_sound_machine_has_no_fault_and_is_only_looked_at(machine: Machine) -> None:
    before = machine.tree()
    found = seen(machine)
    assert found.faults == []
    assert found.ready
    assert {row["state"] for row in found.units} == {"active"}
    assert [(c["domain"], c["state"]) for c in found.certificates] == [
        ("matrix.example.org", "valid"),
        ("example.org", "valid"),
    ]
    assert (found.versions["synapse"], found.versions["postgres"]) == ("1.163.2", "15")
    assert found.disk["database"] == 8388608
    assert (found.disk["media"], found.disk["remote_media"], found.disk["backups"]) == (9 << 20, 4 << 20, 0)
    assert (found.counts, found.federation) == ({"users": 2, "rooms": 5}, {"servers": 3, "waiting": 0})
    assert machine.tree() == before
    assert machine.changing() == []


def test_a_unit_that_is_down_is_a_fault(machine: Machine) -> None:
    machine.unit("nginx.service").active = False
    assert faults(machine) == ["nginx.service is inactive"]


def test_a_set_up_that_waits_is_all_that_is_said(machine: Machine) -> None:
    machine.put(firstboot.ORDER, "")
    for name in ("nginx.service", "matrix-synapse.service"):
        machine.unit(name).active = False
    assert faults(machine) == ["this machine is to be set up at its next boot"]
    machine.unit(firstboot.UNIT).result = "exit-code"
    assert faults(machine) == ["setting this machine up failed"]


def test_a_homeserver_that_lost_its_database_does_not_answer(machine: Machine) -> None:
    machine.unit("postgresql@15-main.service").active = False
    assert faults(machine) == [
        "postgresql@15-main.service is inactive",
        "Synapse can't use its database: Postgres does not run on port 5432",
        "the homeserver does not answer",
    ]
    assert seen(machine).disk["database"] == 0
    assert (seen(machine).counts["users"], seen(machine).federation["servers"]) == (None, None)


def test_a_database_that_takes_no_writes_is_a_fault_though_the_homeserver_answers(machine: Machine) -> None:
    machine.postgres.read_only = True
    assert faults(machine) == [
        "Synapse can't use its database: the database matrix-synapse is read-only (default_transaction_read_only)"
    ]
    assert seen(machine).ready


@pytest.mark.parametrize(
    ("days_left", "age", "state", "fault"),
    [
        (60, 30, "valid", False),
        (17, 73, "overdue", False),
        (6, 84, "overdue", True),
        (-1, 91, "expired", True),
        (5, 1, "valid", False),
    ],
)
def test_a_certificate_that_should_have_been_renewed_is_a_fault(
    days_left: float, age: float, state: str, fault: bool, machine: Machine
) -> None:
    machine.certificate(CURRENT, ["example.org"], days_left, age)
    [_, row] = seen(machine).certificates
    assert row["state"] == state
    assert any("certificate of" in said for said in faults(machine)) == fault


@pytest.mark.parametrize(
    ("days_left", "age", "state"),
    [(10, 35, "valid"), (8, 37, "overdue"), (14, 50, "valid"), (12, 52, "overdue"), (1.4, 4.6, "valid")],
)
def test_what_is_late_depends_on_the_whole_life_and_not_on_a_number_of_days(
    days_left: float, age: float, state: str, machine: Machine
) -> None:
    machine.certificate(CURRENT, ["example.org"], days_left, age)
    assert seen(machine).certificates[1]["state"] == state


def test_one_that_expired_while_its_renewal_is_pending_is_expired_and_says_why(machine: Machine) -> None:
    machine.certificate(CURRENT, ["example.org"], -1, 91)
    machine.put("/var/lib/matrix-baremetal/pending/example.org", json.dumps({"reason": "no DNS"}))
    assert "the certificate of example.org is expired: no DNS" in faults(machine)


def test_a_renewal_whose_hook_failed_is_seen_and_taken_up_by_the_next_run(machine: Machine) -> None:
    machine.certificate(CURRENT, ["example.org"])
    assert faults(machine) == ["nginx.service has not taken up what it reads"]
    assert seen(machine).faults[0]["next"] == "matrix-baremetal apply"
    now = a_session(machine)
    assert [c.verb for c in converge(now.resources, now.host, now.manifest) if c.ended] == ["reload"]
    assert faults(machine) == []


OWN = "server_name: example.org\ntls: {mode: files, certificate: /srv/tls/fullchain.pem, key: /srv/tls/privkey.pem}\n"


def test_the_operators_own_pair_is_seen_with_what_is_wrong_with_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.certificate("/srv/tls", ["example.org", "*.example.org"])
    now = a_session(machine, OWN)
    list(converge(now.resources, now.host, now.manifest))
    now.host.net.ask("GET", 8008, "/_matrix/client/v3/directory/room/x")

    def told() -> list[dict[str, str]]:
        return status.read(a_session(machine, OWN)).faults

    assert told() == []
    machine.certificate("/srv/tls", ["example.org", "*.example.org"], 80)
    assert {row["fault"].partition(": ")[2] for row in told()} == {"/srv/tls/fullchain.pem is not served yet"}
    machine.put("/srv/tls/privkey.pem", "key of another", 0o600)
    assert {row["fault"].partition(": ")[2] for row in told()} == {
        "/srv/tls/privkey.pem is not the key of /srv/tls/fullchain.pem"
    }
    machine.certificate("/srv/tls", ["example.org", "*.example.org"], 5, 85)
    now = a_session(machine, OWN)
    list(converge(now.resources, now.host, now.manifest))
    assert [row["fault"].rpartition(" ")[2] for row in told()] == ["overdue"] * 2
    assert told()[0]["next"].startswith("replace /srv/tls/fullchain.pem and its key, then: ")


def test_credentials_that_renewals_will_need_are_missed_before_they_do(machine: Machine) -> None:
    text = f"{MINIMAL.replace('}', ', challenge: dns-01, dns_plugin: rfc2136}')}"
    assert any("needs its credentials in" in row["fault"] for row in status.read(a_session(machine, text)).faults)


@pytest.mark.parametrize(("content", "state"), [(None, "missing"), ("nonsense", "broken")])
def test_a_certificate_that_is_not_there_or_broken_is_a_fault(
    content: str | None, state: str, machine: Machine
) -> None:
    place = machine.at(f"{CURRENT}/fullchain.pem")
    place.unlink()
    if content:
        place.write_text(content)
    assert f"the certificate of example.org is {state}" in faults(machine)


def test_a_certificate_that_is_pending_is_told_with_its_reason(machine: Machine) -> None:
    machine.put("/var/lib/matrix-baremetal/pending/example.org", json.dumps({"reason": "no DNS"}))
    assert any("example.org is pending: no DNS" in fault for fault in faults(machine))


def test_a_self_signed_certificate_is_a_fault_only_where_a_real_one_was_asked_for(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    text = "server_name: example.org\ntls: {mode: self-signed}\n"
    now = a_session(machine, text)
    list(converge(now.resources, now.host, now.manifest))
    now.host.net.ask("GET", 8008, "/_matrix/client/v3/directory/room/x")
    assert status.read(a_session(machine, text)).faults == []
    assert any("self-signed" in row["fault"] for row in status.read(a_session(machine, MINIMAL)).faults)


def test_before_an_install_everything_is_a_fault_and_nothing_breaks(tmp_path: Path) -> None:
    found = seen(Machine(tmp_path, packages=()))
    assert not found.ready
    assert found.versions["synapse"] == "none"
    assert len(found.faults) > 5


def test_the_page_ends_with_what_is_wrong(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.unit("nginx.service").active = False
    now: Session = a_session(machine)
    page(now, status.read(now))
    text = capsys.readouterr().out
    assert text.startswith("example.org at https://matrix.example.org is ready.\n")
    assert "\x1b" not in text
    assert text.rstrip().splitlines()[-2:] == ["✗ nginx.service is inactive", "  next: matrix-baremetal apply"]


def test_the_page_says_who_is_here_what_takes_the_disk_and_which_servers_do_not_answer(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.put("/proc/meminfo", "MemTotal: 4194304 kB\nMemAvailable: 3145728 kB\n")
    machine.put("/var/lib/matrix-baremetal/backups/example.org-20260101T030000Z.tar.zst", "x" * (2 << 20))
    machine.postgres.says[quoted(tally.COUNT)] = [["1", "5", "31", "2", str(9 << 20), str(4 << 20)]]
    now: Session = a_session(machine)
    page(now, status.read(now))
    lines = capsys.readouterr().out.splitlines()
    assert "memory      1.0 GiB of 4.0 GiB in use" in lines
    assert "people      1 account, in 5 rooms" in lines
    assert "federation  31 other servers, 2 of them did not answer and are left alone for now" in lines
    assert "disk        database 8 MiB, media 9 MiB (of other servers 4 MiB), backups 2 MiB; free 100.0 GiB" in lines
    machine.postgres.says[quoted(tally.COUNT)] = [[]]
    now = a_session(machine)
    page(now, status.read(now))
    assert capsys.readouterr().out.count("not known: the database does not say") == 2


@pytest.mark.parametrize(
    ("size", "text"), [(None, ""), (0, "0 MiB"), (5 * 2**20, "5 MiB"), (2**30, "1.0 GiB"), (3 * 2**29, "1.5 GiB")]
)
def test_sizes_are_for_people(size: int | None, text: str) -> None:
    assert memory(size) == text


def test_times_are_for_people() -> None:
    assert (days(None), days(3), since(None)) == ("", "3 days left", "")
    assert since(0).endswith(" days")
