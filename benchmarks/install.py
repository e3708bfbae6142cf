"""install, against the same work by hand and against the usual recipe with pip."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

from benchmarks.guests import install, machine
from benchmarks.measure import ratios, spread, table
from tests.lab import Guest, Lab

HERE = Path(__file__).parent
LOCKS = HERE.parent / "matrix_baremetal/locks"
STEP = re.compile(r"^  [✓!] +([0-9.]+) s  (.*)", re.MULTILINE)
CLUSTERS = {12: "15-main", 13: "17-main"}
Steps = dict[str, float]


def ours(lab: Lab, debian: int, deb: Path) -> tuple[float, Steps]:
    """One install: its seconds, and those of its steps."""
    with machine(lab, debian, deb) as guest:
        guest.write("/root/run", "#!/bin/sh\nexec matrix-baremetal install --unattended --admin alice\n", 0o755)
        began = float(guest.run("date +%s.%N").stdout)
        said = guest.run("/root/run; echo; date +%s.%N").stdout
        ended = float(said.split()[-1])
        return ended - began, {title: float(seconds) for seconds, title in STEP.findall(said)}


def by_hand(lab: Lab, debian: int, deb: Path, way: str) -> tuple[float, Steps]:
    """The same server by hand: its seconds, and those of its steps."""
    with machine(lab, debian, deb) as guest:
        prepare(guest)
        words = f"/root/by_hand.sh {way} /root/rendered {guest.domain} {CLUSTERS[debian]}"
        rows = [line.split("\t") for line in guest.run(words, timeout=1800).stdout.splitlines() if "\t" in line]
        steps = {name: float(seconds) for name, seconds in rows}
        return sum(steps.values()), steps


def prepare(guest: Guest) -> None:
    """Put there what by_hand.sh copies into place."""
    guest.run("matrix-baremetal render /root/rendered && mkdir /root/rendered/locks")
    for lock in LOCKS.glob("*.txt"):
        guest.put(lock, "/root/rendered/locks/")
    guest.put(HERE / "by_hand.sh", "/root/by_hand.sh")


def run(lab: Lab, debian: int, deb: Path, rounds: int) -> str:
    """Ours, by hand, with pip, and again, each in a new guest."""
    took: dict[str, list[tuple[float, Steps]]] = {"install": [], "uv": [], "pip": []}
    for _ in range(rounds):
        took["install"].append(ours(lab, debian, deb))
        took["uv"].append(by_hand(lab, debian, deb, "uv"))
        took["pip"].append(by_hand(lab, debian, deb, "pip"))
    seconds = {name: [total for total, _ in runs] for name, runs in took.items()}
    names = {
        "install": "`matrix-baremetal install`",
        "uv": "the same by hand, with uv",
        "pip": "the same by hand, with pip and a compiler",
    }
    rows = [(names[name], spread(samples)) for name, samples in seconds.items()]
    rows += [
        ("install ÷ by hand with uv", spread(ratios(seconds["install"], seconds["uv"]), "×", 2)),
        ("by hand with pip ÷ install", spread(ratios(seconds["pip"], seconds["install"]), "×", 2)),
    ]
    parts = [table(("", f"Debian {debian}"), rows)]
    for name, runs in took.items():
        steps = {step for _, each in runs for step in each}
        medians = {step: statistics.median(each.get(step, 0.0) for _, each in runs) for step in steps}
        largest = sorted(((step, spent) for step, spent in medians.items() if spent >= 0.1), key=lambda row: -row[1])
        parts.append(table((names[name], "s"), [(step, f"{spent:.1f}") for step, spent in largest]))
    return "\n\n".join(parts)


__all__ = ["install", "run"]
