"""Postgres's own files become the dump that it would have given, by a copy that is started once."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

import pytest

from matrix_baremetal import postgres_data
from matrix_baremetal.errors import Error
from matrix_baremetal.transfer import Transfer
from tests.backups import QUIET
from tests.fakes import FakeHost, Killed, Machine

FOLDER = "/srv/postgres"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with Postgres 15, and files of one that has stopped."""
    machine = Machine(tmp_path / "machine")
    machine.users.append("postgres")
    for name, text in {"PG_VERSION": "15\n", "global/pg_control": "control", "postgresql.auto.conf": "evil"}.items():
        machine.put(f"{FOLDER}/{name}", text)
    machine.at("/var/lib/matrix-baremetal").mkdir(parents=True)
    (tmp_path / "dump").write_text("all rows")
    return machine


def dumped(host: FakeHost, database: str = "synapse") -> str:
    return postgres_data.dumped(host, FOLDER, "synapse", database, QUIET)


def test_a_copy_is_started_for_nobody_else_and_dumped(machine: Machine) -> None:
    host = FakeHost(machine)
    path = dumped(host)
    assert host.read(path) == b"all rows"
    [start] = [each.argv for each in machine.started if each.argv[0] == "systemd-run"]
    assert start[-4].endswith("/15/bin/postgres")
    assert start[-1] == f"--config-file={host.path(postgres_data.PLACE)}/postgresql.conf"
    assert f"--property=User={postgres_data.USER}" in start
    # It is stopped before it is begun, and when all is done.
    stops = [each.argv for each in machine.started if each.argv[:2] == ("systemctl", "stop")]
    assert stops == [("systemctl", "stop", postgres_data.UNIT)] * 2
    assert host.node(postgres_data.PLACE) is None
    assert host.text(f"{FOLDER}/postgresql.auto.conf") == "evil"


def test_the_same_folder_is_dumped_once(machine: Machine) -> None:
    first = dumped(FakeHost(machine))
    machine.started.clear()
    assert dumped(FakeHost(machine)) == first
    assert machine.started == []
    machine.put(f"{FOLDER}/global/pg_control", "it went on")
    assert dumped(FakeHost(machine)) != first


def test_what_speaks_for_the_old_server_is_not_in_the_copy(machine: Machine) -> None:
    host = FakeHost(machine)
    postgres_data.copy(host, postgres_data.cluster(host, FOLDER), QUIET)
    assert host.node(f"{postgres_data.DATA}/postgresql.auto.conf") is None
    assert host.text(f"{postgres_data.PLACE}/pg_hba.conf") == "local all all trust\n"


def test_killed_anywhere_the_next_run_has_the_whole_dump(machine: Machine) -> None:
    for step in range(1, 60):
        host = FakeHost(machine, killed_at=step)
        try:
            path = dumped(host)
            break
        except Killed:
            path = dumped(FakeHost(machine))
            assert machine.at(path).read_text() == "all rows"
            machine.at(path).unlink()
    assert step > 15
    assert machine.at(path).read_text() == "all rows"


@pytest.mark.parametrize("below", ["data", "pgdata", "15/docker"])
def test_the_files_may_lie_deeper(machine: Machine, below: str) -> None:
    machine.put(f"/srv/other/{below}/PG_VERSION", "15\n")
    assert postgres_data.cluster(FakeHost(machine), "/srv/other").folder == f"/srv/other/{below}"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("postmaster.pid", "1", "runs, or did not end well"),
        ("pg_tblspc/16384/x", "", "has tablespaces"),
        ("PG_VERSION", "16\n", "is of Postgres 16, and this machine has 15"),
        ("PG_VERSION", "", "is of Postgres ?, and this machine has 15"),
        ("PG_VERSION", "../15", "is of Postgres ../15"),
    ],
)
def test_what_can_not_be_started_is_refused(machine: Machine, file: str, text: str, said: str) -> None:
    machine.put(f"{FOLDER}/{file}", text)
    with pytest.raises(Error) as caught:
        dumped(FakeHost(machine))
    assert said in caught.value.message
    assert caught.value.hint
    assert machine.started == []


def test_a_folder_of_something_else_is_none(machine: Machine) -> None:
    with pytest.raises(Error, match="no files of Postgres in /srv"):
        postgres_data.cluster(FakeHost(machine), "/srv")


@pytest.mark.parametrize("name", ["host=evil.example", "postgresql://evil", "-x", ""])
def test_a_name_that_would_lead_elsewhere_is_refused(machine: Machine, name: str) -> None:
    with pytest.raises(Error, match="is no name"):
        dumped(FakeHost(machine), name)


def test_a_copy_that_does_not_start_says_why(machine: Machine) -> None:
    machine.says["systemd-run"] = "Job for matrix-baremetal-old-postgres.service failed."
    with pytest.raises(Error, match="can't be started: Job for") as caught:
        dumped(FakeHost(machine))
    assert postgres_data.UNIT in (caught.value.hint or "")


class Full(Transfer):
    """A copy onto a disk that is full."""

    def carry(self, pieces: Iterable[bytes], into: BinaryIO) -> None:
        """Not a byte more."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_disk_that_is_full_is_said(machine: Machine) -> None:
    with pytest.raises(Error, match=r"cannot write /var/lib/matrix-baremetal/x: No space left"):
        postgres_data.write(FakeHost(machine), "/var/lib/matrix-baremetal/x", ("pg_dump",), Full(quiet=True))


def test_what_a_killed_run_left_is_gone_before_the_room_is_measured(machine: Machine) -> None:
    machine.put(f"{postgres_data.DATA}/base/1", "of a run that was killed")
    machine.spare = 0
    host = FakeHost(machine)
    with pytest.raises(Error, match="has 0 MB free"):
        dumped(host)
    assert host.node(postgres_data.PLACE) is None
