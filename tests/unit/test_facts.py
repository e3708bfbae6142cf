"""What the machine is, read from a root."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import facts
from matrix_baremetal.facts import numbers
from matrix_baremetal.resources.clusters import Cluster
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


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("", 10),
        ("database:\n  name: psycopg2\n  args:\n    cp_min: 1\n    cp_max: 30 # many\n", 30),
        ("# database:\n#   cp_max: 40\ncp_max: 50\n", 10),
        ("database: {name: psycopg2}\n", 10),
    ],
)
def test_how_many_connections_synapse_opens_is_the_operators_word_where_there_is_one(
    text: str, most: int, tmp_path: Path
) -> None:
    machine = Machine(tmp_path)
    machine.put("/etc/matrix-synapse/conf.d/a.yaml", text)
    machine.put("/etc/matrix-synapse/conf.d/b.yml", "database:\n  args: {}\n  cp_max: 99\n")
    assert facts.read(FakeHost(machine)).pool == most


def test_where_postgres_is_yet_to_be_installed_there_is_no_cluster_and_nothing_wrong(tmp_path: Path) -> None:
    seen = facts.read(FakeHost(Machine(tmp_path, packages=("nginx",))))
    assert (seen.cluster, seen.no_cluster) == (None, None)


def test_where_postgres_is_installed_without_a_cluster_it_is_said(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.at("/etc/postgresql/15/main/postgresql.conf").unlink()
    seen = facts.read(FakeHost(machine))
    assert seen.cluster is None
    assert seen.no_cluster
    assert seen.no_cluster.message == "there is no Postgres cluster on this machine"


def test_the_port_that_synapse_uses_is_that_of_its_database_and_of_no_listener(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    host = FakeHost(machine)
    assert facts.used_port(host) is None
    machine.put("/etc/matrix-synapse/homeserver.yaml", HOMESERVER)
    assert facts.used_port(host) == 5434
    seen = facts.read(host)
    assert seen.cluster is None
    assert seen.no_cluster
    assert "port 5434, is gone; there are: 15/main on port 5432" in seen.no_cluster.message


HOMESERVER = (
    "# Written by matrix-baremetal;\nlisteners:\n- port: 8008\ndatabase:\n  name: psycopg2\n  args:\n    port: 5434\n"
)


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
