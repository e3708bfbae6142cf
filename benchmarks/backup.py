"""A backup and a restore of some data, against pg_dump, tar and pg_restore alone."""

from __future__ import annotations

from pathlib import Path

from benchmarks.guests import install, machine, measured
from benchmarks.measure import ratios, spread, table
from tests.lab import Guest, Lab

# Rows that compress about as events do, and pictures that don't.
ROWS = 3_000_000
PICTURES = 3_000
FILL = f"""
SET ROLE "matrix-synapse";
CREATE TABLE filling AS SELECT n, md5(n::text) || repeat('{{"type": "m.room.message"}}', 12) AS json
FROM generate_series(1, {ROWS}) AS n;
CREATE INDEX ON filling (n);
"""
MEDIA = "/var/lib/matrix-synapse/media"
AS = "setpriv --reuid=matrix-synapse --regid=matrix-synapse --clear-groups"
ALONE = (
    f"{AS} pg_dump -Fc matrix-synapse > /root/alone.dump"
    f" && tar -C {MEDIA} -c . | zstd -q -T0 -c > /root/alone.tar.zst && sync /root/alone.dump /root/alone.tar.zst"
)
BACK = (
    "runuser -u postgres -- createdb -O matrix-synapse -T template0 -E UTF8 --locale=C alone"
    f" && {AS} pg_restore --no-owner -d alone < /root/alone.dump"
    " && mkdir -p /root/alone && zstd -dcq /root/alone.tar.zst | tar -C /root/alone -x"
    " && runuser -u postgres -- dropdb alone"
)


def run(lab: Lab, debian: int, deb: Path, rounds: int) -> str:
    """Both, in turns. A restore is one over the same server, so that it is Synapse's standstill and no install."""
    ours, theirs, back, alone = list[float](), list[float](), list[float](), list[float]()
    with machine(lab, debian, deb) as guest:
        install(guest)
        fill(guest)
        for _ in range(rounds):
            theirs.append(timed(guest, "bash", "-c", ALONE))
            guest.run("rm -f /root/*.tar.zst.old /root/bench.test-*; true")
            ours.append(timed(guest, "matrix-baremetal", "backup", "create", "--to", "/root"))
            guest.run("mv /root/bench.test-*.tar.zst /root/ours.zst")
            alone.append(timed(guest, "bash", "-c", BACK))
            back.append(timed(guest, "matrix-baremetal", "restore", "--yes", "/root/ours.zst"))
            guest.run(DROP)
    rows = [
        ("`pg_dump -Fc`, and `tar` with `zstd`", spread(theirs), ""),
        ("`backup create`, which reads it again", spread(ours), spread(ratios(ours, theirs), "×", 2)),
        ("`pg_restore`, and `tar`", spread(alone), ""),
        (
            "`restore`, which reads it first and ends with a server that answers",
            spread(back),
            spread(ratios(back, alone), "×", 2),
        ),
    ]
    return table(("", f"Debian {debian}", "ours ÷ theirs"), rows)


KEPT = "SELECT datname FROM pg_database WHERE datname LIKE 'matrix-synapse-before-%'"
DROP = (
    f'runuser -u postgres -- psql -XAtqc "{KEPT}" | xargs -r -n 1 runuser -u postgres -- dropdb; rm -rf /root/alone'
)


def fill(guest: Guest) -> None:
    """Put some data there."""
    guest.run(["runuser", "-u", "postgres", "--", "psql", "-XAtqd", "matrix-synapse"], input=FILL)
    place = f"{MEDIA}/local_content/aa"
    make = f"mkdir -p {place} && for n in $(seq {PICTURES}); do head -c 1000000 /dev/urandom > {place}/$n; done"
    guest.run(f"{make}; chown -R matrix-synapse: {MEDIA}")


def timed(guest: Guest, *words: str) -> float:
    """Seconds by the clock."""
    done = measured(guest, *words)
    assert done.status in (0, 3), guest.read("/root/stderr")
    return done.wall
