"""A host with all parts on that need no download from elsewhere: memory and start of each, after a boot."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.guests import install, machine, measured
from benchmarks.measure import spread, table
from tests.lab import Guest, Lab

MORE = """\
turn: {enabled: true}
metrics: {enabled: true}
bridges: {irc: {enabled: true, owner: alice}, xmpp: {enabled: true, owner: alice}}
"""
CONFIG = "/etc/matrix-baremetal/config.yaml"
MB = 1024 * 1024
ASKED = ("InactiveExitTimestampMonotonic", "ActiveEnterTimestampMonotonic")
# A guest's control groups count no memory. Pss: what several processes share is divided among them.
PROCESSES = "ps -eo pid=,unit= | awk -v unit={unit} '$2 == unit {{ print $1 }}'"
TAKEN = "for pid in $({processes}); do awk '/^Pss:/ {{ print $2 }}' /proc/$pid/smaps_rollup; done"


def run(lab: Lab, debian: int, deb: Path, rounds: int) -> str:
    """Memory and start are those after each boot; a second `apply` is held against one with Synapse alone."""
    memory, starts = dict[str, list[float]](), dict[str, list[float]]()
    few, many = list[float](), list[float]()
    with machine(lab, debian, deb) as guest:
        install(guest)
        few += (measured(guest, "matrix-baremetal", "apply").wall for _ in range(rounds))
        guest.write(CONFIG, guest.read(CONFIG) + MORE, 0o600)
        guest.run("matrix-baremetal apply")
        many += (measured(guest, "matrix-baremetal", "apply").wall for _ in range(rounds))
        for _ in range(rounds):
            guest.reboot()
            guest.run("until matrix-baremetal status > /dev/null; do sleep 1; done", timeout=120)
            # Until who starts has come to rest.
            time.sleep(20)
            for unit, (bytes, seconds) in seen(guest):
                memory.setdefault(unit, []).append(bytes / MB)
                starts.setdefault(unit, []).append(seconds)
    rows = [(f"`{unit}`", spread(memory[unit], "MB", 0), spread(starts[unit], digits=2)) for unit in sorted(memory)]
    rows.append(("second `apply`, Synapse alone", "", spread(few, digits=2)))
    rows.append(("second `apply`, all of these", "", spread(many, digits=2)))
    return table((f"Debian {debian}", "memory", "start"), rows)


def seen(guest: Guest) -> Iterator[tuple[str, tuple[float, float]]]:
    """Each service of ours that runs, the web server and the database: bytes, and seconds from its start to ready."""
    listed = (
        "systemctl list-units --state=running --output=json 'matrix-*.service' nginx.service 'postgresql@*.service'"
    )
    for row in json.loads(guest.run(listed).stdout):
        shown = guest.run(["systemctl", "show", "--property", ",".join(ASKED), row["unit"]]).stdout
        found = dict(line.split("=", 1) for line in shown.splitlines())
        began, ready = (int(found[name]) for name in ASKED)
        taken = guest.run(TAKEN.format(processes=PROCESSES.format(unit=row["unit"]))).stdout
        yield row["unit"], (sum(map(int, taken.split())) * 1024, (ready - began) / 1e6)
