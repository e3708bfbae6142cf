"""A server moves to another machine by its backup, is killed on the way, goes back in time, and is taken away."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import Lab
from tests.matrix import Person
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.site import CONFIG, MESSAGE, WHEELS, Site
from tests.system.test_crash import Moment, strike

pytestmark = pytest.mark.lab
FILE = "/root/backup.tar.zst"
BACKUPS = "/var/lib/matrix-baremetal/backups"
RESTORE = ("matrix-baremetal", "restore", "--yes", "--wheelhouse", WHEELS, FILE)
# In the order of a restore: each run gets past the moment of the one before.
MOMENTS = (
    Moment(seconds=0.4),
    Moment("create role"),
    Moment("create database", 0.1),
    Moment("create database", 0.4),
    Moment("bring back database"),
    Moment("bring back media", 0.1),
    Moment("change places"),
    Moment("change places", 0.5),
    Moment("virtualenv"),
    Moment("homeserver.yaml", 0.3),
)
# Files and packages, but for logs, caches and what time alone changes.
SEEN = """
find /etc /usr /var /opt /root /home /srv /boot -xdev \\( -path /var/cache -o -path /var/log -o -path /root
 -o -path /var/tmp
 -o -path /srv/wheels -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path '*/__pycache__' \\) -prune
 -o -printf '%p %y %m %u:%g %l\\n' | sort; dpkg-query -W
""".replace("\n -", " -")
PICTURE = "a picture, as far as anybody cares"
# The server looks at none of it: it hands it out once, to whoever wants to write to that device.
KEY = {"signed_curve25519:AAAAHQ": {"key": "c2F5IGZyaWVuZCBhbmQgZW50ZXI", "signatures": {}}}


class Moving:
    """The old machine and what was on it, and a fresh one."""

    def __init__(self, lab: Lab, snapshots: Snapshots, old: int, new: int) -> None:
        self.lab, self.new = lab, new
        self.old = Site(lab, snapshots.boot("site", old))
        self.old.wait_until_it_answers()
        # As somebody who stays logged in: nobody asks this person for a password again.
        self.alice, self.bob = self.old.login("alice"), self.old.login("bob")
        self.room = self.alice.create_room("Moving", invite=[self.bob.user])
        self.bob.join(self.room)
        self.picture = upload(self.alice)
        assert one_time_keys(self.alice, KEY) == 1
        self.before = dict(self.old.before or {})
        self.snapshots, self.orders = snapshots, 0

    def backup(self) -> str:
        """Make one while people talk; the last message that the server had taken by then."""
        running = self.old.guest.popen("matrix-baremetal backup create --to /root", stdout=subprocess.PIPE)
        taken = list[float]()
        while running.poll() is None:
            self.alice.send(self.room, f"message {len(taken)}")
            taken.append(time.monotonic())
        assert running.returncode == 0, running.stdout
        self.old.guest.run(f"mv /root/{self.old.server_name}-*.tar.zst {FILE} && test $(stat -c %a {FILE}) = 600")
        return f"{len(taken)} messages were sent meanwhile"

    def arrive(self) -> Site:
        """The old machine is off, a fresh one takes its names."""
        held = self.old.guest.quick("cat", FILE)
        self.old.guest.kill()
        guest = self.snapshots.boot("package", self.new)
        # Others had its address before.
        self.orders = len(self.lab.acme_orders(guest))
        guest.quick("dd", "status=none", f"of={FILE}", input=held)
        for name in (self.old.server_name, f"*.{self.old.server_name}"):
            self.lab.dns.set(name, a=[guest.ip], aaaa=[guest.ip6])
        site = Site(self.lab, guest)
        site.server_name, site.hostname, site.url = self.old.server_name, self.old.hostname, self.old.url
        return site


def upload(person: Person) -> str:
    """Put a picture there; its address."""
    url = f"{person.homeserver}/_matrix/media/v3/upload?filename=a.png"
    answer = person.web.ask("POST", url, {"picture": PICTURE}, token=person.token)
    assert answer.status == 200, answer.text
    return str(answer.data["content_uri"]).removeprefix("mxc://")


def one_time_keys(person: Person, new: dict[str, Any] | None = None) -> int:
    """How many the server has to hand out for a person's device, with these new ones."""
    answer = person.ask("POST", "keys/upload", {"one_time_keys": new or {}})
    return int(answer["one_time_key_counts"].get("signed_curve25519", 0))


@pytest.fixture
def moving(lab: Lab, snapshots: Snapshots) -> Iterator[Moving]:
    """From Debian 12 to 13."""
    yield from move(lab, snapshots, 12, 13)


@pytest.fixture
def replaced(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Moving]:
    """To another machine of the same kind."""
    yield from move(lab, snapshots, debian, debian)


def move(lab: Lab, snapshots: Snapshots, old: int, new: int) -> Iterator[Moving]:
    made = Moving(lab, snapshots, old, new)
    yield made
    for name in (made.old.server_name, f"*.{made.old.server_name}"):
        lab.dns.reset(name)
    for debian in {old, new}:
        lab.down(f"st-{debian}")


@pytest.mark.sampled(13)
def test_a_drill_loads_the_newest_backup_and_leaves_nothing(site: Site) -> None:
    site.mb("backup", "create", "--no-media")
    before, started = databases(site), site.runs()
    shown = json.loads(site.mb("backup", "verify", "--drill", "--json").stdout)
    assert (shown["drill"]["users"], shown["drill"]["schema"]) == (
        2,
        shown["stores"]["database"]["counted"]["schema"],
    )
    assert shown["drill"]["key"] == f"ed25519:{site.guest.read('/var/lib/matrix-synapse/signing.key').split()[1]}"
    assert databases(site) == before
    loads = "runuser -u postgres -- psql -XAtqd postgres -c 'SELECT datname FROM pg_database' | grep -q drill"
    drill = "matrix-baremetal backup verify --drill > /dev/null 2>&1 & drill=$!"
    site.guest.run(f"{drill}; until {loads}; do sleep 0.05; done; kill -KILL $drill; wait", check=False)
    assert set(databases(site)) - set(before) <= {"matrix-synapse-drill"}
    assert "would come back whole" in site.mb("backup", "verify", "--drill").stdout
    assert (databases(site), site.runs()) == (before, started)
    assert site.status()["backup"]["drill"]["rooms"] == shown["drill"]["rooms"]


@pytest.mark.sampled(12)
def test_a_machine_that_is_lost_comes_back_from_its_backup_and_the_package(replaced: Moving) -> None:
    """A sample of what follows."""
    replaced.backup()
    site = replaced.arrive()
    refused(site)
    strike(site, Moment("bring back media", 0.1), command=RESTORE)
    assert "is back as it was at" in site.mb(*RESTORE[1:]).stdout
    same(site, replaced)


@pytest.mark.long
def test_a_backup_of_one_machine_is_the_same_server_on_another(moving: Moving) -> None:
    said = moving.backup()
    site = moving.arrive()
    fresh = site.guest.run(SEEN).stdout
    refused(site)
    assert site.guest.run(SEEN).stdout == fresh, "a damaged backup changed something"
    struck = struck_by(site)
    assert len(struck) >= 4, struck
    began = time.monotonic()
    done = site.mb(*RESTORE[1:])
    spent = time.monotonic() - began
    sys.stderr.write(f"\nrestore: {spent:.0f} s, killed {len(struck)} times before: {'; '.join(struck)}; {said}\n")
    assert "is back as it was at" in done.stdout
    assert "must not run it any more" in done.stderr
    same(site, moving)
    back_in_time(site, moving)
    by_the_timer(site)
    gone(site, fresh)


def struck_by(site: Site) -> list[str]:
    """Begin the restore again and again and end it at each moment; those at which it had not ended by itself.

    One that did is the end of it: another would find data, and set that aside.
    """
    struck = []
    for number, moment in enumerate(MOMENTS):
        # A blow lands some steps after its line, so the next may be late for its own: any later line will do.
        later = "|".join(m.after for m in MOMENTS[number:] if m.after)
        if not strike(site, Moment(moment.after and later, moment.seconds), command=RESTORE):
            break
        struck.append(str(moment))
    return struck


def refused(site: Site) -> None:
    """What is cut off, flipped or somebody else's; each with the next step, and nothing is touched."""
    damage = f"head -c 30000 {FILE} > /root/short && cp {FILE} /root/flipped && "
    damage += (
        "printf '\\377\\377' | dd of=/root/flipped bs=1 seek=20000 conv=notrunc status=none && echo no > /root/no"
    )
    site.guest.run(damage)
    for name in ("short", "flipped", "no", "nowhere"):
        site.mb("restore", f"/root/{name}", status=1)


def same(site: Site, moving: Moving) -> None:
    """Who was logged in is, what was said is there, the picture too, and the server is who it was."""
    alice, bob = moving.alice, moving.bob
    assert site.signing_key() == moving.before["signing_key"]
    assert (alice.user, MESSAGE) in bob.messages(moving.before["room"])
    assert bob.messages(moving.room)
    alice.send(moving.room, "from the new machine")
    bob.wait_for(moving.room, alice.user, "from the new machine")
    answer = bob.web.ask("GET", f"{site.url}/_matrix/client/v1/media/download/{moving.picture}", token=bob.token)
    assert json.loads(answer.text) == {"picture": PICTURE}
    # Some were handed out since, and used twice nobody could read what is said.
    assert one_time_keys(alice) == 0
    site.login("bob")
    # The old certificates, and so no order was needed.
    assert len(moving.lab.acme_orders(site.guest)) == moving.orders
    assert {row["state"] for row in site.status()["certificates"]} == {"valid"}
    invariants.nothing_to_do(site)
    assert not [row for row in invariants.found(site) if "left behind" in row or "missing" in row]


def back_in_time(site: Site, moving: Moving) -> None:
    """The same again where data is: it wants a yes, and what was there is set aside under a name that is told."""
    site.mb("restore", "--wheelhouse", WHEELS, FILE, status=2)
    before = set(databases(site))
    said = site.mb(*RESTORE[1:]).stdout
    assert "sudo -u postgres dropdb -p 5432 matrix-synapse-before-" in said
    site.wait_until_it_answers()
    texts = [text for _, text in moving.bob.messages(moving.room)]
    assert texts
    assert "from the new machine" not in texts
    [kept] = set(databases(site)) - before
    assert kept.startswith("matrix-synapse-before-")


def databases(site: Site) -> list[str]:
    """All there are."""
    psql = ["runuser", "-u", "postgres", "--", "psql", "-XAtqd", "postgres"]
    return site.guest.run(psql, input="SELECT datname FROM pg_database ORDER BY 1").stdout.split()


def by_the_timer(site: Site) -> None:
    """What happens each night: encrypted, given to the operator's command, and noted; also where that fails."""
    # On the operator's own computer, which is none of the server's business.
    key = subprocess.run(["age-keygen"], capture_output=True, text=True, check=True).stdout
    site.guest.write("/root/key", key, 0o600)
    recipient = key.partition("# public key: ")[2].split()[0]
    site.guest.write("/usr/local/sbin/take-away", '#!/bin/sh\nset -e\ncp "$1" /root/taken.age\n', 0o755)
    options = {"encrypt_to": recipient, "command": "/usr/local/sbin/take-away", "keep": 1}
    site.change(backup=options)
    site.mb("apply")
    for _ in range(2):
        site.guest.run("systemctl start matrix-baremetal-backup.service && sleep 1")
    assert site.guest.run(f"ls {BACKUPS}").stdout.count(".tar.zst.age\n") == 1
    assert site.guest.run(f"ls {BACKUPS}").stdout.count("\n") == 1
    shown = json.loads(site.mb("backup", "verify", "/root/taken.age", "--identity", "/root/key", "--json").stdout)
    assert (shown["server_name"], shown["media"]) == (site.server_name, True)
    assert site.status()["backup"]["last"]["encrypted"] is True
    site.guest.write("/usr/local/sbin/take-away", "#!/bin/sh\necho no route >&2; exit 1\n", 0o755)
    failed = site.guest.run("systemctl start matrix-baremetal-backup.service", check=False)
    assert failed.returncode
    assert "no route" in site.status()["backup"]["failed"]["why"]
    site.guest.run("systemctl reset-failed matrix-baremetal-backup.service; rm /usr/local/sbin/take-away")


def gone(site: Site, fresh: str) -> None:
    """Taken away, it comes back with its data; purged, the machine is as it was, and others' things are alive."""
    theirs = "CREATE DATABASE shop;"
    site.guest.run(["runuser", "-u", "postgres", "--", "psql", "-XAtq"], input=theirs)
    site.mb("uninstall", status=2)
    site.mb("uninstall", "--yes")
    assert site.guest.run("systemctl list-units -q --plain 'matrix-*'").stdout == ""
    # A new install finds the old data.
    site.mb("install", "--unattended", "--wheelhouse", WHEELS, status=(0, 3))
    assert site.signing_key()
    site.login("bob")
    site.mb("uninstall", "--purge", "--yes")
    assert "shop" in databases(site)
    assert not [name for name in databases(site) if "matrix" in name]
    site.guest.run(["runuser", "-u", "postgres", "--", "psql", "-XAtq"], input="DROP DATABASE shop;")
    before, after = set(fresh.splitlines()), set(site.guest.run(SEEN).stdout.splitlines())
    added = sorted(row for row in after - before if not spared(row))
    missing = sorted(row for row in before - after if not spared(row))
    assert (added, missing) == ([], []), (added, missing)
    assert (
        site.guest.run(f"test ! -e {CONFIG} && nginx -t -q && systemctl is-active nginx postgresql").returncode == 0
    )


def spared(row: str) -> bool:
    """What Postgres does with its own files, and systemd, is not ours; certbot's accounts may be others'."""
    return row.startswith(
        ("/var/lib/postgresql/", "/var/lib/systemd/", "/var/lib/private", "/etc/letsencrypt/accounts")
    )
