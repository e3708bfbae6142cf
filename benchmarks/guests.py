"""Guests for the benchmarks, and one command measured inside a guest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import Guest, Lab

NAME = "bench"
# Private addresses: what every guest of the lab has.
CONFIG = """\
server_name: {domain}
acme:
  email: admin@{domain}
synapse:
  settings:
    ip_range_whitelist: [10.77.0.0/24]
    trusted_key_servers: []
"""
# Runs a command and says what the kernel counted of it and of all that it started and waited for.
_METER = """
import json, os, resource, sys, time
began = time.monotonic()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, '/dev/null', os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, '/root/stderr', 0o1101, 0o600)])
_, status, used = os.wait4(pid, 0)
print(json.dumps({'wall': time.monotonic() - began, 'cpu': used.ru_utime + used.ru_stime,
    'peak': used.ru_maxrss / 1024, 'status': os.waitstatus_to_exitcode(status)}))
"""


@dataclass(frozen=True)
class Measured:
    """One run of a command: seconds by the clock and of processor, its largest process in MB, its exit status."""

    wall: float
    cpu: float
    peak: float
    status: int


def measured(guest: Guest, *words: str) -> Measured:
    """Run a command in a guest and measure it there, so that the way into the guest isn't part of it."""
    return Measured(**json.loads(guest.run(["python3", "-I", "-c", _METER, *words]).stdout))


@contextmanager
def machine(lab: Lab, debian: int, deb: Path) -> Iterator[Guest]:
    """A guest with our package and a config, as it is before `install`; a new one each time."""
    label = f"bench-{debian}"
    lab.down(NAME)
    if not lab.has_snapshot(label):
        guest = lab.up(NAME, debian, deb=deb)
        guest.write("/etc/matrix-baremetal/config.yaml", CONFIG.format(domain=guest.domain), 0o600)
        lab.snapshot(guest, label)
        lab.down(NAME)
    guest = lab.up(NAME, lower=label)
    try:
        # What was read once lies in memory, in every round and for each of those compared.
        guest.run("find /usr/lib/python3 /usr/share/python-wheels /usr/bin -type f | xargs cat >/dev/null 2>&1; true")
        yield guest
    finally:
        lab.down(NAME)


def install(guest: Guest) -> float:
    """Install as cloud-init would; the seconds that it took."""
    done = measured(guest, "matrix-baremetal", "install", "--unattended", "--admin", "alice")
    assert done.status == 0, guest.read("/root/stderr")
    return done.wall
