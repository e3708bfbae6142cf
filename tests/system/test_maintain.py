"""database maintain on a real Postgres: killed on the way, then through; the room is back, and so is the server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.system import invariants
from tests.system.site import SYNAPSE, Site

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
MB = 1 << 20
TABLE = "state_groups_state"
ROWS = 300_000
BLOAT = f"""INSERT INTO {TABLE} (state_group, room_id, type, state_key, event_id)
SELECT 1000000 + i / 10, '!gone:example.org', 'm.room.member', '@person-' || i || ':example.org', '$' || md5(i::text)
FROM generate_series(1, {ROWS}) AS i; DELETE FROM {TABLE} WHERE state_group >= 1000000 AND state_group % 20 <> 0;"""
HALF_MADE = (
    "SELECT count(*) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname ~ '_ccnew' AND NOT indisvalid;"
)
AT_WORK = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^{}';"


def test_bloat_goes_and_a_run_that_was_killed_harms_nothing(site: Site) -> None:
    site.wait_until_it_answers()
    site.sql(BLOAT)
    seen = json.loads(site.mb("database", "maintain", "--check", "--json").stdout)
    assert {"rewrite", "vacuum"} <= {row["verb"] for row in seen["worth"] if row["name"] == TABLE}, seen
    assert seen["size"]["empty"] > 20 * MB
    assert seen["done"] == []

    # Somebody who wrote to the table and has not ended keeps REINDEX CONCURRENTLY waiting with its index half made.
    held(site, f"UPDATE {TABLE} SET room_id = room_id WHERE state_group = 1000020")
    begun(site)
    until(site, lambda: site.sql(HALF_MADE) == "1", "an index half made")
    killed(site, "REINDEX")
    assert site.sql(HALF_MADE) == "1"
    done = site.mb("database", "maintain").stdout
    assert "_ccnew" in done
    assert f"vacuum {TABLE}" in done or "reindex" in done, done
    assert site.sql(HALF_MADE) == "0"
    after = json.loads(site.mb("database", "maintain", "--check", "--json").stdout)
    assert after["size"]["before"] < seen["size"]["before"] - 5 * MB, "the indexes are smaller"
    assert {row["verb"] for row in after["worth"]} == {"rewrite"}

    # Somebody who only reads keeps VACUUM FULL waiting, with the homeserver down.
    held(site, f"LOCK TABLE {TABLE} IN ACCESS SHARE MODE")
    begun(site, "--full", "--yes")
    until(site, lambda: site.sql(AT_WORK.format("VACUUM .FULL")) == "1", "the rewrite")
    assert site.show(SYNAPSE, "ActiveState")["ActiveState"] == "inactive"
    killed(site, "VACUUM .FULL")
    began = time.monotonic()
    site.mb("apply")
    assert time.monotonic() - began < 30
    site.wait_until_it_answers()

    page = site.mb("database", "maintain", "--full", "--yes").stdout
    assert "was cut off while the homeserver stood still" in page
    assert f"rewrite {TABLE}" in page
    assert "The homeserver was away for" in page
    assert site.answers()
    last = json.loads(site.mb("database", "maintain", "--check", "--json").stdout)
    assert last["size"]["now"] < after["size"]["before"] - 10 * MB
    assert last["worth"] == []
    assert site.sql("SELECT count(*) FROM pg_extension WHERE extname = 'pgstattuple';") == "0"
    invariants.hold(site)


def held(site: Site, statement: str) -> None:
    """Somebody else is at work on the table, and does not end. Idle, he keeps Synapse's own work from nothing."""
    psql = "/usr/lib/postgresql/*/bin/psql -d matrix-synapse -q"
    script = f'(echo "BEGIN; {statement};"; sleep 600) | {psql}'
    site.guest.run(["systemd-run", "--quiet", "--collect", "--unit=held", "-p", "User=postgres", "sh", "-c", script])
    until(site, lambda: site.sql(AT_WORK.format(statement.partition(" ")[0])) == "1", "somebody else")


def begun(site: Site, *words: str) -> None:
    """The command in the background; what it started is left alone where it is killed."""
    command = ["matrix-baremetal", "database", "maintain", *words]
    site.guest.run(["systemd-run", "--quiet", "--collect", "--unit=tending", "-p", "KillMode=process", *command])


def killed(site: Site, statement: str) -> None:
    """Kill it. Its statement ends with it, and its lock is free, although nobody has let go of the table."""
    site.guest.run(["systemctl", "kill", "--signal=KILL", "--kill-whom=main", "tending"])
    until(site, lambda: site.sql(AT_WORK.format(statement)) == "0", f"the end of {statement}", 10)
    site.guest.run("systemctl stop held")


def until(site: Site, true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        said = "journalctl -n 20 --no-pager -u tending -u held"
        assert time.monotonic() < end, f"waited in vain for {what}: {site.guest.run(said).stdout}"
        time.sleep(0.3)
