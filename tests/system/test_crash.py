"""The installer is killed, or the machine loses power, anywhere in mid-install; the same command again finishes."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.system import invariants
from tests.system.site import WHEELS, Site

pytestmark = pytest.mark.lab
CURRENT = "/opt/matrix-baremetal/synapse/current"
COMMAND = ("matrix-baremetal", "install", "--unattended", "--admin", "alice", "--wheelhouse", WHEELS)


@dataclass(frozen=True)
class Moment:
    """When to strike: so many seconds after a line that matches; without one, after the start."""

    after: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.seconds:g} s after {self.after or 'the start'}"


# In the order of an install: each run gets past the moment of the one before.
MOMENTS = (
    Moment(seconds=0.15),
    Moment("directory /etc/matrix-baremetal/secrets"),
    Moment("50-matrix-baremetal.conf", 0.3),
    Moment("create role"),
    Moment("create database"),
    Moment("secret .*registration_shared_secret"),
    Moment("secret .*signing.key"),
    Moment("directory /opt/matrix-baremetal/synapse", 0.5),
    Moment(seconds=2.0),
    Moment(seconds=4.0),
    Moment("virtualenv"),
    Moment("link .*current"),
    Moment("homeserver.yaml", 0.2),
    Moment("start matrix-synapse"),
    Moment("self-signed certificate"),
    Moment("file /etc/nginx"),
    Moment("reload nginx|certificate for", 1.0),
    Moment("create certificate for"),
    Moment("switch certificate that is served"),
    Moment("reload nginx|start matrix-baremetal-certificates"),
)
PLUGS = (
    Moment("create database"),
    Moment("secret .*signing.key"),
    Moment(seconds=2.5),
    # The second that Synapse takes to make its tables.
    Moment("homeserver.yaml", 0.7),
    Moment("homeserver.yaml|half-made", 1.1),
    Moment("start matrix-synapse"),
    Moment("create certificate for", 0.5),
)


def struck_by(site: Site, moments: tuple[Moment, ...], *, plug: bool = False) -> list[str]:
    """Begin an install again and again and end it at each moment; those at which it had not ended by itself.

    A blow lands some steps after the line it was aimed at, so the next one may be late for its own line: then any
    line of a later moment will do.
    """
    struck = []
    for number, moment in enumerate(moments):
        later = "|".join(m.after for m in moments[number:] if m.after)
        if strike(site, Moment(moment.after and later, moment.seconds), plug=plug):
            struck.append(str(moment))
            sane(site)
    return struck


def strike(site: Site, moment: Moment, *, plug: bool = False, command: Sequence[str] = COMMAND) -> bool:
    """Begin an install, or another command, and end it there; whether it had not ended by itself before."""
    running = site.guest.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines: list[str] = []
    if moment.after:
        for line in running.stdout or ():
            lines.append(line)
            if re.search(moment.after, line):
                break
    time.sleep(moment.seconds)
    struck = running.poll() is None
    if plug:
        site.guest.kill()
    else:
        running.kill()
    lines += running.communicate()[0].splitlines(keepends=True)
    assert "Traceback" not in "".join(lines), "".join(lines)
    if plug:
        site.guest.up()
    if not struck:
        sys.stderr.write(f"ended by itself before {moment}:\n{''.join(lines)}\n")
    return struck


def sane(site: Site) -> None:
    """What holds after any kill, before anything is mended."""
    there = (
        f"[ ! -e {CURRENT} ] || {{ [ -s {CURRENT}/complete.json ] && {CURRENT}/bin/python -B -c 'import synapse'; }}"
    )
    site.guest.run(there)
    site.guest.run("nginx -t -q")
    site.mb("plan", status=(0, 3))


def finish(site: Site) -> None:
    """The same command once more; what is then made has to last."""
    said = site.install().stdout
    assert f"{site.server_name} is ready after" in said
    invariants.hold(site)
    site.remember()
    invariants.remembered(site)


@pytest.mark.sampled(13)
def test_killed_at_every_turn(fresh: Site) -> None:
    struck = struck_by(fresh, MOMENTS)
    sys.stderr.write(f"\nDebian {fresh.guest.debian}, killed {len(struck)} times: {'; '.join(struck)}\n")
    assert len(struck) >= 10
    finish(fresh)


@pytest.mark.sampled(12)
def test_the_plug_is_pulled(fresh: Site) -> None:
    assert len(struck_by(fresh, PLUGS, plug=True)) >= 4
    empty = fresh.guest.run("find /etc/matrix-baremetal /etc/matrix-synapse /var/lib/matrix-* -type f -empty").stdout
    assert empty == ""
    finish(fresh)


@pytest.mark.sampled(13)
def test_tables_that_were_left_half_made_are_made_anew(fresh: Site) -> None:
    """Synapse commits them script by script, and fails on them for good where it was cut off in between."""
    assert strike(fresh, Moment("create database"))
    sql = 'SET ROLE "matrix-synapse"; CREATE TABLE background_updates (x int); CREATE TABLE schema_version (x int);'
    fresh.guest.run(["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", "matrix-synapse", "-c", sql])
    assert "tables of matrix-synapse that were left half-made" in fresh.planned()
    finish(fresh)


@pytest.mark.long
@pytest.mark.parametrize("tenths", range(5, 150, 10))
def test_killed_after_so_many_tenths_of_a_second(fresh: Site, tenths: int) -> None:
    """From nothing each time, so that no run has anything to thank an earlier one for."""
    if strike(fresh, Moment(seconds=tenths / 10)):
        sane(fresh)
    finish(fresh)


@pytest.mark.sampled(12)
def test_interrupted_it_says_how_to_go_on(fresh: Site) -> None:
    """Ctrl-C and a shutdown let the step under way end."""
    for signal, status in (("INT", 130), ("TERM", 143), ("HUP", 129)):
        running = fresh.guest.popen(COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for line in running.stdout or ():
            if "✓" in line:
                break
        fresh.guest.run(["pkill", f"-{signal}", "-x", "-f", f"/usr/bin/python3 .*{' '.join(COMMAND)}"])
        _, stderr = running.communicate(timeout=60)
        assert "Traceback" not in stderr, stderr
        assert running.returncode == status, (signal, stderr)
        assert "the same command goes on from here" in stderr
    finish(fresh)
