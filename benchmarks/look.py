"""status and doctor on a sound server, against asking systemd alone about the same units by hand."""

from __future__ import annotations

from pathlib import Path

from benchmarks.guests import Measured, install, machine, measured
from benchmarks.measure import ratios, spread, table
from tests.lab import Guest, Lab

FLOOR = "`systemctl show` of the same units"


def looked(lab: Lab, debian: int, deb: Path, rounds: int, command: str) -> str:
    """The command and the floor in turn, again and again, on one machine."""
    with machine(lab, debian, deb) as guest:
        install(guest)
        ours = ("matrix-baremetal", command)
        floor = ("systemctl", "show", *units(guest))
        commands = {f"`{command}`": ours, FLOOR: floor, "`python3 -c pass`": ("python3", "-c", "pass")}
        took: dict[str, list[Measured]] = {name: [] for name in commands}
        for words in commands.values():
            measured(guest, *words)
        for _ in range(rounds):
            for name, words in commands.items():
                took[name].append(measured(guest, *words))
    assert all(each.status == 0 for runs in took.values() for each in runs), "something is at fault"
    rows = [
        (
            name,
            spread([each.wall for each in runs], digits=2),
            spread([each.cpu for each in runs], digits=2),
            f"{max(each.peak for each in runs):.0f} MB",
        )
        for name, runs in took.items()
    ]
    walls = [[each.wall for each in runs] for runs in took.values()]
    rows.append((f"`{command}` ÷ `systemctl show`", spread(ratios(walls[0], walls[1]), "×"), "", ""))
    return table((f"Debian {debian}", "by the clock", "of processor", "largest process"), rows)


def units(guest: Guest) -> list[str]:
    """The units that the command asks about."""
    script = "import json; rows = json.load(open('/var/lib/matrix-baremetal/manifest.json'))['resources']"
    told = guest.run(["python3", "-c", f"{script}\nprint(*{{r['name'] for r in rows if r['kind'] == 'Service'}})"])
    return sorted(told.stdout.split())
