"""What the machine is, read from a root."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import facts
from matrix_baremetal.facts import Cluster, numbers
from matrix_baremetal.resources.postgres import OURS
from tests.fake_postgres import Base
from tests.fakes import FakeHost, Machine


@pytest.mark.parametrize(
    ("release", "python", "nginx", "cluster"),
    [(12, "3.11", (1, 22, 1), Cluster("15", "main", 5432)), (13, "3.13", (1, 26, 3), Cluster("17", "main", 5432))],
)
def test_each_release_is_told_by_its_files(
    release: int, python: str, nginx: tuple[int, ...], cluster: Cluster, tmp_path: Path
) -> None:
    seen = facts.read(FakeHost(Machine(tmp_path, release)))
    assert (seen.release, seen.python, seen.nginx, seen.cluster) == (release, python, nginx, cluster)
    assert seen.memory > 1 << 20
    assert seen.processors >= 1


def test_an_empty_folder_has_facts_too(tmp_path: Path) -> None:
    seen = facts.read(FakeHost(Machine(tmp_path / "x", packages=()), live=False))
    assert (seen.nginx, seen.cluster, seen.ipv6) == ((), None, False)


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.22.1-9+deb12u11", (1, 22, 1)), ("2:1.26.3-3", (1, 26, 3)), ("1.25.1~rc1", (1, 25, 1)), ("", ())],
)
def test_the_numbers_of_a_debian_version(version: str, expected: tuple[int, ...]) -> None:
    assert numbers(version) == expected


def a_cluster(machine: Machine, version: str, name: str, text: str) -> str:
    place = f"/etc/postgresql/{version}/{name}"
    machine.put(f"{place}/postgresql.conf", text)
    return f"{place}/conf.d/50-matrix-baremetal.conf"


def test_the_cluster_is_the_one_with_our_settings_else_on_the_standard_port_else_the_newest(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    host = FakeHost(machine)
    machine.at("/etc/postgresql/15/main/postgresql.conf").unlink()
    a_cluster(machine, "14", "old", "port = 5434\n")
    a_cluster(machine, "16", "new", "port = 5433\n")
    machine.at("/etc/postgresql/common").mkdir()
    assert facts.cluster(host) == Cluster("16", "new", 5433)
    ours = a_cluster(machine, "15", "main", "#port = 1\nport = 1\n port=5432 # the last one counts\n")
    assert facts.cluster(host) == Cluster("15", "main", 5432)
    a_cluster(machine, "14", "old", "port = 5434\n")
    machine.put(ours.replace("/15/main/", "/14/old/"), "")
    assert facts.cluster(host) == Cluster("14", "old", 5434, tuned=True)


def test_a_cluster_with_a_database_of_somebody_else_is_shared(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.postgres.bases["matrix-synapse"] = Base("matrix-synapse", comment=OURS)
    assert facts.read(FakeHost(machine)).cluster == Cluster("15", "main", 5432)
    machine.postgres.bases["shop"] = Base("postgres")
    assert facts.read(FakeHost(machine)).cluster == Cluster("15", "main", 5432, shared=True)


HOMESERVER = "listeners:\n- port: 8008\ndatabase:\n  name: psycopg2\n  args:\n    port: 5434\n"


def test_the_cluster_that_synapse_uses_already_is_the_one_whatever_the_others_say(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    host = FakeHost(machine)
    a_cluster(machine, "16", "new", "port = 5433\n")
    a_cluster(machine, "14", "old", "port = 5434\n")
    machine.put("/etc/postgresql/16/new/conf.d/50-matrix-baremetal.conf", "")
    assert facts.cluster(host) == Cluster("16", "new", 5433, tuned=True)
    machine.put("/etc/matrix-synapse/homeserver.yaml", HOMESERVER)
    assert facts.cluster(host) == Cluster("14", "old", 5434)


def test_a_cluster_that_does_not_answer_counts_as_somebody_elses_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.unit("postgresql@15-main.service").active = False
    assert facts.cluster(FakeHost(machine)) == Cluster("15", "main", 5432, shared=True)


FIB_TRIE = """\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 9.9.9.0/24 2 0 2
        |-- 9.9.9.0
           /24 link UNICAST
        |-- 9.9.9.9
           /32 host LOCAL
        |-- 9.9.9.255
           /32 link BROADCAST
     |-- 10.0.0.5
        /32 host LOCAL
Local:
        |-- 9.9.9.9
           /32 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
"""
IF_INET6 = """\
00000000000000000000000000000001 01 80 10 80       lo
262000fe000000000000000000000009 02 40 00 00     eth0
fe80000000000000000077fffe000013 02 40 20 80     eth0
"""


def test_the_addresses_that_the_internet_can_reach_are_the_kernels_less_the_private(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert facts.read(FakeHost(machine)).addresses == ()
    machine.put("/proc/net/fib_trie", FIB_TRIE)
    machine.put("/proc/net/if_inet6", IF_INET6)
    assert facts.read(FakeHost(machine)).addresses == ("9.9.9.9", "2620:fe::9")
    assert facts.read(FakeHost(machine, live=False)).addresses == ()


def test_the_addresses_to_tell_are_for_others_and_last(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    rows = [
        "fd770000000000000000000000000005 02 40 00 80 eth0",
        "262000fe000000000000000000000001 02 40 00 01 eth0",
        "262000fe000000000000000000000002 02 40 00 20 eth0",
        "262000fe000000000000000000000003 02 40 00 00 eth0",
        "fe800000000000000000000000000001 02 40 20 80 eth0",
        "00000000000000000000000000000001 01 80 10 80 lo",
    ]
    machine.put("/proc/net/fib_trie", FIB_TRIE)
    machine.put("/proc/net/if_inet6", "\n".join(rows) + "\n")
    found = facts.addresses(FakeHost(machine))
    assert [address for address in found if ":" in address] == ["fd77::5", "2620:fe::3"]
    assert "9.9.9.9" in found
    assert not [address for address in found if address.startswith("127.")]
