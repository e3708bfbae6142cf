"""The door of apt: a signed repository, debconf's questions, a machine that sets itself up, and what stays of it."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_releases import archive as archive_of
from tests.fake_releases import sha256
from tests.lab import Lab
from tests.system import archive, invariants
from tests.system.readme import commands
from tests.system.site import CONFIG, SYNAPSE, Site

pytestmark = [pytest.mark.lab, pytest.mark.own_guests, pytest.mark.sampled(13)]
INSTALL = "sudo apt install matrix-baremetal"
HOOK = "/etc/letsencrypt/renewal-hooks/deploy/matrix-baremetal"
UNIT = "matrix-baremetal-firstboot.service"
# Where a repository is served is this and the release of Debian: no guest has an address so high.
FREE = 238
# What a new config has of makers who are not in this internet, and the line that it has of each.
PAGES = {"element": "  kind: element\n", "ketesa": "admin_ui:\n  enabled: true\n"}
OVER = {"UnitFileState": "disabled", "ActiveState": "inactive"}
FIND = (
    "find / -xdev ( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /srv -o -path /var/cache -o -path "
    "/var/log -o -path /var/lib/apt ) -prune -o ( -name *matrix-baremetal* -o -name *matrix-synapse* ) -print"
)


class Door(Site):
    """A machine that gets our package from a repository."""

    archive: archive.Archive
    deb: Path


@pytest.fixture
def door(lab: Lab, deb: Path, debian: int, tmp_path: Path) -> Iterator[Door]:
    """A bare Debian, and a repository of our package as it was, which apt knows by the README's commands."""
    name = f"st-apt{debian}"
    lab.down(name)
    door = Door(lab, lab.up(name, debian, bare=True))
    door.deb, door.archive = deb, archive.Archive(tmp_path, door.guest, FREE + debian)
    door.archive.add(archive.older(deb, tmp_path))
    with door.archive.served(lab):
        typed = commands("### From the package archive")
        sources = "set -e\n" + "\n".join(typed[: typed.index(INSTALL)])
        door.guest.run(sources.replace("apt.example.org", door.archive.name))
        yield door
    lab.down(name)


def answer(site: Site, **answers: str) -> None:
    """Tell debconf beforehand."""
    kinds = {"server_name": "string", "email": "string"}
    rows = (
        f"matrix-baremetal matrix-baremetal/{key.replace('_', '-')} {kinds.get(key, 'boolean')} {value}\n"
        for key, value in answers.items()
    )
    site.guest.run(["debconf-set-selections"], input="".join(rows))


def package(site: Site) -> str:
    """What dpkg knows of our package."""
    return site.guest.run(["dpkg", "--status", "matrix-baremetal"]).stdout


def wait_until_set_up(site: Site, seconds: float = 300) -> str:
    """Wait for the unit to have carried out its order; what it said."""
    end = time.monotonic() + seconds
    while (shown := site.show(UNIT, "UnitFileState", "ActiveState")) != OVER:
        assert shown["ActiveState"] != "failed", said(site)
        assert time.monotonic() < end, said(site)
        time.sleep(1)
    return said(site)


def said(site: Site) -> str:
    return site.guest.run(["journalctl", "-q", "-o", "cat", "-u", UNIT]).stdout


def listed(site: Site, what: str) -> set[str]:
    """What Postgres has."""
    psql = ["runuser", "-u", "postgres", "--", "psql", "-XAtc", f"SELECT {what}"]
    return set(site.guest.run(psql).stdout.split())


def test_from_nonsense_to_a_homeserver_and_to_nothing(door: Door, lab: Lab) -> None:
    """One machine through its whole life, as each of its ages is dear to come to."""
    refused(door)
    set_up(door)
    answers(door, lab)
    upgraded_and_asked_again(door)
    removed_and_back(door)
    purged(door)


def refused(door: Door) -> None:
    """Nonsense is said in words, nothing is written, and the package is whole."""
    answer(door, server_name="https://example.org:8448", email="nobody", set_up="true")
    # apt gives dpkg a terminal, and what that says to its own stdout.
    told = door.guest.run("apt-get install -q -y matrix-baremetal", timeout=900).stdout
    assert "no config was written, as debconf's answers can't be used" in told
    assert 'leave out "https://"' in told
    assert '"nobody" is no e-mail address' in told
    assert re.search(r"^next: dpkg-reconfigure matrix-baremetal\r?$", told, re.MULTILINE)
    assert "\nStatus: install ok installed\n" in package(door)
    assert door.guest.run("apt-get check && dpkg --audit").returncode == 0
    assert door.guest.run(["test", "-e", "/etc/matrix-baremetal"], check=False).returncode == 1
    assert door.guest.run(["systemctl", "is-enabled", UNIT], check=False).stdout == "disabled\n"
    assert re.findall(r"^ (/\S+) [0-9a-f]{32}", package(door), re.MULTILINE) == [HOOK], "all conffiles"


def set_up(door: Door) -> None:
    """The corrected answers alone lead to a homeserver, through a boot in the middle of it."""
    answer(door, server_name=door.server_name, email=f"admin@{door.server_name}")
    # dpkg is still at work for somebody else: it is waited for.
    holding = door.guest.popen(["python3", "-c", HOLD], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert holding.stdout and holding.stdout.readline() == "held\n"
    door.guest.run("dpkg-reconfigure -f noninteractive matrix-baremetal")
    assert f"server_name: '{door.server_name}'" in door.guest.read(CONFIG)
    page = door.mb("status", status=3).stdout
    assert "this machine is being set up right now" in page
    time.sleep(2)
    assert door.guest.run(["test", "-e", "/etc/matrix-synapse"], check=False).returncode != 0, "it did not wait"
    holding.kill()
    holding.communicate()
    end = time.monotonic() + 120
    while door.guest.run(["test", "-e", "/var/lib/matrix-synapse/signing.key"], check=False).returncode:
        assert time.monotonic() < end, said(door)
        time.sleep(0.3)
    door.guest.reboot()
    told = wait_until_set_up(door)
    assert f"{door.server_name} runs, but not all is in place yet, after" in told
    for name in PAGES:
        assert re.search(rf"^ *pending +{name} [\d.]+: https://github.com/\S+ can't be had", told, re.MULTILINE)


def answers(door: Door, lab: Lab) -> None:
    """It is a homeserver as any other, with all that a new config has: calls are relayed, and the two pages come as
    soon as somebody has them.
    """
    assert door.answers()
    [fault] = door.status()["faults"]
    assert re.fullmatch(r"not here yet: element [\d.]+, ketesa [\d.]+", fault["fault"])
    before = door.runs()
    with lab.mirror.alone():
        text = door.guest.read(CONFIG)
        for name, line in PAGES.items():
            data = archive_of({f"{name}/index.html": f"A stand-in for {name}".encode()})
            lab.mirror.put(f"https://mirror.test/{name}.tar.gz", data)
            release = {"url": f"https://mirror.test/{name}.tar.gz", "sha256": sha256(data)}
            assert text.count(line) == 1
            text = text.replace(line, f"{line}  release: {json.dumps(release)}\n")
        door.guest.write(CONFIG, text, 0o600)
        door.mb("apply")
    for name, host in (("element", "chat"), ("ketesa", "admin")):
        assert door.get("/", f"{host}.{door.server_name}").text == f"A stand-in for {name}"
    assert door.runs() == before, "nothing was started again for them"
    assert door.status()["faults"] == []
    relay = json.loads(door.mb("doctor", "turn", "--json").stdout)["findings"]
    assert len(relay) >= 4 and {row["state"] for row in relay} == {"pass"}, relay
    door.mb("user", "add", "alice", "--admin", "--generate")
    door.remember()
    invariants.hold(door)
    assert door.guest.run("systemctl --failed --quiet --plain").stdout == ""


def upgraded_and_asked_again(door: Door) -> None:
    """Neither touches a config that is there, nor what runs; debconf shows what the config says."""
    edited = door.guest.read(CONFIG) + "# mine\n"
    door.guest.write(CONFIG, edited, 0o600)
    before = door.runs()
    answer(door, server_name="other.example.org", email="other@example.org")
    door.guest.run("dpkg-reconfigure -f noninteractive matrix-baremetal")
    shown = door.guest.run(["debconf-show", "matrix-baremetal"]).stdout
    assert f"matrix-baremetal/server-name: {door.server_name}\n" in shown
    assert f"matrix-baremetal/email: admin@{door.server_name}\n" in shown
    assert "\nVersion: 0.0.9\n" in package(door)
    door.archive.add(door.deb)
    door.guest.run("apt-get update -q && apt-get install -q -y --only-upgrade matrix-baremetal")
    assert "\nVersion: 0.0.9\n" not in package(door)
    assert door.guest.read(CONFIG) == edited
    assert door.runs() == before


def removed_and_back(door: Door) -> None:
    """Removal stops it and keeps everything; the package is told so when it comes back, and adopts what is there."""
    door.guest.run("apt-get remove -q -y matrix-baremetal")
    assert door.guest.run(["systemctl", "is-active", SYNAPSE], check=False).stdout == "inactive\n"
    door.guest.run(["test", "-e", CONFIG])
    answer(door, purge_data="false")
    door.guest.run("apt-get purge -q -y matrix-baremetal")
    door.guest.run(["test", "-e", "/var/lib/matrix-synapse/signing.key"])
    done = door.guest.run("apt-get install -q -y matrix-baremetal")
    assert "next: matrix-baremetal apply" in done.stdout
    door.mb("apply")
    door.wait_until_it_answers()
    invariants.hold(door)


def purged(door: Door) -> None:
    """Purged with its data nothing of ours is left, and what others have stays."""
    theirs = ("theirs", "matrix-synapse-theirs")
    for name in theirs:
        door.guest.run(["runuser", "-u", "postgres", "--", "createdb", name])
    answer(door, purge_data="true")
    done = door.guest.run("apt-get purge -q -y matrix-baremetal")
    assert "could not" not in done.stdout + done.stderr
    assert door.show("coturn.service", "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive",
        "UnitFileState": "disabled",
    }
    assert door.guest.run(FIND.split()).stdout == "/etc/apt/sources.list.d/matrix-baremetal.sources\n"
    assert door.guest.run(["getent", "passwd", "matrix-synapse"], check=False).returncode
    assert listed(door, "datname FROM pg_database") == {"postgres", "template0", "template1", *theirs}
    assert "matrix-synapse" not in listed(door, "rolname FROM pg_roles")
    assert door.guest.run("nginx -t && systemctl is-active nginx").returncode == 0


# As apt does: its locks are POSIX ones on these files.
HOLD = """
import fcntl, time
kept = [open(f"/var/lib/dpkg/{name}", "w") for name in ("lock-frontend", "lock")]
for file in kept:
    fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(600)
"""
