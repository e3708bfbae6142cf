"""What machines and networks do to an install: no room, odd surroundings, a busy apt, lost notes."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.lab import network
from tests.system import invariants
from tests.system.site import SYNAPSE, WHEELS, Site

pytestmark = pytest.mark.lab
OPT = "/opt/matrix-baremetal/synapse"
STATE = "/var/lib/matrix-baremetal"
INSTALL = ("matrix-baremetal", "install", "--unattended", "--admin", "alice", "--wheelhouse", WHEELS)
# Holds dpkg's lock as apt does, for as long as it runs.
HOLD = """
import fcntl, time
file = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""
# What a person's shell may hand down, each of which would spoil one of the programs that we start.
SURROUNDINGS = {
    "PATH": "/nowhere",
    "PYTHONPATH": "/root/poison",
    "PYTHONHOME": "",
    "PIP_INDEX_URL": "http://127.0.0.1:9/",
    "PIP_TARGET": "/root/pip-target",
    "UV_PROJECT_ENVIRONMENT": "/root/uv-target",
    "UV_INDEX_URL": "http://127.0.0.1:9/",
    "PGHOST": "127.0.0.1",
    "PGUSER": "nobody",
    "LANG": "tr_TR.ISO-8859-9",
    "LC_ALL": "tr_TR.ISO-8859-9",
    "TMPDIR": "/nowhere",
    "LD_PRELOAD": "",
}


def untouched(site: Site) -> None:
    """Nothing of an install is there."""
    assert site.guest.run(f"ls -A /etc/matrix-synapse {OPT} {STATE} 2>/dev/null", check=False).stdout == ""


@pytest.mark.sampled(13)
def test_no_room_on_the_disk(fresh: Site) -> None:
    """F5, F6: said before the first change; met in mid-work, nothing half-made stays and the next run finishes."""
    guest = fresh.guest
    guest.run("mount -t tmpfs -o size=600M,nr_inodes=3k tmpfs /opt")
    said = fresh.install(status=1).stderr
    assert "/opt has room for 3071 more files and an install makes 12000" in said
    guest.run("umount /opt && mount -t tmpfs -o size=300M tmpfs /opt")
    assert "/opt has 300 MB free and an install needs 450 MB" in fresh.install(status=1).stderr
    untouched(fresh)

    # Room enough at first, and taken by somebody else while the virtualenv is made.
    guest.run("mount -o remount,size=500M /opt && fallocate -l 40M /opt/theirs")
    running = guest.popen(INSTALL, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for line in running.stdout or ():
        if "directory /opt/matrix-baremetal/synapse" in line:
            break
    guest.run("fallocate -l 440M /opt/theirs")
    _, stderr = running.communicate(timeout=120)
    assert running.returncode == 1, stderr
    assert "No space left on device" in stderr
    assert "Traceback" not in stderr
    assert guest.run(f"ls -A {OPT}").stdout == "", "what was half-made takes the room that is missing"
    guest.run("umount -l /opt")
    fresh.install()
    invariants.hold(fresh)


@pytest.mark.sampled(12)
def test_the_network_goes_away_in_mid_download(fresh: Site) -> None:
    """F7: it is tried again for some seconds, then a clear stop; what has come is taken up by the next run."""
    guest = fresh.guest
    way = guest.run("ip -4 route show default").stdout.split("\n")[0]
    cache = f"{OPT}/.*.building.cache"
    command = INSTALL[:-2]
    running = guest.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    # What is still on its way has another place, so these have come whole.
    kept = f"find {cache}/archive-v0 -name '*.py' -size +8k -printf '%i\\n'"
    guest.run(f"until {kept} 2>/dev/null | grep -q .; do sleep 0.05; done; ip -4 route del default", timeout=60)
    _, stderr = running.communicate(timeout=120)
    assert running.returncode == 1, "the download was quicker than we" if running.returncode == 0 else stderr
    assert re.search(r"could not be made from the package index: Failed to \w+\W.*: .*[Uu]nreachable", stderr), stderr
    assert "matrix-baremetal apply goes on from here" in stderr
    assert guest.run(f"ls -A {OPT}").stdout.split() == [guest.run(f"basename {cache}").stdout.strip()]
    before = set(guest.run(kept).stdout.split())
    assert before

    guest.run(f"ip -4 route add {way}")
    fresh.install(wheels=False)
    after = set(guest.run(f"find {OPT}/current/lib -name '*.py' -printf '%i\\n'").stdout.split())
    assert before <= after, "what had come is what is in use now"
    assert guest.run(f"ls -d {cache}", check=False).stdout == ""
    invariants.hold(fresh)


@pytest.mark.long
def test_the_network_falls_silent_in_mid_download(fresh: Site) -> None:
    """F7: where nothing says no, it ends by itself too, and within minutes."""
    guest = fresh.guest
    command = INSTALL[:-2]
    running = guest.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    guest.run(f"until [ -e {OPT}/.*.building.cache ]; do sleep 0.05; done", timeout=60)
    network.mute(guest.disk.octet)
    began = time.monotonic()
    _, stderr = running.communicate(timeout=900)
    assert running.returncode == 1, stderr
    assert "could not be made from the package index" in stderr
    assert time.monotonic() - began < 600
    network.mute(guest.disk.octet, False)
    fresh.install(wheels=False)
    invariants.hold(fresh)


@pytest.mark.sampled(12)
def test_odd_surroundings(fresh: Site) -> None:
    """F31: a /tmp where nothing can be run, a umask, and variables that steer Python, pip, uv and Postgres."""
    guest = fresh.guest
    guest.write("/root/poison/json.py", "raise SystemExit('poisoned')\n")
    guest.run("mount -t tmpfs -o noexec,nosuid,nodev tmpfs /tmp; mount -t tmpfs -o noexec tmpfs /var/tmp")
    words = " ".join(f"{name}='{value}'" for name, value in SURROUNDINGS.items())
    done = guest.run(f"umask 077; cd /tmp; export {words}; /usr/bin/{' '.join(INSTALL)}", check=False)
    fresh.judged(done, INSTALL, 0)
    assert guest.run("ls -A /root/pip-target /root/uv-target 2>/dev/null", check=False).stdout == ""
    invariants.hold(fresh)


@pytest.mark.sampled(12)
def test_another_web_server(fresh: Site) -> None:
    """F12: it is named, with its unit, and goes on serving."""
    fresh.guest.run("systemctl stop nginx && apt-get install -q -y --no-install-recommends apache2", timeout=300)
    said = fresh.install(status=1).stderr
    assert "port 80 is in use by apache2 (process " in said
    assert "systemctl disable --now apache2.service" in said
    assert fresh.show("apache2.service", "ActiveState")["ActiveState"] == "active"
    untouched(fresh)


@pytest.mark.sampled(13)
def test_apt_at_work_is_waited_for(site: Site) -> None:
    """F21: unattended-upgrades holds dpkg's lock just when a package of ours is missing."""
    site.guest.run("dpkg --force-depends --remove certbot")
    assert "packages for certificates" in site.planned()
    holding = site.guest.popen(["python3", "-c", HOLD], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert holding.stdout and holding.stdout.readline() == "held\n"
    command = ["matrix-baremetal", "apply"]
    running = site.guest.popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(4)
    assert running.poll() is None
    holding.kill()
    holding.communicate()
    stdout, stderr = running.communicate(timeout=300)
    site.judged(subprocess.CompletedProcess(command, running.returncode, stdout, stderr), command, 0)
    invariants.hold(site)


@pytest.mark.sampled(12)
def test_our_own_notes_are_lost(site: Site) -> None:
    """F34: without manifest and stamps the data is what it was, and what differs is still kept aside first."""
    before = site.runs()
    for broken in ("rm -rf", "truncate -s 0", "truncate -s 100", "sh -c 'echo [1] > $0'"):
        site.guest.run(f"{broken} {STATE}/manifest.json; rm -rf /run/matrix-baremetal {STATE}/certificates")
        # A reload leaves no trace but the stamp.
        lost = {"nginx.service", *("certificate for " + name for name in (site.server_name, site.hostname))}
        assert site.planned() <= lost
        site.mb("apply")
        assert site.planned() == set()
    after = site.runs()
    assert {unit for unit in before if before[unit] != after[unit]} <= {"nginx workers"}
    site.guest.run(f"rm -rf {STATE} /run/matrix-baremetal")
    site.guest.write("/etc/matrix-synapse/log.yaml", "version: 1\n")
    done = site.mb("apply")
    assert "what was there is kept" in done.stdout
    invariants.hold(site)


@pytest.mark.sampled(12)
def test_the_python_that_it_was_made_for_is_gone(site: Site) -> None:
    """F32: as a new release of Debian leaves it; said at boot, by doctor, and mended by one command."""
    virtualenv = site.guest.run(f"readlink -f {OPT}/current").stdout.strip()
    site.guest.run(f"ln -sf /usr/bin/python3.9 {virtualenv}/bin/python")
    mark = site.guest.read(f"{virtualenv}/complete.json")
    site.guest.write(f"{virtualenv}/complete.json", re.sub(r'"python": "[^"]*"', '"python": "3.9"', mark))
    site.guest.reboot()
    said = site.guest.run(f"journalctl -b -o cat -u {SYNAPSE}").stdout
    assert "was made for /usr/bin/python3.9, which this machine no longer has." in said
    assert "To make it anew: matrix-baremetal apply" in said
    assert site.show(SYNAPSE, "ActiveState", "NRestarts") == {"ActiveState": "inactive", "NRestarts": "0"}
    found = site.mb("doctor", status=3).stdout
    assert "which this machine no longer has" in found
    site.mb("apply", "--wheelhouse", WHEELS)
    invariants.hold(site)


@pytest.mark.sampled(13)
def test_a_wrong_clock(fresh: Site) -> None:
    """F18: ten years off, every certificate is refused; it is said before the first change."""
    fresh.guest.run("apt-get install -q -y --no-install-recommends faketime", timeout=300)
    done = fresh.guest.run(["faketime", "-f", "+10y", *INSTALL], check=False)
    fresh.judged(done, INSTALL, 1)
    assert "the clock is wrong, so TLS and federation fail" in done.stderr
    assert "timedatectl set-ntp true" in done.stderr
    untouched(fresh)
