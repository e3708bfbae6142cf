"""A finished install, looked at from inside: what was said, what runs, and how it is locked up."""

from __future__ import annotations

import json
import re
import sys

import pytest

from tests.system import invariants
from tests.system.site import SYNAPSE, Site

pytestmark = pytest.mark.lab
# It installs packages, so it may do what they need.
SETS_UP = "matrix-baremetal-firstboot.service"
# It asks over the network as others would, who listens by netlink, and the database as two users.
LOOKS = "matrix-baremetal-doctor.service"


def test_it_says_what_it_did_and_what_is_next(standing: Site) -> None:
    kept = json.loads(standing.guest.read("/root/install.json"))
    apt, install = (standing.guest.read(f"/root/{kind}.seconds").strip() for kind in ("package", "site"))
    sys.stderr.write(f"\nDebian {standing.guest.debian}, from a bare machine: apt {apt} s, install {install} s\n")
    assert kept["stderr"] == ""
    said = kept["stdout"]
    assert re.search(rf"^{standing.server_name} is ready after \d+ s\.$", said, re.MULTILINE)
    for row in (
        rf"homeserver +{standing.url}",
        rf"administrator +@alice:{standing.server_name}",
        r"password +in /etc/matrix-baremetal/secrets/passwords/alice",
        r"look at it +matrix-baremetal status",
    ):
        assert re.search(rf"^  {row}$", said, re.MULTILINE), said
    assert standing.password("alice") not in said
    assert "\x1b" not in said


def test_everything_runs_and_starts_at_boot(standing: Site) -> None:
    for unit in (SYNAPSE, standing.cluster, "nginx.service", "matrix-baremetal.target", "certbot.timer"):
        shown = standing.show(unit, "ActiveState", "UnitFileState", "NRestarts")
        assert shown["ActiveState"] == "active"
        assert shown["UnitFileState"] in ("enabled", "enabled-runtime")
        assert shown.get("NRestarts", "0") == "0"
    assert standing.show("matrix-baremetal-certificates.timer", "ActiveState")["ActiveState"] == "active"
    assert standing.show(SYNAPSE, "PartOf")["PartOf"] == "matrix-baremetal.target"


def test_what_must_hold_holds(standing: Site) -> None:
    invariants.hold(standing)


def test_the_status_says_so(standing: Site) -> None:
    page = standing.status()
    assert page["server_name"] == standing.server_name
    assert page["ready"]
    assert page["faults"] == []
    assert {row["domain"]: row["state"] for row in page["certificates"]} == {
        standing.server_name: "valid",
        standing.hostname: "valid",
    }
    said = standing.mb("status").stdout
    assert f"{standing.server_name} at {standing.url} is ready." in said
    largest = json.loads(standing.mb("status", "--space", "--json").stdout)["largest"]
    assert [part["failed"] for part in largest] == [None] * 4
    assert all(part["rows"] for part in largest[:2]), largest


def test_it_runs_under_jemalloc(standing: Site) -> None:
    pid = standing.show(SYNAPSE, "MainPID")["MainPID"]
    assert "libjemalloc" in standing.guest.read(f"/proc/{pid}/maps")


def test_all_that_it_imports_is_compiled(standing: Site) -> None:
    """The service can't write bytecode: what is left out of it would be compiled at each start."""
    asks = (
        "import os, sys, psycopg2, synapse.app.homeserver as _; "
        "ours = [made for module in list(sys.modules.values()) if (made := getattr(module, '__cached__', None))]; "
        "ours = [made for made in ours if made.startswith('/opt/')]; "
        "print(len(ours), *(made for made in ours if not os.path.exists(made)))"
    )
    said = standing.guest.run(["/opt/matrix-baremetal/synapse/current/bin/python", "-BIc", asks]).stdout.split()
    assert int(said[0]) > 1000
    assert said[1:] == []


def test_the_service_sees_its_secrets_and_nobody_elses(standing: Site) -> None:
    as_service = ["runuser", "-u", "matrix-synapse", "--"]
    for path in ("/etc/matrix-baremetal/secrets", "/var/lib/matrix-synapse/signing.key", "/etc/letsencrypt/live"):
        assert standing.guest.run([*as_service, "cat", path], check=False).returncode != 0
        assert standing.guest.run([*as_service, "ls", f"{path}/."], check=False).returncode != 0
    shown = standing.guest.run("stat -c '%a %U' /run/credentials/matrix-synapse.service/*").stdout
    assert all(line.split()[0] in ("400", "440") for line in shown.splitlines()), shown


def test_the_database_is_in_the_c_locale_and_asks_for_no_password(standing: Site) -> None:
    sql = "SELECT datcollate, datctype, pg_encoding_to_char(encoding), pg_get_userbyid(datdba) FROM pg_database"
    psql = ["runuser", "-u", "postgres", "--", "psql", "-XAtc"]
    row = standing.guest.run([*psql, f"{sql} WHERE datname = 'matrix-synapse'"]).stdout
    assert row == "C|C|UTF8|matrix-synapse\n"
    assert (
        standing.guest.run([*psql, "SELECT rolpassword FROM pg_authid WHERE rolname = 'matrix-synapse'"]).stdout
        == "\n"
    )
    peer = ["runuser", "-u", "matrix-synapse", "--", "psql", "-XAt", "-w", "-c", "SELECT current_user"]
    assert standing.guest.run([*peer, "-d", "matrix-synapse"]).stdout == "matrix-synapse\n"


def test_units_are_hardened(standing: Site) -> None:
    """systemd's own score, from 0 (locked up) to 10."""
    scores = {}
    units = standing.guest.run("ls /usr/lib/systemd/system | grep -E '^matrix-.*\\.service$'").stdout.split()
    for unit in units:
        said = standing.guest.run(["systemd-analyze", "security", "--no-pager", unit]).stdout
        found = re.search(r"exposure level for \S+: ([0-9.]+)", said)
        assert found, said
        scores[unit] = float(found[1])
    sys.stderr.write(f"\nDebian {standing.guest.debian}, exposure: {scores}\n")
    if standing.guest.debian == 12:
        assert scores[SYNAPSE] <= 1.2
    assert scores.pop(SETS_UP) <= 7.0
    assert scores.pop(LOOKS) <= 2.4
    assert max(scores.values()) <= 2.0


def test_the_service_writes_media_alone_and_runs_nothing_it_can_write(standing: Site) -> None:
    """Tried by root in its mounts, so it is the mounts that say no and not the modes of files."""
    pid = standing.show(SYNAPSE, "MainPID")["MainPID"]
    script = "cd $1 && touch x && echo writes; cp /bin/true y && { ./y && echo runs; }; rm -f x y"

    def tried(place: str) -> list[str]:
        return standing.guest.run(["nsenter", "-t", pid, "-m", "sh", "-c", script, "sh", place]).stdout.split()

    virtualenv = "/opt/matrix-baremetal/synapse/current"
    for place in (
        "/etc",
        "/usr/bin",
        "/usr/lib",
        virtualenv,
        f"{virtualenv}/bin",
        "/var/lib",
        "/var/lib/matrix-synapse",
    ):
        assert tried(place) == [], place
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run", "/var/lib/matrix-synapse/media"):
        assert tried(place) == ["writes"], place


def test_nothing_listens_for_outsiders_but_the_web_server(standing: Site) -> None:
    rows = standing.guest.run("ss -Hltn").stdout.splitlines()
    open_to_all = {row.split()[3].rpartition(":") for row in rows}
    ports = {port for address, _, port in open_to_all if not address.startswith(("127.", "[::1]"))}
    assert ports == {"80", "443"}
