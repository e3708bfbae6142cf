"""What a client sees while something is changed: seconds without an answer, and requests that failed."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from benchmarks.guests import install, machine
from benchmarks.measure import spread, table
from tests.lab import Guest, Lab

CONFIG = "/etc/matrix-baremetal/config.yaml"
# Asks every 20 ms until told to stop; prints the longest time between two good answers, and how many were bad.
_POLL = """
import http.client, json, pathlib, ssl, sys, time
host, end = sys.argv[1], pathlib.Path(sys.argv[2])
context, good, gap, bad, asked = ssl.create_default_context(), time.monotonic(), 0.0, 0, 0
while not end.exists():
    asked += 1
    try:
        connection = http.client.HTTPSConnection(host, context=context, timeout=10)
        connection.request("GET", "/_matrix/client/versions")
        answered = connection.getresponse().status == 200
    except OSError:
        answered = False
    connection.close()
    now = time.monotonic()
    if answered:
        gap, good = max(gap, now - good), now
    else:
        bad += 1
    time.sleep(0.02)
print(json.dumps({"gap": gap, "bad": bad, "asked": asked}))
"""


def run(lab: Lab, debian: int, deb: Path, rounds: int) -> str:
    """A setting changed and a certificate renewed, again and again."""
    with machine(lab, debian, deb) as guest:
        install(guest)
        text = guest.read(CONFIG)
        changes, restarts, renewals = [], [], []
        for number in range(rounds):
            guest.write(CONFIG, text + f"    max_upload_size: {60 + number}M\n", 0o600)
            before = starts(guest)
            changes.append(polled(lab, guest, "matrix-baremetal apply"))
            restarts.append({unit for unit, start in starts(guest).items() if before.get(unit) != start})
            renewals.append(polled(lab, guest, "certbot renew -q --force-renewal --no-random-sleep-on-renew"))
    rows = [
        ("one Synapse setting changed: longest time without an answer", spread([c["gap"] for c in changes])),
        ("… and what was started anew", ", ".join(sorted(set().union(*restarts)))),
        ("two certificates renewed: longest time without an answer", spread([r["gap"] for r in renewals], digits=2)),
        (
            "… requests that failed, of how many",
            f"{sum(r['bad'] for r in renewals):.0f} of {sum(r['asked'] for r in renewals):.0f}",
        ),
    ]
    return table(("", f"Debian {debian}"), rows)


def polled(lab: Lab, guest: Guest, command: str) -> dict[str, float]:
    """What a client saw while the command ran, and two seconds longer."""
    end = Path("/tmp") / f"matrix-baremetal-bench-{time.monotonic_ns()}"
    words = lab.client_argv(["python3", "-c", _POLL, f"matrix.{guest.domain}", str(end)])
    client = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(1)
        guest.run(command)
        time.sleep(2)
    finally:
        end.touch()
        said, _ = client.communicate(timeout=60)
        end.unlink()
    seen: dict[str, float] = json.loads(said)
    return seen


def starts(guest: Guest) -> dict[str, str]:
    """What tells one start of each running service from the next."""
    shown = guest.run("systemctl show --property=Id,InvocationID --type=service --state=running '*'").stdout
    rows = [dict(line.split("=", 1) for line in block.splitlines()) for block in shown.strip().split("\n\n")]
    return {row["Id"]: row["InvocationID"] for row in rows if not row["Id"].startswith("lab-run-")}
