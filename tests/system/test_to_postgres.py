"""A homeserver moves from SQLite to Postgres; where it would not run there it is back with SQLite, and has all."""

from __future__ import annotations

import sys
import time

import pytest

from tests.system import invariants
from tests.system.site import CONFIG, SYNAPSE, WHEELS, Site

pytestmark = [pytest.mark.lab, pytest.mark.own_guests, pytest.mark.long]
MOVE = ("migrate", "sqlite-to-postgres", "--yes", "--wheelhouse", WHEELS)
DROP_IN = f"/etc/systemd/system/{SYNAPSE}.d/90-breaks.conf"
# A Synapse that does not come to its start with Postgres.
BREAKING = """[Service]
ExecStartPre=/bin/sh -c 'if grep -q psycopg2 /etc/matrix-synapse/homeserver.yaml; then echo it breaks >&2; exit 9; fi'
"""


def test_a_move_that_ends_badly_goes_back_to_sqlite_and_can_be_made_again(fresh: Site) -> None:
    site = fresh
    site.configure(database="sqlite")
    site.install()
    site.remember()
    alice = site.login("alice")
    room = alice.create_room("Moves")
    alice.send(room, "before the move")
    site.guest.run(["mkdir", "-p", DROP_IN.rpartition("/")[0]])
    site.guest.write(DROP_IN, BREAKING)
    site.mb("apply")
    until = time.monotonic() + 180
    while site.mb(*MOVE, "--check", status=(0, 3)).returncode:
        assert time.monotonic() < until, "Synapse is still at work in its tables"
        time.sleep(3)
    done = site.mb(*MOVE, status=1)
    sys.stderr.write(f"\n{done.stdout}{done.stderr}")
    assert "the server runs with SQLite again, as with Postgres it did not" in done.stderr
    site.wait_until_it_answers()
    alice.send(room, "with SQLite again")
    assert "database: sqlite" in site.guest.read(CONFIG).replace('"', "")
    # The cluster is nobody's of ours again, and is not restarted for the settings that went.
    invariants.nothing_to_do(site)
    site.guest.run(["rm", DROP_IN])
    site.mb("apply")
    site.mb(*MOVE)
    site.wait_until_it_answers()
    assert site.sql("SELECT count(*) FROM users").strip() != "0"
    said = [text for _, text in alice.messages(room)]
    assert {"before the move", "with SQLite again"} <= set(said), said
    invariants.nothing_to_do(site)
    invariants.hold(site)
