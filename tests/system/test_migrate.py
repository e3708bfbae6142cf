"""Somebody comes from Docker, with SQLite or with Postgres, or from Debian's package: everybody stays logged in."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.debians import DATA, ETC, Debians
from tests.system.docker import FOLDER, POSTGRES, SQLITE, Docker
from tests.system.site import CONFIG, DISPLACED, WHEELS, Site
from tests.system.test_crash import Moment, strike

pytestmark = [pytest.mark.lab, pytest.mark.own_guests]
TAKE = ("migrate", "from-docker", FOLDER, "--email", "admin@example.org", "--wheelhouse", WHEELS)
FROM_DEBIAN = ("migrate", "from-debian", "--email", "admin@example.org", "--wheelhouse", WHEELS)
PORT = ("migrate", "sqlite-to-postgres", "--wheelhouse", WHEELS)
DUMP = "/root/synapse.dump"
FILES = "/srv/postgres"
# How a dump may come: by which command, and from whom.
DUMPS = ("pg_dump -Fc synapse", "pg_dump synapse", "pg_dumpall | gzip -c")


@pytest.fixture
def container(lab: Lab, snapshots: Snapshots, debian: int, name: str) -> Iterator[Docker]:
    """What the usual recipe has made, in a container or two."""
    yield Docker(Site(lab, snapshots.boot("package", debian, name)))
    lab.down(name)


@pytest.fixture
def theirs(lab: Lab, snapshots: Snapshots, debian: int, name: str) -> Iterator[Debians]:
    """One of Synapse's own package."""
    yield Debians(Site(lab, snapshots.boot("package", debian, name)))
    lab.down(name)


@pytest.mark.sampled(13)
def test_a_container_with_sqlite_is_taken_over_and_moves_to_postgres(container: Docker) -> None:
    site = container.site
    container.make(SQLITE)
    # As long as it runs nothing is taken over.
    running = site.mb(*TAKE, "--check", "--json", status=3)
    assert "open" in json.loads(running.stdout)["obstacles"][0]["message"]
    container.stop()
    before = container.tree()
    page = json.loads(site.mb(*TAKE, "--check", "--json").stdout)
    assert (page["accounts"], page["obstacles"]) == (2, [])
    site.mb(*TAKE, status=2)
    done = site.mb(*TAKE, "--yes")
    assert "must never run again" in done.stderr
    assert container.tree() == before
    container.still_there()
    invariants.nothing_to_do(site)
    to_postgres(container)


def to_postgres(old: Docker) -> None:
    """Once Synapse has done with its tables; killed on the way, the same command finishes it."""
    site, until = old.site, time.monotonic() + 180
    while (done := site.mb(*PORT, "--check", status=(0, 3))).returncode:
        assert "still at work" in done.stdout, done.stdout
        assert time.monotonic() < until
        time.sleep(3)
    strike(site, Moment("carry over what is there", 0.5), command=("matrix-baremetal", *PORT, "--yes"))
    site.mb(*PORT, "--yes")
    assert "\ndatabase: postgres\n" in site.guest.read(CONFIG)
    old.still_there()
    assert site.sql("SELECT count(*) FROM users") == "2"
    site.mb(*PORT, "--yes", status=1)
    invariants.nothing_to_do(site)


@pytest.mark.sampled(12)
def test_a_container_with_postgres_is_taken_over_by_a_dump_or_its_files(container: Docker) -> None:
    site = container.site
    cluster = container.postgres()
    container.make(POSTGRES)
    container.stop()
    for number, words in enumerate(DUMPS):
        container.dumped(words, f"{DUMP}{number}")
    # Its program is gone, as it was in a container of its own, but for the files.
    site.guest.run(f"systemctl stop postgresql@{cluster.replace(' ', '-')}")
    site.guest.run(f"cp -a /var/lib/postgresql/{cluster.replace(' ', '/')} {FILES} && pg_dropcluster {cluster}")
    site.guest.run(f"chown -R 999:999 {FILES}")
    before = container.tree(), container.tree(FILES)
    site.mb(*TAKE, "--yes", status=1)
    ways = [("--dump", f"{DUMP}{number}") for number in range(len(DUMPS))] + [("--postgres-data", FILES)]
    pages = [site.mb(*TAKE, *way, "--check", "--json").stdout for way in ways]
    assert len({(row["accounts"], row["database"]["schema"]) for row in map(json.loads, pages)}) == 1
    site.guest.run(f"head -c 20000 {DUMP}1 > {DUMP}-cut")
    site.mb(*TAKE, "--dump", f"{DUMP}-cut", "--yes", status=1)
    take = (*TAKE, "--postgres-data", FILES, "--yes")
    strike(site, Moment(f"copy {FILES}", 0.3), command=("matrix-baremetal", *take))
    site.mb(*take)
    assert (container.tree(), container.tree(FILES)) == before
    container.still_there()
    invariants.nothing_to_do(site)


@pytest.mark.long
def test_somebody_comes_from_debians_package_with_postgres(theirs: Debians) -> None:
    """Their database is in the cluster that becomes ours too, and stays there as it was."""
    site = theirs.site
    theirs.make(theirs.database())
    said = site.mb(*FROM_DEBIAN, "--yes", status=1).stderr
    assert "--dump" in said, said
    site.guest.run(f"runuser -u postgres -- pg_dump -Fc {theirs.rows_in} > {DUMP}")
    before = theirs.table()
    page = json.loads(site.mb(*FROM_DEBIAN, "--dump", DUMP, "--check", "--json").stdout)
    assert (page["accounts"], page["obstacles"]) == (2, [])
    site.mb(*FROM_DEBIAN, "--dump", DUMP, "--yes")
    theirs.still_there()
    assert theirs.table() == before
    assert site.sql("SELECT count(*) FROM users") == "2"
    invariants.nothing_to_do(site)
    assert invariants.found(site) == []


@pytest.mark.sampled(12)
def test_somebody_comes_from_debians_package(theirs: Debians) -> None:
    """apt put ours in its place. Cut off by a failing power once, the same command finishes it."""
    site = theirs.site
    theirs.make()
    before = theirs.rows()
    page = json.loads(site.mb(*FROM_DEBIAN, "--check", "--json").stdout)
    assert (page["accounts"], page["obstacles"]) == (2, [])
    site.mb(*FROM_DEBIAN, status=2)
    strike(site, Moment("change places"), plug=True, command=("matrix-baremetal", *FROM_DEBIAN, "--yes"))
    done = site.mb(*FROM_DEBIAN, "--yes")
    assert "Do not purge the old package (matrix-synapse-py3)" in " ".join(done.stdout.split())
    theirs.still_there()
    assert theirs.rows() == before
    kept = site.guest.run(
        f"cd {DISPLACED}/*-from-debian && find . -type f | sort && cat homeserver.signing.key"
    ).stdout
    assert kept.split("\n")[:3] == ["./conf.d/own.yaml", "./conf.d/report_stats.yaml", "./conf.d/server_name.yaml"]
    assert theirs.key in kept
    invariants.nothing_to_do(site)
    assert invariants.found(site) == []
    # What the old package's purge takes, and the link that enabled its unit, are made anew.
    site.guest.run(f"rm {DATA}/homeserver.db && dpkg --purge matrix-synapse-py3")
    assert site.planned() == {f"file {ETC}/homeserver.yaml", f"file {ETC}/log.yaml", "matrix-synapse.service"}
    site.mb("apply", "--wheelhouse", WHEELS)
    theirs.still_there()
