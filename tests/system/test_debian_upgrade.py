"""Debian 12 becomes Debian 13 under a homeserver, as docs/how-to/debian-upgrade.md says: Python and Postgres go."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest

from tests.system import invariants
from tests.system.people import UNLIMITED, Talk
from tests.system.site import SYNAPSE, WHEELS, Site
from tests.system.test_crash import Moment, strike

pytestmark = [pytest.mark.lab, pytest.mark.parametrize("debian", [12], indirect=True, ids=["debian12"])]
HOWTO = Path(__file__).parents[2] / "docs/how-to/debian-upgrade.md"
MOVE = ("matrix-baremetal", "migrate", "postgres-major", "--yes", "--with-others")
# What of Debian 13 the move needs, and nothing else of it.
SEVENTEEN = """
sed -n 's/ bookworm main$/ trixie main/p' /etc/apt/sources.list > /etc/apt/sources.list.d/trixie.list
printf 'Package: *\\nPin: release n=trixie\\nPin-Priority: 100\\n' > /etc/apt/preferences.d/trixie
apt-get update -q && apt-get install -q -y --no-install-recommends -t trixie postgresql-17
"""


def commands(heading: str) -> list[str]:
    """What the page says to type below a heading."""
    _, found, rest = HOWTO.read_text().partition(f"\n{heading}\n")
    assert found, heading
    blocks = re.findall(r"^```sh\n(.*?)^```$", re.split(r"^## ", rest, maxsplit=1, flags=re.M)[0], re.M | re.S)
    return "".join(blocks).splitlines()


def test_a_second_postgres_takes_the_database_over(site: Site) -> None:
    """A sample of what follows, on a machine that has Postgres 17 of Debian 13, and all else of 12."""
    site.guest.run(SEVENTEEN, timeout=900)
    postgres_moves(site)


@pytest.mark.long
def test_debian_12_becomes_13(site: Site) -> None:
    for command in commands("## 1. Debian itself"):
        began = time.monotonic()
        site.guest.run(command, timeout=1800)
        sys.stderr.write(f"{time.monotonic() - began:.0f} s: {command}\n")
    assert site.guest.read("/etc/debian_version").startswith("13")
    assert "Python" in site.mb("doctor", status=(0, 3)).stdout
    assert any("virtualenv" in title for title in site.planned())
    for command in commands("## 2. Python"):
        site.mb(*command.split()[1:], "--wheelhouse", WHEELS)
    python = "/opt/matrix-baremetal/synapse/current/bin/python"
    assert site.guest.run([python, "--version"]).stdout.startswith("Python 3.13")
    invariants.hold(site)
    site.guest.reboot()
    site.wait_until_it_answers()
    postgres_moves(site)
    for command in commands("## 4. Look, then tidy up")[1:]:
        site.guest.run(command, timeout=600)
    invariants.hold(site)


def postgres_moves(site: Site) -> None:
    """With neighbours in the cluster, and people who talk until it stands still; killed on the way, too."""
    invariants.neighbours(site)
    site.change(settings=UNLIMITED)
    site.mb("apply")
    site.wait_until_it_answers()
    talk = Talk.of(site)
    site.guest.run("echo \"work_mem = '7MB'\" > /etc/postgresql/15/main/conf.d/99-own.conf")
    assert "Debian has brought Postgres 17" in site.mb("doctor", "database.release").stdout
    said = site.mb("migrate", "postgres-major", "--yes", status=1).stderr
    assert "databases of others too, and moves as a whole: shop (of shop)" in said
    assert "--with-others" in said
    with talk.going_on():
        time.sleep(1)
        assert strike(site, Moment("stop matrix-synapse", 2.0), command=MOVE)
        began = time.monotonic()
        done = site.mb(*MOVE[1:])
        sys.stderr.write(f"\n{done.stdout}\nthe move took {time.monotonic() - began:.0f} s\n")
        site.wait_until_it_answers()
        time.sleep(1)
    assert "pg_dropcluster --stop 15 main" in done.stdout
    site.major = 17
    assert clusters(site) == {"17/main": ("5432", "online"), "15/main": ("5433", "down")}
    assert invariants.psql(site, "SHOW work_mem; SHOW wal_compression;").split() == ["7MB", "pglz"]
    assert site.status()["versions"]["postgres"] == "17"
    invariants.hold(site, talk)
    assert "no newer one" in site.mb("migrate", "postgres-major").stdout
    found = json.loads(site.mb("doctor", "--json", "database").stdout)["findings"]
    assert {row["id"]: row["state"] for row in found}["database.release"] == "info"
    assert not [row for row in found if row["state"] in ("warn", "fail")]
    assert site.show(SYNAPSE, "ActiveState")["ActiveState"] == "active"


def clusters(site: Site) -> dict[str, tuple[str, str]]:
    """Port and state of each."""
    rows = [line.split() for line in site.guest.run("pg_lsclusters -h").stdout.splitlines()]
    return {f"{row[0]}/{row[1]}": (row[2], row[3].partition(",")[0]) for row in rows}
