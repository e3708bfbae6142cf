"""The database goes away: ready means that it answers, it is said, and it heals by itself."""

from __future__ import annotations

import time

import pytest

from tests.system import invariants
from tests.system.site import SYNAPSE, Site

pytestmark = pytest.mark.lab


def wait_until_ready(site: Site, seconds: float = 180) -> None:
    """Seconds where nothing else is at work; beside other work Postgres first gets all its files onto the disk."""
    deadline = time.monotonic() + seconds
    while not (page := site.status())["ready"]:
        said = f"systemctl status --no-pager -n 20 {site.cluster}; journalctl -n 5 --no-pager -u {SYNAPSE}"
        assert time.monotonic() < deadline, f"{page['faults']}\n{site.guest.run(said, check=False).stdout}"
        time.sleep(0.5)


@pytest.mark.sampled(12)
def test_an_outage_is_said_and_heals(site: Site) -> None:
    site.guest.run(["systemctl", "stop", site.cluster])
    began = time.monotonic()
    page = site.status()
    assert time.monotonic() - began < 10
    assert not page["ready"]
    faults = " ".join(row["fault"] for row in page["faults"])
    assert f"{site.cluster} is inactive" in faults
    assert "Synapse can't use its database: Postgres does not run on port 5432" in faults
    assert "does not answer" in faults
    assert all(row["next"] for row in page["faults"])
    assert "is not ready" in site.mb("status", status=3).stdout
    site.mb("user", "list", status=1)
    site.guest.run(["systemctl", "start", site.cluster])
    wait_until_ready(site)
    invariants.hold(site)


@pytest.mark.sampled(12)
def test_apply_starts_a_database_that_was_stopped(site: Site) -> None:
    site.guest.run(["systemctl", "stop", site.cluster])
    assert site.cluster in site.planned()
    site.mb("apply")
    invariants.hold(site)


@pytest.mark.sampled(13)
def test_killed_it_comes_back_unaided(site: Site) -> None:
    """The whole of it, and its first process alone, as the kernel does for want of memory."""
    first = f"head -n 1 /var/lib/postgresql/{site.cluster[11:13]}/main/postmaster.pid"
    for command in (f"systemctl kill --signal=KILL {site.cluster}", f"kill -KILL $({first})"):
        site.guest.run(command)
        assert "Postgres does not run on port 5432" in faults_of(site)
        wait_until_ready(site)
    invariants.hold(site)


@pytest.mark.sampled(12)
def test_a_database_that_lets_nobody_in_or_write_is_said_and_heals(site: Site) -> None:
    alter(site, "ALTER SYSTEM SET default_transaction_read_only = on;")
    assert "the database matrix-synapse is read-only" in faults_of(site)
    alter(site, "ALTER SYSTEM RESET default_transaction_read_only;")
    assert faults_of(site) == ""

    alter(site, "ALTER SYSTEM SET max_connections = 20;")
    site.guest.run(["systemctl", "restart", site.cluster])
    wait_until_ready(site)
    # As many as there are for others than superusers, while the homeserver is away for a moment.
    held = (
        "for i in $$(seq 17); do /usr/lib/postgresql/*/bin/psql -d postgres -qc 'SELECT pg_sleep(600)' & done; wait"
    )
    site.guest.run(["systemctl", "stop", SYNAPSE])
    site.guest.run(["systemd-run", "--quiet", "--unit=held", "-p", "User=postgres", "sh", "-c", held])
    site.guest.run(["systemctl", "start", "--no-block", SYNAPSE])
    time.sleep(3)
    began = time.monotonic()
    said = faults_of(site)
    assert time.monotonic() - began < 5
    assert "Postgres has no connection left: 17 are in use, of 20 with 3 kept for its superusers" in said, said
    assert "matrix-synapse.service is activating" in said
    site.guest.run("systemctl stop held")
    alter(site, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(600)%';")
    wait_until_ready(site)
    invariants.hold(site)


def faults_of(site: Site) -> str:
    """What is wrong, in words."""
    return "; ".join(row["fault"] for row in site.status()["faults"])


def alter(site: Site, sql: str) -> None:
    """Change a setting of the server's, and have it take it up."""
    psql = "PGOPTIONS='-c default_transaction_read_only=off' runuser -u postgres -- psql -XAtq"
    site.guest.run(f"cd /; {psql}", input=f"{sql}\nSELECT pg_reload_conf(); SELECT pg_sleep(0.3);")


@pytest.mark.sampled(12)
def test_without_postgres_it_stands_on_sqlite(fresh: Site) -> None:
    fresh.guest.run("pg_lsclusters -h | while read release name _; do pg_dropcluster --stop $release $name; done")
    fresh.configure(database="sqlite")
    fresh.install()
    fresh.remember()
    invariants.hold(fresh)
    assert fresh.status()["disk"]["database"] > 1 << 20
    assert [row.split()[0] for row in fresh.mb("user", "list").stdout.splitlines()[1:]] == [
        f"@alice:{fresh.server_name}",
        f"@bob:{fresh.server_name}",
    ]
    fresh.change(database="sqlite", admins=[{"name": "bob"}])
    fresh.mb("apply")
    assert "admin" in next(row for row in fresh.mb("user", "list").stdout.splitlines() if "@bob:" in row)
    fresh.guest.kill()
    fresh.guest.up()
    fresh.wait_until_it_answers()
    invariants.hold(fresh)

    before = fresh.runs()
    fresh.change(database="postgres")
    done = fresh.mb("apply", status=1)
    assert "keeps its accounts and messages in sqlite, and postgres would begin without any" in done.stderr
    assert "nothing was changed" in done.stderr
    assert "would begin without any" in fresh.mb("plan", status=3).stdout
    assert fresh.runs() == before
    assert fresh.guest.run("pg_lsclusters -h").stdout == "", "a cluster was made that nobody asked for"


@pytest.mark.sampled(12)
def test_a_database_that_is_late_at_boot_is_waited_for(site: Site) -> None:
    """Neither the homeserver nor anything of ours gives up for good."""
    drop_in = f"/etc/systemd/system/{site.cluster}.d/late.conf"
    site.guest.write(drop_in, "[Service]\nExecStartPre=/bin/sleep 12\n")
    site.guest.reboot()
    wait_until_ready(site, 90)
    assert site.guest.run("systemctl --failed --plain --no-legend").stdout == ""
    invariants.remembered(site)


@pytest.mark.sampled(13)
def test_a_homeserver_that_is_killed_comes_back(site: Site) -> None:
    for _ in range(4):
        pid = site.show(SYNAPSE, "MainPID")["MainPID"]
        site.guest.run(["systemctl", "kill", "--signal=KILL", SYNAPSE])
        deadline = time.monotonic() + 30
        while site.show(SYNAPSE, "MainPID")["MainPID"] in (pid, "0"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    wait_until_ready(site)
    invariants.hold(site)
