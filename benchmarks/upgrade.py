"""What a client sees of an upgrade of Synapse and of the way back, beside a plain restart of the same by hand."""

from __future__ import annotations

from pathlib import Path

from benchmarks.change import polled
from benchmarks.guests import install, machine
from benchmarks.measure import spread, table
from matrix_baremetal import versions
from tests.lab import Lab


def run(lab: Lab, debian: int, deb: Path, rounds: int) -> str:
    """From the version before to the newest and back, and restarts in between, again and again."""
    older = versions.read().synapse.known[1].version
    ups, downs, restarts = [], [], []
    with machine(lab, debian, deb) as guest:
        install(guest)
        guest.run(f"matrix-baremetal upgrade --force --no-backup --to {older}")
        for _ in range(rounds):
            restarts.append(polled(lab, guest, "systemctl restart matrix-synapse")["gap"])
            ups.append(polled(lab, guest, "matrix-baremetal upgrade --force")["gap"])
            downs.append(polled(lab, guest, "matrix-baremetal rollback")["gap"])
    rows = [
        (f"`upgrade` from {older} to the newest: longest time without an answer", spread(ups, digits=2)),
        ("`rollback`: longest time without an answer", spread(downs, digits=2)),
        ("`systemctl restart matrix-synapse` by hand", spread(restarts, digits=2)),
        ("upgrade − restart", spread([up - restart for up, restart in zip(ups, restarts, strict=True)], digits=2)),
    ]
    return table(("", f"Debian {debian}"), rows)
